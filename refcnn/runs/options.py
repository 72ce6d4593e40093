"""The options of a training: their defaults, their checks, and what is made of them."""

import dataclasses
import functools
import re

import numpy as np

from .. import attributes
from ..data import augment
from ..data.sizing import check_size
from ..errors import ArgumentError
from ..fitting import optimizers, schedules
from ..fitting.callbacks import EarlyStopping, check_monitor, require_tensorboard
from ..fitting.metrics import cross_entropy
from .configuration import BALANCED, Configuration

#: What a run takes for an option that is not given; the learning rate depends on the optimizer. Of others the
#: configuration has the defaults.
DEFAULTS = {"data": "digits", "model": "chapter", "epochs": 10, "batch_size": 32, "optimizer": optimizers.DEFAULT}
#: Used where a data set has no test part.
DEFAULT_VALIDATION_SPLIT = 0.2
#: Epochs of a single batch, where no number is given.
OVERFIT_EPOCHS = 100
#: The options that the optimizers take, by the same names.
OF_OPTIMIZER = ("weight_decay", "clip_norm", "clip_value", "accumulation_steps", "average_decay")
#: Images of a micro-batch, where a run is to be reproducible and no number is given.
MICRO_BATCH = 16
#: What may change while a run goes on, beside the places of its data: the epochs can only be raised.
CHANGEABLE = ("epochs", "patience", "tensorboard", "proof", "proof_time", "in_memory")

_FLAGS = {"weights": "--from", "micro_batch": "--reproducible"}
_UNITS = {"h": 3600, "m": 60, "s": 1}


def checked(options):
    """Return the options of a new run, with the defaults of those that are not given.

    Raises
    ------
    ArgumentError
        If one is out of range, or two do not fit each other.
    """
    defaults = {
        field.name: field.default
        for field in dataclasses.fields(Configuration)
        if field.default is not dataclasses.MISSING
    }
    defaults |= DEFAULTS
    if options.get("overfit_batch"):
        defaults |= {"epochs": OVERFIT_EPOCHS, "proof": False}
    options = defaults | options
    _, rate = optimizers.choice("--optimizer", options["optimizer"])
    options["lr"] = attributes.number("train", "lr", options.get("lr", rate), above=0)
    for name in ("epochs", "batch_size", "top_k", *(["micro_batch"] if options["micro_batch"] is not None else [])):
        attributes.integer("train", name, options[name])
    if options["micro_batch"] is not None and options["synchronise_batch_statistics"]:
        raise ArgumentError(
            "--reproducible takes batch normalisation's statistics over a micro-batch, and "
            "--synchronise-batch-statistics over the whole batch. Leave one of them out."
        )
    attributes.number("train", "label_smoothing", options["label_smoothing"], minimum=0, below=1)
    check_monitor("train", options["monitor"])
    _check_class_weights(options["class_weights"])
    if options["tensorboard"]:
        require_tensorboard()
    make_schedule(options)
    make_optimizer(options)
    make_stopping(options)
    if options["image_size"] is not None:
        options["image_size"] = check_size(options["image_size"])
    if options["augment"] is not None:
        options["augment"] = canonical_augment(options["augment"])
    return options


def flag(name):
    """Return what the command line calls an option."""
    return _FLAGS.get(name, f"--{name.replace('_', '-')}")


def canonical_augment(text):
    """Return the text that :func:`refcnn.data.augment.parse` takes with every number written out."""
    return ",".join(map(str, augment.parse(text)))


def make_schedule(options):
    """Return the schedule that the options ``schedule``, ``warm_up`` and ``epochs`` describe."""
    schedule, warm_up = schedules.parse(options["schedule"]), options["warm_up"]
    if attributes.number("train", "warm_up", warm_up, minimum=0):
        schedule = schedules.WarmUp(schedule, warm_up)
    schedule.check(options["epochs"])
    return schedule


def make_optimizer(options):
    """Return the optimizer that ``optimizer``, ``lr`` and those in :data:`OF_OPTIMIZER` describe."""
    make, _ = optimizers.choice("--optimizer", options["optimizer"])
    return make(options["lr"], **{name: options[name] for name in OF_OPTIMIZER})


def make_stopping(options):
    """Return what ends a run early by ``patience`` and ``monitor``; None where there is no patience."""
    if options["patience"] is None:
        return None
    return EarlyStopping(options["patience"], options["monitor"], restore_best=False)


def ended_early(configuration, history):
    """Return whether the patience of a run was over before all its epochs were."""
    stopping = make_stopping(vars(configuration))
    return len(history) < configuration.epochs and stopping is not None and stopping.is_over(history)


def make_loss(options, labels, classes):
    """Return the loss of training by ``label_smoothing`` and ``class_weights``.

    Parameters
    ----------
    options : dict
    labels : ndarray of int, (N,)
        Of the training images.
    classes : int
    """
    weights = class_weights(options["class_weights"], labels, classes)
    changes = {"label_smoothing": options["label_smoothing"]} if options["label_smoothing"] else {}
    changes |= {} if weights is None else {"class_weight": weights}
    return functools.partial(cross_entropy, **changes) if changes else cross_entropy


def example_weights(options, labels, classes):
    """Return what gives of targets the weights by which the training's loss is their mean; None where all are alike.

    The parameters are those of :func:`make_loss`.
    """
    weights = class_weights(options["class_weights"], labels, classes)
    # Of rows, into which mixup makes the targets, it is the mean by their number.
    augmentations = () if options["augment"] is None else augment.parse(options["augment"])
    if weights is None or any(isinstance(one, augment.Mixup) for one in augmentations):
        return None
    return weights.__getitem__


def class_weights(given, labels, classes):
    """Return a weight for each class, or None where all are alike.

    Balanced ones are N / (classes that occur times the class's images), whose mean over the images is 1; King and
    Zeng, "Logistic regression in rare events data" (2001).

    Raises
    ------
    ArgumentError
        If there are more or fewer numbers than classes.
    """
    if given is None:
        return None
    if given == BALANCED:
        counts = np.bincount(labels, minlength=classes)
        return len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    if len(given) != classes:
        raise ArgumentError(
            f"--class-weights has {len(given)} numbers, but there are {classes} classes. Give one for each, in the "
            f"order of their names, or {BALANCED}."
        )
    return np.array(given, np.float64)


def _check_class_weights(given):
    if given is None or given == BALANCED:
        return
    if isinstance(given, str):
        raise ArgumentError(f"--class-weights is {given!r}. Give {BALANCED}, or a number for each class.")
    weights = [attributes.number("train", "class_weights", weight, minimum=0) for weight in given]
    if not any(weights):
        raise ArgumentError("--class-weights are all 0, so that nothing would be learned. Give one above 0.")


def described(configuration):
    """Return the options of the training that are not as they are by default, as one line of text."""
    fields = {field.name: field for field in dataclasses.fields(Configuration)}
    shown = [
        "schedule",
        "warm_up",
        "label_smoothing",
        "class_weights",
        "augment",
        *OF_OPTIMIZER,
        "freeze",
        "micro_batch",
        "synchronise_batch_statistics",
        "monitor",
        "patience",
    ]
    shown += ["overfit_batch"]
    changed = {name: getattr(configuration, name) for name in shown}
    changed = {name: value for name, value in changed.items() if value != fields[name].default}
    return ", ".join(f"{name.replace('_', ' ')} {_written(value)}" for name, value in changed.items())


def _written(value):
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value).lower()


def seconds_of(text):
    """Return the seconds that a text such as ``90s``, ``10m``, ``1h30m`` or ``45`` stands for.

    Raises
    ------
    ArgumentError
        If it stands for none.
    """
    if re.fullmatch(r"\d+(\.\d*)?", text):
        total = float(text)
    elif re.fullmatch(r"(\d+(\.\d*)?h)?(\d+(\.\d*)?m)?(\d+(\.\d*)?s)?", text):
        total = sum(float(number) * _UNITS[unit] for number, _, unit in re.findall(r"(\d+(\.\d*)?)([hms])", text))
    else:
        total = 0.0
    if total <= 0:
        raise ArgumentError(f"{text!r} is no time. Give one such as 90s, 10m or 1h30m.")
    return total

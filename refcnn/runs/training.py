"""Training in a run's folder: starting, and going on from a checkpoint."""

import contextlib
import dataclasses
import os
import secrets
from typing import NamedTuple

from .. import backend, data, models
from ..errors import ArgumentError, CheckpointError
from ..files import remove_leftovers
from ..fitting import freezing
from ..fitting.sources import augmenter_of
from ..model import Model
from ..parallel.alone import ALONE
from ..philox import generator, own_generator, set_seed
from ..version import versions
from . import imported, run_data, run_folder, weights
from . import options as options_of_runs
from .checkpoint import Checkpoint
from .configuration import Configuration
from .rejoining import take_place
from .run_folder import RunFolder
from .session import Training


@own_generator()
def start(options, out=None, batches=None, ranks=ALONE):
    """Begin a run on the active backend: load the data, build the model, make the run folder.

    No other process can write in the run folder from here until :meth:`Training.finish` ends.

    Parameters
    ----------
    options : dict
        Any of the fields of :class:`Configuration` that a user chooses, and
        ``pixel_range``; the rest take their defaults.
    out : str or os.PathLike, optional
        The run folder; by default a new one below ``runs``.
    batches : int, optional
        As of :func:`prepare`.
    ranks : Ranks or Alone
        Which train together; rank 0 alone makes and writes the folder.

    Returns
    -------
    Training

    Raises
    ------
    ArgumentError
        If an option is out of range, or ``out`` holds something.
    DataError
        If the data set cannot be loaded.
    FileWriteError
        If the run folder cannot be made or written.
    LockedError
        If another process is writing in ``out``.
    """
    options = checked(options)
    if out is not None:
        ranks.by_first(run_folder.check_free, out)
    prepared = prepare(options, batches, ranks)
    configuration = ranks.broadcast(prepared.configuration)
    path = ranks.by_first(run_folder.claim, out, options["data"], options["model"])
    run = RunFolder(path, configuration, configuration.model)
    with contextlib.ExitStack() as lock:
        if ranks.is_first:
            lock.enter_context(run.locked())
            run.create(prepared.start)
        training = Training(run, prepared.model, *prepared.parts, prepared.taken, ranks)
        training.lock = lock.pop_all()
        return training


def checked(options):
    """Return the options of a new run, with the defaults of those that are not given; ArgumentError if one is wrong."""
    return options_of_runs.checked(weights.with_model(options))


class Prepared(NamedTuple):
    """All that a new training is made of.

    Attributes
    ----------
    configuration : Configuration
    model : Model
    parts : list of DataSet
        Training and validation set.
    taken : refcnn.runs.weights.Taken, refcnn.runs.imported.Started or None
        What the model started from.
    start : bytes or None
        Of the ONNX file that it started from.
    """

    configuration: Configuration
    model: Model
    parts: list
    taken: object
    start: bytes | None


def prepare(options, batches=None, ranks=ALONE):
    """Load the data and build the model of a new training, with draws of the present generator; nothing is written.

    Parameters
    ----------
    options : dict
        As :func:`checked` returns them.
    batches : int, optional
        How many batches to take of either part; all, if it is not given.
    ranks : Ranks or Alone
        Which get the same; rank 0 alone goes through all the images.

    Returns
    -------
    Prepared
    """
    set_seed(options["seed"] if "seed" in options else ranks.broadcast(secrets.randbits(32)))
    seed = generator.seed
    file = imported.open_file(options["weights"]) if imported.is_file(options["weights"]) else None
    if file is not None:
        options = imported.with_size(options, file)
    digest, split, parts = _load(options, batches, ranks)
    known = None if file is None else imported.with_normalisation(parts[0].preprocessing, file)
    if known is not None:
        parts = imported.normalised(parts, known)
    classes, preprocessing = parts[0].classes, parts[0].preprocessing
    active = backend.active()
    fixed = {
        "data_digest": digest,
        "classes": classes,
        "preprocessing": preprocessing,
        "backend": active.name,
        "device": active.description,
        "versions": _versions(active),
        "validation_split": split,
        "stratified": True,
        "seed": seed,
    }
    if file is not None:
        model, taken = imported.build(file, preprocessing, classes)
        fixed["weights_digest"] = imported.digest(file.content)
    else:
        model, taken = _built(options, preprocessing.shape, len(classes))
        fixed["weights_digest"] = None if taken is None else taken.digest
    if options["weights"] is not None:
        fixed["weights"] = os.path.abspath(options["weights"])
    freezing.chosen(model, options["freeze"])
    known = {field.name for field in dataclasses.fields(Configuration)}
    options = {name: value for name, value in options.items() if name in known}
    configuration = Configuration(**{"data_dir": None} | options | run_data.places(options) | fixed)
    return Prepared(configuration, model, parts, taken, None if file is None else file.content)


def _load(options, batches, ranks):
    """Return the digest of the data, the validation split, and the two parts, having checked what goes by them."""
    of_data = {name: options.get(name) for name in ("data_dir", "pixel_range", "image_size", "image_fit", "in_memory")}
    train, test = data.load(options["data"], **of_data)
    split = options.get("validation_split", None if test else options_of_runs.DEFAULT_VALIDATION_SPLIT)
    data.require_classes(train)
    parts = run_data.divide(split, train, test, stratify=True, ranks=ranks)
    if options["overfit_batch"]:
        parts = run_data.single_batch(parts[0], options["batch_size"])
    if batches is not None:
        parts = [part.subset(slice(batches * options["batch_size"])) for part in parts]
    options_of_runs.class_weights(options["class_weights"], parts[0].y, len(train.classes))
    if options["augment"] is not None:
        augmenter_of(parts[0], options["augment"])
    return run_folder.common_digest(ranks, train, test), split, parts


def _built(options, image_shape, classes):
    """Return a model by its name, and the weights that it took over, if any."""
    model = models.build(options["model"], image_shape, classes)
    return model, None if options["weights"] is None else weights.take_over(model, options["weights"])


@own_generator()
def resume(run, options, ranks=ALONE):
    """Go on with a run from its last checkpoint, or from its beginning if there is none yet.

    No other process can write in the run folder from here until :meth:`Training.finish` ends.

    Parameters
    ----------
    run : RunFolder
    options : dict
        What the user gave anew: ``epochs`` may be raised; ``data`` and
        ``data_dir`` may name another place of the same data.
    ranks : Ranks or Alone
        As of :func:`start`; they need not be as many as before.

    Returns
    -------
    Training

    Raises
    ------
    ArgumentError
        If an option contradicts the run, or its model is code that was not named as the run was opened.
    DataError
        If the data are not those that the run was started with.
    CheckpointError
        If the checkpoint cannot be read.
    LockedError
        If another process is writing in the run folder.
    """
    with contextlib.ExitStack() as lock:
        if ranks.is_first:
            lock.enter_context(run.locked())
            # Another process may have gone on with the run since the configuration was read.
            run.configuration = RunFolder.open(run.path).configuration
            remove_leftovers(run.path)
        run.configuration = ranks.broadcast(run.configuration)
        training = _resume(run, options, ranks)
        training.lock = lock.pop_all()
        return training


def _resume(run, options, ranks):
    former = run.configuration
    options = _as_kept(options)
    changes = _changes(run, options)
    run_data.refuse_another_name(run, options)
    checkpoint = ranks.by_first(lambda: Checkpoint.load(run.last) if run.last.exists() else None)
    active = backend.active()
    active = {"backend": active.name, "device": active.description, "versions": _versions(active)}
    active = ranks.broadcast(active)
    configuration = dataclasses.replace(former, **changes, **active)
    if {"epochs", "patience"} & changes.keys():
        configuration = dataclasses.replace(configuration, ended_early=False)
    set_seed(configuration.seed)
    parts = run_data.load_again(run, configuration, options, ranks)
    run.configuration = configuration
    model, taken = _build_again(run)
    training = Training(run, model, *parts, taken if checkpoint is None else None, ranks)
    if checkpoint is not None:
        training.set_state(checkpoint)
    if configuration.epochs > former.epochs and training.history and training.loop.schedule.depends_on_epochs:
        training.remarks.append(
            f"The schedule {configuration.schedule} goes along all epochs: those up to now had the rates of "
            f"{former.epochs} epochs, and the others have those of {configuration.epochs}."
        )
    if configuration != former and ranks.is_first:
        run.update()
    return training


@own_generator()
def stand_in(order, ranks):
    """Get ready to take the place of a rank that was lost in a training: with all but the state that it has now.

    Parameters
    ----------
    order : refcnn.runs.rejoining.Order
    ranks : Ranks
        In reserve.

    Returns
    -------
    Training
        Which must :meth:`Training.join`.

    Raises
    ------
    RefcnnError
        As of :func:`resume`.
    """
    take_place(order)
    run = RunFolder(order.path, order.configuration, order.named_model)
    set_seed(order.configuration.seed)
    parts = run_data.load(order.configuration, ranks)
    model, _ = _build_again(run)
    return Training(run, model, *parts, None, ranks)


def _versions(active):
    return versions("numpy", *([] if active.name.startswith("reference") else ["pyopencl"]))


def _as_kept(options):
    """Return options in the form in which a configuration keeps them."""
    if "weights" in options:
        options = options | {"weights": os.path.abspath(options["weights"])}
    if options.get("augment") is not None:
        options = options | {"augment": options_of_runs.canonical_augment(options["augment"])}
    return options


def _changes(run, options):
    """Return the options that a run goes on with in place of its own, having refused those that it cannot."""
    former = run.configuration
    changes = run_data.places(options)
    changes |= {key: value for key, value in options.items() if key in options_of_runs.CHANGEABLE}
    for name, value in options.items():
        if name not in changes and value != getattr(former, name):
            raise ArgumentError(
                f"{options_of_runs.flag(name)} is {value}, but the run in {run.path} was started with "
                f"{getattr(former, name)}. Leave the option out, or start a new run."
            )
    if changes.get("epochs", former.epochs) < former.epochs:
        raise ArgumentError(
            f"--epochs is {changes['epochs']}, but the run in {run.path} was started with {former.epochs}. "
            "The number of epochs can only be raised."
        )
    run.require_model()
    try:
        options_of_runs.checked(vars(former))
    except ArgumentError as error:
        raise CheckpointError(
            f"the configuration of the run in {run.path} is none that a run has: {error} Put an earlier copy of "
            "config.json in its place, or start a new run."
        ) from None
    options_of_runs.checked({**vars(former), **changes})
    return changes


def _build_again(run):
    """Return the model of a run as new, and what it took over from elsewhere, if it has no checkpoint yet."""
    configuration = run.configuration
    if configuration.is_imported:
        return run.build_imported()
    model = run.build_model()
    if configuration.weights is None or run.last.exists():
        return model, None
    taken = weights.take_over(model, configuration.weights)
    if taken.digest != configuration.weights_digest:
        raise CheckpointError(
            f"{configuration.weights} holds other weights than when the run was started. Put the former ones back, or "
            "start a new run."
        )
    return model, taken

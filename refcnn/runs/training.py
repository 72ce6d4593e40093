"""Training: the loop over epochs and batches, its checkpoints, and going on from them."""

import contextlib
import dataclasses
import math
import secrets
import time

import numpy as np

from .. import attributes, backend, data, models, rooms
from ..errors import ArgumentError, CheckpointError, NonFiniteLossError
from ..files import remove_leftovers
from ..interruption import Interrupted, interruptible
from ..layers.softmax_cross_entropy import softmax_cross_entropy
from ..model import describe_unlisted
from ..philox import current, drawing_from, generator, own_generator, permutation, set_seed
from ..suggestions import did_you_mean
from ..variable import Parameter
from . import run_data, run_folder
from .checkpoint import Checkpoint, best_epoch
from .run_folder import Configuration, RunFolder

#: For each name of an optimizer: what makes it from a learning rate, and its default rate.
OPTIMIZERS = {
    name: choice
    for operation in rooms.operations()
    for name, choice in rooms.trait(rooms.OPTIMIZERS, operation, "CHOICES").items()
}
#: What a run takes for an option that is not given; the learning rate depends on the optimizer.
DEFAULTS = {"data": "digits", "model": "chapter", "epochs": 10, "batch_size": 32, "optimizer": "adam"}
#: Used where a data set has no test part.
DEFAULT_VALIDATION_SPLIT = 0.2
#: Seconds between two looks at the loss for the progress bar: each look waits for the device.
LOSS_INTERVAL = 0.25


@own_generator()
def start(options, out=None):
    """Begin a run on the active backend: load the data, build the model, make the run folder.

    No other process can write in the run folder from here until :meth:`Training.finish` ends.

    Parameters
    ----------
    options : dict
        Any of ``data``, ``data_dir``, ``model``, ``epochs``, ``batch_size``,
        ``lr``, ``optimizer``, ``validation_split``, ``pixel_range`` and
        ``seed``; the rest take their defaults.
    out : str or os.PathLike, optional
        The run folder; by default a new one below ``runs``.

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
    options = _checked({**DEFAULTS, **options})
    if out is not None:
        run_folder.check_free(out)
    set_seed(options["seed"] if "seed" in options else secrets.randbits(32))
    seed = generator.seed
    train, test = data.load(options["data"], options.get("data_dir"), options.get("pixel_range"))
    split = options.get("validation_split", None if test else DEFAULT_VALIDATION_SPLIT)
    data.require_classes(train)
    parts = run_data.divide(split, train, test, stratify=True)
    active = backend.active()
    configuration = Configuration(
        **{"data_dir": None} | run_data.places(options),
        data_digest=run_folder.digest(train, test),
        classes=train.classes,
        preprocessing=parts[0].preprocessing,
        model=options["model"],
        backend=active.name,
        device=active.description,
        epochs=options["epochs"],
        batch_size=options["batch_size"],
        lr=options["lr"],
        optimizer=options["optimizer"],
        validation_split=split,
        stratified=True,
        seed=seed,
    )
    model = models.build(configuration.model, train.preprocessing.shape, len(train.classes))
    run = RunFolder(run_folder.claim(out, options["data"], options["model"]), configuration, configuration.model)
    with contextlib.ExitStack() as lock:
        lock.enter_context(run.locked())
        run.create()
        training = Training(run, model, *parts)
        training.lock = lock.pop_all()
        return training


def _checked(options):
    """Return the options, with the learning rate."""
    if options["optimizer"] not in OPTIMIZERS:
        raise ArgumentError(
            f"--optimizer is {options['optimizer']!r}. Choose one of {', '.join(OPTIMIZERS)}."
            + did_you_mean(options["optimizer"], OPTIMIZERS)
        )
    attributes.integer("train", "epochs", options["epochs"])
    attributes.integer("train", "batch_size", options["batch_size"])
    lr = options.get("lr", OPTIMIZERS[options["optimizer"]][1])
    return {**options, "lr": attributes.number("train", "lr", lr, above=0)}


@own_generator()
def resume(run, options):
    """Go on with a run from its last checkpoint, or from its beginning if there is none yet.

    No other process can write in the run folder from here until :meth:`Training.finish` ends.

    Parameters
    ----------
    run : RunFolder
    options : dict
        What the user gave anew: ``epochs`` may be raised; ``data`` and
        ``data_dir`` may name another place of the same data.

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
        lock.enter_context(run.locked())
        # Another process may have gone on with the run since the configuration was read.
        run.configuration = RunFolder.open(run.path).configuration
        remove_leftovers(run.path)
        training = _resume(run, options)
        training.lock = lock.pop_all()
        return training


def _resume(run, options):
    former = run.configuration
    changes = run_data.places(options) | {key: value for key, value in options.items() if key == "epochs"}
    for name, value in options.items():
        if name not in changes and value != getattr(former, name):
            raise ArgumentError(
                f"--{name.replace('_', '-')} is {value}, but the run in {run.path} was started with "
                f"{getattr(former, name)}. Leave the option out, or start a new run."
            )
    if changes.get("epochs", former.epochs) < former.epochs:
        raise ArgumentError(
            f"--epochs is {changes['epochs']}, but the run in {run.path} was started with {former.epochs}. "
            "The number of epochs can only be raised."
        )
    run.require_model()
    if former.optimizer not in OPTIMIZERS:
        raise CheckpointError(
            f"the optimizer of the run in {run.path} is {former.optimizer!r}, but there are {', '.join(OPTIMIZERS)}. "
            "Put an earlier copy of config.json in its place, or start a new run."
        )
    run_data.refuse_another_name(run, options)
    checkpoint = Checkpoint.load(run.last) if run.last.exists() else None
    active = backend.active()
    configuration = dataclasses.replace(former, **changes, backend=active.name, device=active.description)
    set_seed(configuration.seed)
    parts = run_data.load_again(run, configuration, options)
    training = Training(run, run.build_model(), *parts)
    if checkpoint is not None:
        training.set_state(checkpoint)
    if configuration != former:
        run.update(**{field: getattr(configuration, field) for field in (*changes, "backend", "device")})
    return training


class Training:
    """A run under way: the model, its optimizer, the data, and how far it has come.

    Parameters
    ----------
    run : RunFolder
    model : Model
        With its parameters made.
    train, validation : DataSet

    Attributes
    ----------
    lock : contextlib.ExitStack
        What keeps other processes from the run folder until :meth:`finish` ends.
    """

    def __init__(self, run, model, train, validation):
        self.run, self.model, self.train, self.validation = run, model, train, validation
        configuration = run.configuration
        self.lock = contextlib.ExitStack()
        self.optimizer = OPTIMIZERS[configuration.optimizer][0](configuration.lr)
        self.batch_size = configuration.batch_size
        self.batches = math.ceil(len(train) / self.batch_size)
        self.history = []
        self._shuffle = None
        self._losses = []
        self._seconds = 0.0
        # That of start or resume, which nothing but this run draws from.
        self._generator = current()
        # The model's parameters by their ids, as far as they were looked for.
        self._listed = {}

    @property
    def is_complete(self):
        """Whether the exported model and the pictures of all the epochs are there."""
        return self.run.is_complete

    def description(self):
        """Return the lines that say what is about to be trained."""
        configuration, epoch = self.run.configuration, len(self.history) + 1
        epochs = f"epoch {epoch} to {configuration.epochs}" if epoch <= configuration.epochs else "no epoch left"
        lines = (
            f"{configuration.data}: {len(self.train)} training and {len(self.validation)} validation images of shape "
            f"{configuration.preprocessing.shape}, {len(configuration.classes)} classes\n"
            f"{configuration.model} on {configuration.backend}: {configuration.device}\n"
            f"{configuration.optimizer}, lr {configuration.lr}, batch size {self.batch_size}, {epochs}, "
            f"seed {configuration.seed}\n"
            f"run folder: {self.run.path}"
        )
        return "\n".join([lines, *data.remarks(self.train, self.validation)])

    def state(self):
        """Return the present state as a Checkpoint.

        Raises
        ------
        NonFiniteLossError
            If a loss or a parameter is NaN or infinite.
        """
        self._read_losses()
        parameters = self.model.state()
        for name, array in parameters.items():
            if not np.isfinite(array).all():
                raise self._non_finite(f"the parameter {name} holds NaN or infinity", len(self._losses))
        return Checkpoint(
            parameters=parameters,
            optimizer={name: self.optimizer.state(parameter) for name, parameter in self.model.parameters()},
            epoch=len(self.history),
            shuffle=self._shuffle,
            losses=np.array(self._losses, dtype=np.float64),
            seconds=self._seconds,
            seed=self._generator.seed,
            stream=self._generator.stream,
            history=self.history,
            image_shape=self.train.preprocessing.shape,
        )

    def set_state(self, checkpoint):
        """Go back to a state.

        Raises
        ------
        CheckpointError
            If it is not of this model and optimizer.
        """
        if len(checkpoint.losses) > self.batches:
            raise CheckpointError(
                f"{self.run.last} stands at batch {len(checkpoint.losses)} of {self.batches}. Put an earlier copy of "
                "the file in its place."
            )
        checkpoint.restore(self.model, self.optimizer)
        self.history = checkpoint.history
        self._shuffle, self._losses, self._seconds = checkpoint.shuffle, list(checkpoint.losses), checkpoint.seconds
        self._generator.state = checkpoint.seed, checkpoint.stream

    def finish(self, echo=print):
        """Train up to the configuration's number of epochs, with a checkpoint after each.

        Parameters
        ----------
        echo : callable
            Takes one line of text after each epoch.

        Raises
        ------
        Interrupted
            After Ctrl-C, SIGTERM or SIGHUP: the batch was finished and the checkpoint written.
        Stopped
            After a second such signal, at once; the former checkpoint stands.
        NonFiniteLossError
            If the loss is NaN or infinite; the last good checkpoint stands.
        FileWriteError
            If a checkpoint cannot be written; the former one stands.
        """
        # NumPy's own warnings would only come before the error that says more. Another thread that draws, for a model
        # that it builds for example, must not change what is drawn here.
        with (
            self.lock,
            self.run.locked(),
            interruptible() as is_interrupted,
            np.errstate(all="ignore"),
            drawing_from(self._generator),
        ):
            if self.history and not self.is_complete:
                # A kill can come between a checkpoint and its row of metrics.
                self.run.write_metrics(self.history)
            while len(self.history) < self.run.configuration.epochs:
                self._epoch(is_interrupted)
                echo(self._line(self.history[-1]))
            # The signal may have come after the last batch.
            self._stop_if(is_interrupted)

    def _epoch(self, is_interrupted):
        if self._shuffle is None:
            self._shuffle = self._generator.next_stream()[1]
        order = permutation(self._generator.seed, self._shuffle, len(self.train))
        with self._progress_bar() as bar:
            self._train_epoch(order, bar, is_interrupted)
            bar.set_postfix_str("validating")
            loss, accuracy = self._validate(is_interrupted)
        sizes = [min(self.batch_size, len(self.train) - start) for start in range(0, len(self.train), self.batch_size)]
        self.history.append(
            {
                "epoch": len(self.history) + 1,
                "train_loss": float(np.average(self._losses, weights=sizes)),
                "validation_loss": loss,
                "validation_accuracy": accuracy,
                "seconds": self._seconds,
                "iterations_per_second": self.batches / self._seconds,
            }
        )
        self._shuffle, self._losses, self._seconds = None, [], 0.0
        # The best checkpoint first: should the process die in between, the epoch is done again, to the same end.
        checkpoint = self.state()
        if best_epoch(self.history) is self.history[-1]:
            checkpoint.save(self.run.best)
        checkpoint.save(self.run.last)
        self.run.write_metrics(self.history)

    def _train_epoch(self, order, bar, is_interrupted):
        begun, former = time.perf_counter(), self._seconds
        looked = begun
        for index in range(len(self._losses), self.batches):
            # The rate falls to zero along each epoch, so that each ends settled, and starts again: warm restarts
            # (Loshchilov and Hutter, 2017). It does not depend on how many epochs there will be.
            self.optimizer.lr = self.run.configuration.lr * (1 - index / self.batches)
            chosen = order[index * self.batch_size : (index + 1) * self.batch_size]
            x, t = self._batch(self.train, chosen)
            with self.model.train():
                loss = softmax_cross_entropy(self.model(x), t)
            gradients = loss.grad()
            self._check_listed(gradients)
            gradients.update(self.optimizer)
            self._losses.append(loss)
            if time.perf_counter() - looked > LOSS_INTERVAL and not bar.disable:
                bar.set_postfix_str(f"loss {self._read_loss(index):.4f}", refresh=False)
                looked = time.perf_counter()
            bar.update()
            if is_interrupted():
                break
        self._read_losses()
        self._seconds = former + time.perf_counter() - begun
        self._stop_if(is_interrupted)

    def _check_listed(self, gradients):
        """Refuse a step that would change what no checkpoint holds, as a layer that only training reads may be."""
        changed = [entry for entry, _ in gradients if isinstance(entry, Parameter)]
        if all(id(entry) in self._listed for entry in changed):
            return
        self._listed = {id(parameter): parameter for _, parameter in self.model.parameters()}
        found = [("the training step", entry) for entry in changed if id(entry) not in self._listed]
        if found:
            raise ArgumentError(f"the model {self.run.configuration.model}: {describe_unlisted(found)}")

    def _batch(self, dataset, chosen):
        x = dataset.preprocessing.apply(dataset.x[chosen])
        return x, data.one_hot(dataset.y[chosen], len(dataset.classes))

    def _read_loss(self, index):
        self._losses[index] = loss = float(self._losses[index])
        if not math.isfinite(loss):
            raise self._non_finite(f"the loss is {loss}", index + 1)
        return loss

    def _read_losses(self):
        for index in range(len(self._losses)):
            self._read_loss(index)

    def _non_finite(self, what, batch):
        configuration = self.run.configuration
        kept = (
            f"The checkpoint of the {len(self.history)} epochs before stands in {self.run.path}"
            if self.run.last.exists()
            else "No checkpoint was written yet"
        )
        return NonFiniteLossError(
            f"{what} at epoch {len(self.history) + 1}, batch {batch} of {self.batches} ({configuration.optimizer}, "
            f"lr {configuration.lr}); a finite number is expected. {kept}. Start a new run with a smaller --lr, such "
            f"as {configuration.lr / 10:.3g}, and look for extreme values in the images."
        )

    def _validate(self, is_interrupted):
        total, correct = 0.0, 0
        for start in range(0, len(self.validation), self.batch_size):
            chosen = np.arange(start, min(start + self.batch_size, len(self.validation)))
            x, t = self._batch(self.validation, chosen)
            logits = self.model(x)
            total += float(softmax_cross_entropy(logits, t)) * len(chosen)
            correct += int(np.sum(logits.as_ndarray().argmax(axis=1) == self.validation.y[chosen]))
            self._stop_if(is_interrupted)
        loss = total / len(self.validation)
        if not math.isfinite(loss):
            raise self._non_finite(f"the validation loss is {loss}", self.batches)
        return loss, correct / len(self.validation)

    def _stop_if(self, is_interrupted):
        number = is_interrupted()
        if not number:
            return
        if self._losses:
            self.state().save(self.run.last)
            place = f"in epoch {len(self.history) + 1} after batch {len(self._losses)} of {self.batches}"
        else:
            place = f"after epoch {len(self.history)}"
        raise Interrupted(f"Stopped {place}; the checkpoint is {self.run.last}.", number)

    def _progress_bar(self):
        from tqdm import tqdm

        epoch = f"epoch {len(self.history) + 1}/{self.run.configuration.epochs}"
        return tqdm(total=self.batches, initial=len(self._losses), desc=epoch, leave=False, disable=None)

    def _line(self, row):
        return epoch_line(row, self.run.configuration.epochs)


def epoch_line(row, epochs):
    """Return what is said of an epoch, no longer than the 80 characters of a terminal; metrics.csv tells more.

    Parameters
    ----------
    row : dict
        Of :attr:`Training.history`.
    epochs : int
        Of the whole run.
    """
    return (
        f"epoch {row['epoch']}/{epochs}: train loss {_short(row['train_loss'])}, validation "
        f"{_short(row['validation_loss'])}, accuracy {row['validation_accuracy']:.2%}, {row['seconds']:.1f} s"
    )


def _short(loss):
    return f"{loss:.4f}" if loss < 10 else f"{loss:.4g}"

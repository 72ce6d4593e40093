"""Training in a run's folder: starting, checkpoints, and going on from them."""

import contextlib
import dataclasses
import os
import secrets
from typing import NamedTuple

import numpy as np

from .. import backend, data, models
from ..errors import ArgumentError, CheckpointError
from ..files import remove_leftovers
from ..fitting import freezing
from ..fitting.callbacks import Callback, EpochLines, ProgressBar, TensorBoard, TimeLimit
from ..fitting.loop import Loop
from ..fitting.metrics import best_row, cross_entropy
from ..fitting.sources import source
from ..interruption import Interrupted, interruptible
from ..model import Model
from ..philox import generator, own_generator, set_seed
from . import options as options_of_runs
from . import run_data, run_folder, weights
from .checkpoint import Checkpoint
from .configuration import Configuration
from .run_folder import RunFolder


@own_generator()
def start(options, out=None, batches=None):
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
    options = options_of_runs.checked(options)
    if out is not None:
        run_folder.check_free(out)
    prepared = prepare(options, batches)
    configuration = prepared.configuration
    path = run_folder.claim(out, options["data"], options["model"])
    run = RunFolder(path, configuration, configuration.model)
    with contextlib.ExitStack() as lock:
        lock.enter_context(run.locked())
        run.create()
        training = Training(run, prepared.model, *prepared.parts, prepared.taken)
        training.lock = lock.pop_all()
        return training


class Prepared(NamedTuple):
    """All that a new training is made of.

    Attributes
    ----------
    configuration : Configuration
    model : Model
    parts : list of DataSet
        Training and validation set.
    taken : Taken or None
        What the model started from.
    """

    configuration: Configuration
    model: Model
    parts: list
    taken: weights.Taken | None


def prepare(options, batches=None):
    """Load the data and build the model of a new training, with draws of the present generator; nothing is written.

    Parameters
    ----------
    options : dict
        As :func:`refcnn.runs.options.checked` returns them.
    batches : int, optional
        How many batches to take of either part; all, if it is not given.

    Returns
    -------
    Prepared
    """
    set_seed(options["seed"] if "seed" in options else secrets.randbits(32))
    seed = generator.seed
    train, test = data.load(options["data"], options.get("data_dir"), options.get("pixel_range"))
    split = options.get("validation_split", None if test else options_of_runs.DEFAULT_VALIDATION_SPLIT)
    data.require_classes(train)
    parts = run_data.divide(split, train, test, stratify=True)
    if options["overfit_batch"]:
        parts = run_data.single_batch(parts[0], options["batch_size"])
    if batches is not None:
        parts = [part.subset(slice(batches * options["batch_size"])) for part in parts]
    options_of_runs.class_weights(options["class_weights"], parts[0].y, len(train.classes))
    active = backend.active()
    fixed = {
        "data_digest": run_folder.digest(train, test),
        "classes": train.classes,
        "preprocessing": parts[0].preprocessing,
        "backend": active.name,
        "device": active.description,
        "validation_split": split,
        "stratified": True,
        "seed": seed,
    }
    model = models.build(options["model"], train.preprocessing.shape, len(train.classes))
    taken = None
    if options["weights"] is not None:
        taken = weights.take_over(model, options["weights"])
        fixed |= {"weights": os.path.abspath(options["weights"]), "weights_digest": taken.digest}
    freezing.chosen(model, options["freeze"])
    known = {field.name for field in dataclasses.fields(Configuration)}
    options = {name: value for name, value in options.items() if name in known}
    configuration = Configuration(**{"data_dir": None} | options | run_data.places(options) | fixed)
    return Prepared(configuration, model, parts, taken)


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
    changes = run_data.places(options)
    changes |= {key: value for key, value in options.items() if key in options_of_runs.CHANGEABLE}
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
    try:
        options_of_runs.checked(vars(former))
    except ArgumentError as error:
        raise CheckpointError(
            f"the configuration of the run in {run.path} is none that a run has: {error} Put an earlier copy of "
            "config.json in its place, or start a new run."
        ) from None
    options_of_runs.checked({**vars(former), **changes})
    run_data.refuse_another_name(run, options)
    checkpoint = Checkpoint.load(run.last) if run.last.exists() else None
    active = backend.active()
    configuration = dataclasses.replace(former, **changes, backend=active.name, device=active.description)
    if {"epochs", "patience"} & changes.keys():
        configuration = dataclasses.replace(configuration, ended_early=False)
    set_seed(configuration.seed)
    parts = run_data.load_again(run, configuration, options)
    run.configuration = configuration
    model = run.build_model()
    taken = _take_over_again(model, configuration) if checkpoint is None else None
    training = Training(run, model, *parts, taken)
    if checkpoint is not None:
        training.set_state(checkpoint)
    if configuration != former:
        run.update()
    return training


def _take_over_again(model, configuration):
    """Give a model the weights that its run was to start from, and return what was taken over, or None."""
    if configuration.weights is None:
        return None
    taken = weights.take_over(model, configuration.weights)
    if taken.digest != configuration.weights_digest:
        raise CheckpointError(
            f"{configuration.weights} holds other weights than when the run was started. Put the former ones back, or "
            "start a new run."
        )
    return taken


class Training:
    """A run under way: the model, its optimizer, the data, and how far it has come.

    Parameters
    ----------
    run : RunFolder
    model : Model
        With its parameters made.
    train, validation : DataSet
    taken : refcnn.runs.weights.Taken, optional
        What the model started from.

    Attributes
    ----------
    loop : Loop
    stopping : EarlyStopping or None
    lock : contextlib.ExitStack
        What keeps other processes from the run folder until :meth:`finish` ends.
    """

    def __init__(self, run, model, train, validation, taken=None):
        self.run, self.model, self.train, self.validation, self.taken = run, model, train, validation, taken
        configuration = run.configuration
        options = vars(configuration)
        self.lock = contextlib.ExitStack()
        self.stopping = options_of_runs.make_stopping(options)
        self.loop = Loop(
            model,
            options_of_runs.make_optimizer(options),
            source(train, configuration.batch_size, "train"),
            source(validation, configuration.batch_size, "train"),
            epochs=configuration.epochs,
            loss=options_of_runs.make_loss(options, train.y, len(train.classes)),
            # What is judged is comparable from run to run.
            validation_loss=cross_entropy,
            schedule=options_of_runs.make_schedule(options),
            freeze=configuration.freeze,
            top_k=configuration.top_k,
            name=configuration.model,
            advice=self._advice,
        )

    @property
    def history(self):
        """The rows of metrics of the epochs so far."""
        return self.loop.history

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
            f"{configuration.optimizer}, lr {configuration.lr}, batch size {configuration.batch_size}, {epochs}, "
            f"seed {configuration.seed}\n"
        )
        further = options_of_runs.described(configuration)
        lines += f"{further}\n" if further else ""
        lines += f"{self.taken}\n" if self.taken is not None else ""
        lines += f"run folder: {self.run.path}"
        # Of a single batch nothing is expected.
        remarks = [] if configuration.overfit_batch else data.remarks(self.train, self.validation)
        return "\n".join([lines, *remarks])

    def state(self):
        """Return the present state as a Checkpoint.

        Raises
        ------
        NonFiniteLossError
            If a loss or a parameter is NaN or infinite.
        """
        loop = self.loop
        loop.read_losses()
        parameters = self.model.state()
        for name, array in parameters.items():
            if not np.isfinite(array).all():
                raise loop.non_finite(f"the parameter {name} holds NaN or infinity")
        return Checkpoint(
            parameters=parameters,
            optimizer={name: loop.optimizer.state(parameter) for name, parameter in self.model.parameters()},
            epoch=len(self.history),
            shuffle=loop.shuffle,
            losses=np.array(loop.losses, dtype=np.float64),
            seconds=loop.seconds,
            seed=loop.generator.seed,
            stream=loop.generator.stream,
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
        loop = self.loop
        if len(checkpoint.losses) > loop.batches:
            raise CheckpointError(
                f"{self.run.last} stands at batch {len(checkpoint.losses)} of {loop.batches}. Put an earlier copy of "
                "the file in its place."
            )
        checkpoint.restore(self.model, loop.optimizer)
        loop.history[:] = checkpoint.history
        loop.shuffle, loop.losses, loop.seconds = checkpoint.shuffle, list(checkpoint.losses), checkpoint.seconds
        loop.generator.state = checkpoint.seed, checkpoint.stream

    def finish(self, echo=print, *, seconds=None):
        """Train up to the configuration's number of epochs, with a checkpoint after each.

        Parameters
        ----------
        echo : callable
            Takes one line of text after each epoch.
        seconds : float, optional
            After which the training ends with the batch in hand.

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
        bar = ProgressBar()
        board = TensorBoard(self.run.path / "tensorboard") if self.run.configuration.tensorboard else None
        with (
            self.lock,
            self.run.locked(),
            interruptible() as is_interrupted,
            contextlib.closing(bar),
            contextlib.nullcontext() if board is None else contextlib.closing(board),
        ):
            if self.history and not self.is_complete:
                # A kill can come between a checkpoint and its row of metrics.
                self.run.write_metrics(self.history)
            self.loop.callbacks += [bar, _Saving(self, is_interrupted)]
            self.loop.callbacks += [self.stopping] if self.stopping is not None else []
            self.loop.callbacks += [] if seconds is None else [TimeLimit(seconds)]
            self.loop.callbacks += [] if board is None else [board]
            self.loop.callbacks.append(EpochLines(echo))
            try:
                if self.is_over:
                    _leave_if(is_interrupted)
                else:
                    self.loop.run()
            except _Asked as asked:
                self._stop(asked.number)

    @property
    def is_over(self):
        """Whether no epoch is left: all are done, or the patience is over."""
        is_done = len(self.history) >= self.run.configuration.epochs
        return is_done or (self.stopping is not None and self.stopping.is_over(self.history))

    def save_epoch(self):
        """Write the checkpoints and the metrics of the epoch that is over."""
        # The best checkpoint first: should the process die in between, the epoch is done again, to the same end.
        checkpoint = self.state()
        if best_row(self.history, self.run.configuration.monitor) is self.history[-1]:
            with self.loop.judged():
                dataclasses.replace(checkpoint, parameters=self.model.state()).save(self.run.best)
        checkpoint.save(self.run.last)
        self.run.write_metrics(self.history)

    def _stop(self, number):
        loop = self.loop
        if loop.losses:
            self.state().save(self.run.last)
            place = f"in epoch {len(self.history) + 1} after batch {len(loop.losses)} of {loop.batches}"
        else:
            place = f"after epoch {len(self.history)}"
        raise Interrupted(f"Stopped {place}; the checkpoint is {self.run.last}.", number)

    def _advice(self):
        rate = self.run.configuration.lr
        kept = (
            f"The checkpoint of the {len(self.history)} epochs before stands in {self.run.path}"
            if self.run.last.exists()
            else "No checkpoint was written yet"
        )
        return (
            f"{kept}. Start a new run with a smaller --lr, such as {rate / 10:.3g}, and look for extreme values in "
            "the images."
        )


class _Asked(Exception):
    """A signal asked to stop; it leaves the loop before anything is saved, since a validation has other weights."""

    def __init__(self, number):
        super().__init__(number)
        self.number = number


def _leave_if(is_interrupted):
    number = is_interrupted()
    if number:
        raise _Asked(number)


class _Saving(Callback):
    """Writes checkpoints after each epoch, and leaves the loop where a signal asks to stop."""

    def __init__(self, session, is_interrupted):
        self._session, self._is_interrupted = session, is_interrupted

    def on_epoch_end(self, loop):
        self._session.save_epoch()

    def on_batch_end(self, loop):
        _leave_if(self._is_interrupted)

    #: The signal may come after the last batch too.
    on_validation_batch_end = on_train_end = on_batch_end

"""Training: the loop over epochs and batches, its checkpoints, and going on from them."""

import contextlib
import dataclasses
import secrets

import numpy as np

from .. import attributes, backend, data, models
from ..errors import ArgumentError, CheckpointError
from ..files import remove_leftovers
from ..fitting import optimizers, schedules
from ..fitting.callbacks import Callback, EpochLines, ProgressBar
from ..fitting.loop import Loop
from ..fitting.metrics import best_row
from ..fitting.sources import source
from ..interruption import Interrupted, interruptible
from ..philox import generator, own_generator, set_seed
from . import run_data, run_folder
from .checkpoint import Checkpoint
from .run_folder import Configuration, RunFolder

#: What a run takes for an option that is not given; the learning rate depends on the optimizer.
DEFAULTS = {"data": "digits", "model": "chapter", "epochs": 10, "batch_size": 32, "optimizer": optimizers.DEFAULT}
#: Used where a data set has no test part.
DEFAULT_VALIDATION_SPLIT = 0.2


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
    _, rate = optimizers.choice("--optimizer", options["optimizer"])
    attributes.integer("train", "epochs", options["epochs"])
    attributes.integer("train", "batch_size", options["batch_size"])
    lr = options.get("lr", rate)
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
    if former.optimizer not in optimizers.choices():
        raise CheckpointError(
            f"the optimizer of the run in {run.path} is {former.optimizer!r}, but there are "
            f"{', '.join(optimizers.choices())}. Put an earlier copy of config.json in its place, or start a new run."
        )
    run_data.refuse_another_name(run, options)
    checkpoint = Checkpoint.load(run.last) if run.last.exists() else None
    active = backend.active()
    configuration = dataclasses.replace(former, **changes, backend=active.name, device=active.description)
    set_seed(configuration.seed)
    parts = run_data.load_again(run, configuration, options)
    run.configuration = configuration
    training = Training(run, run.build_model(), *parts)
    if checkpoint is not None:
        training.set_state(checkpoint)
    if configuration != former:
        run.update()
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
    loop : Loop
    lock : contextlib.ExitStack
        What keeps other processes from the run folder until :meth:`finish` ends.
    """

    def __init__(self, run, model, train, validation):
        self.run, self.model, self.train, self.validation = run, model, train, validation
        configuration = run.configuration
        self.lock = contextlib.ExitStack()
        make, _ = optimizers.choices()[configuration.optimizer]
        self.loop = Loop(
            model,
            make(configuration.lr),
            source(train, configuration.batch_size, "train"),
            source(validation, configuration.batch_size, "train"),
            epochs=configuration.epochs,
            schedule=schedules.Restarts(),
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
        bar = ProgressBar()
        with self.lock, self.run.locked(), interruptible() as is_interrupted, contextlib.closing(bar):
            if self.history and not self.is_complete:
                # A kill can come between a checkpoint and its row of metrics.
                self.run.write_metrics(self.history)
            saving = _Saving(self, is_interrupted)
            self.loop.callbacks += [bar, saving, EpochLines(echo)]
            self.loop.run()

    def save_epoch(self):
        """Write the checkpoints and the metrics of the epoch that is over."""
        # The best checkpoint first: should the process die in between, the epoch is done again, to the same end.
        checkpoint = self.state()
        if best_row(self.history) is self.history[-1]:
            checkpoint.save(self.run.best)
        checkpoint.save(self.run.last)
        self.run.write_metrics(self.history)

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


class _Saving(Callback):
    """Writes checkpoints: after each epoch, and where a signal asks to stop."""

    def __init__(self, session, is_interrupted):
        self._session, self._is_interrupted = session, is_interrupted

    def on_epoch_end(self, loop):
        self._session.save_epoch()

    def on_batch_end(self, loop):
        number = self._is_interrupted()
        if not number:
            return
        run = self._session.run
        if loop.losses:
            self._session.state().save(run.last)
            place = f"in epoch {len(loop.history) + 1} after batch {len(loop.losses)} of {loop.batches}"
        else:
            place = f"after epoch {len(loop.history)}"
        raise Interrupted(f"Stopped {place}; the checkpoint is {run.last}.", number)

    #: The signal may come after the last batch too.
    on_validation_batch_end = on_train_end = on_batch_end

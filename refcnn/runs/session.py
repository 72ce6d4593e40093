"""A run under way: its loop, and the checkpoints that it leaves."""

import contextlib
import dataclasses
import math
import time

import numpy as np

from .. import data
from ..errors import CheckpointError
from ..files import remove_leftovers
from ..fitting.callbacks import Callback, EpochLines, ProgressBar, TensorBoard, TimeLimit
from ..fitting.loop import Loop
from ..fitting.metrics import best_row, cross_entropy
from ..fitting.sources import source
from ..fitting.summing import share_state
from ..interruption import Interrupted, interruptible
from ..parallel import placing
from ..parallel.alone import ALONE, LostRankError, lost_text
from . import drawing, rejoining
from . import options as options_of_runs
from .checkpoint import Checkpoint


class Training:
    """A run under way: the model, its optimizer, the data, and how far it has come.

    Parameters
    ----------
    run : RunFolder
    model : Model
        With its parameters made.
    train, validation : DataSet
    taken : refcnn.runs.weights.Taken or refcnn.runs.imported.Started, optional
        What the model started from.
    ranks : Ranks or Alone
        Which train together: each has a Training, and rank 0 alone writes and prints.

    Attributes
    ----------
    loop : Loop
    stopping : EarlyStopping or None
    remarks : list of str
        What the description says at its end.
    first_kernels : Parameter or None
        Those of the first convolution, which the run's folder keeps of each epoch.
    lock : contextlib.ExitStack
        What keeps other processes from the run folder until :meth:`finish` ends.
    places : list of refcnn.parallel.placing.Place
        With what the ranks computed at the beginning, where others can take the places of those that are lost.
    has_state : bool
        Whether it has the state of the training, and need not :meth:`join` first.
    """

    def __init__(self, run, model, train, validation, taken=None, ranks=ALONE):
        self.run, self.model, self.train, self.validation, self.taken = run, model, train, validation, taken
        self.ranks = ranks
        configuration = run.configuration
        options, micro_batch = vars(configuration), configuration.micro_batch
        self.lock = contextlib.ExitStack()
        self.stopping = options_of_runs.make_stopping(options)
        self.remarks = []
        self.first_kernels = drawing.first_kernels(model, train.preprocessing.shape)
        weigh = options_of_runs.example_weights(options, train.y, len(train.classes))
        self.loop = Loop(
            model,
            options_of_runs.make_optimizer(options),
            source(train, configuration.batch_size, "train", configuration.augment, ranks, weigh, micro_batch),
            source(validation, configuration.batch_size, "train", ranks=ranks, micro_batch=micro_batch),
            epochs=configuration.epochs,
            loss=options_of_runs.make_loss(options, train.y, len(train.classes)),
            # What is judged is comparable from run to run.
            validation_loss=cross_entropy,
            schedule=options_of_runs.make_schedule(options),
            freeze=configuration.freeze,
            top_k=configuration.top_k,
            name=configuration.model,
            advice=self._advice,
            ranks=ranks,
            synchronise=configuration.synchronise_batch_statistics,
        )
        # Of the same seed they are the same where all have the same NumPy.
        share_state(model, self.loop.optimizer, ranks)
        self.places = [] if ranks.reserves is None else ranks.gather(placing.own_place())
        self.has_state, self._end = not ranks.is_in_reserve, None

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
        return "\n".join([lines, *remarks, *self.remarks])

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
        refcnn.runs.rejoining.Joining
            If processes in reserve are ready to :meth:`join`.
        """
        bar = ProgressBar()
        board = (
            TensorBoard(self.run.path / "tensorboard")
            if self.run.configuration.tensorboard and self.ranks.is_first
            else None
        )
        with (
            self.lock,
            self.run.locked() if self.ranks.is_first else contextlib.nullcontext(),
            interruptible() as is_interrupted,
            contextlib.closing(bar),
            contextlib.nullcontext() if board is None else contextlib.closing(board),
        ):
            if self.history and not self.is_complete and self.ranks.is_first:
                # A kill can come between a checkpoint and its row of metrics.
                self.run.write_metrics(self.history)
            callbacks = [_KeepingKernels(self)] if self.ranks.is_first and self.first_kernels is not None else []
            callbacks += [_Saving(self, is_interrupted)]
            callbacks += [self.stopping] if self.stopping is not None else []
            callbacks += [] if seconds is None else [self._time_limit(seconds)]
            callbacks += [] if board is None else [board]
            former = self.loop.callbacks
            self.loop.callbacks = [*former, *([bar] if self.ranks.is_first else []), *callbacks]
            self.loop.callbacks += [EpochLines(echo)] if self.ranks.is_first else []
            self.loop.callbacks += [] if self.ranks.reserves is None else [rejoining.Rejoining(self)]
            try:
                if self.is_over:
                    _leave_if(is_interrupted, self.ranks)
                else:
                    self.loop.run()
            except _Asked as asked:
                self._stop(asked.number)
            finally:
                # After the loss of a rank this is called again, and another may be the first.
                self.loop.callbacks = former

    def _time_limit(self, seconds):
        # It is called again where ranks have come or gone.
        self._end = self._end or time.monotonic() + seconds
        return TimeLimit(max(self._end - time.monotonic(), np.finfo(float).tiny))

    def join(self):
        """Go on together with processes in reserve that are ready, as a rank, or as one that has joined already.

        Returns
        -------
        str
            What to say of it.

        Raises
        ------
        LostRankError
            If a rank is lost meanwhile; :meth:`recover` goes on then.
        """
        former = self.ranks.size
        if self.has_state:
            self.ranks.enlarge()
        self._share_latest_state()
        return (
            f"{self.ranks.size - former} more joined in the place of lost ranks; {self.ranks.size} go on after epoch "
            f"{len(self.history)}"
        )

    def recover(self):
        """Go on without the ranks that were lost: all get the state after the last step that any of them completed.

        Returns
        -------
        str
            What to say of it.

        Raises
        ------
        LostRankError
            If MPI cannot go on.
        """
        begun, lost = time.perf_counter(), self.ranks.recover()
        while True:
            try:
                self._share_latest_state()
                break
            except LostRankError:
                lost += self.ranks.recover()
        if self.ranks.is_first:
            remove_leftovers(self.run.path)
            if self.history and not self.loop.losses:
                self.save_epoch()
        left = "1 goes" if self.ranks.size == 1 else f"{self.ranks.size} go"
        return (
            f"{lost_text(lost)}; {left} on after epoch {len(self.history)}, batch {len(self.loop.losses)}, having "
            f"found each other again in {1e3 * (time.perf_counter() - begun):.0f} ms"
        )

    def _share_latest_state(self):
        """Give all ranks the state of the one that is furthest: some may have completed a step that others have not."""
        self.loop.regroup()
        places = self.ranks.gather((self.has_state, len(self.history), len(self.loop.losses)))
        furthest = max(places)
        if not furthest[0]:
            raise CheckpointError("all ranks were lost that had the state of the training; --resume goes on.")
        state = self.state() if self.ranks.rank == places.index(furthest) and min(places) != furthest else None
        state = next(filter(None, self.ranks.gather(state)), None)
        if state is not None and places[self.ranks.rank] != furthest:
            self.set_state(state)
        if self.ranks.reserves is not None:
            known = self.ranks.gather((self.places, self.ranks.reserves.known) if self.has_state else None)
            self.places, self.ranks.reserves.known = next(filter(None, known))
            rejoining.call_reserves(self)
        self.has_state = True

    @property
    def is_over(self):
        """Whether no epoch is left: all are done, or the patience is over."""
        is_done = len(self.history) >= self.run.configuration.epochs
        return is_done or (self.stopping is not None and self.stopping.is_over(self.history))

    def save_epoch(self):
        """Write the checkpoints and the metrics of the epoch that is over, on rank 0."""
        if not self.ranks.is_first:
            return
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
            self.ranks.by_first(lambda: self.state().save(self.run.last))
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


def _leave_if(is_interrupted, ranks):
    # After the same batch on all ranks, though the signal reaches them at different times.
    (number,) = ranks.largest(is_interrupted() or 0, is_limited=True)
    if number:
        raise _Asked(number)


class _KeepingKernels(Callback):
    """Keeps the first layer's kernels, as the model is judged, before the first epoch and after each.

    It comes before what writes checkpoints, so that whenever the process dies no epoch of a checkpoint lacks them.
    """

    def __init__(self, session):
        self._kept, self._parameter = session.run.kernels, session.first_kernels

    def on_train_begin(self, loop):
        # A training that went back to an earlier checkpoint has later ones, and may have thinned out its own.
        self.on_epoch_begin(loop)
        if not loop.losses and len(loop.history) not in self._kept.epochs():
            self.on_epoch_end(loop)

    def on_epoch_begin(self, loop):
        # Not before the checkpoint of the epoch before is written: without it the training goes on from the one before.
        self._kept.thin(len(loop.history), math.prod(self._parameter.shape) * self._parameter.dtype.itemsize)

    on_train_end = on_epoch_begin

    def on_epoch_end(self, loop):
        with loop.judged():
            weights = self._parameter.as_ndarray()
        # Else no checkpoint is written either.
        if np.isfinite(weights).all():
            self._kept.save(len(loop.history), weights)


class _Saving(Callback):
    """Writes checkpoints after each epoch, and leaves the loop where a signal asks to stop."""

    def __init__(self, session, is_interrupted):
        self._session, self._is_interrupted = session, is_interrupted

    def on_epoch_end(self, loop):
        self._session.save_epoch()
        # None leaves this state before it is written: should the first be lost meanwhile, another writes it.
        loop.ranks.meet()

    def on_batch_end(self, loop):
        _leave_if(self._is_interrupted, loop.ranks)

    #: The signal may come after the last batch too.
    on_validation_batch_end = on_train_end = on_batch_end

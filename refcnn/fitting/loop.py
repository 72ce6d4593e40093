"""The loop of training over epochs and batches: the only one, behind :func:`refcnn.fit` and ``refcnn train``."""

import contextlib
import math
import time

import numpy as np

from .. import attributes, mode, philox
from .. import backend as backends
from ..errors import ArgumentError, NonFiniteLossError
from ..layers import normalization_over_ranks
from ..model import describe_unlisted
from ..parallel.alone import ALONE, LostRankError
from ..stored import Parameter
from ..variable import Variable
from . import freezing, metrics, schedules
from .repeated import Repeated
from .summing import StepSum


class Loop:
    """A training under way.

    What it keeps between two batches, its position, is ``history``, ``shuffle``, ``losses`` and ``seconds``: with the
    states of the model, the optimizer and the generator these are all that it needs to go on as if it had never
    stopped.

    Parameters
    ----------
    model : Model
    optimizer : Optimizer
        Its ``lr`` is the rate that the schedule's factors are of.
    train : Source
    validation : Source or None
    epochs : int
        Of the whole training, those in ``history`` among them.
    loss : callable
        Called as ``loss(output, target)``; returns a Variable of shape (). With a source that weighs examples also
        ``total``, by what their sum is divided then.
    schedule : Schedule, optional
        By default the rate is the same throughout.
    callbacks : iterable of Callback
        Called in their order.
    freeze : sequence of str
        As of :func:`refcnn.fit`.
    validation_loss : callable, optional
        As ``loss``, where another is to be judged by.
    top_k : int
    name : str
        What the model is called in messages.
    advice : callable
        Returns what to do about a loss that is not finite.
    ranks : Ranks or Alone
        Over which the sources cut each batch. All compute the same loop, each with its part of the batches; what is
        called along it must do the same on all.
    synchronise : bool
        Whether batch normalisation takes the statistics of a batch over all ranks, in place of each its own.

    Attributes
    ----------
    history : list of dict
        A row of metrics for each epoch.
    shuffle : int or None
        The random stream of the present epoch, or None between epochs.
    losses : list
        The losses of the present epoch's batches so far; their number is the position within the epoch.
    seconds : float
        Time spent on these batches.
    rate : float
        The optimizer's rate at the last step.
    generator : philox.Generator
        From which all that is drawn is drawn.

    Raises
    ------
    ArgumentError
        If the schedule does not fit the training.
    """

    def __init__(
        self,
        model,
        optimizer,
        train,
        validation=None,
        *,
        epochs,
        loss=metrics.cross_entropy,
        schedule=None,
        callbacks=(),
        freeze=(),
        validation_loss=None,
        top_k=metrics.TOP_K,
        name="given",
        advice=lambda: "Give a smaller learning rate, and look for extreme values in the data.",
        ranks=ALONE,
        synchronise=False,
    ):
        self.model, self.optimizer, self.epochs = model, optimizer, epochs
        self.train, self.validation = train, validation
        self.schedule = schedule or schedules.Constant()
        self.schedule.check(epochs)
        self.callbacks = list(callbacks)
        self.generator = philox.current()
        self.history, self.shuffle, self.losses, self.seconds = [], None, [], 0.0
        self._freeze, self._validation_loss = attributes.entries(freeze), validation_loss or loss
        self._loss, self._top_k, self._name, self._advice = loss, top_k, name, advice
        self.ranks, self._sum, self._synchronises = ranks, StepSum(model, ranks), synchronise
        self._repeated = Repeated(model, optimizer, loss)
        self.base_rate = self.rate = optimizer.lr
        self._is_stopped, self._is_reproducible = False, train.micro_batch is not None
        # The model's parameters by their ids, as far as they were looked for.
        self._listed = {}
        if train.batches is None and type(self.schedule) is not schedules.Constant:
            raise ArgumentError(
                f"the schedule {self.schedule!r} needs the number of batches of an epoch, which the data do not tell. "
                "Give data that have a len(), or leave the schedule out."
            )

    @property
    def batches(self):
        """The number of batches in an epoch, None where it is not known."""
        return self.train.batches

    @property
    def loss(self):
        """The loss of the last batch; to read it waits for the device."""
        return self._read_loss(len(self.losses) - 1)

    @property
    def is_stopped(self):
        """Whether :meth:`stop` was called, so that no further epoch comes."""
        return self._is_stopped

    def stop(self):
        """End the training: in an epoch after the batch in hand, which then is the epoch's last."""
        self._is_stopped = True

    def run(self):
        """Train up to ``epochs`` epochs, or until a callback stops it.

        Raises
        ------
        NonFiniteLossError
            If the loss is NaN or infinite.
        ArgumentError
            If the model computes with parameters that it does not list.
        """
        self._is_stopped = False
        # NumPy's own warnings would only come before the error that says more. Another thread that draws, for a model
        # that it builds for example, must not change what is drawn here.
        alike = mode.reproducible() if self._is_reproducible else contextlib.nullcontext()
        with np.errstate(all="ignore"), philox.drawing_from(self.generator), alike:
            try:
                if self._is_reproducible:
                    self._sum.require_alike()
                self._tell("on_train_begin")
                with freezing.frozen(freezing.chosen(self.model, self._freeze)):
                    while len(self.history) < self.epochs and not self._is_stopped:
                        self._epoch()
                self._tell("on_train_end")
            finally:
                self.optimizer.lr = self.base_rate

    def regroup(self):
        """Learn anew what the others compute with, once ranks have come or gone."""
        self._sum = StepSum(self.model, self.ranks)

    def judged(self):
        """Return a context in which the model has the weights by which it is judged: the averages, if any are kept."""
        return self.optimizer.averaged() if self.is_averaging else contextlib.nullcontext()

    @property
    def timing(self):
        """The Timing of the last step's sums over ranks, None where there were none beside it."""
        return self._sum.timing

    @property
    def is_averaging(self):
        """Whether the optimizer keeps averages of the weights."""
        return self.optimizer.average_decay is not None

    def _tell(self, moment):
        for callback in self.callbacks:
            getattr(callback, moment)(self)

    def _epoch(self):
        if self.shuffle is None:
            self.shuffle = self.generator.next_stream()[1]
        self._tell("on_epoch_begin")
        self._train_epoch()
        self._tell("on_batches_end")
        row = {"epoch": len(self.history) + 1, "train_loss": self._mean_loss()}
        row |= self._validate()
        row["seconds"] = self.seconds
        row["iterations_per_second"] = len(self.losses) / self.seconds
        row["learning_rate"] = self.rate_of(0)
        self.history.append(row)
        self.shuffle, self.losses, self.seconds = None, [], 0.0
        self._tell("on_epoch_end")

    def rate_of(self, index):
        """Return the learning rate at a batch of the present epoch."""
        batches = self.batches or 1
        factor = self.schedule.factor(len(self.history) * batches + index, batches, self.epochs)
        return self.base_rate * factor

    def _train_epoch(self):
        begun = time.perf_counter() - self.seconds
        shuffle = self.generator.seed, self.shuffle
        for batch in self.train.epoch(shuffle, len(self.losses)):
            self.rate = self.optimizer.lr = self.rate_of(len(self.losses))
            self.losses.append(self._step(batch))
            if self.ranks.size > 1:
                # It is a number already, and a rank that found out later than another would let it wait.
                self._read_loss(len(self.losses) - 1)
            self.seconds = time.perf_counter() - begun
            self._tell("on_batch_end")
            if self._is_stopped:
                break
        self.read_losses()
        self._sum.align(self.optimizer)
        self.seconds = time.perf_counter() - begun

    def _step(self, batch):
        if self.ranks.size == 1 and not self._is_reproducible:
            return self._repeated(lambda inputs, target: self._made(batch, inputs, target), batch.inputs, batch.target)
        if self.ranks.size == 1:
            loss, gradients = self._summed(batch)
        else:
            with self._undone_if_a_rank_is_lost():
                loss, gradients = self._summed(batch)
        gradients.update(self.optimizer)
        return loss

    def _made(self, batch, inputs, target):
        loss, gradients = self._computed(batch._replace(inputs=inputs, target=target))
        gradients.update(self.optimizer)
        return loss

    def _summed(self, batch):
        if self._is_reproducible:
            return self._sum.of_micro_batches(batch, self._computed)
        return self._sum(lambda gradients_of: self._computed_part(batch, gradients_of), batch.share)

    def _computed_part(self, batch, gradients_of):
        def compute():
            return self._computed(batch, gradients_of)

        if self._synchronises:
            return normalization_over_ranks.computed(self.ranks, compute, not batch.size)
        return compute() if batch.size else (None, None)

    @contextlib.contextmanager
    def _undone_if_a_rank_is_lost(self):
        """Go back to the state after the step before: layers have learned of this rank's part alone, and drawn."""
        backend, state = backends.active(), self.generator.state
        buffers = [(entry, entry.on(backend)) for _, entry in self.model.named_buffers()]
        try:
            yield
        except LostRankError:
            self.generator.state = state
            for entry, array in buffers:
                entry.put(backend, array)
            raise

    def _computed(self, batch, gradients_of=Variable.grad):
        """Return the loss and the gradients of a batch, or of this rank's part of one its share of them."""
        with self.model.train(), mode.part_of_batch(batch.first, batch.size):
            output = self.model(*batch.inputs)
            if batch.total is not None:
                loss = self._loss(output, batch.target, total=batch.total)
            else:
                loss = self._loss(output, batch.target)
                loss = loss if batch.share == 1 else loss * batch.share
        gradients = gradients_of(loss)
        self._check_listed(gradients)
        return loss, gradients

    def _check_listed(self, gradients):
        """Refuse a step that would change what no checkpoint holds, as a layer that only training reads may be."""
        changed = [entry for entry, _ in gradients if isinstance(entry, Parameter)]
        if all(id(entry) in self._listed for entry in changed):
            return
        self._listed = {id(parameter): parameter for _, parameter in self.model.parameters()}
        found = [("the training step", entry) for entry in changed if id(entry) not in self._listed]
        if found:
            raise ArgumentError(f"the model {self._name}: {describe_unlisted(found)}")

    def _mean_loss(self):
        sizes = [self.train.size(index) for index in range(len(self.losses))]
        return float(np.average(self.losses, weights=sizes))

    def _read_loss(self, index):
        self.losses[index] = loss = float(self.losses[index])
        if not math.isfinite(loss):
            raise self.non_finite(f"the loss is {loss}", index + 1)
        return loss

    def read_losses(self):
        """Make numbers of all losses of the present epoch.

        Raises
        ------
        NonFiniteLossError
            If one is NaN or infinite.
        """
        for index in range(len(self.losses)):
            self._read_loss(index)

    def non_finite(self, what, batch=None):
        """Return the error for something that is NaN or infinite after a batch, or after the last."""
        batch = len(self.losses) if batch is None else batch
        of = "" if self.batches is None else f" of {self.batches}"
        return NonFiniteLossError(
            f"{what} at epoch {len(self.history) + 1}, batch {batch}{of} ({type(self.optimizer).__name__}, lr "
            f"{self.base_rate:g}); a finite number is expected. {self._advice()}"
        )

    def _validate(self):
        if self.validation is None:
            return {}
        try:
            with self.judged():
                found = metrics.evaluate(
                    self.model,
                    self.validation,
                    self._validation_loss,
                    self._top_k,
                    lambda: self._tell("on_validation_batch_end"),
                    self.ranks,
                )
        except NonFiniteLossError as error:
            raise self.non_finite(str(error)) from None
        return found.row()

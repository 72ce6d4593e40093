"""Finding a learning rate: a short training along which it rises, until the loss does too."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from .. import attributes
from ..errors import ArgumentError, NonFiniteLossError
from ..model import Model
from ..optimizers.optimizer import Optimizer
from ..philox import current, own_generator
from . import metrics, optimizers
from .callbacks import Callback
from .functions import Loss, check_model, check_training
from .loop import Loop
from .schedules import Schedule
from .sources import source

#: The share of the former mean in the running mean of the losses.
SMOOTHING = 0.9
#: The search ends where the smoothed loss is so many times the smallest.
DIVERGED = 4.0
#: The suggested rate is so many times smaller than that with the smallest smoothed loss.
MARGIN = 10.0


@dataclasses.dataclass(frozen=True)
class LearningRates:
    """What a search for a learning rate found.

    Attributes
    ----------
    rates, losses, smoothed : list of float
        Of each step.
    suggestion : float
        A tenth of the rate at which the smoothed loss was smallest.
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    suggestion: float


def find_learning_rate(
    model: Model,
    data: Any,
    *,
    optimizer: Optimizer | str = optimizers.DEFAULT,
    loss: Loss = metrics.cross_entropy,
    freeze: str | Sequence[str] = (),
    batch_size: int = 32,
    lowest: float = 1e-6,
    highest: float = 10.0,
    steps: int = 100,
) -> LearningRates:
    """Train for a few steps with a rate that rises from one to the next, and tell which rate suits.

    The model, the optimizer's rate and refcnn's random draws are afterwards as they were. Source: Smith, "Cyclical
    learning rates for training neural networks" (2017), section 3.3; the suggestion is the usual tenth of the rate with
    the smallest loss, smoothed by a running mean.

    Parameters
    ----------
    model : Model
        If it has no parameters yet, the first batch makes them, and they stay.
    data, optimizer, loss, freeze, batch_size
        As of :func:`refcnn.fit`. The optimizer must be new, since its steps are not taken back.
    lowest, highest : float
        The first rate, and the last.
    steps : int
        At least 10. The search ends earlier where the loss becomes several times the smallest.

    Returns
    -------
    LearningRates

    Raises
    ------
    ArgumentError
        If an argument is out of range, or the loss is not finite within the first steps.
    DataError, ShapeError
        As :func:`refcnn.fit`.
    """
    check_model("find_learning_rate", model)
    attributes.integer("find_learning_rate", "steps", steps, minimum=10)
    lowest = attributes.number("find_learning_rate", "lowest", lowest, above=0)
    highest = attributes.number("find_learning_rate", "highest", highest, above=lowest)
    train = source(data, batch_size, "find_learning_rate")
    if isinstance(optimizer, str):
        optimizer = optimizers.choice("find_learning_rate: optimizer", optimizer)[0](lowest)
    check_training("find_learning_rate", optimizer, loss)
    former, optimizer.lr = optimizer.lr, lowest
    recording = _Recording(steps)
    schedule = _Rising((highest / lowest) ** (1 / (steps - 1)))
    with own_generator(current().state):
        loop = Loop(
            model, optimizer, train, epochs=steps, loss=loss, schedule=schedule, callbacks=[recording], freeze=freeze
        )
        if not list(model.parameters()):
            model(*next(train.epoch()).inputs)
        state = model.state()
        try:
            loop.run()
        except NonFiniteLossError:
            # The rates so far tell enough.
            pass
        finally:
            model.set_state(state)
            optimizer.lr = former
    return recording.found()


class _Rising(Schedule):
    """The rate rises by a factor in each step."""

    def __init__(self, growth):
        self.growth = growth

    def factor(self, step, batches, epochs):
        return self.growth**step


class _Recording(Callback):
    """Notes rate and loss of each step, and stops where the loss has become too large."""

    def __init__(self, steps):
        self._steps, self._mean = steps, 0.0
        self.rates, self.losses, self.smoothed = [], [], []

    def on_batch_end(self, loop):
        loss = loop.loss
        self._mean = SMOOTHING * self._mean + (1 - SMOOTHING) * loss
        self.rates.append(loop.rate)
        self.losses.append(loss)
        # A running mean that begins with 0 is too small by this share (Kingma and Ba, 2015).
        self.smoothed.append(self._mean / (1 - SMOOTHING ** len(self.losses)))
        if len(self.losses) == self._steps or self.smoothed[-1] > DIVERGED * min(self.smoothed):
            loop.stop()

    def found(self):
        if len(self.losses) < 2:
            raise ArgumentError(
                "find_learning_rate: the loss is not finite at the lowest rate already. Look for extreme values in the "
                "data, or give a lower one."
            )
        best = self.rates[self.smoothed.index(min(self.smoothed))]
        return LearningRates(self.rates, self.losses, self.smoothed, float(f"{best / MARGIN:.1e}"))

"""Schedules: how the learning rate goes along a training.

Each is a function of the step alone, and keeps nothing: a training that goes on from the middle has the same rates.
"""

import contextlib
import math

from .. import attributes
from ..arguments import Written, parameters_of
from ..errors import ArgumentError
from ..suggestions import did_you_mean


class Schedule(Written):
    """Base class: a schedule gives the factor of the optimizer's own learning rate at each step."""

    _shows_all = True
    #: Whether the rates of the first epochs depend on how many there will be.
    depends_on_epochs = False

    def factor(self, step: int, batches: int, epochs: int) -> float:
        """Return the factor.

        Parameters
        ----------
        step : int
            Batches before this one in all epochs.
        batches : int
            In an epoch.
        epochs : int
            Of the training.
        """
        raise TypeError(f"{type(self).__name__} must define factor(self, step, batches, epochs)")

    def span(self) -> float:
        """Return the least number of epochs in which it can be seen."""
        return 0

    def check(self, epochs: int) -> None:
        """Refuse a training that is too short for it.

        Raises
        ------
        ArgumentError
            If it has fewer epochs than the schedule needs.
        """
        if self.span() > epochs:
            raise ArgumentError(
                f"the schedule {self!r} needs {self.span():g} epochs, but the training has {epochs}. Train for more "
                "epochs, or give a shorter schedule."
            )


def check_schedule(owner, value):
    """Return a Schedule, or raise ArgumentError."""
    return attributes.instance(owner, "schedule", value, Schedule, "a Schedule, such as refcnn.schedules.OneCycle()")


class Constant(Schedule):
    """The same rate throughout."""

    def factor(self, step: int, batches: int, epochs: int) -> float:
        """Return 1."""
        return 1.0


class Step(Schedule):
    """The rate falls by a factor after every so many epochs.

    Parameters
    ----------
    every : int
        Epochs.
    by : float
        What the rate is multiplied by, above 0 and below 1.
    """

    def __init__(self, every: int = 3, by: float = 0.1) -> None:
        self.every = attributes.integer("Step", "every", every)
        self.by = attributes.number("Step", "by", by, above=0, below=1)

    def factor(self, step: int, batches: int, epochs: int) -> float:
        """Return ``by`` to the power of how many times ``every`` epochs are over."""
        return self.by ** (step // batches // self.every)

    def span(self) -> float:
        """Return the epochs up to the first fall, and one after it."""
        return self.every + 1


class Cosine(Schedule):
    """The rate falls to nothing along half a cosine (Loshchilov and Hutter, 2017, without restarts)."""

    depends_on_epochs = True

    def factor(self, step: int, batches: int, epochs: int) -> float:
        """Return (1 + cos(pi t)) / 2, t being the part of the training that is over."""
        return _cosine(1.0, 0.0, step / (batches * epochs))


class OneCycle(Schedule):
    """The rate rises from a small one, and falls to nothing: both along half a cosine (Smith and Topin, 2018).

    Parameters
    ----------
    rise : float
        The part of the training in which it rises, above 0 and below 1.
    start : float
        The first rate, as a part of the largest.
    """

    depends_on_epochs = True

    def __init__(self, rise: float = 0.25, start: float = 0.04) -> None:
        self.rise = attributes.number("OneCycle", "rise", rise, above=0, below=1)
        self.start = attributes.number("OneCycle", "start", start, above=0, below=1)

    def factor(self, step: int, batches: int, epochs: int) -> float:
        """Return the factor; the largest, 1, is reached after the part ``rise``."""
        part = step / (batches * epochs)
        if part < self.rise:
            return _cosine(self.start, 1.0, part / self.rise)
        return _cosine(1.0, 0.0, (part - self.rise) / (1 - self.rise))


class Restarts(Schedule):
    """The rate falls in a straight line, and starts again: warm restarts (Loshchilov and Hutter, 2017).

    It does not depend on how many epochs there will be, so that each period ends settled.

    Parameters
    ----------
    every : int
        The epochs of a period.
    """

    def __init__(self, every: int = 1) -> None:
        self.every = attributes.integer("Restarts", "every", every)

    def factor(self, step: int, batches: int, epochs: int) -> float:
        """Return 1 - t, t being the part of the period that is over."""
        period = self.every * batches
        return 1 - step % period / period

    def span(self) -> float:
        """Return the epochs of one period."""
        return self.every


class WarmUp(Schedule):
    """Another schedule, with a rate that rises in a straight line at first.

    Parameters
    ----------
    schedule : Schedule
        It goes its own way from the beginning, and the rise is multiplied with it.
    epochs : float
        The length of the rise, more than 0.
    """

    def __init__(self, schedule: Schedule, epochs: float = 1.0) -> None:
        self.schedule = check_schedule("WarmUp", schedule)
        self.epochs = attributes.number("WarmUp", "epochs", epochs, above=0)
        self.depends_on_epochs = schedule.depends_on_epochs

    def factor(self, step: int, batches: int, epochs: int) -> float:
        """Return the other's factor; in the rise times (step + 1) / its steps."""
        rise = min(1.0, (step + 1) / (self.epochs * batches))
        return rise * self.schedule.factor(step, batches, epochs)

    def span(self) -> float:
        """Return the epochs of the rise, and those that the other needs."""
        return max(self.epochs, self.schedule.span())


def _cosine(first, last, part):
    return last + (first - last) * (1 + math.cos(math.pi * part)) / 2


#: By the names under which 'refcnn train' offers them.
NAMED = {"restarts": Restarts, "constant": Constant, "step": Step, "cosine": Cosine, "one-cycle": OneCycle}
#: What 'refcnn train' takes where none is asked for.
DEFAULT = "restarts"


def parse(text: str) -> Schedule:
    """Return the schedule that a text names, such as ``cosine`` or ``step:every=5,by=0.5``.

    Raises
    ------
    ArgumentError
        If there is none of that name, or it takes no such argument.
    """
    name, _, rest = text.partition(":")
    if name not in NAMED:
        raise ArgumentError(f"the schedule is {text!r}. Choose one of {', '.join(NAMED)}.{did_you_mean(name, NAMED)}")
    arguments = {}
    for entry in filter(None, rest.split(",")):
        key, _, value = entry.partition("=")
        if key not in parameters_of(NAMED[name]):
            known = ", ".join(f"{one}=..." for one in parameters_of(NAMED[name])) or "none"
            raise ArgumentError(f"the schedule is {text!r}, but the arguments of {name} are {known}. Give these.")
        arguments[key] = _number(text, value)
    return NAMED[name](**arguments)


def _number(text, value):
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(value)
    raise ArgumentError(f"the schedule is {text!r}, in which {value!r} is no number. Give one, as in step:every=5.")

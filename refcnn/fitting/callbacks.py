"""What is called along a training: the base class of callbacks, and the ready ones."""

import contextlib
import math
import time
from collections.abc import Callable
from numbers import Real
from typing import TYPE_CHECKING, Any

from .. import attributes
from ..arguments import Written
from ..errors import ArgumentError
from ..parallel.starting import bar_options
from ..typing import PathLike
from .metrics import MONITORED, OF_CLASSES, best_row

if TYPE_CHECKING:
    from .loop import Loop

#: Seconds between two looks at the loss for the progress bar: each look waits for the device.
LOSS_INTERVAL = 0.25


class Callback(Written):
    """Base class of callbacks: each method is called at its moment, and does nothing unless it is overridden.

    All are given the :class:`~refcnn.fitting.loop.Loop`, whose ``model``, ``optimizer``, ``history`` and ``loss`` tell
    how far it has come, and whose ``stop()`` ends the training. An exception that one raises ends it too, between two
    batches.
    """

    def on_train_begin(self, loop: "Loop") -> None:
        """Before the first batch."""

    def on_epoch_begin(self, loop: "Loop") -> None:
        """Before the first batch of an epoch, or the first that was left of it."""

    def on_batch_end(self, loop: "Loop") -> None:
        """After each batch of training."""

    def on_batches_end(self, loop: "Loop") -> None:
        """After the last batch of training of an epoch: ``loop.losses`` are numbers."""

    def on_validation_batch_end(self, loop: "Loop") -> None:
        """After each batch of the validation."""

    def on_epoch_end(self, loop: "Loop") -> None:
        """After each epoch: ``loop.history[-1]`` is its row of metrics."""

    def on_train_end(self, loop: "Loop") -> None:
        """After the last epoch; not after an exception."""

    def close(self) -> None:
        """At the very end, after an exception too."""


class EarlyStopping(Callback):
    """End a training that no longer gets better.

    It looks at the rows of metrics alone and keeps nothing itself.

    Parameters
    ----------
    patience : int
        The epochs in a row without a better one after which the training ends.
    monitor : str
        Which metric is meant; losses are better where they are smaller, all others where they are larger.
    restore_best : bool
        Whether the model gets back the state that it had after the best epoch.
    """

    def __init__(self, patience: int = 5, monitor: str = "validation_loss", restore_best: bool = True) -> None:
        self.patience = attributes.integer("EarlyStopping", "patience", patience)
        self.monitor = check_monitor("EarlyStopping", monitor)
        self.restore_best = attributes.flag("EarlyStopping", "restore_best", restore_best)
        self._best = None

    def is_over(self, history: list[dict]) -> bool:
        """Return whether the best row of metrics lies ``patience`` rows or more before the last."""
        if not history:
            return False
        best = next(index for index, row in enumerate(history) if row is best_row(history, self.monitor))
        return len(history) - 1 - best >= self.patience

    def on_epoch_end(self, loop: "Loop") -> None:
        """Keep the best state, and stop where the patience is over."""
        if self.monitor not in loop.history[-1]:
            raise ArgumentError(
                f"EarlyStopping: there is no {self.monitor} in the metrics, which are {', '.join(loop.history[-1])}. "
                "Give validation data, or monitor another."
            )
        if self.restore_best and best_row(loop.history, self.monitor) is loop.history[-1]:
            with loop.judged():
                self._best = loop.model.state()
        if self.is_over(loop.history):
            loop.stop()

    def on_train_end(self, loop: "Loop") -> None:
        """Give the model its best state."""
        if self._best is not None:
            loop.model.set_state(self._best)


class TimeLimit(Callback):
    """End a training after a time: the batch in hand is finished, and the epoch ends with it.

    Parameters
    ----------
    seconds : float
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = attributes.number("TimeLimit", "seconds", seconds, above=0)
        self._end = math.inf

    def on_train_begin(self, loop: "Loop") -> None:
        """Start the clock."""
        self._end = time.monotonic() + self.seconds

    def on_batch_end(self, loop: "Loop") -> None:
        """Stop where the time is over, on the first of several ranks that looks."""
        if any(loop.ranks.largest(time.monotonic() >= self._end, is_limited=True)):
            loop.stop()


class EpochLines(Callback):
    """Say one line after each epoch.

    Parameters
    ----------
    echo : callable
        Takes the line.
    """

    def __init__(self, echo: Callable[[str], object] = print) -> None:
        self.echo = echo

    def on_epoch_end(self, loop: "Loop") -> None:
        """Say it."""
        self.echo(epoch_line(loop.history[-1], loop.epochs))


class ProgressBar(Callback):
    """Show the batches of each epoch, where standard error is a terminal."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._looked = 0.0

    def on_epoch_begin(self, loop: "Loop") -> None:
        """Draw the bar."""
        from tqdm import tqdm

        epoch = f"epoch {len(loop.history) + 1}/{loop.epochs}"
        self._bar = tqdm(total=loop.batches, initial=len(loop.losses), desc=epoch, leave=False, **bar_options())
        self._looked = time.perf_counter()

    def on_batch_end(self, loop: "Loop") -> None:
        """Move it, with the loss where it was not looked at lately."""
        if not self._bar.disable and time.perf_counter() - self._looked > LOSS_INTERVAL:
            self._bar.set_postfix_str(f"loss {loop.loss:.4f}", refresh=False)
            self._looked = time.perf_counter()
        self._bar.update()

    def on_batches_end(self, loop: "Loop") -> None:
        """Say that the batches are over."""
        self._bar.set_postfix_str("validating")

    def on_epoch_end(self, loop: "Loop") -> None:
        """Take it away."""
        self.close()

    def close(self) -> None:
        """Take the bar away, if there is one."""
        if self._bar is not None:
            self._bar.close()


class TensorBoard(Callback):
    """Write event files for TensorBoard: loss and rate of each batch, and the metrics of each epoch.

    All stand at the number of batches by then. Where a training goes on, what an interrupted process wrote past that
    point is hidden by TensorBoard.

    Parameters
    ----------
    folder : str or os.PathLike
        For this training alone; ``tensorboard --logdir`` is given it, or a folder above.

    Raises
    ------
    ArgumentError
        If the package tensorboardX is not installed.
    """

    def __init__(self, folder: PathLike) -> None:
        require_tensorboard()
        self.folder = folder
        self._writer: Any = None

    def on_train_begin(self, loop: "Loop") -> None:
        """Open a new file."""
        from tensorboardX import SummaryWriter

        # What stands at the end of the last epoch is kept.
        following = self._step(loop, 1) if loop.history else None
        # The name of the file tells only the second: one that goes on at once must not take the former's.
        suffix = f".{len(loop.history)}"
        self._writer = SummaryWriter(logdir=str(self.folder), purge_step=following, filename_suffix=suffix)

    def on_batches_end(self, loop: "Loop") -> None:
        """Write what is known of each batch."""
        for index, loss in enumerate(loop.losses):
            step = self._step(loop, index + 1)
            self._writer.add_scalar("batch/loss", loss, step)
            self._writer.add_scalar("batch/learning_rate", loop.rate_of(index), step)

    def on_epoch_end(self, loop: "Loop") -> None:
        """Write the row of metrics."""
        row = loop.history[-1]
        for name, value in row.items():
            if isinstance(value, Real) and name != "epoch" and not name.startswith(OF_CLASSES):
                self._writer.add_scalar(f"epoch/{name}", value, self._step(loop, 0))
        self._writer.flush()

    @staticmethod
    def _step(loop, batch):
        # Where the number of batches is not known, epochs are counted.
        return len(loop.history) * (loop.batches or 1) + batch

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.close()


def require_tensorboard() -> None:
    """Raise ArgumentError if the package that writes the files is not there."""
    try:
        import tensorboardX  # noqa: F401
    except ImportError as error:
        raise ArgumentError(
            f"TensorBoard's files are written by the package tensorboardX, which cannot be imported ({error}). "
            'Install it with pip install "refcnn[tensorboard]", or leave TensorBoard out.'
        ) from error


def check_monitor(owner, monitor):
    """Return the name of a metric to judge by, or raise ArgumentError if it is none."""
    if monitor not in MONITORED:
        raise ArgumentError(f"{owner}: monitor is {monitor!r}. Choose one of {', '.join(MONITORED)}.")
    return monitor


def epoch_line(row, epochs):
    """Return what is said of an epoch, no longer than the 80 characters of a terminal; metrics.csv tells more.

    Parameters
    ----------
    row : dict
        Of the history.
    epochs : int
        Of the whole training.
    """
    texts = [f"train loss {_short(row['train_loss'])}"]
    if "validation_loss" in row:
        texts.append(f"validation {_short(row['validation_loss'])}")
    if "validation_accuracy" in row:
        texts.append(f"accuracy {row['validation_accuracy']:.2%}")
    return f"epoch {row['epoch']}/{epochs}: {', '.join(texts)}, {row['seconds']:.1f} s"


def _short(loss):
    return f"{loss:.4f}" if loss < 10 else f"{loss:.4g}"

"""Event files for TensorBoard, by the package tensorboardX."""

import contextlib
from numbers import Real

from ..errors import ArgumentError
from ..typing import PathLike
from .callbacks import Callback
from .metrics import OF_CLASSES


def require() -> None:
    """Raise ArgumentError if the package that writes the files is not there."""
    try:
        import tensorboardX  # noqa: F401
    except ImportError as error:
        raise ArgumentError(
            f"TensorBoard's files are written by the package tensorboardX, which cannot be imported ({error}). "
            'Install it with pip install "refcnn[tensorboard]", or leave TensorBoard out.'
        ) from error


class TensorBoard(Callback):
    """Write event files for TensorBoard: loss and rate of each batch, and the metrics of each epoch.

    All stand at the number of batches before. Where a training goes on, what an interrupted process wrote past that
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
        require()
        self.folder, self._writer = folder, None

    def on_train_begin(self, loop) -> None:
        """Open a new file."""
        from tensorboardX import SummaryWriter

        steps = len(loop.history) * (loop.batches or 0)
        self._writer = SummaryWriter(logdir=str(self.folder), purge_step=steps or None)

    def on_batches_end(self, loop) -> None:
        """Write what is known of each batch."""
        for index, loss in enumerate(loop.losses):
            step = self._step(loop, len(loop.history), index)
            self._writer.add_scalar("batch/loss", loss, step)
            self._writer.add_scalar("batch/learning_rate", loop.rate_of(index), step)

    def on_epoch_end(self, loop) -> None:
        """Write the row of metrics."""
        row = loop.history[-1]
        for name, value in row.items():
            if isinstance(value, Real) and name != "epoch" and not name.startswith(OF_CLASSES):
                self._writer.add_scalar(f"epoch/{name}", value, self._step(loop, len(loop.history), 0))
        self._writer.flush()

    @staticmethod
    def _step(loop, epochs, index):
        # Where the number of batches is not known, epochs are counted.
        return epochs * loop.batches + index if loop.batches else epochs + index

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.close()

"""The first layer's kernels of each epoch, as a run's folder keeps them: of a long training evenly fewer."""

import contextlib
import re

import numpy as np

from .. import npz
from ..errors import CheckpointError, FileWriteError
from ..files import remedy
from ..reading import COUNT, check, reading

FORMAT = "refcnn kernels 1"
#: The kernels of so many epochs are kept, and of fewer where they would come to more bytes than this.
MOST_EPOCHS, MOST_BYTES = 128, 2**24
#: Of kernels of images, (K, C/groups, kh, kw).
_DIMENSIONS = 4
_NAME = re.compile(r"epoch-(\d{6,12})\.npz")
_HEADER = {
    "type": "object",
    "properties": {"format": {"const": FORMAT}, "epoch": COUNT},
    "required": ["format", "epoch"],
    "additionalProperties": False,
}


class KeptKernels:
    """A folder with a file of kernels for each epoch that is kept, 0 being before the first.

    Which these are follows from how many epochs there are, and from nothing else: all while they are few, then every
    second, every fourth and so on, and always the last. So no file is ever written again, however long the training,
    and a training that goes on from a checkpoint leaves the same files as one that nothing interrupted.

    Parameters
    ----------
    path : pathlib.Path
        It need not be there.
    """

    def __init__(self, path):
        self.path = path

    def epochs(self):
        """Return the epochs of which there is a file, in order; of a folder that cannot be read, none."""
        try:
            names = [_NAME.fullmatch(entry.name) for entry in self.path.iterdir()]
        except OSError:
            return []
        return sorted({int(name[1]) for name in names if name})

    def save(self, epoch, weights):
        """Write the kernels of an epoch, whole or not at all.

        Parameters
        ----------
        epoch : int
        weights : ndarray, (K, C/groups, kh, kw)

        Raises
        ------
        FileWriteError
            If they cannot be written.
        """
        try:
            self.path.mkdir(exist_ok=True)
        except OSError as error:
            raise FileWriteError(
                f"{self.path} could not be written: {error.strerror or error}. {remedy(error)}"
            ) from error
        npz.save(self._file(epoch), {"kernels": weights}, {"format": FORMAT, "epoch": epoch})

    def load(self, epoch):
        """Return the kernels of an epoch, an ndarray (K, C/groups, kh, kw).

        Raises
        ------
        CheckpointError
            If the file is missing, corrupt or no kernels of that epoch.
        """
        path = self._file(epoch)
        with reading(path, f"the kernels of epoch {epoch}", CheckpointError, "Train on, or do without this epoch."):
            arrays, header = npz.load(path, FORMAT)
            check(header, _HEADER)
            if header["epoch"] != epoch:
                raise ValueError(f"it says that it is of epoch {header['epoch']}")
            if arrays.keys() != {"kernels"}:
                raise ValueError(f"it holds {', '.join(map(repr, sorted(arrays))) or 'nothing'}")
            weights = arrays["kernels"]
            if weights.ndim != _DIMENSIONS or not weights.size or weights.dtype.kind != "f":
                raise ValueError(f"it holds an array of shape {weights.shape} and dtype {weights.dtype}")
            if not np.isfinite(weights).all():
                raise ValueError("it holds NaN or infinity")
        return weights

    def thin(self, epochs, size):
        """Remove the files of epochs that are not kept of so many, and of later ones.

        Parameters
        ----------
        epochs : int
            Finished.
        size : int
            The bytes of the kernels of one.
        """
        step = _step(epochs, max(1, min(MOST_EPOCHS, MOST_BYTES // size)))
        for epoch in self.epochs():
            if epoch > epochs or (epoch % step and epoch != epochs):
                # One that cannot be removed harms nobody: it is replaced when the training comes there.
                with contextlib.suppress(OSError):
                    self._file(epoch).unlink()

    def _file(self, epoch):
        return self.path / f"epoch-{epoch:06d}.npz"


def _step(epochs, most):
    """Return the power of two that goes at most so often into a number of epochs."""
    return 1 << (-(-epochs // most) - 1).bit_length() if epochs else 1

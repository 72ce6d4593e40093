"""Images that are read from their files as they are needed."""

import operator
import os

import numpy as np

from ..errors import DataError
from .image_file import read_image

#: Images that are read at once where all are gone through.
PART = 1000


class StoredImages:
    """Base class of images that are read as they are needed; indexing reads.

    Any number of threads may read at once.

    Parameters
    ----------
    positions : ndarray of int, shape (N,)
        Which of the stored images these are, in their order.
    known : ndarray
        What :meth:`known` returns, of all the stored images, NaN at first; shared with those that are chosen of these.
    shape : (int, int, int)
        Channels, height and width of each.
    dtype : numpy.dtype

    Attributes
    ----------
    shape : (int, int, int, int)
    dtype : numpy.dtype
    ndim : int
    """

    ndim = 4

    def __init__(self, positions, known, shape, dtype):
        self._positions, self._known = positions, known
        self.shape, self.dtype = (len(positions), *shape), np.dtype(dtype)

    def __len__(self):
        return len(self._positions)

    def __getitem__(self, indices):
        """Read one image, (C, H, W), or those that a slice or an array of indices chooses, (n, C, H, W).

        Raises
        ------
        DataError
            If a file cannot be read, or has changed since the data set was loaded.
        """
        chosen = self._positions[indices]
        return self._read(chosen) if np.ndim(chosen) else self._read(chosen[None])[0]

    def subset(self, indices):
        """Return the images at these indices, of which none is read yet."""
        raise NotImplementedError

    def known(self):
        """Return the sum, the lowest and the highest value of each image, float64 (3, N); read are only new ones."""
        if np.isnan(self._known[:, self._positions]).any():
            for _ in parts(self):
                pass
        return self._known[:, self._positions]

    def note(self, first, images):
        """Keep what :meth:`known` tells of images that were read, the first of which has that index."""
        axes = 1, 2, 3
        found = images.sum(axis=axes, dtype=np.float64), images.min(axis=axes), images.max(axis=axes)
        self._known[:, self._positions[first : first + len(images)]] = found

    def _read(self, positions):
        raise NotImplementedError


class ImageFiles(StoredImages):
    """Images of one file each.

    Parameters
    ----------
    files : sequence of pathlib.Path
    preprocessing : Preprocessing
        How a file becomes an image.
    states : list of tuple, optional
        What :func:`state_of` each file was.
    positions, known
        As of :class:`StoredImages`; by default all images, of which nothing is known.
    """

    def __init__(self, files, preprocessing, states=None, positions=None, known=None):
        self._files, self._preprocessing = files, preprocessing
        self._states = list(map(state_of, files)) if states is None else states
        super().__init__(*_all(len(files), positions, known), preprocessing.shape, np.uint8)

    def subset(self, indices):
        return ImageFiles(self._files, self._preprocessing, self._states, self._positions[indices], self._known)

    def _read(self, positions):
        x = np.empty((len(positions), *self.shape[1:]), self.dtype)
        for index, position in enumerate(positions):
            file = self._files[position]
            require_state(file, self._states[position])
            x[index] = read_image(file, *self.shape[1:], fit=self._preprocessing.fit)
        return x


class MappedImages(StoredImages):
    """Images of one array, which are read from its file.

    Parameters
    ----------
    path : pathlib.Path
        The array's file.
    array : numpy.memmap, shape (N, C, H, W)
    state : tuple
        What :func:`state_of` the file was before it was mapped.
    positions, known
        As of :class:`StoredImages`; by default all images, of which nothing is known.
    """

    def __init__(self, path, array, state, positions=None, known=None):
        self._path, self._array, self._state = path, array, state
        super().__init__(*_all(len(array), positions, known), array.shape[1:], array.dtype)

    def subset(self, indices):
        return MappedImages(self._path, self._array, self._state, self._positions[indices], self._known)

    def _read(self, positions):
        require_state(self._path, self._state)
        x = np.zeros((len(positions), *self.shape[1:]), self.dtype)
        try:
            # Memory that is mapped past the end of a file which is cut meanwhile ends the process when it is touched.
            with open(self._path, "rb") as file:
                if self._array.flags.c_contiguous:
                    self._read_images(file, x, positions)
                elif len(positions):
                    self._read_pixels(file, x, positions)
        except OSError as error:
            raise _unreadable(self._path, error) from error
        # For what is written meanwhile.
        require_state(self._path, self._state)
        return x

    def _read_images(self, file, x, positions):
        for row, position in zip(x.reshape(len(x), -1).view(np.uint8), positions, strict=True):
            file.seek(self._array.offset + int(position) * row.nbytes)
            file.readinto(row)

    def _read_pixels(self, file, x, positions):
        """Read what lies in Fortran's order: beside each other one pixel of all images."""
        first = int(positions.min())
        part = np.zeros(int(positions.max()) - first + 1, self.dtype)
        each, *strides = self._array.strides
        for pixel in np.ndindex(self.shape[1:]):
            file.seek(self._array.offset + first * each + sum(map(operator.mul, pixel, strides)))
            file.readinto(part.view(np.uint8))
            x[:, *pixel] = part[positions - first]


def _all(count, positions, known):
    if positions is not None:
        return positions, known
    return np.arange(count), np.full((3, count), np.nan)


def state_of(path):
    """Return what a file is at present: its number, size and time of change.

    Raises
    ------
    DataError
        If it is gone.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    return status.st_ino, status.st_size, status.st_mtime_ns


def _unreadable(path, error):
    return DataError(
        f"{path} could not be read: {error.strerror}. Leave a data set's files as they are while it is read."
    )


def require_state(path, state):
    """Raise DataError if a file is not what it was."""
    if state_of(path) != state:
        raise DataError(
            f"{path} has changed since the data set was loaded. Leave its files as they are while they are read, and "
            "start again."
        )


def parts(x):
    """Yield all images in parts of a thousand, each in memory: a large set would not fit there at once.

    Parameters
    ----------
    x : ndarray or StoredImages

    Yields
    ------
    ndarray, shape (n, C, H, W)
    """
    for first in range(0, len(x), PART):
        images = x[first : first + PART]
        if isinstance(x, StoredImages):
            x.note(first, images)
        yield images


def extremes(x):
    """Return the smallest and the largest value of images, an array or StoredImages."""
    if isinstance(x, np.ndarray):
        return x.min(), x.max()
    _, lows, highs = x.known()
    return lows.min(), highs.max()

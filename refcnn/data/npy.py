"""Data sets in folders of NumPy's .npy files, whose images stay there until they are needed."""

import os
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..reading import reading
from . import npz
from .arrays import PIXEL_DTYPES, require_finite, with_channels
from .stored import PART, MappedImages, parts, state_of

_SUFFIX = ".npy"
_IMAGES = ("x", "x_train", "x_test")


def is_folder(path):
    """Whether a folder holds images in .npy files by the names that :func:`read_folder` looks for."""
    return os.path.isdir(path) and any(os.path.isfile(Path(path, f"{name}{_SUFFIX}")) for name in _IMAGES)


def read_folder(path):
    """Read a data set from a folder that holds x.npy and y.npy, or x_train.npy, y_train.npy, x_test.npy and y_test.npy.

    All is as of :func:`refcnn.data.npz.read`, where these are arrays of one
    file, but that images stay in their files and are read when needed, so that they
    may be larger than it: of them only bool, uint8, uint16 and float32 are taken.

    Parameters
    ----------
    path : str or os.PathLike
        The folder. Pickled objects in its files are refused.

    Returns
    -------
    train : DataSet
    test : DataSet or None

    Raises
    ------
    DataError
        If a file cannot be read, or the arrays are missing or of another form.
    LabelError
        As of :func:`refcnn.data.npz.read`.
    """
    files = sorted(file for file in Path(path).iterdir() if file.suffix == _SUFFIX and file.is_file())
    return npz.of_arrays({file.stem: _read(file) for file in files}, path)


def _read(path):
    state = state_of(path)
    with reading(path, "an .npy file of a data set", DataError, "Give a file of numpy.save, of numbers or texts."):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("it is an archive")
    return _images(path, array, state) if path.stem in _IMAGES else np.array(array)


def _images(path, array, state):
    if array.dtype not in PIXEL_DTYPES or not array.dtype.isnative:
        raise DataError(
            f"{path} has dtype {array.dtype}, but images that stay in their file must be "
            f"{', '.join(map(str, PIXEL_DTYPES))}. Convert the array and store it again, or store it in an .npz file."
        )
    images = MappedImages(path, with_channels(array, path), state)
    if array.dtype.kind == "f":
        for number, part in enumerate(parts(images)):
            require_finite(part, path, number * PART)
    return images

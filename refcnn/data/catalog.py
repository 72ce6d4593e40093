"""Data sets by name or path."""

import dataclasses
import os
from pathlib import Path

import numpy as np

from ..errors import ArgumentError, DataError
from ..suggestions import did_you_mean
from ..typing import PathLike
from . import idx, image_folder, npy, npz
from .dataset import DataSet
from .mnist_files import mnist
from .preprocessing import Preprocessing
from .sizing import check_fit, check_size

#: The data sets that :func:`load` knows by name.
NAMES = ("digits", "mnist")


def digits() -> DataSet:
    """Load scikit-learn's bundled digits: 1,797 grey images of 8x8 pixels with values from 0 to 16.

    Returns
    -------
    DataSet
        uint8, scale 1/16.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return DataSet(
        bunch.images.astype(np.uint8)[:, None],
        bunch.target.astype(np.int64),
        tuple(str(name) for name in bunch.target_names),
        Preprocessing(1 / 16, channels=1, height=8, width=8, white=16.0),
    )


def load(
    spec: str,
    data_dir: PathLike | None = None,
    pixel_range: tuple[float, float] | None = None,
    *,
    image_size: int | tuple[int, int] | None = None,
    image_fit: str | None = None,
    in_memory: bool | None = None,
) -> tuple[DataSet, DataSet | None]:
    """Load a data set by name or path.

    Parameters
    ----------
    spec : str or os.PathLike
        "digits" (bundled with scikit-learn), "mnist" (see ``mnist``), or a
        path: a folder of IDX files named as MNIST's are, an .npz file with x
        and y, or a folder with one sub-folder of images for each class. A
        name goes before a path; write ./mnist for a folder of that name. A
        folder may also hold x.npy and y.npy, whose images are read when they are needed.
    data_dir : str or os.PathLike, optional
        Where ``mnist`` looks first.
    pixel_range : (float, float), optional
        The values of a black and a white pixel in an .npz file or IDX files,
        by which image files become inputs later. Without it 8-bit images have
        0 and 255, and for floating point it is inferred where it is plain.
    image_size : int or (int, int), optional
        The height and width to which images are brought; a number is both. By
        default a folder's images get the commonest size, and others keep theirs.
    image_fit : str, optional
        How they are brought there: ``crop`` scales and cuts off what is too
        much, ``pad`` scales and fills what is missing with black, ``stretch``
        scales each side by itself. By default a folder's images are cropped,
        and others stretched. Image files that are predicted are treated alike.
    in_memory : bool, optional
        Whether a folder's images are held in memory, or decoded as they are
        needed. By default they are held where they take no more than a quarter of it.

    Returns
    -------
    train : DataSet
    test : DataSet or None
        The set's own validation or test part, where it has one.

    Raises
    ------
    DataError
        If the name or path is none of these, or what lies there is missing,
        broken or of another form.
    LabelError
        For labels outside the classes.
    ArgumentError
        For another pixel range of a data set whose range is known, or a size or fit that is none.
    """
    size = None if image_size is None else check_size(image_size)
    if image_fit is not None:
        check_fit("image_fit", image_fit)
    try:
        parts = _load(spec, data_dir, size, image_fit, in_memory)
        parts = _with_pixel_range(spec, parts, pixel_range)
        return tuple(part and _sized(part, size, image_fit) for part in parts)
    except MemoryError as error:
        raise DataError(
            f"the data set {str(spec)!r} does not fit into memory. Take fewer or smaller images."
        ) from error


def _with_pixel_range(spec, parts, pixel_range):
    former = parts[0].preprocessing
    preprocessing = former.with_pixel_range(pixel_range)
    if preprocessing == former:
        return parts
    if spec in NAMES or not _is_of_arrays(spec):
        raise ArgumentError(
            f"the pixel range of the data set {str(spec)!r} is known; only images in .npz, .npy and IDX files are "
            "given one. Leave it out."
        )
    return tuple(part and dataclasses.replace(part, preprocessing=preprocessing) for part in parts)


def _sized(part, size, fit):
    if size is None and fit is None:
        return part
    return part.resized(*(size or part.preprocessing.shape[1:]), fit or part.preprocessing.fit)


def _is_of_arrays(path):
    return os.path.isfile(path) or bool(idx.find(path)) or npy.is_folder(path)


def _load(spec, data_dir, size, fit, in_memory):
    if spec == "digits":
        return digits(), None
    if spec == "mnist":
        return mnist(data_dir)
    path = Path(spec)
    if os.path.isdir(path):
        if npy.is_folder(path):
            return npy.read_folder(path)
        return idx.read_folder(path) if idx.find(path) else image_folder.read(path, size, fit, in_memory)
    if os.path.isfile(path) and path.suffix.lower() == ".npz":
        return npz.read(path)
    state = "is a file of another kind" if os.path.lexists(path) else "does not exist"
    raise DataError(
        f"The data set {str(spec)!r} is not known by name, and as a path it {state}. Expected {', '.join(NAMES)}, a "
        "folder of IDX files, an .npz file with x and y, a folder of x.npy and y.npy, or a folder with one sub-folder "
        "of images for each class." + (did_you_mean(str(spec), NAMES) or did_you_mean(path.name, _beside(path)))
    )


def _beside(path):
    try:
        return os.listdir(path.parent)
    except OSError:
        return []

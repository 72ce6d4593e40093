"""Data sets in NumPy's .npz files."""

import numpy as np

from .. import npz
from ..errors import DataError
from ..reading import reading
from .arrays import image_array, label_array, label_names
from .dataset import data_sets

KEYS = "x and y, or x_train, y_train, x_test and y_test"


def read(path):
    """Read a data set from an .npz file.

    The file holds ``x`` and ``y``, or ``x_train``, ``y_train``, ``x_test`` and
    ``y_test``, and may hold ``classes``, the names of the classes. Images have
    shape (N, H, W) or (N, C, H, W); uint8 is scaled by 1/255, uint16 by
    1/65535, truth values and floating point are taken as they are. Channels in
    the last axis are refused, not guessed. Labels are names or whole numbers,
    shape (N,) or (N, 1), or one-hot rows, shape (N, classes). Without
    ``classes`` these are the names or numbers that are among the labels, and
    are named by them.

    Parameters
    ----------
    path : str or os.PathLike
        The file. Pickled objects in it are refused.

    Returns
    -------
    train : DataSet
    test : DataSet or None

    Raises
    ------
    DataError
        If the file cannot be read, or its arrays are missing or of another form.
    LabelError
        For labels that are no whole numbers, or outside the classes.
    """
    return of_arrays(_arrays(path), path)


def of_arrays(arrays, path):
    """Make data sets of arrays by their names, as :func:`read` does.

    Parameters
    ----------
    arrays : dict
        Images may be StoredImages, which were checked.
    path : str or os.PathLike
        Where they come from, for the messages.

    Returns
    -------
    train : DataSet
    test : DataSet or None
    """
    names = [("x", "y")] if "x" in arrays or "y" in arrays else [("x_train", "y_train"), ("x_test", "y_test")]
    missing = [name for pair in names for name in pair if name not in arrays]
    if missing:
        raise DataError(_missing(path, arrays, missing))
    classes = _classes(arrays["classes"], path) if "classes" in arrays else None
    parts = []
    for x_name, y_name in names:
        x, y = arrays[x_name], _labels(arrays[y_name], f"{path}: {y_name}")
        if isinstance(x, np.ndarray):
            x = image_array(x, f"{path}: {x_name}")
        if len(x) != len(y):
            raise DataError(
                f"{path}: {x_name} holds {len(x)} images, but {y_name} holds {len(y)} labels. "
                "Store one label for each image."
            )
        parts.append((x, y))
    return data_sets(*parts, classes=classes)


def _arrays(path):
    with reading(path, "an .npz file of a data set", DataError, f"Give a file of numpy.savez with {KEYS}."):
        return npz.read(path)


def _missing(path, arrays, missing):
    found = ", ".join(f"{name!r} ({array.dtype}, shape {array.shape})" for name, array in sorted(arrays.items()))
    parts = ("train", "test") if all(any(part in name for name in arrays) for part in ("train", "test")) else ("",)
    pairs = [_pair({name: array for name, array in arrays.items() if part in name}) for part in parts]
    if len(parts) == 1 and len(missing) == 4:
        missing = ["x", "y"]
    hint = ""
    if all(pairs):
        keys = [f"{letter}_{part}".rstrip("_") for part in parts for letter in "xy"]
        stored = ", ".join(f"{key}={name}" for key, name in zip(keys, sum(pairs, ()), strict=True))
        hint = f" If these are meant, store them anew by numpy.savez(PATH, {stored})."
    return f"{path} holds {found or 'no arrays'}, but not {', '.join(missing)}. Expected {KEYS}.{hint}"


def _pair(arrays):
    """Return the names of the only array that could be images and of the only one that could be their labels."""
    images = [name for name, array in arrays.items() if array.ndim >= 3 and array.dtype.kind in "uf"]
    labels = [name for name, array in arrays.items() if array.ndim in (1, 2) and array.dtype.kind in "biufUS"]
    return (images[0], labels[0]) if len(images) == len(labels) == 1 else ()


def _labels(y, source):
    if y.dtype.kind in "US":
        return label_names(y, source)
    # One column is a column of labels: one-hot rows of a single class would say nothing.
    if y.ndim == 2 and y.shape[1] > 1 and y.dtype.kind in "biuf":
        rows = (y == 1).sum(axis=1) == 1
        rows &= (y == 0).sum(axis=1) == y.shape[1] - 1
        if not rows.all():
            row = int(np.argmin(rows))
            raise DataError(
                f"{source} has shape {y.shape}, but row {row} is {y[row]}, not one-hot: a single 1 and otherwise 0 "
                "are expected. Store class numbers of shape (N,), or one-hot rows."
            )
        y = y.argmax(axis=1)
    return label_array(y, source)


def _classes(names, path):
    if names.ndim != 1 or names.dtype.kind != "U" or not len(names):
        raise DataError(
            f"{path}: classes has shape {names.shape} and dtype {names.dtype}, but names are expected: "
            "a one-axis array of strings."
        )
    return tuple(str(name) for name in names)

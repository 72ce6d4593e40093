"""Data sets in folders of images, one sub-folder for each class."""

import collections
import os
from pathlib import Path

import numpy as np

from ..display import is_text
from ..errors import DataError
from .dataset import DataSet, Preprocessing
from .image_file import SUFFIXES, is_grey, opened, read_image, upright_size


def read(path):
    """Read a folder with one sub-folder of images for each class.

    The classes are the sub-folders' names, sorted; where one holds bytes that
    are no UTF-8 these become ``\\xNN``, and backslashes are doubled in all.
    Hidden files and files of other kinds are ignored, and so are folders
    within a class. If every image
    is grey (by its file's pixel type; a palette counts as colour) the data set
    is grey, else RGB. Images of another size than the commonest (the first met
    among equals) are resized to it. A folder that holds ``train`` and ``test``,
    each with the classes' folders, gives both parts.

    Parameters
    ----------
    path : str or os.PathLike
        The folder.

    Returns
    -------
    train : DataSet
        x is uint8 of shape (N, 1 or 3, H, W), scaled by 1/255.
    test : DataSet or None

    Raises
    ------
    DataError
        If there are no classes, a class without images, an image that cannot
        be read (named), or classes of the test part that are not the training part's.
    """
    folders = {folder.name: folder for folder in _sorted(path) if os.path.isdir(folder)}
    if set(folders) != {"train", "test"}:
        return _read_part(path, folders), None
    classes = {part: {f.name: f for f in _sorted(folders[part]) if os.path.isdir(f)} for part in folders}
    if not any(classes.values()):
        return _read_part(path, folders), None
    if set(classes["train"]) != set(classes["test"]):
        raise DataError(
            f"{path}: the classes of train are {sorted(classes['train'])}, but those of test are "
            f"{sorted(classes['test'])}. Both parts need the same sub-folders."
        )
    train = _read_part(folders["train"], classes["train"])
    return train, _read_part(folders["test"], classes["test"], train.preprocessing)


def _sorted(folder):
    try:
        return sorted(entry for entry in Path(folder).iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder} could not be read: {error.strerror}. Name a folder that can be.") from error


def _read_part(path, classes, preprocessing=None):
    if not classes:
        raise DataError(f"{path} has no sub-folders. Expected one sub-folder of images for each class.")
    files, labels = [], []
    for index, folder in enumerate(classes.values()):
        images = [file for file in _sorted(folder) if file.suffix.lower() in SUFFIXES and os.path.isfile(file)]
        if not images:
            raise DataError(
                f"{folder} holds no images, but every sub-folder of {path} is a class and needs at least one "
                f"({', '.join(SUFFIXES)}). Add images or remove the folder."
            )
        files += images
        labels += [index] * len(images)
    preprocessing = preprocessing or _survey(files)
    try:
        x = np.empty((len(files), *preprocessing.shape), np.uint8)
    except MemoryError as error:
        raise DataError(
            f"{path}: {len(files)} images of {preprocessing.shape} (channels, height, width) do not fit into memory. "
            "Make the images smaller."
        ) from error
    for position, file in enumerate(files):
        x[position] = read_image(file, *preprocessing.shape)
    return DataSet(x, np.array(labels, np.int64), _class_names(classes), preprocessing)


def _class_names(folders):
    """Return the folders' names as text that every file can hold, distinct ones distinct."""
    if all(map(is_text, folders)):
        return tuple(folders)
    return tuple(os.fsencode(name.replace("\\", "\\\\")).decode("utf-8", "backslashreplace") for name in folders)


def _survey(files):
    sizes, grey = collections.Counter(), True
    for file in files:
        with opened(file) as image:
            # In this order: Pillow loads a PNG file to find its EXIF data, and then forgets how its pixels lie there.
            grey = is_grey(image) and grey
            sizes[upright_size(image)] += 1
    (width, height), _ = sizes.most_common(1)[0]
    return Preprocessing(1 / 255, 1 if grey else 3, height, width)

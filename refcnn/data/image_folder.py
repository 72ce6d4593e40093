"""Data sets in folders of images, one sub-folder for each class."""

import collections
import math
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..display import is_text
from ..errors import DataError
from ..machine import memory
from .dataset import DataSet
from .image_file import SUFFIXES, is_grey, opened, upright_size
from .preprocessing import Preprocessing
from .sizing import DEFAULT_FIT
from .stored import ImageFiles

#: The names of the parts that a folder may have, each with the classes' folders.
TRAINING = "train"
VALIDATION = ("val", "valid", "validation")
TEST = "test"

#: Images are held in memory if they take no more than this part of it.
MOST_OF_MEMORY = 1 / 4


def read(path, image_size=None, image_fit=None, in_memory=None):
    """Read a folder with one sub-folder of images for each class.

    The classes are the sub-folders' names, sorted; where one holds bytes that
    are no UTF-8 these become ``\\xNN``, and backslashes are doubled in all.
    Hidden files and files of other kinds are ignored, and so are folders
    within a class. If every image
    is grey (by its file's pixel type; a palette counts as colour) the data set
    is grey, else RGB. A folder that holds ``train`` and ``val`` (or ``valid``,
    ``validation``) or ``test``, each with the classes' folders, gives both
    parts; where all three are there, ``val`` is the second, and ``test`` is not read.

    Parameters
    ----------
    path : str or os.PathLike
        The folder.
    image_size : (int, int), optional
        Height and width to which all images are brought; by default the commonest size (the first met among equals).
    image_fit : str, optional
        How they are, as in :func:`refcnn.data.sizing.fitted`; by default they are cropped.
    in_memory : bool, optional
        Whether the images are held in memory, or decoded as they are needed; by default they are held where they
        take no more than a quarter of it.

    Returns
    -------
    train : DataSet
        x is uint8 of shape (N, 1 or 3, H, W), scaled by 1/255.
    test : DataSet or None
        The other part.

    Raises
    ------
    DataError
        If there are no classes or images, an image cannot be read (it is
        named), or the other part has classes that the training part has not.
    """
    folders = _folders(path)
    parts = _parts(path, folders)
    listings = [_listing(path if name is None else folders[name], classes) for name, classes in parts.items()]
    preprocessing, notes = _survey(listings[0].files, image_size, image_fit)
    if TEST in folders and len(parts) == 2 and TEST not in parts:
        notes += (f"The images in {folders[TEST]} are kept apart: neither trained on nor judged by.",)
    if in_memory is None:
        size = math.prod(preprocessing.shape) * sum(len(listing.files) for listing in listings)
        in_memory = size <= memory() * MOST_OF_MEMORY
    classes = list(listings[0].classes)
    names = _class_names(classes)
    found = []
    for listing in listings:
        x = ImageFiles(listing.files, preprocessing)
        if in_memory:
            x = _held(x, path)
        y = np.array([classes.index(name) for name in listing.labels], np.int64)
        found.append(DataSet(x, y, names, preprocessing, notes))
    return found[0], found[1] if len(found) == 2 else None


def _folders(path):
    return {entry.name: entry for entry in _sorted(path) if os.path.isdir(entry)}


def _sorted(folder):
    try:
        return sorted(entry for entry in Path(folder).iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder} could not be read: {error.strerror}. Name a folder that can be.") from error


def _parts(path, folders):
    """Return the classes' folders of the training part, and of the other if there is one, by the parts' names."""
    others = [name for name in (*VALIDATION, TEST) if name in folders]
    is_divided = TRAINING in folders and others and set(folders) == {TRAINING, *others}
    classes = {name: _folders(folders[name]) for name in (TRAINING, *others)} if is_divided else {}
    # Without folders in them these are names of classes.
    if not any(classes.values()):
        return {None: folders}
    judged = [name for name in VALIDATION if name in others]
    if len(judged) > 1:
        raise DataError(f"{path} holds {' and '.join(judged)}, which both name the validation part. Leave one there.")
    name = (judged or others)[0]
    if unknown := sorted(set(classes[name]) - set(classes[TRAINING])):
        raise DataError(
            f"{path}: the classes of {TRAINING} are {sorted(classes[TRAINING])}, but {name} has {unknown} too. Give "
            "each class a sub-folder of the same name in both."
        )
    return {part: classes[part] for part in (TRAINING, name)}


class _Listing(NamedTuple):
    """The image files of one part, the name of each one's class, and the names of all classes."""

    files: list
    labels: list
    classes: tuple


def _listing(path, classes):
    if not classes:
        raise DataError(f"{path} has no sub-folders. Expected one sub-folder of images for each class.")
    files, labels = [], []
    for name, folder in classes.items():
        images = [file for file in _sorted(folder) if file.suffix.lower() in SUFFIXES and os.path.isfile(file)]
        files += images
        labels += [name] * len(images)
    if not files:
        raise DataError(
            f"no sub-folder of {path} holds images, but each is a class, and one needs some ({', '.join(SUFFIXES)}). "
            "Add images, or name another folder."
        )
    return _Listing(files, labels, tuple(classes))


def _held(images, path):
    try:
        return images[:]
    except MemoryError as error:
        raise DataError(
            f"{path}: {len(images)} images of {images.shape[1:]} (channels, height, width) do not fit into memory. "
            "Make the images smaller, by --image-size for example, or have them decoded as they are needed, by "
            "--no-in-memory."
        ) from error


def _class_names(folders):
    """Return the folders' names as text that every file can hold, distinct ones distinct."""
    if all(map(is_text, folders)):
        return tuple(folders)
    return tuple(os.fsencode(name.replace("\\", "\\\\")).decode("utf-8", "backslashreplace") for name in folders)


def _survey(files, image_size, image_fit):
    """Look at all files, and return how they become images, and what is to be said of that."""
    sizes, grey = collections.Counter(), True
    for file in files:
        with opened(file) as image:
            # In this order: Pillow loads a PNG file to find its EXIF data, and then forgets how its pixels lie there.
            grey = is_grey(image) and grey
            sizes[upright_size(image)[::-1]] += 1
    (commonest, _), *_ = sizes.most_common(1)
    height, width = image_size or commonest
    fit = image_fit or DEFAULT_FIT
    preprocessing = Preprocessing(1 / 255, 1 if grey else 3, height, width, fit=fit)
    return preprocessing, _notes(sizes, (height, width), image_size is None, fit)


def _notes(sizes, size, is_commonest, fit):
    if set(sizes) == {size}:
        return ()
    smallest, largest = (_written(extreme(sizes, key=math.prod)) for extreme in (min, max))
    given = f"have {len(sizes)} sizes, from {smallest} to {largest}" if len(sizes) > 1 else f"are of {smallest}"
    done = {"crop": "scaled and cropped", "pad": "scaled and padded with black", "stretch": "stretched"}[fit]
    advice = ", the commonest; --image-size and --image-fit say otherwise." if is_commonest else "."
    return (f"The training images {given} (height x width). All are {done} to {_written(size)}{advice}",)


def _written(size):
    return f"{size[0]}x{size[1]}"

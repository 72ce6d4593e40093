"""The data set that every loader gives."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from ..display import is_text
from ..errors import ArgumentError, DataError, LabelError
from ..typing import ArrayLike
from .arrays import PIXEL_DTYPES, image_array, indices_of, label_array, label_names
from .preprocessing import Preprocessing, preprocessing_of
from .sizing import fitted_array
from .stored import StoredImages


@dataclasses.dataclass(frozen=True, eq=False)
class DataSet:
    """Labelled images.

    Parameters
    ----------
    x : ndarray or StoredImages, shape (N, C, H, W), bool, uint8, uint16 or float32
        The images as stored; ``preprocessing.apply`` makes them input. Those that are not in memory are read by
        indexing, ``x[indices]``.
    y : ndarray, shape (N,), int64
        The index of each image's class.
    classes : tuple of str
        The classes' names.
    preprocessing : Preprocessing
        How an image file becomes the network's input.
    notes : tuple of str
        What was done to the images as they were read and is worth saying, a line of text each.

    Raises
    ------
    DataError
        For arrays of other shapes or dtypes, different lengths, or no images.
    LabelError
        For a label outside the classes.
    """

    x: np.ndarray | StoredImages
    y: np.ndarray
    classes: tuple
    preprocessing: Preprocessing
    notes: tuple = ()

    def __repr__(self):
        size = "x".join(map(str, self.x.shape[1:]))
        names = ", ".join(map(str, self.classes[:10])) + ", ..." * (len(self.classes) > 10)
        return f"DataSet of {len(self.x):,} images {size} ({self.x.dtype}) in {len(self.classes)} classes: {names}"

    def __post_init__(self):
        if self.x.ndim != 4 or self.x.dtype not in PIXEL_DTYPES:
            raise DataError(
                f"DataSet: x has shape {self.x.shape} and dtype {self.x.dtype}, but shape (N, C, H, W) and dtype "
                f"{', '.join(map(str, PIXEL_DTYPES))} are expected."
            )
        if self.x.shape[1:] != self.preprocessing.shape:
            raise DataError(
                f"DataSet: the images have shape {self.x.shape[1:]}, but their preprocessing gives "
                f"{self.preprocessing.shape} (channels, height, width)."
            )
        if self.y.ndim != 1 or self.y.dtype != np.int64:
            raise DataError(
                f"DataSet: y has shape {self.y.shape} and dtype {self.y.dtype}, but shape (N,) and int64 are expected."
            )
        if len(self.x) != len(self.y):
            raise DataError(
                f"DataSet: there are {len(self.x)} images, but {len(self.y)} labels. Give one label for each image."
            )
        if not len(self.x):
            raise DataError("DataSet: there are no images. At least one is needed.")
        names = self.classes
        if not (isinstance(names, tuple) and names and all(isinstance(n, str) for n in names)):
            raise DataError(f"DataSet: classes is {names!r}, but must be a tuple of names.")
        unfit = [name for name in names if not is_text(name)]
        if unfit:
            raise DataError(
                f"DataSet: the class {unfit[0]!r} is no Unicode text: it holds half of a character, or a byte that is "
                "no UTF-8. Name it otherwise."
            )
        if len(set(names)) != len(names):
            raise DataError(f"DataSet: the classes {names} are not all different.")
        label_array(self.y, "DataSet: y", len(names))

    def __len__(self) -> int:
        return len(self.x)

    def subset(self, indices: np.ndarray | slice) -> "DataSet":
        """The data set of the images at ``indices``, in that order; of images that are in memory it has copies."""
        x = self.x[indices] if isinstance(self.x, np.ndarray) else self.x.subset(indices)
        return dataclasses.replace(self, x=x, y=self.y[indices])

    def resized(self, height: int, width: int, fit: str) -> "DataSet":
        """The same data set with images of another size, and image files brought to it likewise.

        Parameters
        ----------
        height, width : int
        fit : str
            As in :func:`refcnn.data.sizing.fitted`.

        Raises
        ------
        DataError
            If the images are not in memory.
        """
        preprocessing = dataclasses.replace(self.preprocessing, height=height, width=width, fit=fit)
        former = self.preprocessing.height, self.preprocessing.width
        if former == (height, width):
            return dataclasses.replace(self, preprocessing=preprocessing)
        if not isinstance(self.x, np.ndarray):
            raise DataError(
                f"the images are {former[0]}x{former[1]} (height x width), and stay so in a mapped array. Store them "
                f"as {height}x{width}, or leave --image-size out."
            )
        x = fitted_array(self.x, height, width, fit, self.preprocessing.black)
        note = f"The images of {former[0]}x{former[1]} (height x width) are brought to {height}x{width}: {fit}."
        return dataclasses.replace(self, x=x, preprocessing=preprocessing, notes=(*self.notes, note))


def split(dataset: DataSet, fraction: float, permutation: np.ndarray, stratify: bool = True) -> tuple[DataSet, DataSet]:
    """Split a data set into a training and a validation part.

    Parameters
    ----------
    dataset : DataSet
        The N images to split.
    fraction : float
        The part that goes to validation, above 0 and below 1; the number of
        images is rounded to the nearest.
    permutation : array_like, shape (N,)
        The order in which images are dealt out: the first go to training, the
        last to validation. ``numpy.arange(N)`` splits without shuffling.
    stratify : bool
        Whether each class is split by itself, in the same proportion: of two
        images or more each part gets at least one, even if that makes
        validation larger or smaller; a single one goes to training.

    Returns
    -------
    training, validation : DataSet
        Both in the order of the permutation.

    Raises
    ------
    ArgumentError
        If the fraction leaves one part empty, or ``permutation`` does not
        hold every index once.
    """
    count = len(dataset)
    validation = round(fraction * count) if 0 < fraction < 1 else 0
    if not 0 < validation < count:
        raise ArgumentError(
            f"split: a fraction of {fraction} of {count} images leaves a part without images. "
            "Give a fraction above 0 and below 1 that leaves at least one image on each side."
        )
    permutation = np.asarray(permutation)
    if permutation.dtype.kind not in "iu" or not np.array_equal(np.sort(permutation, axis=None), np.arange(count)):
        raise ArgumentError(
            f"split: the permutation, of shape {permutation.shape} and dtype {permutation.dtype}, does not hold every "
            f"index from 0 to {count - 1} once."
        )
    # Without strata, all images are one class.
    labels = dataset.y[permutation] if stratify else np.zeros(count, np.int64)
    counts = np.bincount(labels)
    shares = _shares(counts, fraction, validation)
    if not shares.any():
        raise ArgumentError(
            f"split: none of the {np.count_nonzero(counts)} classes has two images, of which one could go to "
            "validation. Give more images, or a test part of their own."
        )
    in_classes = np.argsort(labels, kind="stable")
    from_the_last = np.repeat(np.cumsum(counts), counts) - np.arange(count)
    is_validation = np.zeros(count, bool)
    is_validation[in_classes] = from_the_last <= np.repeat(shares, counts)
    return dataset.subset(permutation[~is_validation]), dataset.subset(permutation[is_validation])


def _shares(counts, fraction, total):
    """Return how many images of each class are for validation: by largest remainder, one left in either part."""
    shares = np.floor(fraction * counts).astype(np.int64)
    by_remainder = np.argsort(shares - fraction * counts, kind="stable")
    shares[by_remainder[: total - shares.sum()]] += 1
    most = np.maximum(counts - 1, 0)
    return np.clip(shares, np.minimum(1, most), most)


def data_sets(train, test=None, classes=None):
    """Make data sets of checked arrays.

    Parameters
    ----------
    train : tuple of ndarray
        Images (N, C, H, W) and labels (N,), numbers or names.
    test : tuple of ndarray, optional
        The same of the test part.
    classes : tuple of str, optional
        The names. Without them the classes are the names or numbers that are
        among the labels of any part, and named by them.

    Returns
    -------
    train : DataSet
    test : DataSet or None
    """
    given = [part for part in (train, test) if part is not None]
    if len({labels.dtype.kind == "U" for _, labels in given}) > 1:
        raise LabelError(
            "the labels of one part are names, and those of the other are numbers. Store both in the same way."
        )
    if classes is None:
        found = np.unique(np.concatenate([labels for _, labels in given]))
        classes = tuple(str(name) for name in found)
        given = [(x, np.searchsorted(found, labels).astype(np.int64)) for x, labels in given]
    elif given[0][1].dtype.kind == "U":
        given = [(x, indices_of(labels, classes)) for x, labels in given]
    preprocessing = preprocessing_of(*(x for x, _ in given))
    made = [DataSet(x, y, classes, preprocessing) for x, y in given]
    return made[0], made[1] if len(made) == 2 else None


def from_arrays(x: ArrayLike, y: ArrayLike, classes: Sequence[str] | None = None) -> DataSet:
    """Make a data set of arrays.

    Parameters
    ----------
    x : array_like, shape (N, H, W) or (N, C, H, W)
        bool, uint8 (scaled by 1/255), uint16 (by 1/65535) or floating point.
    y : array_like, shape (N,)
        Names, or whole numbers.
    classes : sequence of str, optional
        The names of the classes. By default the names or numbers that are among the labels.

    Returns
    -------
    DataSet

    Raises
    ------
    DataError
        For arrays of another form, or of different lengths.
    LabelError
        For labels that are no whole numbers, or outside the classes.
    """
    images, labels = image_array(np.asarray(x), "x"), np.asarray(y)
    labels = label_names(labels, "y") if labels.dtype.kind in "US" else label_array(labels, "y")
    if len(images) != len(labels):
        raise DataError(f"x holds {len(images)} images, but y holds {len(labels)} labels. Give one for each image.")
    return data_sets((images, labels), classes=None if classes is None else tuple(classes))[0]

"""The data set that every loader gives, and how an image file becomes its input."""

import dataclasses
import math

import numpy as np

from ..errors import ArgumentError, DataError
from .arrays import class_names, label_array
from .image_file import read_image


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """How an image file becomes the network's input: grey or RGB, its size, and what is done to its values.

    The network's input is ``(stored value * scale - mean) / deviation``.

    Parameters
    ----------
    scale : float
        Brings the stored values between 0 and 1.
    channels : int
        1 for grey, 3 for RGB (other numbers cannot be read from image files).
    height, width : int
        The size of the network's input, in pixels.
    resize : bool
        Whether an image file of another size is resized or refused.
    white : float
        The stored value of a white pixel: 255 for 8-bit images, 16 for
        scikit-learn's digits, 1 for floating-point data.
    mean, deviation : float
        Taken from the training images by :meth:`standardised`.

    Raises
    ------
    DataError
        For a field of the wrong type or range.
    """

    scale: float
    channels: int
    height: int
    width: int
    resize: bool = True
    white: float = 255.0
    mean: float = 0.0
    deviation: float = 1.0

    def __post_init__(self):
        mean = self.mean
        if isinstance(mean, bool) or not isinstance(mean, (int, float)) or not math.isfinite(mean):
            raise DataError(f"Preprocessing: mean is {mean!r}, but must be a finite number.")
        for name in ("scale", "white", "deviation"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
                raise DataError(f"Preprocessing: {name} is {value!r}, but must be a finite number above 0.")
        for name in ("channels", "height", "width"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise DataError(f"Preprocessing: {name} is {value!r}, but must be a whole number of at least 1.")
        if not isinstance(self.resize, bool):
            raise DataError(f"Preprocessing: resize is {self.resize!r}, but must be true or false.")

    @property
    def shape(self):
        """The shape of one input, (channels, height, width)."""
        return self.channels, self.height, self.width

    def apply(self, x):
        """Turn a batch as stored, of any shape and dtype, into the network's float32 input."""
        return (np.asarray(x, np.float32) * np.float32(self.scale) - np.float32(self.mean)) / np.float32(self.deviation)

    def standardised(self, x):
        """Return this with the mean and the standard deviation of images as stored, so that inputs are centred on zero.

        Parameters
        ----------
        x : ndarray, shape (N, C, H, W)
        """
        mean = float(x.mean(dtype=np.float64)) * self.scale
        # By parts, since a large set in float64 would take eight times its memory.
        parts = (x[first : first + 1000] * np.float64(self.scale) - mean for first in range(0, len(x), 1000))
        variance = sum(float(np.square(part).sum()) for part in parts) / x.size
        # Images of one colour throughout have no deviation to divide by.
        return dataclasses.replace(self, mean=mean, deviation=math.sqrt(variance) or 1.0)

    def load_image(self, path):
        """Read an image file in the form that the data set stores; ``apply`` then makes it the network's input.

        Parameters
        ----------
        path : str or os.PathLike
            The image file.

        Returns
        -------
        ndarray, shape (channels, height, width)
            uint8 if white is 255, else float32 from 0 to ``white``.

        Raises
        ------
        DataError
            If the file cannot be read as an image; the message names it.
        """
        pixels = read_image(path, *self.shape, resize=self.resize)
        return pixels if self.white == 255 else pixels * np.float32(self.white / 255)

    def to_json(self):
        """The fields as a dict of plain numbers and truth values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, fields):
        """The inverse of ``to_json``; DataError for unknown, missing or wrong fields."""
        if not isinstance(fields, dict):
            raise DataError(f"Preprocessing: expected an object with named fields, found {fields!r}.")
        known = {field.name: field for field in dataclasses.fields(cls)}
        unknown = sorted(set(fields) - set(known), key=str)
        missing = [n for n, field in known.items() if field.default is dataclasses.MISSING and n not in fields]
        if unknown or missing:
            raise DataError(
                f"Preprocessing: unknown fields {unknown}, missing fields {missing}; the fields are {list(known)}."
            )
        return cls(**fields)


@dataclasses.dataclass(frozen=True, eq=False)
class DataSet:
    """Labelled images.

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W), uint8 or float32
        The images as stored; ``preprocessing.apply`` makes them input.
    y : ndarray, shape (N,), int64
        The index of each image's class.
    classes : tuple of str
        The classes' names.
    preprocessing : Preprocessing
        How an image file becomes the network's input.

    Raises
    ------
    DataError
        For arrays of other shapes or dtypes, different lengths, or no images.
    LabelError
        For a label outside the classes.
    """

    x: np.ndarray
    y: np.ndarray
    classes: tuple
    preprocessing: Preprocessing

    def __post_init__(self):
        if self.x.ndim != 4 or self.x.dtype not in (np.uint8, np.float32):
            raise DataError(
                f"DataSet: x has shape {self.x.shape} and dtype {self.x.dtype}, but shape (N, C, H, W) and dtype "
                "uint8 or float32 are expected."
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
        if len(set(names)) != len(names):
            raise DataError(f"DataSet: the classes {names} are not all different.")
        label_array(self.y, "DataSet: y", len(names))

    def __len__(self):
        return len(self.x)

    def subset(self, indices):
        """The data set of the images at ``indices``, in that order."""
        return dataclasses.replace(self, x=self.x[indices], y=self.y[indices])


def split(dataset, fraction, permutation):
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

    Returns
    -------
    training, validation : DataSet

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
    return dataset.subset(permutation[: count - validation]), dataset.subset(permutation[count - validation :])


def preprocessing_of(x):
    """The preprocessing of images (N, C, H, W): 8 bits are scaled by 1/255, floating point is taken as it is."""
    scale, white = (1 / 255, 255.0) if x.dtype == np.uint8 else (1.0, 1.0)
    return Preprocessing(scale, *x.shape[1:], white=white)


def data_sets(train, test=None, classes=None):
    """Make data sets of checked arrays.

    Parameters
    ----------
    train : tuple of ndarray
        Images (N, C, H, W) and labels (N,).
    test : tuple of ndarray, optional
        The same of the test part.
    classes : tuple of str, optional
        The names; without them the classes are named by their numbers.

    Returns
    -------
    train : DataSet
    test : DataSet or None
    """
    parts = [part for part in (train, test) if part is not None]
    classes = classes or class_names(*(labels for _, labels in parts))
    preprocessing = preprocessing_of(train[0])
    made = [DataSet(x, y, classes, preprocessing) for x, y in parts]
    return made[0], made[1] if len(made) == 2 else None

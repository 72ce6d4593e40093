"""Arrays as they are found, checked and brought to the form that a data set keeps."""

import numpy as np

from ..errors import ArgumentError, DataError, LabelError
from ..typing import ArrayLike

MOST_CLASSES = 65536
#: What a data set's pixels may be.
PIXEL_DTYPES = tuple(map(np.dtype, (bool, np.uint8, np.uint16, np.float32)))
#: So many different labels are shown at most.
MOST_SHOWN = 8

_NAMES_ADVICE = " Of names, classes, y = numpy.unique(names, return_inverse=True) makes both: store them."
_NUMBERS_ADVICE = (
    "Leave out images without a label, and number the classes from 0, as numpy.unique(y, return_inverse=True)[1] does."
)


def image_array(array, source):
    """Bring an array of images to (N, C, H, W), one of :data:`PIXEL_DTYPES`.

    Parameters
    ----------
    array : ndarray
        Shape (N, H, W) for grey images or (N, C, H, W). bool, uint8 and
        uint16 are kept; float16, float32 and float64 become float32.
    source : str
        Where the array comes from, for the messages.

    Returns
    -------
    ndarray, shape (N, C, H, W)

    Raises
    ------
    DataError
        For another number of axes, another dtype, channels in the last axis
        (refused rather than guessed), no images, or values that are not finite.
    """
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            array = array.astype(np.float32, copy=False)
        require_finite(array, source)
    elif array.dtype not in PIXEL_DTYPES:
        raise DataError(
            f"{source} has dtype {array.dtype}, but images must be uint8 (0 to 255, scaled by 1/255), uint16 (0 to "
            "65535, likewise), bool, or floating point (taken as they are). Convert the array and store it again."
        )
    return with_channels(array, source)


def require_finite(array, source, first=0):
    """Raise DataError if a float32 array of images, whose first one has a number, holds NaN or infinity."""
    if np.isfinite(array).all():
        return
    position = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
    raise DataError(
        f"{source} holds {array[position]} at {(first + position[0], *position[1:])} (as float32). Every value must "
        "be finite: repair or remove that image."
    )


def with_channels(array, source):
    """Return images (N, H, W) or (N, C, H, W) as (N, C, H, W); DataError for other shapes."""
    if array.ndim == 3:
        array = array[:, None]
    if array.ndim != 4 or 0 in array.shape:
        raise DataError(
            f"{source} has shape {array.shape}, but images must have shape (N, height, width) or "
            "(N, channels, height, width) with no axis of length 0."
        )
    if array.shape[3] in (1, 3, 4) and array.shape[1] not in (1, 3, 4):
        raise DataError(
            f"{source} has shape {array.shape}, which looks like (N, height, width, channels), but the channels must "
            "come before height and width. Store x.transpose(0, 3, 1, 2)."
        )
    return array


def label_array(labels, source, classes=None):
    """Bring labels to class indices.

    Parameters
    ----------
    labels : array_like
        Shape (N,) or (N, 1): whole numbers of any numeric dtype.
    source : str
        Where the labels come from, for the messages.
    classes : int, optional
        How many classes there are; without it any index from 0 up to
        65,535 is taken.

    Returns
    -------
    ndarray, shape (N,), int64

    Raises
    ------
    LabelError
        For a label that is no whole number or lies outside the classes (named
        with its position), or labels of another shape.
    """
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "biuf":
        raise LabelError(
            f"{source} has shape {labels.shape} and dtype {labels.dtype}, but labels must be one whole number for "
            "each image, shape (N,)." + (_NAMES_ADVICE if labels.dtype.kind in "US" else "")
        )
    count = MOST_CLASSES if classes is None else classes
    # The comparison comes before the conversion: NaN and 2**63 have no int64.
    wrong = ~((labels >= 0) & (labels < count))
    if labels.dtype.kind == "f":
        wrong |= labels != np.floor(labels)
    if wrong.any():
        position = int(np.argmax(wrong))
        advice = "Correct the label or the number of classes." if classes is not None else _NUMBERS_ADVICE
        found = np.unique(labels)
        shown = ", ".join(map(str, found[:MOST_SHOWN])) + (", ..." if len(found) > MOST_SHOWN else "")
        raise LabelError(
            f"{source} holds the label {labels[position]} at position {position}, but labels must be whole numbers "
            f"from 0 to {count - 1}. The labels found are {shown}. {advice}"
        )
    return labels.astype(np.int64)


def label_names(labels, source):
    """Bring labels that are names to texts.

    Parameters
    ----------
    labels : ndarray, shape (N,) or (N, 1), of texts or of bytes in UTF-8
    source : str
        Where they come from, for the messages.

    Returns
    -------
    ndarray of str, shape (N,)

    Raises
    ------
    LabelError
        For another shape, bytes that are no UTF-8, or an empty name.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise LabelError(f"{source} has shape {labels.shape}, but one label for each image is expected, shape (N,).")
    if labels.dtype.kind == "S":
        try:
            labels = np.char.decode(labels, "utf-8")
        except UnicodeDecodeError as error:
            raise LabelError(f"{source} holds {error.object!r}, which is no UTF-8. Store texts.") from None
    if not all(labels):
        raise LabelError(f"{source} holds an empty name at position {int(np.argmin(labels != ''))}. Name the class.")
    return labels


def indices_of(labels, classes, source="the labels"):
    """Return the index of each name among the classes, int64; LabelError for one that is not there.

    Parameters
    ----------
    labels : ndarray of str, shape (N,)
    classes : sequence of str
    source : str
    """
    places = {name: index for index, name in enumerate(classes)}
    found, where = np.unique(labels, return_inverse=True)
    unknown = [str(name) for name in found if str(name) not in places]
    if unknown:
        shown = ", ".join(map(str, classes[:MOST_SHOWN])) + (", ..." if len(classes) > MOST_SHOWN else "")
        raise LabelError(
            f"{source} hold the name {unknown[0]!r}, which is none of the classes {shown}. Correct it, or add the "
            "class."
        )
    return np.array([places[str(name)] for name in found], np.int64)[where.reshape(-1)]


def one_hot(labels: ArrayLike, classes: int) -> np.ndarray:
    """One-hot rows for class indices.

    Parameters
    ----------
    labels : array_like, shape (N,)
        Whole numbers from 0 to ``classes - 1``, of any numeric dtype.
    classes : int
        The number of classes, the length of a row.

    Returns
    -------
    ndarray, shape (N, classes), float32
        1 at the label's place, 0 elsewhere.

    Raises
    ------
    LabelError
        For a label outside the classes or no whole number, named with its position.
    ArgumentError
        If ``classes`` is not a whole number of at least 1.
    """
    if isinstance(classes, bool) or not isinstance(classes, (int, np.integer)) or classes < 1:
        raise ArgumentError(f"one_hot: classes is {classes!r}, but must be a whole number of at least 1.")
    indices = label_array(labels, "one_hot: labels", classes)
    rows = np.zeros((len(indices), classes), np.float32)
    rows[np.arange(len(indices)), indices] = 1
    return rows

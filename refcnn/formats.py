"""The formats of numbers: how exact each is, how far it reaches, and what NumPy and the kernels call it."""

import dataclasses

import numpy as np

from .errors import ArgumentError


@dataclasses.dataclass(frozen=True)
class Format:
    """One format of numbers.

    Attributes
    ----------
    dtype : numpy dtype
    c_type : str
        The type of its elements in the kernels' memory.
    is_float : bool
        Whether it is a floating-point format; all others hold whole numbers or truth values, which are exact.
    largest : float or int
        The largest finite number.
    roundoff : float
        By how much a result is off relative to itself, at most, that is rounded to the nearest normal number; 0 where
        nothing is rounded, as is what follows.
    smallest_normal : float
        The smallest number above 0 that has all digits. Devices may flush what is smaller to zero.
    smallest_subnormal : float
        The smallest number above 0 at all, and the distance of two neighbours among the subnormal ones.
    """

    dtype: np.dtype
    c_type: str
    is_float: bool
    largest: float | int
    roundoff: float = 0.0
    smallest_normal: float = 0.0
    smallest_subnormal: float = 0.0

    @property
    def name(self):
        """NumPy's name of it, such as ``float32``."""
        return self.dtype.name

    def round(self, value):
        """Return a number as a computation in this format may read it, as a Python float.

        That is the nearest number of the format, infinity beyond the largest one, and 0 below the smallest normal one,
        since a device may flush it.
        """
        if abs(value) > self.largest:
            return float("inf") if value > 0 else float("-inf")
        return float(self.dtype.type(value)) if abs(value) >= self.smallest_normal else 0.0


def _floating(dtype, c_type):
    of = np.finfo(dtype)
    tiny, spacing = float(of.tiny), float(of.eps)
    return Format(np.dtype(dtype), c_type, True, float(of.max), spacing / 2, tiny, tiny * spacing)


FLOAT16 = _floating(np.float16, "half")
FLOAT32 = _floating(np.float32, "float")
FLOAT64 = _floating(np.float64, "double")
INT64 = Format(np.dtype(np.int64), "long", False, 2**63 - 1)
INT32 = Format(np.dtype(np.int32), "int", False, 2**31 - 1)
# NumPy has a byte for a truth value, 0 or 1; the size of OpenCL's bool is left open.
BOOL = Format(np.dtype(np.bool_), "uchar", False, 1)

#: What tensors hold beside floats: whole numbers and truth values, which stay what they are.
EXACT = (INT64, INT32, BOOL)

#: What an input of an operation may be: sets of dtypes, for ``DTYPES`` of cards (:func:`refcnn.function.taken`).
FLOATS = frozenset({FLOAT16.dtype, FLOAT32.dtype, FLOAT64.dtype})
INTEGERS = frozenset({INT64.dtype, INT32.dtype})
TRUTH_VALUES = frozenset({BOOL.dtype})
ANY = FLOATS | INTEGERS | TRUTH_VALUES

# By kind and bytes, for NumPy has several dtypes of one format, such as those of the other byte order.
_FORMATS = {(entry.dtype.kind, entry.dtype.itemsize): entry for entry in (FLOAT16, FLOAT32, FLOAT64, *EXACT)}


def of(dtype):
    """Return the :class:`Format` of a dtype.

    Raises
    ------
    ArgumentError
        If it is the dtype of none.
    """
    dtype = np.dtype(dtype)
    found = _FORMATS.get((dtype.kind, dtype.itemsize))
    if found is None:
        raise ArgumentError(f"arrays of {dtype} have no format here. Give one of {_names(_FORMATS.values())}.")
    return found


def kept(dtype, floats):
    """Return the dtype in which tensors hold numbers of a dtype.

    int64, int32 and bool stay what they are. All else becomes floats: those of other sizes, since a backend has one
    format of floats, and the smaller and unsigned integers, in which images are stored.

    Parameters
    ----------
    dtype : numpy dtype
    floats : numpy dtype
        The backend's floats.

    Returns
    -------
    numpy dtype
    """
    found = _FORMATS.get((dtype.kind, dtype.itemsize))
    return found.dtype if found is not None and not found.is_float else floats


def named(dtype, floats):
    """Return the dtype of a tensor for which a user asks, where any float stands for the backend's.

    Parameters
    ----------
    dtype : str, type or numpy dtype
        As NumPy takes it.
    floats : numpy dtype
        The backend's floats.

    Raises
    ------
    ArgumentError
        If no tensor has that dtype.
    """
    try:
        found = _FORMATS.get((np.dtype(dtype).kind, np.dtype(dtype).itemsize)) if dtype is not None else None
    # A text that is no UTF-8 is no value that NumPy's parser takes.
    except (TypeError, UnicodeEncodeError):
        found = None
    if found is None:
        raise ArgumentError(
            f"the dtype is {dtype!r}, but arrays on backends are {floats}, or {_names(EXACT)}. Give one of these."
        )
    return kept(found.dtype, floats)


def _names(formats):
    names = [entry.name for entry in formats]
    return f"{', '.join(names[:-1])} or {names[-1]}"

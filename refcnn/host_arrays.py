"""What users give for an array, as an array of NumPy's."""

import numpy as np

from .errors import ArgumentError, ShapeError


def host_array(value):
    """Return an array_like as a NumPy array of numbers.

    Raises
    ------
    ShapeError
        If it is none.
    """
    try:
        array = np.asarray(value)
    except ValueError as error:
        found = str(error).rstrip(".")
    else:
        if array.dtype.kind in "fiub":
            return array
        found = f"its dtype is {array.dtype}"
    raise ShapeError(
        f"an array of numbers is needed, but this {type(value).__name__} is none: {found}. "
        "Give integers or floating-point numbers, all rows of one length."
    )


def converted(host, dtype):
    """Return an array of integers or truth values in another dtype of these.

    Raises
    ------
    ArgumentError
        If that dtype does not hold them.
    """
    converted = host.astype(dtype)
    if not np.can_cast(host.dtype, dtype, "same_kind") or np.any(converted != host):
        raise ArgumentError(
            f"numbers of {host.dtype} were given beside a Variable of {dtype}, which does not hold them. Convert one "
            f'of both: x.astype("{host.dtype}").'
        )
    return converted

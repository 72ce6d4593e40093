"""What operations that take indices have in common: their check."""

from ..errors import ArgumentError, OutOfRangeError
from ..formats import INTEGERS
from ..variable import as_variable


def indices_of(owner, indices, shape=None, axis=None):
    """Return indices as a Variable of integers, all of which lie in an axis of an array of a shape, if that is given.

    Raises
    ------
    ArgumentError
        If they are no integers.
    OutOfRangeError
        If one lies outside of the axis.
    """
    indices = as_variable(indices).as_given()
    if indices.dtype not in INTEGERS:
        raise ArgumentError(
            f"{owner}: the indices are of {indices.dtype}. Give integers; of a mask, its indices: "
            "numpy.flatnonzero(mask)."
        )
    if shape is None:
        return indices
    found, size = indices.as_ndarray(), shape[axis]
    if found.size and not -size <= found.min() <= found.max() < size:
        worst = found.min() if found.min() < -size else found.max()
        raise OutOfRangeError(
            f"{owner}: the index {worst} is outside of axis {axis} of an array of shape {shape}. Give indices "
            f"from {-size} to {size - 1}."
        )
    return indices

"""Gather: the function and the ONNX mapping."""

import math

from .. import attributes as attribute
from ..formats import ANY, INTEGERS
from ..function import apply
from ..variable import Input, Variable, as_variable
from .indexing import indices_of

FAMILY = "shape"

#: It moves whatever there is.
DTYPES = (ANY, INTEGERS)
#: What stands in the place of functions of NumPy, for messages.
IN_PLACE_OF_NUMPY = {"take": "refcnn.gather(x, indices, axis)"}


def gather(x: Input, indices: Input, axis: int = 0) -> Variable:
    """Take elements along an axis, at indices, as NumPy's ``take`` does.

    Where one is taken several times its gradient is the sum over all copies, in the order of the indices.

    Parameters
    ----------
    x : Variable or array_like
    indices : Variable or array_like
        Integers of any shape; negative ones count from the end. They are looked at before anything is taken, for which
        a device is waited for.
    axis : int
        Negative ones count from the last.

    Returns
    -------
    Variable, of the dtype of x
        The axes of the indices stand in the place of that axis.

    Raises
    ------
    ArgumentError
        If the indices are no integers, or there is no such axis.
    OutOfRangeError
        If an index lies outside of the axis.
    """
    x = as_variable(x)
    axis = attribute.axis("gather", axis, len(x.shape))
    return apply("gather", x, indices_of("gather", indices, x.shape, axis), axis=axis)


def to_onnx(graph, x, indices, *, axis):
    """Write ONNX's Gather."""
    return graph.node("Gather", [graph.tensor(x), graph.tensor(indices)], axis=axis)


def from_onnx(data, indices, *, axis=0):
    """Read ONNX's Gather."""
    return gather(data, indices, axis=axis)


FROM_ONNX = {"Gather": from_onnx}
COUNTS = {"Gather": lambda data, indices, *, axis=0: math.prod(data) // max(1, data[axis]) * math.prod(indices)}

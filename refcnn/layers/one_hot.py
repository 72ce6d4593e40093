"""One-hot: the function and the ONNX mapping."""

import math
from collections.abc import Sequence

import numpy as np

from .. import attributes as attribute
from .. import backend as backends
from .. import formats
from ..errors import ArgumentError
from ..function import apply
from ..typing import DTypeLike
from ..variable import Input, Variable
from .cast import cast
from .indexing import indices_of

FAMILY = "shape"

#: Indices.
DTYPES = (formats.INTEGERS,)
#: What stands in the place of functions of NumPy, for messages.
IN_PLACE_OF_NUMPY = {"eye": "refcnn.one_hot(indices, depth)"}


def one_hot(
    indices: Input, depth: int, *, axis: int = -1, values: Sequence[float] = (0, 1), dtype: DTypeLike = "float32"
) -> Variable:
    """Make of each index numbers that are all off but one, as ONNX's OneHot does.

    Parameters
    ----------
    indices : Variable or array_like
        Integers; negative ones count from the end, and those outside leave all off.
    depth : int
        How many numbers.
    axis : int
        Where in the result their axis is; negative ones count from its last.
    values : (number, number)
        What is off and what is on.
    dtype : str, type or numpy dtype
        int64, int32, bool, or any float, which stands for the floats of the backend.

    Returns
    -------
    Variable

    Raises
    ------
    ArgumentError
        If the indices are no integers, there is no such axis, or the dtype does not hold the values.
    """
    dtype = formats.named(dtype, backends.active().dtype)
    indices = indices_of("one_hot", indices)
    depth = attribute.integer("one_hot", "depth", depth)
    axis = attribute.axis("one_hot", axis, len(indices.shape) + 1)
    values = attribute.entries(values)
    if len(values) != 2:
        raise ArgumentError(f"one_hot: values is {values!r}. Give a pair: what is off, and what is on.")
    off, on = (attribute.held("one_hot", "a value", value, dtype) for value in values)
    return apply("one_hot", indices, depth=depth, axis=axis, off=off, on=on, dtype=dtype.name)


def to_onnx(graph, indices, *, depth, axis, off, on, dtype):
    """Write ONNX's OneHot, of indices with an axis at least, and casts around it where runtimes have no such dtypes."""
    kept = formats.kept(np.dtype(dtype), formats.FLOAT32.dtype)
    tensor = graph.tensor(indices, None if indices.shape else (1,))
    if indices.dtype != formats.INT64.dtype:
        tensor = graph.node("Cast", [tensor], to=graph.type_of(formats.INT64.dtype))
    given = kept if kept in (formats.FLOAT32.dtype, formats.INT64.dtype) else formats.INT64.dtype
    # Of a single index the numbers are in a row, which is the result.
    y = graph.node("OneHot", [tensor], depth=np.array(depth), values=np.array([off, on], given), axis=axis)
    y = y if indices.shape else graph.node("Reshape", [y], shape=(depth,))
    return y if given == kept else graph.node("Cast", [y], to=graph.type_of(kept))


def from_onnx(indices, values, *, depth, axis=-1):
    """Read ONNX's OneHot, which takes indices of any numbers and cuts off their fractions."""
    indices = indices if indices.dtype.kind == "i" else cast(indices, formats.INT64.dtype)
    depth = depth[0] if isinstance(depth, tuple) else depth
    return one_hot(indices, int(depth), axis=axis, values=values.as_ndarray().tolist(), dtype=values.dtype)


FROM_ONNX = {"OneHot": from_onnx}
COUNTS = {"OneHot": lambda indices, values, *, depth, axis=-1: math.prod(indices) * int(max(attribute.entries(depth)))}

"""Operators of ONNX that no backend computes: what they give follows from shapes and constants.

Their functions get ndarrays of what the host knows and Variables of the rest, of which they look at the shapes alone; a
parameter that is annotated as an ndarray gets one, whatever it takes. They return ndarrays.
"""

import math

import numpy as np

from ...errors import DataError
from .checks import MOST_BYTES

#: Numbers of a Range, of which some arrays are made on the way.
_MOST_OF_RANGE = 2**24


def _constant(
    *,
    value=None,
    value_float=None,
    value_floats=None,
    value_int=None,
    value_ints=None,
    sparse_value=None,
    value_string=None,
    value_strings=None,
):
    floats = value_float if value_floats is None else value_floats
    if value is not None:
        return value
    if floats is not None:
        return np.asarray(floats, np.float32)
    integers = value_int if value_ints is None else value_ints
    if integers is None:
        raise DataError("it holds no dense tensor, number or numbers.")
    return np.asarray(integers, np.int64)


def _shape(data, *, start=0, end=None):
    return np.array(data.shape[start:end], np.int64)


def _size(data):
    return np.array(math.prod(data.shape), np.int64)


def _identity(x):
    return x


def _constant_of_shape(*, input, value=None):
    shape = input if isinstance(input, tuple) else (input,)
    value = np.zeros(1, np.float32) if value is None else value
    if any(size < 0 for size in shape) or math.prod(shape) * value.itemsize > MOST_BYTES:
        raise DataError(
            f"an array of shape {shape} of {value.dtype} is asked for; at most {MOST_BYTES:,} bytes are made."
        )
    return np.full(shape, value.item(), value.dtype)


def _range(start: np.ndarray, limit: np.ndarray, delta: np.ndarray):
    count = max(0, math.ceil((limit.item() - start.item()) / delta.item())) if delta.item() else math.inf
    if not count <= _MOST_OF_RANGE:
        raise DataError(f"{count} numbers are asked for; at most {_MOST_OF_RANGE:,} are made.")
    return (start + np.arange(count) * delta).astype(start.dtype)


FROM_ONNX = {
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Identity": _identity,
    "Range": _range,
    "Shape": _shape,
    "Size": _size,
}

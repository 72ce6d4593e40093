"""Arithmetic of two numbers: for each operation its function, which operators of Variables call, and its card.

Variables of int64 or int32 give one of the same dtype, modulo 2^64 or 2^32 where a result is too large, as in NumPy.
"""

import functools

import numpy as np

from .. import attributes as attribute
from ..errors import ArgumentError, ShapeError
from ..formats import FLOAT32, FLOATS, INTEGERS
from ..function import apply
from ..layer import Layer, making
from ..shapes import broadcast_count
from ..typing import Shapes
from ..variable import Input, Variable, as_variable
from .cast import cast_like
from .page import Card, aligned, broadcast, count_of_two, reader_of_two
from .reshape import reshape


class PRelu(Layer):
    """y = x from 0 on, slope x below, element by element, with a slope for each channel that is learned.

    Source: He et al., "Delving Deep into Rectifiers", 2015.

    Parameters
    ----------
    slope : float
        From where learning starts.

    Attributes
    ----------
    params.slope : (C,)
        For x (N, C, ...), made at the first call.

    Raises
    ------
    ArgumentError
        If slope is no finite number.
    """

    def __init__(self, slope: float = 0.25) -> None:
        super().__init__()
        self.slope = attribute.number("PRelu", "slope", slope)

    def parameter_shapes(self) -> Shapes:
        """Return slope (C,)."""
        return {"slope": (None,)}

    def forward(self, x: Variable) -> Variable:
        """x (N, C, ...) -> the same shape."""
        if len(x.shape) < 2 or 0 in x.shape[1:]:
            raise ShapeError(f"PRelu: the input has shape {x.shape}. Give x of shape (N, C, ...), C channels.")
        channels = x.shape[1]
        if not self.params:
            self._make_parameters(channels)
        slope = self.params["slope"]
        if slope.shape != (channels,):
            raise ShapeError(
                f"PRelu: the input has {channels} channels, but the slopes were made for {slope.shape[0]}. Give x of "
                f"shape (N, {slope.shape[0]}, ...), or build a new model."
            )
        return prelu(x, reshape(slope, (channels, *(1 for _ in x.shape[2:]))))

    def _make_parameters(self, channels):
        with making:
            if not self.params:
                self.set_parameters({"slope": np.full(channels, self.slope, FLOAT32.dtype)})


def add(a: Input, b: Input) -> Variable:
    """Return a + b as a Variable; the shapes are broadcast as in NumPy.

    Raises
    ------
    ArgumentError
        If Variables of several dtypes meet, of which refcnn converts none of its own accord.
    ShapeError
        If the shapes cannot be broadcast.
    """
    return apply("add", *broadcast("add", a, b))


def subtract(a: Input, b: Input) -> Variable:
    """Return a - b as a Variable; shapes and errors as for :func:`add`."""
    return apply("subtract", *broadcast("subtract", a, b))


def multiply(a: Input, b: Input) -> Variable:
    """Return a b, element by element, as a Variable; shapes and errors as for :func:`add`."""
    return apply("multiply", *broadcast("multiply", a, b))


def divide(a: Input, b: Input) -> Variable:
    """Return a / b as a Variable; shapes and errors as for :func:`add`. By 0 it gives infinity, and 0 / 0 NaN.

    Of integers it is what ONNX says: an integer, without what is behind the point, so that -7 / 2 is -3; by 0 it is 0.
    """
    return apply("divide", *broadcast("divide", a, b))


def power(a: Input, b: Input) -> Variable:
    """Return a to the power b, element by element, as a Variable; shapes and errors as for :func:`add`.

    It is NaN where a is negative and b no integer. Gradients are those of PyTorch: with respect to a it is 0 where b is
    0; with respect to b it is 0 where a is 0 and b not negative, and NaN where a is negative.

    Of integers, b negative, it is 1 / a^-b without what is behind the point: 0 but where a is 1 or -1.
    """
    return apply("power", *broadcast("power", a, b))


def maximum(a: Input, b: Input, *others: Input) -> Variable:
    """Return the largest of two arrays or more, element by element, as a Variable, and NaN where one is NaN.

    Shapes and errors as for :func:`add`. Where two are equal the gradient is halved, as in PyTorch.
    """
    return functools.reduce(_maximum, others, _maximum(a, b))


def minimum(a: Input, b: Input, *others: Input) -> Variable:
    """Return the smallest of two arrays or more, element by element; all else as :func:`maximum`."""
    return functools.reduce(_minimum, others, _minimum(a, b))


def _maximum(a, b):
    return apply("maximum", *broadcast("maximum", a, b))


def _minimum(a, b):
    return apply("minimum", *broadcast("minimum", a, b))


def sum_of(*arrays: Input) -> Variable:
    """Return the sum of one array or more, element by element, as a Variable: ONNX's Sum.

    Shapes and errors as for :func:`add`.
    """
    return _sum("sum_of", arrays)


def mean_of(*arrays: Input) -> Variable:
    """Return the mean of one array or more, element by element, as a Variable: ONNX's Mean.

    Shapes and errors as for :func:`add`; integers are refused, whose mean may be none.
    """
    total = _sum("mean_of", arrays)
    if total.dtype.kind != "f":
        raise ArgumentError(
            f"mean_of: the arrays are of {total.dtype}, whose mean may be no integer. Convert them: "
            'x.astype("float32").'
        )
    return divide(total, len(arrays))


def _sum(owner, arrays):
    if not arrays:
        raise ArgumentError(f"{owner}: no array is given. Give one or more, each by itself: {owner}(a, b).")
    first, *others = arrays
    return functools.reduce(add, others, as_variable(first))


def prelu(x: Input, slope: Input) -> Variable:
    """Return x from 0 on and slope x below, element by element, as a Variable of the shape of x.

    Parameters
    ----------
    x : Variable or array_like
    slope : Variable or array_like
        Of a shape that broadcasts to that of x, such as (C, 1, 1) for images.

    Raises
    ------
    ShapeError
        If it does not.
    """
    x, slope = broadcast("prelu", x, slope)
    if len(slope.shape) > len(x.shape) or any(
        size not in (1, whole) for size, whole in zip(slope.shape[::-1], x.shape[::-1], strict=False)
    ):
        raise ShapeError(
            f"prelu: the slope has shape {slope.shape}, which does not broadcast to that of x, {x.shape}. Give one "
            "number, or one for each channel: (C, 1, 1) for images."
        )
    return apply("prelu", x, slope)


_NUMBERS = FLOATS | INTEGERS

OPERATIONS = {
    "add": Card(add, "Add", _NUMBERS),
    "divide": Card(divide, "Div", _NUMBERS, true_divide="refcnn.divide"),
    "maximum": Card(maximum, "Max", _NUMBERS, fmax="refcnn.maximum"),
    "minimum": Card(minimum, "Min", _NUMBERS, fmin="refcnn.minimum"),
    "multiply": Card(multiply, "Mul", _NUMBERS),
    "power": Card(power, "Pow", _NUMBERS, pow="refcnn.power", float_power="refcnn.power"),
    "prelu": Card(prelu, "PRelu"),
    "subtract": Card(subtract, "Sub", _NUMBERS),
}


def _read_power(a, b, *, axis=None, broadcast=0):
    return power(a, cast_like(aligned(a, b, axis), a))


def _of_any(function):
    def read(*inputs):
        return function(*inputs) if len(inputs) > 1 else inputs[0]

    return read


def _read_prelu(x, slope, *, version=9):
    if version < 7 and len(slope.shape) == 1 and slope.shape[0] > 1:
        slope = slope.reshape((-1, *(1,) * (len(x.shape) - 2)))
    return prelu(x, slope)


FROM_ONNX = {
    "Add": reader_of_two(add),
    "Div": reader_of_two(divide),
    "Max": _of_any(maximum),
    "Mean": _of_any(mean_of),
    "Min": _of_any(minimum),
    "Mul": reader_of_two(multiply),
    "PRelu": _read_prelu,
    "Pow": _read_power,
    "Sub": reader_of_two(subtract),
    "Sum": _of_any(sum_of),
}
COUNTS = {
    **dict.fromkeys(("Add", "Div", "Mul", "Pow", "Sub"), count_of_two),
    **dict.fromkeys(("Max", "Mean", "Min", "Sum"), broadcast_count),
}

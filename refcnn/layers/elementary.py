"""Elementary functions of one number: for each its function and its card.

Of a Variable of int64 or int32 absolute, negative and sign are of the same dtype; absolute and negative of the least
number, which has no counterpart above 0, are that itself.
"""

from ..formats import FLOATS, INTEGERS
from ..function import apply
from ..variable import Input, Variable, as_variable
from .page import Card, reader_of_one


def absolute(x: Input) -> Variable:
    """Return |x|, element by element, as a Variable of the shape of x; the gradient at 0 is 0."""
    return apply("absolute", as_variable(x))


def ceil(x: Input) -> Variable:
    """Return the least whole number that is not below x, as a Variable of the shape of x; its gradient is 0."""
    return apply("ceil", as_variable(x))


def erf(x: Input) -> Variable:
    """Return the error function, 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x, as a Variable."""
    return apply("erf", as_variable(x))


def exp(x: Input) -> Variable:
    """Return e^x, element by element, as a Variable of the shape of x."""
    return apply("exp", as_variable(x))


def floor(x: Input) -> Variable:
    """Return the largest whole number that is not above x, as a Variable of the shape of x; its gradient is 0."""
    return apply("floor", as_variable(x))


def log(x: Input) -> Variable:
    """Return the natural logarithm of x as a Variable; of 0 it is -infinity, and of what is below NaN."""
    return apply("log", as_variable(x))


def negative(x: Input) -> Variable:
    """Return -x as a Variable of the shape of x."""
    return apply("negative", as_variable(x))


def reciprocal(x: Input) -> Variable:
    """Return 1 / x, element by element, as a Variable of the shape of x; of 0 it is infinity."""
    return apply("reciprocal", as_variable(x))


def round(x: Input) -> Variable:
    """Return the nearest whole number, of two the even one, as a Variable of the shape of x; its gradient is 0."""
    return apply("round", as_variable(x))


def sign(x: Input) -> Variable:
    """Return 1 above 0, -1 below and 0 at 0, as a Variable of the shape of x; its gradient is 0, NaN stays NaN."""
    return apply("sign", as_variable(x))


def sqrt(x: Input) -> Variable:
    """Return the square root of x as a Variable; below 0 it is NaN, and the gradient at 0 is infinite."""
    return apply("sqrt", as_variable(x))


_NUMBERS = FLOATS | INTEGERS

OPERATIONS = {
    "absolute": Card(absolute, "Abs", _NUMBERS, abs="refcnn.absolute", fabs="refcnn.absolute"),
    "ceil": Card(ceil, "Ceil"),
    "erf": Card(erf, "Erf"),
    "exp": Card(exp, "Exp"),
    "floor": Card(floor, "Floor"),
    "log": Card(log, "Log"),
    "negative": Card(negative, "Neg", _NUMBERS),
    "reciprocal": Card(reciprocal, "Reciprocal"),
    "round": Card(round, "Round", rint="refcnn.round", around="refcnn.round"),
    "sign": Card(sign, "Sign", _NUMBERS),
    "sqrt": Card(sqrt, "Sqrt"),
}


FROM_ONNX = {
    "Abs": reader_of_one(absolute),
    "Ceil": reader_of_one(ceil),
    "Erf": reader_of_one(erf),
    "Exp": reader_of_one(exp),
    "Floor": reader_of_one(floor),
    "Log": reader_of_one(log),
    "Neg": reader_of_one(negative),
    "Reciprocal": reader_of_one(reciprocal),
    "Round": reader_of_one(round),
    "Sign": reader_of_one(sign),
    "Sqrt": reader_of_one(sqrt),
}

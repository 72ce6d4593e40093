"""Arithmetic of two numbers: for each operation its function, which operators of Variables call, and its card."""

from ..function import apply
from ..variable import Input, Variable
from .page import Card, broadcast


def add(a: Input, b: Input) -> Variable:
    """Return a + b as a Variable; the shapes are broadcast as in NumPy.

    Raises
    ------
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
    """Return a / b as a Variable; shapes and errors as for :func:`add`. By 0 it gives infinity, and 0 / 0 NaN."""
    return apply("divide", *broadcast("divide", a, b))


def power(a: Input, b: Input) -> Variable:
    """Return a to the power b, element by element, as a Variable; shapes and errors as for :func:`add`.

    It is NaN where a is negative and b no integer. Gradients are those of PyTorch: with respect to a it is 0 where b is
    0; with respect to b it is 0 where a is 0 and b not negative, and NaN where a is negative.
    """
    return apply("power", *broadcast("power", a, b))


OPERATIONS = {
    "add": Card(add, "Add"),
    "divide": Card(divide, "Div", true_divide="refcnn.divide"),
    "multiply": Card(multiply, "Mul"),
    "power": Card(power, "Pow", pow="refcnn.power", float_power="refcnn.power"),
    "subtract": Card(subtract, "Sub"),
}

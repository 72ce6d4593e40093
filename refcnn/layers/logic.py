"""Comparisons and logic: for each its function and its card. The results are Variables of truth values."""

from ..formats import ANY, FLOATS, INTEGERS, TRUTH_VALUES
from ..function import apply
from ..variable import Input, Variable, as_variable
from .page import Card, broadcast, count_of_two, reader_of_one, reader_of_two


def equal(a: Input, b: Input) -> Variable:
    """Return where a = b as a Variable of truth values, which has no gradient; the shapes are broadcast as in NumPy.

    Raises
    ------
    ArgumentError
        If Variables of several dtypes meet.
    ShapeError
        If the shapes cannot be broadcast.
    """
    return apply("equal", *broadcast("equal", a, b))


def not_equal(a: Input, b: Input) -> Variable:
    """Return where a and b differ, as NaN does from all; the rest as :func:`equal`."""
    return apply("not_equal", *broadcast("not_equal", a, b))


def greater(a: Input, b: Input) -> Variable:
    """Return where a > b; the rest as :func:`equal`."""
    return apply("greater", *broadcast("greater", a, b))


def greater_or_equal(a: Input, b: Input) -> Variable:
    """Return where a >= b; the rest as :func:`equal`."""
    return apply("greater_or_equal", *broadcast("greater_or_equal", a, b))


def less(a: Input, b: Input) -> Variable:
    """Return where a < b; the rest as :func:`equal`."""
    return apply("less", *broadcast("less", a, b))


def less_or_equal(a: Input, b: Input) -> Variable:
    """Return where a <= b; the rest as :func:`equal`."""
    return apply("less_or_equal", *broadcast("less_or_equal", a, b))


def logical_and(a: Input, b: Input) -> Variable:
    """Return where a and b, both of truth values, are true; the rest as :func:`equal`."""
    return apply("logical_and", *broadcast("logical_and", a, b))


def logical_or(a: Input, b: Input) -> Variable:
    """Return where a or b or both, both of truth values, are true; the rest as :func:`equal`."""
    return apply("logical_or", *broadcast("logical_or", a, b))


def logical_xor(a: Input, b: Input) -> Variable:
    """Return where one of a and b, both of truth values, is true and the other is not; the rest as :func:`equal`."""
    return apply("logical_xor", *broadcast("logical_xor", a, b))


def logical_not(x: Input) -> Variable:
    """Return where x, of truth values, is false, as a Variable of truth values."""
    return apply("logical_not", as_variable(x))


def _not_equal_to_onnx(graph, a, b):
    return graph.node("Not", [graph.node("Equal", [graph.tensor(a), graph.tensor(b)])])


_NUMBERS = FLOATS | INTEGERS

OPERATIONS = {
    "equal": Card(equal, "Equal", ANY),
    "greater": Card(greater, "Greater", _NUMBERS),
    "greater_or_equal": Card(greater_or_equal, "GreaterOrEqual", _NUMBERS, greater_equal="refcnn.greater_or_equal"),
    "less": Card(less, "Less", _NUMBERS),
    "less_or_equal": Card(less_or_equal, "LessOrEqual", _NUMBERS, less_equal="refcnn.less_or_equal"),
    "logical_and": Card(logical_and, "And", TRUTH_VALUES),
    "logical_not": Card(logical_not, "Not", TRUTH_VALUES),
    "logical_or": Card(logical_or, "Or", TRUTH_VALUES),
    "logical_xor": Card(logical_xor, "Xor", TRUTH_VALUES),
    "not_equal": Card(not_equal, _not_equal_to_onnx, ANY),
}


FROM_ONNX = {
    "And": reader_of_two(logical_and),
    "Equal": reader_of_two(equal),
    "Greater": reader_of_two(greater),
    "GreaterOrEqual": reader_of_two(greater_or_equal),
    "Less": reader_of_two(less),
    "LessOrEqual": reader_of_two(less_or_equal),
    "Not": reader_of_one(logical_not),
    "Or": reader_of_two(logical_or),
    "Xor": reader_of_two(logical_xor),
}
COUNTS = dict.fromkeys(FROM_ONNX.keys() - {"Not"}, count_of_two)

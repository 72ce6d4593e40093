"""Concat: the function and the ONNX mapping."""

import math
from collections.abc import Sequence

from .. import attributes as attribute
from ..errors import ArgumentError, ShapeError
from ..formats import ANY
from ..function import apply
from ..variable import Input, Variable, as_variable

FAMILY = "shape"

#: It moves whatever there is.
DTYPES = (ANY,)
#: What stands in the place of functions of NumPy, for messages.
IN_PLACE_OF_NUMPY = {
    **dict.fromkeys(("concatenate", "append"), "refcnn.concat(xs, axis)"),
    **dict.fromkeys(
        ("stack", "hstack", "vstack", "dstack", "column_stack"),
        "refcnn.concat(xs, axis), of arrays with a further axis of size 1 such as x[None] where they are stacked",
    ),
}


def concat(xs: Sequence[Input], axis: int = 0) -> Variable:
    """Join arrays along one of their axes, as NumPy's ``concatenate`` does.

    Parameters
    ----------
    xs : sequence of (Variable or array_like)
        At least one; all of one dtype, and of shapes that are equal but along the axis.
    axis : int
        Negative ones count from the last.

    Returns
    -------
    Variable, of the dtype of xs

    Raises
    ------
    ArgumentError
        If there is no array, the dtypes differ, or there is no such axis.
    ShapeError
        If the shapes do not fit.
    """
    if isinstance(xs, Variable) or not isinstance(xs, Sequence) or not xs:
        raise ArgumentError(
            f"concat: the arrays are {'an empty' if isinstance(xs, Sequence) else 'a'} {type(xs).__name__}. Give a "
            "list or tuple of at least one array, such as [a, b]."
        )
    xs = _of_one_dtype([as_variable(x) for x in xs])
    first = xs[0].shape
    axis = attribute.axis("concat", axis, len(first))
    if any(_beside(x.shape, axis) != _beside(first, axis) for x in xs):
        raise ShapeError(
            f"concat: the shapes are {', '.join(str(x.shape) for x in xs)}. Give arrays whose sizes are equal along "
            f"all axes but axis {axis}."
        )
    return apply("concat", *xs, axis=axis)


def _of_one_dtype(xs):
    """Return the arrays: what was given as integers in no Variable is taken as floats, unless a Variable is none."""
    if any(x.dtype.kind != "f" for x in xs):
        xs = [x.as_given() for x in xs]
    found = {x.dtype.name for x in xs}
    if len(found) > 1:
        raise ArgumentError(
            f"concat: the arrays are of {' and '.join(sorted(found))}. Give arrays of one dtype; "
            f'x.astype("{min(found)}") converts one.'
        )
    return xs


def _beside(shape, axis):
    return shape[:axis], shape[axis + 1 :], len(shape)


def to_onnx(graph, *xs, axis):
    """Write ONNX's Concat."""
    return graph.node("Concat", [graph.tensor(x) for x in xs], axis=axis)


def from_onnx(*inputs, axis=1):
    """Read ONNX's Concat."""
    return concat(inputs, axis=axis)


FROM_ONNX = {"Concat": from_onnx}
COUNTS = {"Concat": lambda *shapes, axis=1: sum(map(math.prod, shapes))}

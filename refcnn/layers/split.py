"""Split: the function and the ONNX mapping."""

import numbers
from collections.abc import Sequence

from .. import attributes as attribute
from ..errors import ShapeError
from ..formats import ANY
from ..function import apply
from ..variable import Input, Variable, as_variable

FAMILY = "shape"

#: It moves whatever there is.
DTYPES = (ANY,)
#: What stands in the place of functions of NumPy, for messages.
IN_PLACE_OF_NUMPY = dict.fromkeys(
    ("array_split", "hsplit", "vsplit", "dsplit", "unstack"), "refcnn.split(x, parts, axis)"
)


def split(x: Input, parts: int | Sequence[int], axis: int = 0) -> tuple[Variable, ...]:
    """Cut an array into parts along one of its axes, as ONNX's Split does.

    Parameters
    ----------
    x : Variable or array_like
    parts : int or sequence of int
        How many parts of one size, or the size of each: not the indices at which to cut, which NumPy's ``split`` takes.
    axis : int
        Negative ones count from the last.

    Returns
    -------
    tuple of Variable, of the dtype of x

    Raises
    ------
    ArgumentError
        If there is no such axis, or the parts are no integers, negative, or none at all.
    ShapeError
        If the parts together do not measure what the axis does, or it has not so many of one size.
    """
    x = as_variable(x)
    axis = attribute.axis("split", axis, len(x.shape))
    whole = x.shape[axis]
    if isinstance(parts, numbers.Integral):
        count = attribute.integer("split", "the number of parts", parts)
        sizes = (whole // count,) * count
    else:
        sizes = attribute.integers("split", "the size of a part", parts, 0)
        attribute.integer("split", "the number of parts", len(sizes))
    if sum(sizes) != whole:
        raise ShapeError(
            f"split: axis {axis} of an array of shape {x.shape} was to be cut into {parts} parts. Give a number by "
            f"which {whole} can be divided, or sizes whose sum it is."
        )
    return apply("split", x, axis=axis, sizes=sizes)


def to_onnx(graph, x, *, axis, sizes):
    """Write ONNX's Split."""
    return graph.node("Split", [graph.tensor(x)], outputs=len(sizes), axis=axis, split=sizes)


def _parts(x, sizes, axis):
    # Under another name, since ONNX calls the sizes split.
    return split(x, sizes, axis)


def from_onnx(x, *, axis=0, split=None, num_outputs=None, outputs=()):
    """Read ONNX's Split: sizes that are given, or parts of one size, of which the last may be smaller."""
    count = num_outputs or len(outputs)
    if count != len(outputs):
        raise ShapeError(f"it has num_outputs={count}, but {len(outputs)} outputs.")
    if split is None:
        axis = attribute.axis("split", axis, len(x.shape))
        size = -(-x.shape[axis] // count)
        split = (*(size,) * (count - 1), x.shape[axis] - size * (count - 1))
    return _parts(x, tuple(split), axis)


FROM_ONNX = {"Split": from_onnx}

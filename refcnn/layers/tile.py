"""Tile: the function and the ONNX mapping."""

import math
from collections.abc import Sequence

from .. import attributes as attribute
from ..formats import ANY
from ..function import apply
from ..variable import Input, Variable, as_variable
from .reshape import reshape

FAMILY = "shape"

#: It moves whatever there is.
DTYPES = (ANY,)
#: What stands in the place of functions of NumPy, for messages.
IN_PLACE_OF_NUMPY = {"repeat": "refcnn.expand(x, shape), where x has an axis of size 1 for the copies, and reshape it"}


def tile(x: Input, repeats: int | Sequence[int]) -> Variable:
    """Repeat an array beside itself, as NumPy's ``tile`` does.

    Parameters
    ----------
    x : Variable or array_like
    repeats : int or sequence of int
        How many times along each axis, the last ones if they are fewer; more than there are axes make new first ones.

    Returns
    -------
    Variable, of the dtype of x

    Raises
    ------
    ArgumentError
        If one is no integer, or negative.
    """
    x = as_variable(x)
    counts = attribute.integers("tile", "how many times an array is repeated", repeats, 0)
    missing = len(counts) - len(x.shape)
    if missing > 0:
        x = reshape(x, (1,) * missing + x.shape)
    return apply("tile", x, repeats=(1,) * -missing + counts)


def to_onnx(graph, x, *, repeats):
    """Write ONNX's Tile."""
    return graph.node("Tile", [graph.tensor(x)], repeats=repeats)


def from_onnx(x, *, repeats):
    """Read ONNX's Tile."""
    return tile(x, repeats)


FROM_ONNX = {"Tile": from_onnx}
COUNTS = {"Tile": lambda x, *, repeats: math.prod(x) * math.prod(attribute.entries(repeats))}

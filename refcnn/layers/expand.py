"""Expand: the function and the ONNX mapping."""

from collections.abc import Sequence

from .. import attributes as attribute
from ..formats import ANY
from ..function import apply
from ..shapes import broadcast_count, broadcast_shape
from ..variable import Input, Variable, as_variable

FAMILY = "shape"

#: It moves whatever there is.
DTYPES = (ANY,)
#: What stands in the place of functions of NumPy, for messages.
IN_PLACE_OF_NUMPY = {"broadcast_to": "refcnn.expand(x, shape)"}


def expand(x: Input, shape: int | Sequence[int]) -> Variable:
    """Repeat an array along axes of size 1 and new first ones, as NumPy's ``broadcast_to`` does.

    Parameters
    ----------
    x : Variable or array_like
    shape : int or sequence of int
        The size along each axis, from the last one on; 1 leaves that of x, and axes that are not named stay, as in
        ONNX's Expand.

    Returns
    -------
    Variable, of the shape to which that of x and this broadcast, and of the dtype of x

    Raises
    ------
    ArgumentError
        If a size is no integer, or negative.
    ShapeError
        If the shapes cannot be broadcast.
    """
    x = as_variable(x)
    sizes = attribute.integers("expand", "a size of the shape", shape, 0)
    broadcast_shape(x.shape, sizes)
    own = (None,) * (len(sizes) - len(x.shape)) + x.shape[max(0, len(x.shape) - len(sizes)) :]
    return apply("expand", x, shape=tuple(1 if size == side else size for size, side in zip(sizes, own, strict=True)))


def to_onnx(graph, x, *, shape):
    """Write ONNX's Expand."""
    return graph.node("Expand", [graph.tensor(x)], shape=shape)


def from_onnx(x, *, shape):
    """Read ONNX's Expand, which broadcasts both ways."""
    wanted = shape if isinstance(shape, tuple) else (shape,)
    return expand(x, shape=broadcast_shape(x.shape, wanted))


FROM_ONNX = {"Expand": from_onnx}
COUNTS = {"Expand": lambda x, *, shape: broadcast_count(x, shape if isinstance(shape, tuple) else (shape,))}

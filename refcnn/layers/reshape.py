"""Reshape, also as squeeze and unsqueeze: the functions and the ONNX mapping."""

import math
from collections.abc import Sequence

from .. import attributes as attribute
from ..errors import ShapeError
from ..formats import ANY
from ..function import apply
from ..shapes import reshaped
from ..variable import Input, Variable, as_variable

FAMILY = "shape"

#: It moves whatever there is.
DTYPES = (ANY,)
#: What stands in the place of functions of NumPy, for messages.
IN_PLACE_OF_NUMPY = {
    "ravel": "refcnn.reshape(x, -1)",
    "squeeze": "refcnn.squeeze(x, axis)",
    "expand_dims": "refcnn.unsqueeze(x, axis)",
    "atleast_2d": "refcnn.reshape(x, shape)",
}


def reshape(x: Input, shape: int | Sequence[int]) -> Variable:
    """Give an array another shape, as NumPy's ``reshape`` does; the numbers stay in row-major order.

    Parameters
    ----------
    x : Variable or array_like
    shape : int or sequence of int
        One size may be -1, for what follows from the others.

    Returns
    -------
    Variable, of that shape and of the dtype of x

    Raises
    ------
    ArgumentError
        If a size is no integer, or less than -1.
    ShapeError
        If the shape does not hold as many elements.
    """
    x = as_variable(x)
    sizes = attribute.integers("reshape", "a size of the shape", shape, -1)
    return apply("reshape", x, shape=reshaped(x.shape, sizes))


def squeeze(x: Input, axis: int | Sequence[int] | None = None) -> Variable:
    """Take away axes of size 1, as NumPy's ``squeeze`` does.

    Parameters
    ----------
    x : Variable or array_like
    axis : int or sequence of int, optional
        Negative ones count from the last. Without it all axes of size 1 are taken away: name them where the batch, too,
        may have one example.

    Returns
    -------
    Variable, of the dtype of x

    Raises
    ------
    ArgumentError
        If there is no such axis.
    ShapeError
        If one has another size.
    """
    x = as_variable(x)
    if axis is None:
        axes = [number for number, size in enumerate(x.shape) if size == 1]
    else:
        axes = attribute.axes("squeeze", axis, len(x.shape))
    if any(x.shape[number] != 1 for number in axes):
        raise ShapeError(
            f"squeeze: axis is {axis!r}, but the input has shape {x.shape}. Name axes of size 1, or take one of "
            "another's elements, as x[:, 0]."
        )
    return reshape(x, tuple(size for number, size in enumerate(x.shape) if number not in axes))


def unsqueeze(x: Input, axis: int | Sequence[int]) -> Variable:
    """Put in axes of size 1, as NumPy's ``expand_dims`` does.

    Parameters
    ----------
    x : Variable or array_like
    axis : int or sequence of int
        Where in the result they are; negative ones count from its last axis.

    Returns
    -------
    Variable, of the dtype of x

    Raises
    ------
    ArgumentError
        If there is no such axis in the result.
    """
    x = as_variable(x)
    given, sizes = attribute.entries(axis), iter(x.shape)
    count = len(x.shape) + len(given)
    axes = attribute.axes("unsqueeze", given, count)
    return reshape(x, tuple(1 if number in axes else next(sizes) for number in range(count)))


def for_any_batch(shapes, attributes, other_shapes, other_attributes):
    """Return attributes that say in any batch what was said in two, or None: the trait of :mod:`refcnn.layers`.

    A size that changes with the batch is that of x along the same axis, or else the one that follows from the others.
    """
    (x,), (other_x,) = shapes, other_shapes
    pairs = list(zip(attributes["shape"], other_attributes["shape"], strict=False))
    own = list(zip(x, other_x, strict=False))
    own += [None] * len(pairs)
    sizes = [one if one == two else None if (one, two) == own[axis] else -1 for axis, (one, two) in enumerate(pairs)]
    has_one_shape = len(attributes["shape"]) == len(other_attributes["shape"]) and sizes.count(-1) <= 1
    return {"shape": tuple(sizes)} if has_one_shape else None


def at_shapes(x, *, shape):
    """Return the attributes with every size as a number, for x of a shape."""
    return {"shape": reshaped(x, shape)}


def to_onnx(graph, x, *, shape):
    """Write ONNX's Reshape, in which 0 stands for the size of x along that axis."""
    return graph.node("Reshape", [graph.tensor(x)], shape=[0 if size is None else size for size in shape])


def _read_reshape(data, *, shape, allowzero=0):
    """Read ONNX's Reshape, in which 0 stands for the size of the input unless ``allowzero`` is set."""
    wanted = shape if isinstance(shape, tuple) else (shape,)
    if not allowzero:
        wanted = tuple(data.shape[place] if size == 0 else size for place, size in enumerate(wanted))
    return reshape(data, wanted)


def _read_flatten(x, *, axis=1):
    """Read ONNX's Flatten: a matrix whose rows are all axes before one."""
    if axis != len(x.shape):
        axis = attribute.axis("flatten", axis, len(x.shape))
    rows = math.prod(x.shape[:axis])
    return reshape(x, (rows, math.prod(x.shape) // rows if rows else math.prod(x.shape[axis:])))


def _read_squeeze(data, *, axes=None):
    """Read ONNX's Squeeze."""
    return squeeze(data, axes)


def _read_unsqueeze(data, *, axes):
    """Read ONNX's Unsqueeze."""
    return unsqueeze(data, axes)


FROM_ONNX = {"Reshape": _read_reshape, "Flatten": _read_flatten, "Squeeze": _read_squeeze, "Unsqueeze": _read_unsqueeze}

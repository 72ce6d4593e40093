"""Transpose: the function and the ONNX mapping."""

from collections.abc import Sequence

from .. import attributes as attribute
from ..errors import ArgumentError
from ..formats import ANY
from ..function import apply
from ..variable import Input, Variable, as_variable

FAMILY = "shape"

#: It moves whatever there is.
DTYPES = (ANY,)
#: What stands in the place of functions of NumPy, for messages.
IN_PLACE_OF_NUMPY = dict.fromkeys(
    ("swapaxes", "moveaxis", "rollaxis", "permute_dims", "matrix_transpose"), "refcnn.transpose(x, axes)"
)


def transpose(x: Input, axes: Sequence[int] | None = None) -> Variable:
    """Put the axes of an array into another order, as NumPy's ``transpose`` does.

    Parameters
    ----------
    x : Variable or array_like
    axes : sequence of int, optional
        Axis k of the result is axis ``axes[k]`` of x; negative ones count from the last. Without it the order is
        reversed.

    Returns
    -------
    Variable, of the dtype of x

    Raises
    ------
    ArgumentError
        If ``axes`` does not name every axis of x once.
    """
    x = as_variable(x)
    count = len(x.shape)
    given = range(count)[::-1] if axes is None else attribute.integers("transpose", "an axis", axes, -count)
    order = tuple(axis + count * (axis < 0) for axis in given)
    if sorted(order) != list(range(count)):
        raise ArgumentError(
            f"transpose: axes is {axes}, but x has shape {x.shape}. Name each of its {count} axes once, from 0 to "
            f"{count - 1} or from {-count} to -1."
        )
    return apply("transpose", x, axes=order)


def to_onnx(graph, x, *, axes):
    """Write ONNX's Transpose."""
    return graph.node("Transpose", [graph.tensor(x)], perm=axes)


def from_onnx(data, *, perm=None):
    """Read ONNX's Transpose."""
    return transpose(data, axes=perm)


FROM_ONNX = {"Transpose": from_onnx}

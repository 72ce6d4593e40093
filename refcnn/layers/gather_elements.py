"""Gather elements: the function and the ONNX mapping."""

from .. import attributes as attribute
from ..errors import ShapeError
from ..formats import ANY, INTEGERS
from ..function import apply
from ..variable import Input, Variable, as_variable
from .indexing import indices_of

FAMILY = "shape"

#: It moves whatever there is.
DTYPES = (ANY, INTEGERS)
#: What stands in the place of functions of NumPy, for messages.
IN_PLACE_OF_NUMPY = {"take_along_axis": "refcnn.gather_elements(x, indices, axis)"}


def gather_elements(x: Input, indices: Input, axis: int = 0) -> Variable:
    """Take along an axis the element at an index for each element of the result, as PyTorch's ``gather`` does.

    Where one is taken several times its gradient is the sum over all copies, in their order.

    Parameters
    ----------
    x : Variable or array_like
    indices : Variable or array_like
        Integers, of as many axes as x has, and along all but that axis of its size or less; negative ones count from
        the end. They are looked at before anything is taken, for which a device is waited for.
    axis : int
        Negative ones count from the last.

    Returns
    -------
    Variable, of the shape of the indices and of the dtype of x

    Raises
    ------
    ArgumentError
        If the indices are no integers, or there is no such axis.
    OutOfRangeError
        If an index lies outside of the axis.
    ShapeError
        If the shapes do not fit.
    """
    x = as_variable(x)
    axis = attribute.axis("gather_elements", axis, len(x.shape))
    indices = indices_of("gather_elements", indices, x.shape, axis)
    sides = zip(x.shape, indices.shape, strict=False)
    if len(indices.shape) != len(x.shape) or any(
        own < side for number, (own, side) in enumerate(sides) if number != axis
    ):
        raise ShapeError(
            f"gather_elements: the shapes are {x.shape} and {indices.shape}. Give indices of as many axes, along all "
            f"but axis {axis} of the same size or less."
        )
    return apply("gather_elements", x, indices, axis=axis)


def to_onnx(graph, x, indices, *, axis):
    """Write ONNX's GatherElements."""
    return graph.node("GatherElements", [graph.tensor(x), graph.tensor(indices)], axis=axis)


def from_onnx(data, indices, *, axis=0):
    """Read ONNX's GatherElements."""
    return gather_elements(data, indices, axis=axis)


FROM_ONNX = {"GatherElements": from_onnx}

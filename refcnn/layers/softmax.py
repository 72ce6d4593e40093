"""Softmax: the layer, the function and the ONNX mapping."""

from .. import attributes as attribute
from ..errors import ShapeError
from ..function import apply
from ..layer import Layer
from ..variable import Input, Variable, as_variable

FAMILY = "activation"


class Softmax(Layer):
    """Logits as probabilities, which sum to one along an axis.

    Parameters
    ----------
    axis : int
        Counted from the last one if negative. The second one as a rule, that of classes or channels.
    """

    def __init__(self, axis: int = 1) -> None:
        super().__init__()
        self.axis = attribute.axis_of_layer("Softmax", axis)

    def forward(self, x: Variable) -> Variable:
        """x of any shape -> the same shape."""
        return softmax(x, self.axis)


def softmax(x: Input, axis: int = 1) -> Variable:
    """Return exp(x) divided by its sum along an axis, as a Variable of the shape of x.

    Parameters
    ----------
    x : Variable or array_like
        Logits.
    axis : int
        Counted from the last one if negative.

    Raises
    ------
    ArgumentError
        If there is no such axis.
    ShapeError
        If x is empty.
    """
    x, axis = along_axis("Softmax", x, axis)
    return apply("softmax", x, axis=axis)


def along_axis(owner, x, axis):
    """Return x as a Variable and the number of one of its axes from 0 on, checked as above."""
    x = as_variable(x)
    axis = attribute.axis(owner, axis, len(x.shape))
    if 0 in x.shape:
        raise ShapeError(f"{owner}: the input has shape {x.shape}. Give logits of a shape without a zero.")
    return x, axis


def to_onnx(graph, x, *, axis=1):
    """Write ONNX's Softmax."""
    return graph.node("Softmax", [graph.tensor(x)], axis=axis)


def from_onnx(x, *, axis=None, version=13):
    """Read ONNX's Softmax, in old versions over all axes from one on."""
    return read_along_axis(softmax, x, axis, version)


def read_along_axis(function, x, axis, version):
    """Return softmax or its logarithm, in versions before 13 over all axes from one on."""
    if version >= 13:
        return function(x, axis=-1 if axis is None else axis)
    axis = (1 if axis is None else axis) % max(len(x.shape), 1)
    return function(x.reshape((*x.shape[:axis], -1)), axis=axis).reshape(x.shape)


FROM_ONNX = {"Softmax": from_onnx}

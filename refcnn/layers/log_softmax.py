"""The logarithm of softmax: the layer, the function and the ONNX mapping."""

from .. import attributes as attribute
from ..function import apply
from ..layer import Layer
from ..variable import Input, Variable
from .softmax import along_axis, read_along_axis

FAMILY = "activation"


class LogSoftmax(Layer):
    """Logits as logarithms of probabilities, which sum to one along an axis.

    Parameters
    ----------
    axis : int
        Counted from the last one if negative. The second one as a rule, that of classes or channels.
    """

    def __init__(self, axis: int = 1) -> None:
        super().__init__()
        self.axis = attribute.axis_of_layer("LogSoftmax", axis)

    def forward(self, x: Variable) -> Variable:
        """x of any shape -> the same shape."""
        return log_softmax(x, self.axis)


def log_softmax(x: Input, axis: int = 1) -> Variable:
    """Return the logarithm of :func:`refcnn.softmax`, which is right where that is too small for a float.

    Parameters and errors as there.
    """
    x, axis = along_axis("LogSoftmax", x, axis)
    return apply("log_softmax", x, axis=axis)


def to_onnx(graph, x, *, axis):
    """Write ONNX's LogSoftmax."""
    return graph.node("LogSoftmax", [graph.tensor(x)], axis=axis)


def from_onnx(x, *, axis=None, version=13):
    """Read ONNX's LogSoftmax, in old versions over all axes from one on."""
    return read_along_axis(log_softmax, x, axis, version)


FROM_ONNX = {"LogSoftmax": from_onnx}

"""The rectifier: the layer, the function and the ONNX mapping."""

from ..function import apply
from ..layer import Layer
from ..variable import Input, Variable, as_variable

FAMILY = "activation"


class Relu(Layer):
    """y = max(x, 0), element by element; x of any shape."""

    def forward(self, x: Variable) -> Variable:
        """x of any shape -> the same shape."""
        return relu(x)


def relu(x: Input) -> Variable:
    """Return max(x, 0), element by element, as a Variable of the shape of x; NaN stays NaN."""
    return apply("relu", as_variable(x))


def to_onnx(graph, x):
    """Write ONNX's Relu."""
    return graph.node("Relu", [graph.tensor(x)])


def from_onnx(x):
    """Read ONNX's Relu."""
    return relu(x)


FROM_ONNX = {"Relu": from_onnx}

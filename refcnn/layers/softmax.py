"""Softmax: the layer, the function and the ONNX mapping."""

from ..errors import ShapeError
from ..function import apply
from ..layer import Layer
from ..variable import Input, Variable, as_variable


class Softmax(Layer):
    """Rows of logits as rows of probabilities."""

    def forward(self, x: Variable) -> Variable:
        """x (N, K) -> (N, K)."""
        return softmax(x)


def softmax(x: Input) -> Variable:
    """Return exp(x) divided by its sum over each row, as a Variable of the shape of x, (N, K).

    Raises
    ------
    ShapeError
        If x has not two axes, or is empty.
    """
    x = as_variable(x)
    if len(x.shape) != 2 or 0 in x.shape:
        raise ShapeError(f"Softmax: the input has shape {x.shape}. Give logits of shape (N, K), none of them zero.")
    return apply("softmax", x)


def to_onnx(graph, x):
    """Write ONNX's Softmax over the second axis."""
    return graph.node("Softmax", [graph.tensor(x)], axis=1)

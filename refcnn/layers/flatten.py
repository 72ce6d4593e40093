"""Flatten: the layer, the function and the ONNX mapping."""

from ..errors import ShapeError
from ..formats import ANY
from ..function import apply
from ..layer import Layer
from ..variable import Input, Variable, as_variable

FAMILY = "shape"

#: It moves whatever there is.
DTYPES = (ANY,)


class Flatten(Layer):
    """All axes but the first become one."""

    def forward(self, x: Variable) -> Variable:
        """x (N, ...) -> (N, the product of the rest)."""
        return flatten(x)


def flatten(x: Input) -> Variable:
    """Return x (N, ...) as a Variable of shape (N, the product of the rest), in row-major order.

    Raises
    ------
    ShapeError
        If x has no axis, or is empty.
    """
    x = as_variable(x)
    if not x.shape or 0 in x.shape:
        raise ShapeError(f"Flatten: the input has shape {x.shape}. Give an array of shape (N, ...), none of them zero.")
    return apply("flatten", x)


def to_onnx(graph, x):
    """Write ONNX's Flatten."""
    return graph.node("Flatten", [graph.tensor(x)], axis=1)

"""Local response normalisation: the layer, the function and the ONNX mapping."""

import math

import numpy as np

from .. import attributes as attribute
from ..errors import ShapeError
from ..function import apply
from ..layer import Layer
from ..variable import Input, Variable, as_variable

FAMILY = "normalization"


class LocalResponseNormalization(Layer):
    """Each value divided by what its neighbours along the channels amount to: y = x / (bias + alpha mean of x^2)^beta.

    Parameters
    ----------
    size : int
        Neighbours, the value itself among them; of an even number there is one more behind it than before it.
    alpha, beta, bias : float

    Raises
    ------
    ArgumentError
        If the size is not a positive integer, or a number is not finite.
    """

    def __init__(self, size: int = 5, *, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> None:
        super().__init__()
        attributes = _normalise("LocalResponseNormalization", size, alpha, beta, bias)
        self.size, self.alpha, self.beta, self.bias = attributes.values()

    def forward(self, x: Variable) -> Variable:
        """x (N, C, ...) -> the same shape."""
        return local_response_normalization(x, size=self.size, alpha=self.alpha, beta=self.beta, bias=self.bias)


def local_response_normalization(
    x: Input, *, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0
) -> Variable:
    """Return x / (bias + alpha / size sum of x^2 over neighbouring channels)^beta, as a Variable of the shape of x.

    Parameters
    ----------
    x : Variable or array_like, (N, C, ...)
    size : int
        Neighbours that are summed, the channel itself among them: from floor((size - 1) / 2) before it to
        ceil((size - 1) / 2) behind it, as far as there are, always divided by size.
    alpha, beta, bias : float

    Raises
    ------
    ArgumentError
        If the size is not a positive integer, or a number is not finite.
    ShapeError
        If x has not the shape (N, C, ...), or is empty.
    """
    owner = "local_response_normalization"
    x = as_variable(x)
    if len(x.shape) < 2 or 0 in x.shape:
        raise ShapeError(
            f"{owner}: the input has shape {x.shape}. Give an array of shape (N, C, ...), none of them zero."
        )
    return apply(owner, x, **_normalise(owner, size, alpha, beta, bias))


def _normalise(owner, size, alpha, beta, bias):
    weights = {"alpha": alpha, "beta": beta, "bias": bias}
    return {
        "size": attribute.integer(owner, "size", size),
        **{name: attribute.number(owner, name, value) for name, value in weights.items()},
    }


def to_onnx(graph, x, *, size, alpha, beta, bias):
    """Write ONNX's LRN, or its formula with a mean over windows where onnxruntime has no kernel of LRN.

    That has one of images with two axes and odd sizes alone.
    """
    tensor = graph.tensor(x)
    if len(x.shape) == 4 and size % 2:
        return graph.node("LRN", [tensor], size=size, alpha=alpha, beta=beta, bias=bias)
    # As one image for each example, whose rows are channels: outside of it are zeros, which are counted.
    image = graph.node("Reshape", [graph.node("Mul", [tensor, tensor])], shape=(0, 1, x.shape[1], -1))
    pads = (size - 1) // 2, 0, size // 2, 0
    mean = graph.node("AveragePool", [image], kernel_shape=(size, 1), pads=pads, count_include_pad=1)
    mean = graph.node("Reshape", [mean], shape=(0, *x.shape[1:]))
    share = graph.node("Mul", [mean, graph.constant(np.float32(alpha))])
    s = graph.node("Add", [share, graph.constant(np.float32(bias))])
    return graph.node("Div", [tensor, graph.node("Pow", [s, graph.constant(np.float32(beta))])])


def from_onnx(x, *, size, alpha=1e-4, beta=0.75, bias=1.0):
    """Read ONNX's LRN."""
    return local_response_normalization(x, size=size, alpha=alpha, beta=beta, bias=bias)


FROM_ONNX = {"LRN": from_onnx}
COUNTS = {"LRN": lambda x, *, size, **_: math.prod(x) // x[1] * (x[1] + size)}

"""Fully connected layers: the layer, the function and the ONNX mapping."""

import math

import numpy as np

from .. import attributes as attribute
from ..errors import ShapeError
from ..formats import FLOAT32
from ..function import apply
from ..initializers import GlorotNormal
from ..layer import Layer, making
from ..typing import Initializer, Shapes
from ..variable import Input, Variable, as_variable

KEEPS_INPUT = True


class Dense(Layer):
    """A fully connected layer: y = x w + b.

    Parameters
    ----------
    output_size : int
    input_size : int, optional
        Without it the parameters are made at the first call.
    ignore_bias : bool
        Leave the bias out.
    initializer : callable
        Gives the weights of a shape.

    Attributes
    ----------
    params.w : (input_size, output_size)
    params.b : (1, output_size)

    Raises
    ------
    ArgumentError
        If a size is not a positive integer.
    """

    def __init__(
        self,
        output_size: int,
        input_size: int | None = None,
        ignore_bias: bool = False,
        initializer: Initializer = GlorotNormal(),
    ) -> None:
        super().__init__()
        self.output_size = attribute.integer("Dense", "output_size", output_size)
        self.ignore_bias = attribute.flag("Dense", "ignore_bias", ignore_bias)
        self.initializer = attribute.initializer("Dense", initializer)
        if input_size is not None:
            self._make_parameters(attribute.integer("Dense", "input_size", input_size))

    def parameter_shapes(self) -> Shapes:
        """Return w (input_size, output_size) and b (1, output_size)."""
        bias = {} if self.ignore_bias else {"b": (1, self.output_size)}
        return {"w": (None, self.output_size), **bias}

    def _make_parameters(self, input_size):
        with making:
            if self.params:
                return
            arrays = {"w": self.initializer((input_size, self.output_size))}
            if not self.ignore_bias:
                arrays["b"] = np.zeros((1, self.output_size), dtype=FLOAT32.dtype)
            self.set_parameters(arrays)

    def forward(self, x: Variable) -> Variable:
        """x (N, input_size) -> (N, output_size)."""
        if not self.params:
            _check_rows(x.shape)
            self._make_parameters(x.shape[1])
        return dense(x, self.params["w"], self.params.get("b"))


def dense(x: Input, w: Input, b: Input | None = None) -> Variable:
    """Multiply rows by a matrix and add a bias.

    Parameters
    ----------
    x : Variable or array_like, (N, in)
    w : Variable or array_like, (in, out)
    b : Variable or array_like, (1, out), optional

    Returns
    -------
    Variable, (N, out)

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    """
    x, w = as_variable(x), as_variable(w)
    _check_rows(x.shape)
    if len(w.shape) != 2 or 0 in w.shape:
        raise ShapeError(f"Dense: w has shape {w.shape}, but (in, out) is needed.")
    if x.shape[1] != w.shape[0]:
        is_swapped = x.shape[1] == w.shape[1]
        order = f" By position the output's size comes first: Dense({w.shape[0]}, {w.shape[1]})." * is_swapped
        raise ShapeError(
            f"Dense: the input has {x.shape[1]} values in a row, but the weights were made for {w.shape[0]} (w has "
            f"shape {w.shape}). Give rows of shape (N, {w.shape[0]}) (images as large as those of the first call), "
            f"or build a new model.{order}"
        )
    if b is not None and as_variable(b).shape != (1, w.shape[1]):
        raise ShapeError(
            f"Dense: b has shape {as_variable(b).shape}, but w of shape {w.shape} needs a bias of shape "
            f"{(1, w.shape[1])}."
        )
    return apply("dense", x, w, b)


def _check_rows(shape):
    if len(shape) != 2 or 0 in shape:
        raise ShapeError(
            f"Dense: the input has shape {shape}. Give rows of shape (N, values), none of them zero; put Flatten() "
            "before Dense for images."
        )


def to_onnx(graph, x, w, b):
    """Write ONNX's Gemm."""
    inputs = [graph.tensor(x), graph.tensor(w)]
    if b is not None:
        inputs.append(graph.tensor(b))
    return graph.node("Gemm", inputs)


def scaled_channels(w, factor):
    """Each column gives a number."""
    return w * factor


def flop(x, w, b=None):
    """One product for each weight and row."""
    return 2 * x[0] * math.prod(w)

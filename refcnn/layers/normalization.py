"""Normalisation: for each its layer, its function and its card."""

import math

import numpy as np

from .. import attributes as attribute
from ..errors import ShapeError
from ..formats import FLOAT32
from ..function import apply
from ..layer import Layer, making
from ..mode import is_training
from ..typing import Shapes
from ..variable import Input, Variable, as_variable
from .page import Card


class BatchNormalization(Layer):
    """Each channel less its mean, divided by its standard deviation, then scaled and shifted by learned numbers.

    In ``with model.train():`` mean and variance are those of the batch, and those that are kept follow them slowly:
    running = momentum running + (1 - momentum) batch, as ONNX has it, with the population's variance. Otherwise those
    that are kept are taken.

    Parameters
    ----------
    momentum : float
        What stays of the running statistics with each batch, 0 to 1. PyTorch's momentum is 1 less this one.
    epsilon : float
        What is added to the variance, 0 or more.

    Attributes
    ----------
    params.scale, params.bias : (C,)
        One and zero at first.
    buffers.mean, buffers.variance : (C,)
        The running statistics, zero and one at first.

    Raises
    ------
    ArgumentError
        If a number is out of range.
    """

    def __init__(self, momentum: float = 0.9, *, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.epsilon = _momentum("BatchNormalization", momentum), _epsilon("BatchNormalization", epsilon)

    def parameter_shapes(self) -> Shapes:
        """Return scale and bias, (C,)."""
        return {"scale": (None,), "bias": (None,)}

    def buffer_shapes(self) -> Shapes:
        """Return mean and variance, (C,)."""
        return {"mean": (None,), "variance": (None,)}

    def forward(self, x: Variable) -> Variable:
        """x (N, C, ...) -> the same shape."""
        training = is_training()
        if not self.params:
            _check_images("BatchNormalization", x.shape, 2 if training else 1)
            self._make_parameters(x.shape[1:2])
        arrays = self.params["scale"], self.params["bias"], self.buffers["mean"], self.buffers["variance"]
        attributes = {"momentum": self.momentum, "epsilon": self.epsilon, "training": training}
        if not training:
            return batch_normalization(x, *arrays, **attributes)
        y, mean, variance = batch_normalization(x, *arrays, **attributes)
        self.buffers["mean"].set(mean)
        self.buffers["variance"].set(variance)
        return y

    def _make_parameters(self, shape):
        zeros, ones = np.zeros(shape, FLOAT32.dtype), np.ones(shape, FLOAT32.dtype)
        with making:
            if self.params:
                return
            self.set_buffers({"mean": zeros, "variance": ones})
            self.set_parameters({"scale": ones, "bias": zeros})


def batch_normalization(
    x: Input,
    scale: Input,
    bias: Input,
    mean: Input,
    variance: Input,
    *,
    momentum: float = 0.9,
    epsilon: float = 1e-5,
    training: bool = False,
) -> Variable | tuple[Variable, Variable, Variable]:
    """Return scale (x - mean) / sqrt(variance + epsilon) + bias, each but x a number for each channel.

    Parameters
    ----------
    x : Variable or array_like, (N, C, ...)
    scale, bias : Variable or array_like, (C,)
    mean, variance : Variable or array_like, (C,)
        The running statistics.
    momentum : float
        What stays of these in training, 0 to 1.
    epsilon : float
        0 or more.
    training : bool
        Whether x is normalised by its own mean and variance over the batch and all pixels.

    Returns
    -------
    Variable of the shape of x, in training (Variable, Variable, Variable)
        The latter with the new running mean and variance, momentum running + (1 - momentum) batch.

    Raises
    ------
    ArgumentError
        If a number is out of range.
    ShapeError
        If the shapes do not fit, or in training a channel has one value alone.
    """
    owner = "batch_normalization"
    x, *of_channels = map(as_variable, (x, scale, bias, mean, variance))
    _check_images(owner, x.shape, 2 if training else 1)
    for name, entry in zip(("scale", "bias", "mean", "variance"), of_channels, strict=True):
        _check_fits(owner, name, entry.shape, x.shape, x.shape[1:2])
    return apply(
        "batch_normalization",
        x,
        *of_channels,
        epsilon=_epsilon(owner, epsilon),
        momentum=_momentum(owner, momentum),
        training=bool(training),
    )


def _momentum(owner, value):
    return attribute.number(owner, "momentum", value, minimum=0, below=1)


def _epsilon(owner, value):
    return attribute.number(owner, "epsilon", value, minimum=0)


def _check_images(owner, shape, least=1):
    """Refuse what has no channels, or fewer than so many values in each."""
    if len(shape) < 2 or 0 in shape:
        raise ShapeError(
            f"{owner}: the input has shape {shape}. Give an array of shape (N, C, ...), none of them zero."
        )
    if math.prod(shape) // shape[1] < least:
        raise ShapeError(
            f"{owner}: the input has shape {shape}, one value for each channel, from which no variance follows. Give a "
            "larger batch in training, or larger images."
        )


def _check_fits(owner, name, shape, of_input, expected):
    if shape != expected:
        raise ShapeError(
            f"{owner}: {name} has shape {shape}, but an input of shape {of_input} needs {expected}. Give inputs like "
            "those of the first call, or build a new model."
        )


class _BatchNormalization(Card):
    def to_onnx(self, graph, x, *of_channels, epsilon, momentum, training):
        """Write ONNX's BatchNormalization, or in training, which that has from opset 14 on, its formula before."""
        if training and graph.opset < 14:
            return _write_batch(graph, x, *of_channels, epsilon=epsilon, momentum=momentum)
        inputs = [graph.tensor(entry) for entry in (x, *of_channels)]
        in_training = {"training_mode": 1, "outputs": 3} if training else {}
        return graph.node(self._onnx, inputs, epsilon=epsilon, momentum=momentum, **in_training)


def _write_batch(graph, x, scale, bias, *running, epsilon, momentum):
    axes = [axis for axis in range(len(x.shape)) if axis != 1]
    of_channels = (-1, *[1] * (len(x.shape) - 2))
    xhat, *statistics = write_normalised(graph, graph.tensor(x), axes, epsilon)
    y = graph.node("Mul", [xhat, graph.tensor(scale, of_channels)])
    y = graph.node("Add", [y, graph.tensor(bias, of_channels)])
    kept, share = (graph.constant(np.float32(weight)) for weight in (momentum, 1 - momentum))
    results = []
    for former, of_batch in zip(running, statistics, strict=True):
        of_batch = graph.node("Reshape", [of_batch], shape=(-1,))
        products = [graph.node("Mul", pair) for pair in ([graph.tensor(former), kept], [of_batch, share])]
        results.append(graph.node("Add", products))
    return y, *results


def write_normalised(graph, x, axes, epsilon):
    """Write (x - mean) / sqrt(variance + epsilon) with the statistics over some axes; return it and those, (kept)."""
    mean = graph.node("ReduceMean", [x], axes=axes, keepdims=1)
    difference = graph.node("Sub", [x, mean])
    square = graph.node("Mul", [difference, difference])
    variance = graph.node("ReduceMean", [square], axes=axes, keepdims=1)
    deviation = graph.node("Sqrt", [graph.node("Add", [variance, graph.constant(np.float32(epsilon))])])
    return graph.node("Div", [difference, deviation]), mean, variance


OPERATIONS = {"batch_normalization": _BatchNormalization(batch_normalization, "BatchNormalization")}

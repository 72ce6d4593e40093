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
from .normalization_in_onnx import batch_per_channel, write_batch, write_groups, write_layer, write_root_mean_square
from .normalization_over_ranks import batch_normalization_over, sharing
from .page import Card


class _OfChannels(Layer):
    """What learns a scale and a bias for each channel."""

    def parameter_shapes(self) -> Shapes:
        """Return scale and bias, (C,)."""
        return {"scale": (None,), "bias": (None,)}

    def _make_parameters(self, shape):
        with making:
            if not self.params:
                self.set_parameters({"scale": np.ones(shape, FLOAT32.dtype), "bias": np.zeros(shape, FLOAT32.dtype)})


class BatchNormalization(_OfChannels):
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
        results = batch_normalization(x, *arrays, **attributes)
        if isinstance(results, Variable):
            return results
        y, mean, variance = results
        self.buffers["mean"].set(mean)
        self.buffers["variance"].set(variance)
        return y

    def _make_parameters(self, shape):
        with making:
            if not self.params:
                self.set_buffers({"mean": np.zeros(shape, FLOAT32.dtype), "variance": np.ones(shape, FLOAT32.dtype)})
                super()._make_parameters(shape)


class InstanceNormalization(_OfChannels):
    """Each channel of each image less its mean, divided by its standard deviation, then scaled and shifted.

    Parameters
    ----------
    epsilon : float
        What is added to the variance, 0 or more.

    Attributes
    ----------
    params.scale, params.bias : (C,)
        One and zero at first.

    Raises
    ------
    ArgumentError
        If epsilon is out of range.
    """

    def __init__(self, *, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.epsilon = _epsilon("InstanceNormalization", epsilon)

    def forward(self, x: Variable) -> Variable:
        """x (N, C, ...) -> the same shape."""
        if not self.params:
            _check_instances("InstanceNormalization", x.shape)
            self._make_parameters(x.shape[1:2])
        return instance_normalization(x, self.params["scale"], self.params["bias"], epsilon=self.epsilon)


class GroupNormalization(_OfChannels):
    """Each group of neighbouring channels less its mean, divided by its standard deviation; then scaled and shifted.

    Parameters
    ----------
    groups : int
        Into how many groups the channels are cut.
    epsilon : float
        What is added to the variance, 0 or more.

    Attributes
    ----------
    params.scale, params.bias : (C,)
        One and zero at first.

    Raises
    ------
    ArgumentError
        If a number is out of range.
    """

    def __init__(self, groups: int, *, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.groups = attribute.integer("GroupNormalization", "groups", groups)
        self.epsilon = _epsilon("GroupNormalization", epsilon)

    def forward(self, x: Variable) -> Variable:
        """x (N, C, ...) -> the same shape."""
        if not self.params:
            _check_groups("GroupNormalization", x.shape, self.groups)
            self._make_parameters(x.shape[1:2])
        return group_normalization(
            x, self.params["scale"], self.params["bias"], groups=self.groups, epsilon=self.epsilon
        )


class LayerNormalization(Layer):
    """Each example less its mean, divided by its standard deviation, then scaled and shifted by learned numbers.

    Parameters
    ----------
    axis : int
        The first of the axes that are normalised together; from the last one if negative, as -1, which means that one
        alone. 1 means each example as a whole.
    epsilon : float
        What is added to the variance, 0 or more.

    Attributes
    ----------
    params.scale, params.bias : of the shape of these axes
        One and zero at first.

    Raises
    ------
    ArgumentError
        If a number is out of range.
    """

    def __init__(self, axis: int = -1, *, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.axis = attribute.axis_of_layer("LayerNormalization", axis)
        self.epsilon = _epsilon("LayerNormalization", epsilon)

    def parameter_shapes(self) -> Shapes | None:
        """Return scale and bias, of as many sizes as there are axes; None if that is not known."""
        return None if self.axis >= 0 else dict.fromkeys(("scale", "bias"), (None,) * -self.axis)

    def forward(self, x: Variable) -> Variable:
        """x of any shape -> the same shape."""
        if not self.params:
            shape = _normalised_shape("LayerNormalization", x.shape, self.axis, least=2)
            with making:
                if not self.params:
                    ones, zeros = np.ones(shape, FLOAT32.dtype), np.zeros(shape, FLOAT32.dtype)
                    self.set_parameters({"scale": ones, "bias": zeros})
        return layer_normalization(x, self.params["scale"], self.params["bias"], axis=self.axis, epsilon=self.epsilon)


class RMSNormalization(Layer):
    """Each example divided by the root of the mean of its squares, then scaled by learned numbers.

    Parameters
    ----------
    axis : int
        As of :class:`LayerNormalization`.
    epsilon : float
        What is added to the mean of the squares, 0 or more.

    Attributes
    ----------
    params.scale : of the shape of these axes
        One at first.

    Raises
    ------
    ArgumentError
        If a number is out of range.
    """

    def __init__(self, axis: int = -1, *, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.axis = attribute.axis_of_layer("RMSNormalization", axis)
        self.epsilon = _epsilon("RMSNormalization", epsilon)

    def parameter_shapes(self) -> Shapes | None:
        """Return scale, of as many sizes as there are axes; None if that is not known."""
        return None if self.axis >= 0 else {"scale": (None,) * -self.axis}

    def forward(self, x: Variable) -> Variable:
        """x of any shape -> the same shape."""
        if not self.params:
            shape = _normalised_shape("RMSNormalization", x.shape, self.axis)
            with making:
                if not self.params:
                    self.set_parameters({"scale": np.ones(shape, FLOAT32.dtype)})
        return rms_normalization(x, self.params["scale"], axis=self.axis, epsilon=self.epsilon)


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
    training = attribute.flag(owner, "training", training)
    x, *of_channels = map(as_variable, (x, scale, bias, mean, variance))
    ranks = sharing() if training else None
    _check_images(owner, x.shape, 2 if training and ranks is None else 1)
    names = "scale", "bias", "mean", "variance"
    _check_parameters(owner, x.shape, x.shape[1:2], **dict(zip(names, of_channels, strict=True)))
    options = {"epsilon": _epsilon(owner, epsilon), "momentum": _momentum(owner, momentum)}
    if ranks is not None:
        return batch_normalization_over(ranks, x, *of_channels, **options)
    return apply("batch_normalization", x, *of_channels, **options, training=training)


def instance_normalization(x: Input, scale: Input, bias: Input, *, epsilon: float = 1e-5) -> Variable:
    """Return scale (x - mean) / sqrt(variance + epsilon) + bias, with the statistics of each channel of each image.

    Parameters
    ----------
    x : Variable or array_like, (N, C, ...)
    scale, bias : Variable or array_like, (C,)
    epsilon : float
        0 or more.

    Returns
    -------
    Variable of the shape of x

    Raises
    ------
    ArgumentError
        If epsilon is out of range.
    ShapeError
        If the shapes do not fit, or a channel has one pixel alone.
    """
    owner = "instance_normalization"
    x, scale, bias = map(as_variable, (x, scale, bias))
    _check_instances(owner, x.shape)
    _check_parameters(owner, x.shape, x.shape[1:2], scale=scale, bias=bias)
    return apply(owner, x, scale, bias, epsilon=_epsilon(owner, epsilon))


def group_normalization(x: Input, scale: Input, bias: Input, *, groups: int, epsilon: float = 1e-5) -> Variable:
    """Return scale (x - mean) / sqrt(variance + epsilon) + bias, with the statistics of groups of channels.

    Parameters
    ----------
    x : Variable or array_like, (N, C, ...)
    scale, bias : Variable or array_like, (C,)
    groups : int
        Into how many groups of neighbours the channels of each image are cut.
    epsilon : float
        0 or more.

    Returns
    -------
    Variable of the shape of x

    Raises
    ------
    ArgumentError
        If a number is out of range.
    ShapeError
        If the shapes do not fit, the groups do not divide the channels, or a group has one value alone.
    """
    owner = "group_normalization"
    x, scale, bias = map(as_variable, (x, scale, bias))
    groups = attribute.integer(owner, "groups", groups)
    _check_groups(owner, x.shape, groups)
    _check_parameters(owner, x.shape, x.shape[1:2], scale=scale, bias=bias)
    return apply(owner, x, scale, bias, groups=groups, epsilon=_epsilon(owner, epsilon))


def layer_normalization(x: Input, scale: Input, bias: Input, *, axis: int = -1, epsilon: float = 1e-5) -> Variable:
    """Return scale (x - mean) / sqrt(variance + epsilon) + bias, with the statistics over all axes from one on.

    Parameters
    ----------
    x : Variable or array_like
    scale, bias : Variable or array_like, x.shape[axis:]
    axis : int
        From the last one if negative.
    epsilon : float
        0 or more.

    Returns
    -------
    Variable of the shape of x

    Raises
    ------
    ArgumentError
        If epsilon is out of range, or there is no such axis.
    ShapeError
        If the shapes do not fit, or one value alone is normalised.
    """
    owner = "layer_normalization"
    x, scale, bias = map(as_variable, (x, scale, bias))
    shape = _normalised_shape(owner, x.shape, axis, least=2)
    _check_parameters(owner, x.shape, shape, scale=scale, bias=bias)
    return apply(owner, x, scale, bias, axis=len(x.shape) - len(shape), epsilon=_epsilon(owner, epsilon))


def rms_normalization(x: Input, scale: Input, *, axis: int = -1, epsilon: float = 1e-5) -> Variable:
    """Return scale x / sqrt(mean of x^2 + epsilon), with the mean over all axes from one on.

    Parameters
    ----------
    x : Variable or array_like
    scale : Variable or array_like, x.shape[axis:]
    axis : int
        From the last one if negative.
    epsilon : float
        0 or more.

    Returns
    -------
    Variable of the shape of x

    Raises
    ------
    ArgumentError
        If epsilon is out of range, or there is no such axis.
    ShapeError
        If the shapes do not fit.
    """
    owner = "rms_normalization"
    x, scale = map(as_variable, (x, scale))
    shape = _normalised_shape(owner, x.shape, axis)
    _check_parameters(owner, x.shape, shape, scale=scale)
    return apply(owner, x, scale, axis=len(x.shape) - len(shape), epsilon=_epsilon(owner, epsilon))


def _momentum(owner, value):
    return attribute.number(owner, "momentum", value, minimum=0, below=1)


def _epsilon(owner, value):
    return attribute.number(owner, "epsilon", value, minimum=0)


def _normalised_shape(owner, shape, axis, least=1):
    """Return the sizes of the axes from one on, which are normalised together."""
    first = attribute.axis(owner, axis, len(shape))
    if 0 in shape or math.prod(shape[first:]) < least:
        raise ShapeError(
            f"{owner}: the input has shape {shape}, of which {shape[first:]} is normalised. Give an array without an "
            f"axis of size 0, and {least} values or more that are normalised together."
        )
    return shape[first:]


def _check_images(owner, shape, least=1):
    """Refuse what has no channels, or fewer than so many values in each."""
    if len(shape) < 2 or 0 in shape:
        raise ShapeError(
            f"{owner}: the input has shape {shape}. Give an array of shape (N, C, ...), none of them zero."
        )
    if math.prod(shape) // shape[1] < least:
        raise _single(owner, shape, "channel", "a larger batch in training, or larger images")


def _check_instances(owner, shape):
    _check_images(owner, shape)
    if math.prod(shape[2:]) == 1:
        raise _single(owner, shape, "channel of each image", "larger images")


def _check_groups(owner, shape, groups):
    _check_images(owner, shape)
    if shape[1] % groups:
        raise ShapeError(
            f"{owner}: the input has {shape[1]} channels, which {groups} groups do not divide. Give images with a "
            "multiple of groups channels."
        )
    if math.prod(shape[1:]) == groups:
        raise _single(owner, shape, "group of each image", "larger images, or fewer groups")


def _single(owner, shape, what, advice):
    return ShapeError(
        f"{owner}: the input has shape {shape}, one value for each {what}, from which no variance follows. Give "
        f"{advice}."
    )


def _check_parameters(owner, of_input, expected, **parameters):
    for name, entry in parameters.items():
        if entry.shape != expected:
            raise ShapeError(
                f"{owner}: {name} has shape {entry.shape}, but an input of shape {of_input} needs {expected}. Give "
                f"{name} of that shape; of a layer, inputs like those of its first call, or build a new model."
            )


class _Batch(Card):
    per_channel = staticmethod(batch_per_channel)


OPERATIONS = {
    "batch_normalization": _Batch(batch_normalization, write_batch),
    "group_normalization": Card(group_normalization, write_groups),
    "instance_normalization": Card(instance_normalization, "InstanceNormalization"),
    "layer_normalization": Card(layer_normalization, write_layer),
    "rms_normalization": Card(rms_normalization, write_root_mean_square),
}

"""Expand on an OpenCL device."""

from ...shapes import broadcast_shape, repeated_axes, strides
from ..shared.moving import strided
from ..shared.reduction import sum_over

KERNELS = {"moving": (None,), "reduction": (None,)}


def forward(x, *, shape):
    """x -> y of the shape that x and ``shape`` broadcast to, in which 1 leaves the size of x."""
    y_shape = broadcast_shape(x.shape, shape)
    repeated = repeated_axes(x.shape, y_shape)
    distances = (0,) * (len(y_shape) - len(x.shape)) + strides(x.shape)
    y_strides = [0 if axis in repeated else distance for axis, distance in enumerate(distances)]
    return strided(x, y_shape, 0, y_strides), x.shape


def backward(dy, saved, needs, *, shape):
    """dx is the sum of dy over all copies."""
    return (sum_over(dy, repeated_axes(saved, dy.shape)).reshape(saved),)

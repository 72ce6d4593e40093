"""The logarithm of softmax on an OpenCL device."""

from ..shared.along import launch_along

KERNELS = {"softmax": (None,)}


def forward(x, *, axis):
    """x of any shape -> y of that shape, whose exponentials sum to one along the axis."""
    y = x.device.empty(x.shape)
    launch_along("softmax", "log_softmax_forward", axis, x=x, y=y)
    return y, y


def backward(dy, saved, needs, *, axis):
    """dx = dy - e^y times the sum of dy along the axis."""
    dx = dy.device.empty(dy.shape)
    launch_along("softmax", "log_softmax_backward", axis, dy=dy, y=saved, dx=dx)
    return (dx,)

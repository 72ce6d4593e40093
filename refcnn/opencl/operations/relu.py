"""The rectifier on an OpenCL device."""

import functools

from ..shared import fusion
from ..shared.elementwise import launch_in_chunks


def forward(x):
    """x of any shape -> y of that shape."""
    y, origin = fusion.limited(x, fusion.RECTIFIED), fusion.origin(x)
    if y is None:
        y, origin = x.device.empty(x.shape), None
        launch_in_chunks(x.device, "relu", "relu_forward", x.size, x=x, y=y, count=x.size)
    y.rectified = True
    return y, (y, origin)


def backward(dy, saved, needs):
    """dx = dy where y > 0, else 0."""
    y, origin = saved
    if dy.masked_by is y:
        return (dy,)
    if origin is None:
        return (_masked(dy, y),)
    return (fusion.Masked(dy, fusion.RECTIFIED, origin, functools.partial(_masked, dy, y)).array(),)


def _masked(dy, y):
    dx = dy.device.empty(dy.shape)
    launch_in_chunks(dy.device, "relu", "relu_backward", dy.size, dy=dy, y=y, dx=dx, count=dy.size)
    return dx

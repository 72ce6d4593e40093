"""The rectifier on an OpenCL device."""

from ..shared.elementwise import launch_in_chunks
from ..shared.fusion import rectified


def forward(x):
    """x of any shape -> y of that shape."""
    y = rectified(x)
    if y is None:
        y = x.device.empty(x.shape)
        launch_in_chunks(x.device, "relu", "relu_forward", x.size, x=x, y=y, count=x.size)
    y.rectified = True
    return y, y


def backward(dy, saved, needs):
    """dx = dy where y > 0, else 0."""
    if dy.masked_by is saved:
        return (dy,)
    dx = dy.device.empty(dy.shape)
    launch_in_chunks(dy.device, "relu", "relu_backward", dy.size, dy=dy, y=saved, dx=dx, count=dy.size)
    return (dx,)

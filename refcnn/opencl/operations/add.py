"""The sum of two arrays on an OpenCL device."""

from ..shared.elementwise import launch_in_chunks


def forward(a, b):
    """a, b of one shape -> y of that shape."""
    y = a.device.empty(a.shape)
    launch_in_chunks(a.device, "add", "add_forward", a.size, a=a, b=b, y=y, count=a.size)
    return y, None


def backward(dy, saved, needs):
    """da = db = dy."""
    return dy, dy

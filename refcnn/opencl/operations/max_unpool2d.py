"""Max unpooling on an OpenCL device."""

import numpy as np

from ..shared.elementwise import launch_over


def forward(x, indices, *, size):
    """x and indices (N, C, H, W), or with one or three spatial axes -> y (N, C, *size); saved: what is put where."""
    device, y = x.device, x.device.empty((*x.shape[:2], *size))
    last = device.empty(y.shape, np.int32)
    launch_over(device, "max_unpool2d", "nothing", y.size, last=last, size=y.size)
    launch_over(device, "max_unpool2d", "find_last", x.size, indices=indices, last=last, count=x.size)
    launch_over(device, "max_unpool2d", "put", y.size, x=x, last=last, y=y, size=y.size)
    return y, (indices, last)


def backward(dy, saved, needs, *, size):
    """dy (N, C, *size) -> dx (N, C, H, W) and None: the gradient at the place, of what was put there."""
    indices, last = saved
    dx = dy.device.empty(indices.shape)
    arrays = {"dy": dy, "indices": indices, "last": last, "dx": dx}
    launch_over(dy.device, "max_unpool2d", "take", dx.size, **arrays, count=dx.size)
    return dx, None

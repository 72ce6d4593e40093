"""Max pooling that tells the places of the largest pixels too, on an OpenCL device."""

import numpy as np

from ..shared.pooling import launch_any_window, pooled_shape
from ..variants import OF_POOLING

VARIANTS = OF_POOLING
KERNELS = {"pooling": ("plain",), "pooling_cpu": ("cpu",)}


def forward(x, *, kernel, stride, padding, dilation=None, ceil_mode=False):
    """x (N, C, H, W), or with one or three spatial axes -> y and indices, both (N, C, out_h, out_w), with as many."""
    window = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    shape = pooled_shape(x.shape, **window, ceil_mode=ceil_mode)
    y, indices = x.device.empty(shape), x.device.empty(shape, np.int64)
    launch_any_window(y, "largest_forward", x.shape, shape, window, x=x, y=y, indices=indices)
    return (y, indices), (indices, x.shape)


def backward(dy, saved, needs, *, kernel, stride, padding, dilation=None, ceil_mode=False):
    """dy (N, C, out_h, out_w) and None -> dx (N, C, H, W): each dy is added at the pixel that won."""
    (dy, _), (indices, shape) = dy, saved
    window = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    dx = dy.device.empty(shape)
    launch_any_window(dx, "largest_backward", shape, dy.shape, window, dy=dy, indices=indices, dx=dx)
    return (dx,)

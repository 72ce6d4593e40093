"""Lp pooling on an OpenCL device."""

from ..shared.pooling import launch_any_window, pooled_shape
from ..variants import OF_POOLING

VARIANTS = OF_POOLING
KERNELS = {"pooling": ("plain",), "pooling_cpu": ("cpu",)}


def forward(x, *, p, kernel, stride, padding, dilation=None, ceil_mode=False):
    """x (N, C, H, W), or with one or three spatial axes -> y (N, C, out_h, out_w), with as many."""
    window = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    y = x.device.empty(pooled_shape(x.shape, **window, ceil_mode=ceil_mode))
    launch_any_window(y, "norm_forward", x.shape, y.shape, window, x=x, y=y, p=p)
    return y, (x, y)


def backward(dy, saved, needs, *, p, kernel, stride, padding, dilation=None, ceil_mode=False):
    """dy (N, C, out_h, out_w) -> dx (N, C, H, W): each window hands its dy back by the slope of the norm."""
    x, y = saved
    window = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    dx = dy.device.empty(x.shape)
    launch_any_window(dx, "norm_backward", x.shape, y.shape, window, dy=dy, x=x, y=y, dx=dx, p=p)
    return (dx,)

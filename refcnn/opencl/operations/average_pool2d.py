"""Average pooling on an OpenCL device."""

from ...shapes import window_output_shape
from ..shared.pooling import launch_pooling, pooling_sizes
from ..variants import OF_POOLING

VARIANTS = OF_POOLING


def forward(x, *, kernel, stride, padding, count_include_padding):
    """x (N, C, H, W) -> y (N, C, out_h, out_w)."""
    y = x.device.empty((*x.shape[:2], *window_output_shape(x.shape[2:], kernel, stride, padding)))
    sizes = _sizes(x.shape, y.shape, kernel, stride, padding, count_include_padding)
    launch_pooling(x.device, "average_pool2d", "average_pool2d_forward", y.shape, x=x, y=y, **sizes)
    return y, x.shape


def backward(dy, saved, needs, *, kernel, stride, padding, count_include_padding):
    """dy (N, C, out_h, out_w) -> dx (N, C, H, W): every pixel of a window gets the same share."""
    dx = dy.device.empty(saved)
    sizes = _sizes(saved, dy.shape, kernel, stride, padding, count_include_padding)
    launch_pooling(dy.device, "average_pool2d", "average_pool2d_backward", saved, dy=dy, dx=dx, **sizes)
    return (dx,)


def _sizes(image, output, kernel, stride, padding, count_include_padding):
    sizes = pooling_sizes(image, output, kernel, stride, padding)
    return {**sizes, "count_include_padding": int(count_include_padding)}

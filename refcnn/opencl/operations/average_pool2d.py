"""Average pooling on an OpenCL device."""

from ...shapes import window_output_shape
from ..shared.pooling import launch_pooling
from ..variants import OF_POOLING

VARIANTS = OF_POOLING


def forward(x, *, kernel, stride, padding, count_include_padding):
    """x (N, C, H, W) -> y (N, C, out_h, out_w)."""
    y = x.device.empty((*x.shape[:2], *window_output_shape(x.shape[2:], kernel, stride, padding)))
    geometry = _geometry(x.shape, y.shape, kernel, stride, padding, count_include_padding)
    launch_pooling(x.device, "average_pool2d", "average_pool2d_forward", y.shape, x, y, *geometry)
    return y, x.shape


def backward(dy, saved, needs, *, kernel, stride, padding, count_include_padding):
    """dy (N, C, out_h, out_w) -> dx (N, C, H, W): every pixel of a window gets the same share."""
    dx = dy.device.empty(saved)
    geometry = _geometry(saved, dy.shape, kernel, stride, padding, count_include_padding)
    launch_pooling(dy.device, "average_pool2d", "average_pool2d_backward", saved, dy, dx, *geometry)
    return (dx,)


def _geometry(image, output, kernel, stride, padding, count_include_padding):
    return (image[0] * image[1], *image[2:], *output[2:], *kernel, *stride, *padding[:2], int(count_include_padding))

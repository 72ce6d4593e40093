"""Max pooling on an OpenCL device."""

import numpy as np

from ..shapes import window_output_shape
from .pooling import launch_pooling


def forward(x, *, kernel, stride, padding):
    """x (N, C, H, W) -> y (N, C, out_h, out_w); saved: the winner's place p kw + q in its window."""
    shape = (*x.shape[:2], *window_output_shape(x.shape[2:], kernel, stride, padding))
    y, winner = x.device.empty(shape), x.device.empty(shape, np.int32)
    geometry = (shape[0] * shape[1], *x.shape[2:], *shape[2:], *kernel, *stride, *padding[:2])
    launch_pooling(x.device, "max_pool2d", "max_pool2d_forward", shape, x, y, winner, *geometry)
    return y, (winner, x.shape)


def backward(dy, saved, needs, *, kernel, stride, padding):
    """dy (N, C, out_h, out_w) -> dx (N, C, H, W): each dy is added at the pixel that won."""
    winner, shape = saved
    dx = dy.device.empty(shape)
    geometry = (shape[0] * shape[1], *shape[2:], *dy.shape[2:], *kernel, *stride, *padding[:2])
    launch_pooling(dy.device, "max_pool2d", "max_pool2d_backward", shape, dy, winner, dx, *geometry)
    return (dx,)

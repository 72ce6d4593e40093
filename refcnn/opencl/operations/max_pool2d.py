"""Max pooling on an OpenCL device."""

import functools

import numpy as np

from ...shapes import window_output_shape
from ..runtime.array import DeviceArray
from ..shared.fusion import Unpooled, pooled
from ..shared.pooling import launch_pooling, pooling_sizes
from ..variants import OF_POOLING

VARIANTS = OF_POOLING


def forward(x, *, kernel, stride, padding):
    """x (N, C, H, W) -> y (N, C, out_h, out_w); saved: the winner's place p kw + q in its window."""
    if kernel == stride == (2, 2) and padding == (0, 0, 0, 0) and (fused := pooled(x)):
        y, winner = fused
        return y, (winner, x)
    shape = (*x.shape[:2], *window_output_shape(x.shape[2:], kernel, stride, padding))
    y, winner = x.device.empty(shape), x.device.empty(shape, np.int32)
    sizes = pooling_sizes(x.shape, shape, kernel, stride, padding)
    launch_pooling(x.device, "max_pool2d", "max_pool2d_forward", shape, x=x, y=y, winner=winner, **sizes)
    return y, (winner, x.shape)


def backward(dy, saved, needs, *, kernel, stride, padding):
    """dy (N, C, out_h, out_w) -> dx (N, C, H, W): each dy is added at the pixel that won."""
    winner, x = saved
    if isinstance(x, DeviceArray):
        # Pooled together with the rectifier that made x: where that cut the winner, no window has one.
        dx = Unpooled(dy, winner, x.shape, functools.partial(_backward_rectified, dy, winner, x.shape)).array()
        dx.masked_by = x
        return (dx,)
    dx = dy.device.empty(x)
    sizes = pooling_sizes(x, dy.shape, kernel, stride, padding)
    launch_pooling(dy.device, "max_pool2d", "max_pool2d_backward", x, dy=dy, winner=winner, dx=dx, **sizes)
    return (dx,)


def _backward_rectified(dy, winner, shape):
    dx = dy.device.empty(shape)
    (N, C, height, width), (out_h, out_w) = shape, dy.shape[2:]
    dy.device.launch(
        "max_pool2d_rectified",
        "max_pool2d_backward_rectified",
        (N * C,),
        (1,),
        dy=dy,
        winner=winner,
        dx=dx,
        maps=N * C,
        height=height,
        width=width,
        out_h=out_h,
        out_w=out_w,
    )
    return dx

"""Max pooling on an OpenCL device. Signals are seen as images of height 1."""

import functools

import numpy as np

from ...formats import INT64
from ...mode import is_recording
from ..runtime.array import DeviceArray
from ..shared.fusion import Unpooled, pooled
from ..shared.planes import attributes_in_plane, in_plane, is_signal, out_of_plane
from ..shared.pooling import is_plain, launch_over_places, launch_over_rows, pooled_shape, pooling_sizes
from ..variants import OF_POOLING, variant
from . import max_pool2d_with_indices

VARIANTS = OF_POOLING
KERNELS = {"pooling": ("plain",), "pooling_cpu": ("cpu",), "pooling_rows_cpu": ("cpu",)}


def forward(x, *, kernel, stride, padding, dilation=None, ceil_mode=False):
    """x (N, C, H, W) -> y (N, C, out_h, out_w); saved: the winner's place p kw + q in its window, or in x.

    There may be one or three spatial axes as well.
    """
    window = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    if is_signal(x.shape):
        y, saved = forward(in_plane(x), **attributes_in_plane(window), ceil_mode=ceil_mode)
        return out_of_plane(y), saved
    shape = pooled_shape(x.shape, **window, ceil_mode=ceil_mode)
    if _is_in_twos(x, shape, **window) and (fused := pooled(x)):
        y, winner = fused
        return y, (winner, x)
    if variant(x.device) == "cpu" and not is_recording():
        # Where no gradient is asked for, none needs to know which pixel is the largest.
        y = x.device.empty(shape)
        if launch_over_rows(y, "largest_of_rows", x.shape, shape, window, x=x, y=y):
            return y, (None, x)
    if variant(x.device) == "cpu" or not is_plain(kernel, dilation):
        (y, _), saved = max_pool2d_with_indices.forward(x, **window, ceil_mode=ceil_mode)
        return y, saved
    y, winner = x.device.empty(shape), x.device.empty(shape, np.int32)
    sizes = pooling_sizes(x.shape, shape, kernel, stride, padding)
    launch_over_places(x.device, "max_pool2d", "max_pool2d_forward", shape, x=x, y=y, winner=winner, **sizes)
    return y, (winner, x.shape)


def backward(dy, saved, needs, *, kernel, stride, padding, dilation=None, ceil_mode=False):
    """dy (N, C, out_h, out_w) -> dx (N, C, H, W): each dy is added at the pixel that won."""
    window = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    if is_signal(dy.shape):
        (dx,) = backward(in_plane(dy), saved, needs, **attributes_in_plane(window), ceil_mode=ceil_mode)
        return (out_of_plane(dx),)
    winner, x = saved
    if winner is None:
        _, saved = max_pool2d_with_indices.forward(x, **window, ceil_mode=ceil_mode)
        winner, x = saved
    if winner.dtype == INT64.dtype:
        return max_pool2d_with_indices.backward((dy, None), saved, needs, **window, ceil_mode=ceil_mode)
    if isinstance(x, DeviceArray):
        # Pooled together with the rectifier that made x: where that cut the winner, no window has one.
        dx = Unpooled(dy, winner, x.shape, functools.partial(_backward_rectified, dy, winner, x.shape)).array()
        dx.masked_by = x
        return (dx,)
    dx = dy.device.empty(x)
    sizes = pooling_sizes(x, dy.shape, kernel, stride, padding)
    launch_over_places(dy.device, "max_pool2d", "max_pool2d_backward", x, dy=dy, winner=winner, dx=dx, **sizes)
    return (dx,)


def _is_in_twos(x, shape, kernel, stride, padding, dilation):
    """Return whether windows of 2x2 lie side by side, of which none reaches over the end of x, as with ceil_mode."""
    is_whole = 2 * shape[2] <= x.shape[2] and 2 * shape[3] <= x.shape[3]
    return kernel == stride == (2, 2) and is_plain(kernel, dilation) and padding == (0, 0, 0, 0) and is_whole


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

"""Average pooling on an OpenCL device. Signals are seen as images of height 1."""

import math

from ...shapes import reached_padding
from ..shared.planes import attributes_in_plane, in_plane, is_signal, out_of_plane, shape_in_plane
from ..shared.pooling import (
    counted_sizes,
    is_plain,
    launch_any_window,
    launch_over_maps,
    launch_over_places,
    launch_over_rows,
    pooled_shape,
    pooling_sizes,
)
from ..variants import OF_POOLING, variant

VARIANTS = OF_POOLING
KERNELS = {"pooling": ("plain",), "pooling_cpu": ("cpu",), "pooling_rows_cpu": ("cpu",)}

# Terms of a sum that need not be cut into parts.
_FEW_TERMS = 1024


def forward(x, *, kernel, stride, padding, count_include_padding, dilation=None, ceil_mode=False):
    """x (N, C, H, W), or with one or three spatial axes -> y (N, C, out_h, out_w), with as many."""
    window = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    rounding = {"count_include_padding": count_include_padding, "ceil_mode": ceil_mode}
    if is_signal(x.shape):
        y, shape = forward(in_plane(x), **attributes_in_plane(window), **rounding)
        return out_of_plane(y), x.shape
    y = x.device.empty(pooled_shape(x.shape, **window, ceil_mode=ceil_mode))
    _launch("forward", y, x.shape, y.shape, window, **rounding, x=x, y=y)
    return y, x.shape


def backward(dy, saved, needs, *, kernel, stride, padding, count_include_padding, dilation=None, ceil_mode=False):
    """dy (N, C, out_h, out_w) -> dx (N, C, H, W): every pixel of a window gets the same share."""
    window = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    rounding = {"count_include_padding": count_include_padding, "ceil_mode": ceil_mode}
    if is_signal(dy.shape):
        shape, window = shape_in_plane(saved), attributes_in_plane(window)
        (dx,) = backward(in_plane(dy), shape, needs, **window, **rounding)
        return (out_of_plane(dx),)
    dx = dy.device.empty(saved)
    _launch("backward", dx, saved, dy.shape, window, **rounding, dy=dy, dx=dx)
    return (dx,)


def _launch(direction, written, image, output, window, /, *, count_include_padding, ceil_mode, **arrays):
    kernel, stride, padding, dilation = (window[name] for name in ("kernel", "stride", "padding", "dilation"))
    counted = counted_sizes(padding if count_include_padding else (0,) * len(padding))
    device = written.device
    if direction == "forward" and variant(device) == "cpu":
        rows = written, "mean_of_rows", image, output, window
        if math.prod(kernel) > _FEW_TERMS or not launch_over_rows(*rows, **arrays, **counted):
            launch_any_window(written, "mean_forward", image, output, window, **arrays, **counted)
        return
    reaches_over = reached_padding(image[2:], **window, ceil_mode=ceil_mode) != padding
    if is_plain(kernel, dilation) and not (count_include_padding and reaches_over):
        sizes = pooling_sizes(image, output, kernel, stride, padding)
        arguments = {**arrays, **sizes, "count_include_padding": int(count_include_padding)}
        if variant(device) == "cpu":
            launch_over_maps(device, "average_pool2d_cpu", "average_pool2d_backward", sizes["maps"], **arguments)
        else:
            launch_over_places(device, "average_pool2d", f"average_pool2d_{direction}", written.shape, **arguments)
    else:
        launch_any_window(written, f"mean_{direction}", image, output, window, **arrays, **counted)

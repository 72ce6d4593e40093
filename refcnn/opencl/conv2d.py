"""Convolution on an OpenCL device: for each direction the variant that suits the device and the sizes.

The result is computed when it is first needed, and not before: what follows
it, a rectifier for example, can then be done in the same kernel.
"""

import functools

from ..shapes import window_output_shape
from . import conv2d_product as product
from . import variants
from .fusion import Pending
from .variants import Convolution

_PLAIN_GROUP = 64


def forward(x, w, b, *, stride, padding, dilation, groups):
    """x (N, C, H, W), w (K, C/groups, kh, kw), b (1, K, 1, 1) or None -> y (N, K, out_h, out_w)."""
    geometry = Convolution(x.shape, w.shape, stride, padding, dilation, groups)
    shape = x.shape[0], w.shape[0], *window_output_shape(x.shape[2:], w.shape[2:], stride, padding, dilation)
    saved = _Saved(x.computed(), w, geometry)
    if variants.choose(x.device, "forward", geometry) == "plain":
        return _plain(x.device, "forward", shape, geometry, x, w, w if b is None else b, int(b is not None)), saved
    return Pending(x.device, shape, functools.partial(_forward, saved, b)).array(), saved


def _forward(saved, b, rectify):
    y, saved.packed = product.forward(saved.x, saved.w, b, saved.geometry, rectify)
    return y


def backward(dy, saved, needs, *, stride, padding, dilation, groups):
    """dy (N, K, out_h, out_w) -> dx, dw, db: each window hands its share of dy back to what it read."""
    x, w, geometry, device = saved.x, saved.w, saved.geometry, dy.device
    dx = dw = db = factored = None
    which = {direction: variants.choose(device, direction, geometry) for direction in ("backward_x", "backward_w")}
    if (needs[0] and which["backward_x"] != "plain") or (any(needs[1:]) and which["backward_w"] != "plain"):
        factored = product.Backward(dy, geometry)
    if needs[0]:
        if which["backward_x"] == "plain":
            dx = _plain(device, "backward_x", x.shape, geometry, dy, w)
        else:
            dx = factored.x(w)
    if needs[1]:
        if which["backward_w"] == "plain":
            dw = _plain(device, "backward_w", w.shape, geometry, x, dy)
        else:
            dw = factored.w(x, saved.packed)
    if needs[2]:
        if which["backward_w"] == "plain":
            db = _plain(device, "backward_b", (1, w.shape[0], 1, 1), geometry, dy)
        else:
            db = factored.b()
    return dx, dw, db


class _Saved:
    """What backward needs; ``packed`` is the copy of x that the forward product made, if there was one."""

    __slots__ = ("x", "w", "geometry", "packed")

    def __init__(self, x, w, geometry):
        self.x, self.w, self.geometry, self.packed = x, w, geometry, None


def _plain(device, kernel, shape, geometry, *arguments):
    """Run a kernel of conv2d.cl and return its result, of the given shape."""
    result = device.empty(shape)
    (N, C, H, W), (K, inputs, kernel_h, kernel_w) = geometry.x_shape, geometry.w_shape
    out_h, out_w = window_output_shape((H, W), (kernel_h, kernel_w), *geometry[2:5])
    size = {
        "forward": (out_h * out_w, N * K), "backward_x": (H * W, N * C),
        "backward_w": (inputs * kernel_h * kernel_w, K), "backward_b": (K,),
    }[kernel]  # fmt: skip
    device.launch(
        "conv2d", kernel, size, (_PLAIN_GROUP, 1)[: len(size)], *arguments, result,
        N, C, H, W, K, kernel_h, kernel_w, out_h, out_w, geometry.groups, *geometry.padding[:2], *geometry.stride,
        *geometry.dilation,
    )  # fmt: skip
    return result

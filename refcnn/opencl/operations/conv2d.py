"""Convolution on an OpenCL device: for each direction the variant that suits the device and the sizes.

The result is computed when it is first needed, and not before: what follows
it, a rectifier for example, can then be done in the same kernel.
"""

import functools

from ..convolution import direct, product, winograd, winograd_weights
from ..convolution.choice import choose
from ..convolution.sizes import Convolution
from ..shared import matrix_product
from ..shared.fusion import Pending
from ..variants import CHOSEN, GENERAL, SPECIAL, TILES

VARIANTS = (CHOSEN, *GENERAL, *SPECIAL)
FUSED = {"relu": (CHOSEN, "cpu", "gpu", *SPECIAL), "relu+max_pool2d": (CHOSEN, *TILES)}
KERNELS = {
    **matrix_product.KERNELS,
    "conv2d_winograd": tuple(TILES),
    "conv2d_winograd_weights": tuple(TILES),
    "max_pool2d_rectified": ("winograd_2x2+relu+max_pool2d",),
}

_PLAIN_GROUP = 64


def forward(x, w, b, *, stride, padding, dilation, groups):
    """x (N, C, H, W), w (K, C/groups, kh, kw), b (1, K, 1, 1) or None -> y (N, K, out_h, out_w)."""
    geometry = Convolution(x.shape, w.shape, stride, padding, dilation, groups)
    shape = geometry.y_shape
    saved = _Saved(x.computed(), w, geometry)
    which = choose(x.device, "forward", geometry)
    if which == "plain":
        return _plain(x.device, "forward", shape, geometry, "y", x=x, w=w, b=b, has_bias=int(b is not None)), saved
    if which in TILES:
        run, run_pooled = (
            functools.partial(function, x, w, b, geometry, TILES[which])
            for function in (winograd.forward, winograd.forward_pooled)
        )
        return Pending(x.device, shape, run, run_pooled).array(), saved
    if which == "direct":
        return Pending(x.device, shape, functools.partial(direct.forward, saved.x, w, b, geometry)).array(), saved
    return Pending(x.device, shape, functools.partial(_product, saved, b)).array(), saved


def _product(saved, b, rectify):
    y, saved.packed = product.forward(saved.x, saved.w, b, saved.geometry, rectify)
    return y


def backward(dy, saved, needs, *, stride, padding, dilation, groups):
    """dy (N, K, out_h, out_w) -> dx, dw, db: each window hands its share of dy back to what it read."""
    gradients = _Gradients(dy, saved)
    dx = gradients.x() if needs[0] else None
    dw, db = gradients.w_and_b(needs[1], needs[2]) if any(needs[1:]) else (None, None)
    return dx, dw, db


class _Gradients:
    """The gradients that follow from one dy, each by the variant that suits it."""

    def __init__(self, dy, saved):
        self._dy, self._saved, self._geometry = dy, saved, saved.geometry

    @functools.cached_property
    def _product(self):
        return product.Backward(self._dy, self._geometry)

    def x(self):
        x, w, geometry, device = self._saved.x, self._saved.w, self._geometry, self._dy.device
        which = choose(device, "backward_x", geometry)
        if which == "plain":
            return _plain(device, "backward_x", x.shape, geometry, "dx", dy=self._dy, w=w)
        if which in TILES:
            dx = winograd.backward_x(self._dy, w, geometry, TILES[which], kept=x if x.rectified else None)
            dx.masked_by = x if x.rectified else None
            return dx
        if which == "direct":
            return direct.backward_x(self._dy, w, geometry)
        return self._product.x(w)

    def w_and_b(self, needs_w, needs_b):
        x, w, geometry, device = self._saved.x, self._saved.w, self._geometry, self._dy.device
        which = choose(device, "backward_w", geometry)
        if which == "plain":
            dw = _plain(device, "backward_w", w.shape, geometry, "dw", x=x, dy=self._dy) if needs_w else None
            db = _plain(device, "backward_b", (1, w.shape[0], 1, 1), geometry, "db", dy=self._dy) if needs_b else None
            return dw, db
        if which in TILES and needs_w:
            return winograd_weights.backward_w(x, self._dy, geometry, TILES[which], bias=needs_b)
        if which == "direct" and needs_w:
            dw, db = direct.backward_w(x, self._dy, geometry)
            return dw, db if needs_b else None
        dw = self._product.w(x, self._saved.packed) if needs_w else None
        db = self._product.b() if needs_b else None
        return dw, db


def tuned_geometry(inputs, attributes):
    """The convolution's."""
    return Convolution(*inputs[:2], **attributes)


def algorithms(device, x_shape, w_shape, b_shape=None, *, stride, padding, dilation, groups):
    """Return the variant that computes each direction on a device: ``forward``, ``backward_x`` and ``backward_w``."""
    geometry = Convolution(x_shape, w_shape, stride, padding, dilation, groups)
    return {direction: choose(device, direction, geometry) for direction in ("forward", "backward_x", "backward_w")}


class _Saved:
    """What backward needs; ``packed`` is the copy of x that the forward product made, if there was one."""

    __slots__ = ("x", "w", "geometry", "packed")

    def __init__(self, x, w, geometry):
        self.x, self.w, self.geometry, self.packed = x, w, geometry, None


def _plain(device, kernel, shape, geometry, result_name, **arguments):
    """Run a kernel of conv2d.cl and return its result, of the given shape; the other arguments by name."""
    result = device.empty(shape)
    (N, C, H, W), (_, K, out_h, out_w), (kernel_h, kernel_w) = geometry.x_shape, geometry.y_shape, geometry.kernel
    (top, left), (s_h, s_w), (d_h, d_w) = geometry.padding[:2], geometry.stride, geometry.dilation
    size = {
        "forward": (out_h * out_w, N * K),
        "backward_x": (H * W, N * C),
        "backward_w": (geometry.terms, K),
        "backward_b": (K,),
    }[kernel]
    device.launch(
        "conv2d",
        kernel,
        size,
        (_PLAIN_GROUP, 1)[: len(size)],
        **{result_name: result},
        **arguments,
        N=N,
        C=C,
        H=H,
        W=W,
        K=K,
        kernel_h=kernel_h,
        kernel_w=kernel_w,
        out_h=out_h,
        out_w=out_w,
        groups=geometry.groups,
        top=top,
        left=left,
        s_h=s_h,
        s_w=s_w,
        d_h=d_h,
        d_w=d_w,
    )
    return result

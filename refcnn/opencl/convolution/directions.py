"""The directions of a convolution on an OpenCL device: for each the variant that suits the device and the sizes.

A transposed convolution has the same three, in other roles.
"""

import functools
import math

from ..shared import matrix_product
from ..shared.fusion import Pending
from ..variants import CHOSEN, GENERAL, SPECIAL, TILES
from . import depthwise, depthwise_gpu, direct, product, winograd, winograd_weights
from .choice import choose

VARIANTS = (CHOSEN, *GENERAL, *SPECIAL)
KERNELS = {
    **matrix_product.KERNELS,
    "conv2d": ("plain",),
    "conv2d_cpu": ("cpu",),
    "conv2d_gpu": ("gpu",),
    "conv2d_depthwise": ("depthwise",),
    "conv2d_depthwise_gpu": ("gpu",),
    "conv2d_direct": ("direct",),
    "conv2d_volume": ("plain",),
    "conv2d_winograd": tuple(TILES),
    "conv2d_winograd_weights": tuple(TILES),
}

# Variants without a copy of the whole array.
_BY_PLANES = {"direct": direct, "depthwise": depthwise}

_PLAIN_GROUP = 64


class Saved:
    """What backward needs; ``packed`` is the copy of x that the forward product made, if there was one."""

    __slots__ = ("x", "w", "geometry", "packed")

    def __init__(self, x, w, geometry):
        self.x, self.w, self.geometry, self.packed = x, w, geometry, None


def forward(x, w, b, geometry):
    """Return y, which is computed when it is first needed, and what :class:`Gradients` need.

    What follows, a rectifier for example, can then be done in the same kernel.

    Parameters
    ----------
    x, w : DeviceArray
    b : DeviceArray or None
    geometry : refcnn.opencl.convolution.sizes.Convolution
    """
    shape = geometry.y_shape
    saved = Saved(x.computed(), w, geometry)
    which = choose(x.device, "forward", geometry)
    if which == "plain":
        return _plain(x.device, "forward", shape, geometry, "y", x=x, w=w, b=b, has_bias=int(b is not None)), saved

    def run(limits, fold=_as_given):
        weights = fold(w, b)
        if which in TILES:
            return winograd.forward(saved.x, *weights, geometry, TILES[which], limits)
        if by_planes := _by_planes(which, geometry):
            return by_planes.forward(saved.x, *weights, geometry, limits)
        y, saved.packed = product.forward(saved.x, *weights, geometry, limits)
        return y

    def run_pooled(fold=_as_given):
        return winograd.forward_pooled(saved.x, *fold(w, b), geometry, TILES[which])

    # To fold something into more kernels than there are results takes longer than to do it to these, each time.
    folds = math.prod(shape) >= w.size or x.device.computes_once(w)
    return Pending(x.device, shape, run, run_pooled if which in TILES else None, folds).array(), saved


def _by_planes(which, geometry):
    """Return the module that computes a variant without a copy of the whole array, or None."""
    if which == "gpu" and depthwise_gpu.applies(geometry):
        return depthwise_gpu
    return _BY_PLANES.get(which)


def _as_given(w, b):
    return w, b


class Gradients:
    """The gradients that follow from one dy, each by the variant that suits it.

    Parameters
    ----------
    dy : DeviceArray
    saved : Saved
        Its x may be None where only :meth:`x` is asked.
    """

    def __init__(self, dy, saved):
        self._dy, self._saved, self._geometry = dy, saved, saved.geometry

    @functools.cached_property
    def _product(self):
        return product.backward(self._dy, self._geometry)

    def x(self):
        """Return dx."""
        x, w, geometry, device = self._saved.x, self._saved.w, self._geometry, self._dy.device
        which = choose(device, "backward_x", geometry)
        if which == "plain":
            return _plain(device, "backward_x", geometry.x_shape, geometry, "dx", dy=self._dy, w=w)
        if which in TILES:
            kept = x if x is not None and x.rectified else None
            dx = winograd.backward_x(self._dy, w, geometry, TILES[which], kept=kept)
            dx.masked_by = kept
            return dx
        if by_planes := _by_planes(which, geometry):
            return by_planes.backward_x(self._dy, w, geometry)
        return self._product.x(w)

    def w_and_b(self, needs_w, needs_b):
        """Return dw and db, each None where it is not needed."""
        x, geometry, device = self._saved.x, self._geometry, self._dy.device
        which = choose(device, "backward_w", geometry)
        if which == "plain":
            dw = _plain(device, "backward_w", geometry.w_shape, geometry, "dw", x=x, dy=self._dy) if needs_w else None
            return dw, plain_bias(self._dy) if needs_b else None
        if which in TILES and needs_w:
            return winograd_weights.backward_w(x, self._dy, geometry, TILES[which], bias=needs_b)
        if needs_w and (by_planes := _by_planes(which, geometry)):
            dw, db = by_planes.backward_w(x, self._dy, geometry)
            return dw, db if needs_b else None
        dw = self._product.w(x, self._saved.packed) if needs_w else None
        db = self._product.b() if needs_b else None
        return dw, db


def plain_bias(dy):
    """Return the gradient of a bias, (1, K, 1, 1): the sum of dy over all images and pixels."""
    N, K, *out = dy.shape
    db = dy.device.empty((1, K, *(1,) * len(out)))
    sizes = dict.fromkeys(("C", "groups", *_OF_AXES[2]), 1) | {"out_h": math.prod(out), "N": N, "K": K}
    dy.device.launch("conv2d", "backward_b", (K,), (_PLAIN_GROUP,), dy=dy, db=db, **sizes)
    return db


def _plain(device, kernel, shape, geometry, result_name, **arguments):
    """Run a plain kernel and return its result, of the given shape; the other arguments by name."""
    result = device.empty(shape)
    (N, C, *image), (_, K, *out), taps = geometry.x_shape, geometry.y_shape, geometry.kernel
    axes = len(taps)
    size = {
        "forward": (math.prod(out), N * K),
        "backward_x": (math.prod(image), N * C),
        "backward_w": (geometry.terms, K),
    }[kernel]
    of_axes = (*image, *taps, *out, *geometry.padding[:axes], *geometry.stride, *geometry.dilation)
    device.launch(
        "conv2d" if axes == 2 else "conv2d_volume",
        kernel,
        size,
        (_PLAIN_GROUP, 1),
        **{result_name: result},
        **arguments,
        N=N,
        C=C,
        K=K,
        groups=geometry.groups,
        **dict(zip(_OF_AXES[axes], of_axes, strict=True)),
    )
    return result


#: How the plain kernels call what has a number for each axis: sizes of x, of kernels and of y, padding, steps and
#: dilations.
_OF_AXES = {
    2: ("H", "W", "kernel_h", "kernel_w", "out_h", "out_w", "top", "left", "s_h", "s_w", "d_h", "d_w"),
    3: (
        *("D", "H", "W", "kernel_d", "kernel_h", "kernel_w", "out_d", "out_h", "out_w", "front", "top", "left"),
        *("s_d", "s_h", "s_w", "d_d", "d_h", "d_w"),
    ),
}

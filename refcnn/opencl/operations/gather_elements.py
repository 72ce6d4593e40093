"""Gather elements on an OpenCL device."""

import math

from ...shapes import strides
from ..shared.indexing import summed, taken
from ..shared.moving import scatter, strided

KERNELS = {"indexing": (None,), "moving": (None,)}


def forward(x, indices, *, axis):
    """x, indices of as many axes, along none but that axis longer than x -> y of the indices' shape."""
    shape = _taken(x.shape, indices.shape, axis)
    part = x if shape == x.shape else strided(x, shape, 0, strides(x.shape))
    return _filled(taken, part, indices, x.device.empty(indices.shape, x.dtype), shape, axis), (x.shape, indices)


def backward(dy, saved, needs, *, axis):
    """dx is the sum of dy over all copies of an element; an index has no gradient."""
    x_shape, indices = saved
    shape = _taken(x_shape, indices.shape, axis)
    dx = _filled(summed, dy, indices, dy.device.empty(shape), shape, axis)
    return dx if shape == x_shape else scatter(dx, x_shape, tuple((0, 1, size) for size in shape)), None


def _taken(x_shape, shape, axis):
    """Return the shape of the part of x from which elements are taken."""
    return (*shape[:axis], x_shape[axis], *shape[axis + 1 :])


def _filled(fill, array, indices, result, shape, axis):
    outer, inner = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    return fill(array, indices, result, outer=outer, size=shape[axis], inner=inner, options=("-DPER_ELEMENT",))

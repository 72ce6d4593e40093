"""Gather on an OpenCL device."""

import math

from ..shared.indexing import summed, taken

KERNELS = {"indexing": (None,)}


def forward(x, indices, *, axis):
    """x, indices of any shape -> y, in which the axes of the indices stand in the place of the axis of x."""
    y = x.device.empty((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), x.dtype)
    return taken(x, indices, y, **_sizes(x.shape, axis)), (x.shape, indices)


def backward(dy, saved, needs, *, axis):
    """dx is the sum of dy over all copies of an element; an index has no gradient."""
    shape, indices = saved
    return summed(dy, indices, dy.device.empty(shape), **_sizes(shape, axis)), None


def _sizes(shape, axis):
    return {"outer": math.prod(shape[:axis]), "size": shape[axis], "inner": math.prod(shape[axis + 1 :])}

"""Reductions on an OpenCL device. ``axes`` are numbers from 0 on, in order, as in :mod:`refcnn.reference.reduction`."""

import math

from ..shared import reduction


class Sum:
    """y = the sum over the axes, or the mean where ``is_mean``."""

    KERNELS = {"reduction": (None,)}

    def __init__(self, is_mean=False):
        self.is_mean = is_mean

    def forward(self, x, *, axes, keepdims):
        """x of any shape -> y without the axes, or with one element along each."""
        y = reduction.sum_over(x, axes).reshape(_shape(x.shape, axes, keepdims))
        return reduction.divided(y, _count(x.shape, axes)) if self.is_mean else y, x.shape

    def backward(self, dy, saved, needs, *, axes, keepdims):
        """dx = dy for each element that was summed, divided by their number where y is the mean."""
        if self.is_mean:
            dy = reduction.divided(dy, _count(saved, axes))
        return (reduction.repeated(dy, saved, axes),)


class Max:
    """y = the largest over the axes, NaN where one is NaN; of no elements -infinity."""

    KERNELS = {"reduction": (None,)}

    def forward(self, x, *, axes, keepdims):
        """x of any shape -> y without the axes, or with one element along each; saved: the first of the largest."""
        y, winner = reduction.largest_over(x, axes)
        return y.reshape(_shape(x.shape, axes, keepdims)), (winner, x.shape)

    def backward(self, dy, saved, needs, *, axes, keepdims):
        """dx = dy for the first of the largest in row-major order, as in max pooling, else 0."""
        return (reduction.to_winners(dy, *saved),)


def _shape(shape, axes, keepdims):
    sizes = (1 if axis in axes else size for axis, size in enumerate(shape) if keepdims or axis not in axes)
    return tuple(sizes)


def _count(shape, axes):
    """Return how many elements become one."""
    return math.prod(shape[axis] for axis in axes)


OPERATIONS = {"reduce_max": Max(), "reduce_mean": Sum(is_mean=True), "reduce_sum": Sum()}

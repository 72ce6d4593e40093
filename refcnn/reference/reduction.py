"""Reductions: what becomes of all elements along some axes. ``axes`` are numbers from 0 on, in order.

With ``keepdims`` the axes stay, with one element each; else they are gone.
"""

import numpy as np


class Sum:
    """y = the sum over the axes, or the mean where ``is_mean``; of no elements 0, or NaN."""

    def __init__(self, is_mean=False):
        self.is_mean = is_mean

    def forward(self, x, *, axes, keepdims):
        """x of any shape -> y without the axes, or with one element along each."""
        y = x.sum(axis=axes, keepdims=keepdims)
        return y / _count(x.shape, axes) if self.is_mean else y, x.shape

    def backward(self, dy, saved, needs, *, axes, keepdims):
        """dx = dy for each element that was summed, divided by their number where y is the mean."""
        dy = dy.reshape([1 if axis in axes else size for axis, size in enumerate(saved)])
        if self.is_mean:
            dy = dy / _count(saved, axes)
        return (np.broadcast_to(dy, saved),)


class Max:
    """y = the largest over the axes, NaN where one is NaN; of no elements -infinity."""

    def forward(self, x, *, axes, keepdims):
        """x of any shape -> y without the axes, or with one element along each; saved: the first of the largest."""
        shape = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
        rows = _rows(x, axes)
        winner = rows.argmax(axis=-1)[..., None] if rows.shape[-1] else None
        y = np.full(rows.shape[:-1], -np.inf, x.dtype) if winner is None else np.take_along_axis(rows, winner, -1)
        return y.reshape(shape if keepdims else _kept(x.shape, axes)), (winner, x.shape)

    def backward(self, dy, saved, needs, *, axes, keepdims):
        """dx = dy for the first of the largest in row-major order, as in max pooling, else 0."""
        winner, shape = saved
        dx = np.zeros(shape, dy.dtype)
        if winner is not None:
            of_winner = np.zeros((*_kept(shape, axes), _count(shape, axes)), dy.dtype)
            np.put_along_axis(of_winner, winner, dy.reshape(winner.shape), -1)
            moved = np.moveaxis(dx, axes, range(-len(axes), 0))
            moved[...] = of_winner.reshape(moved.shape)
        return (dx,)


def _kept(shape, axes):
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def _count(shape, axes):
    """Return how many elements become one."""
    return int(np.prod([shape[axis] for axis in axes]))


def _rows(x, axes):
    """Return an array whose last axis has all that becomes one element, in row-major order."""
    moved = np.moveaxis(x, axes, range(-len(axes), 0))
    return moved.reshape(*_kept(x.shape, axes), _count(x.shape, axes))


OPERATIONS = {"reduce_max": Max(), "reduce_mean": Sum(is_mean=True), "reduce_sum": Sum()}

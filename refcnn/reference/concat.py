"""Concat: arrays joined along one axis.

y[..., o_n + k, ...] = x_n[..., k, ...], where o_n is what the arrays before x_n measure along that axis together
"""

import numpy as np


def forward(*xs, axis):
    """Arrays whose shapes are equal but along an axis -> y, one after the other along that axis."""
    return np.concatenate(xs, axis), tuple(x.shape[axis] for x in xs)


def backward(dy, saved, needs, *, axis):
    """The gradient of each array is its part of dy."""
    parts = np.split(dy, np.cumsum(saved)[:-1], axis)
    return tuple(part.copy() if need else None for part, need in zip(parts, needs, strict=True))

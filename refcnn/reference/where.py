"""A choice between two arrays by a third one, of truth values, element by element; all are broadcast as in NumPy.

y = a where the condition is true, else b
"""

import numpy as np

from .arithmetic import unbroadcast


def forward(condition, a, b):
    """condition, a, b of shapes that broadcast -> y of the shape that they broadcast to."""
    return np.where(condition, a, b), (condition, a.shape, b.shape)


def backward(dy, saved, needs):
    """da = dy where the condition is true, else 0; db = dy where it is not. Summed where a or b was repeated."""
    condition, *shapes = saved
    zero = dy.dtype.type(0)
    chosen = np.where(condition, dy, zero), np.where(condition, zero, dy)
    rows = zip(chosen, shapes, needs[1:], strict=True)
    return None, *(unbroadcast(gradient, shape) if need else None for gradient, shape, need in rows)

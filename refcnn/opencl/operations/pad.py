"""Pad on an OpenCL device."""

import numpy as np

from ...shapes import strides
from ..shared.along import sum_along
from ..shared.moving import pick, scatter

KERNELS = {"moving": (None,), "along": (None,)}


def forward(x, *, pads, mode, constant_value):
    """x -> y; pads are the elements before those of each axis, then those behind."""
    if mode == "constant":
        return _padded(x, pads, constant_value), x.shape
    return pick(x, _tables(x.shape, pads, mode)), x.shape


def backward(dy, saved, needs, *, pads, mode, constant_value):
    """dx is the sum of dy over all copies of an element: one axis after the other."""
    if mode == "constant":
        return (_padded(dy, [-pad for pad in pads], 0),)
    dx = dy
    for axis, table in enumerate(_tables(saved, pads, mode)):
        if not np.array_equal(table, np.arange(saved[axis])):
            order = np.argsort(table, kind="stable")
            dx = sum_along(dx, axis, order, np.searchsorted(table[order], range(saved[axis] + 1)))
    return (dx,)


def _padded(x, pads, constant):
    """Return x with a constant around it, or with less of it."""
    before, after = pads[: x.ndim], pads[x.ndim :]
    shape = [n + b + a for n, b, a in zip(x.shape, before, after, strict=True)]
    taken = [n + min(0, b) + min(0, a) for n, b, a in zip(x.shape, before, after, strict=True)]
    parts = tuple((max(0, b), 1, count) for b, count in zip(before, taken, strict=True))
    first = sum(max(0, -b) * distance for b, distance in zip(before, strides(x.shape), strict=True))
    return scatter(x, shape, parts, constant, first, strides(x.shape))


def _tables(shape, pads, mode):
    """Return for each axis which index of x each of y has."""
    rows = zip(shape, pads[: len(shape)], pads[len(shape) :], strict=True)
    return [_table(size, before, after, mode) for size, before, after in rows]


def _table(size, before, after, mode):
    kept = np.arange(max(0, -before), size - max(0, -after))
    return np.pad(kept, (max(0, before), max(0, after)), mode) if before > 0 or after > 0 else kept

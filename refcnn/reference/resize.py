"""Resize: images with more or fewer elements along some axes, interpolated.

y[..., k, ...] = sum over j of w[k, j] x[..., i[k, j], ...] along each axis in turn, where the indices i are the
neighbours of where k lies in x, and w their weights: refcnn/interpolation.py.
"""

import numpy as np

from ..interpolation import tables


def forward(x, *, mode, extrapolation_value, **attributes):
    """x -> y; what lies outside of x, in the mode of coordinates that crops, is ``extrapolation_value``."""
    y, outside = x, []
    for axis, indices, weights, is_outside in tables(x.shape, mode=mode, **attributes):
        if mode == "nearest":
            y = y.take(indices[:, 0], axis.number)
        else:
            y = _weighted(y.take(indices, axis.number), weights, axis.number).sum(axis.number + 1)
        outside.append(_along(is_outside, axis.number, x.ndim))
    for is_outside in outside:
        y = np.where(is_outside, np.asarray(extrapolation_value, x.dtype), y)
    return y, x.shape


def backward(dy, saved, needs, *, mode, extrapolation_value, **attributes):
    """dx[..., i, ...] = sum over the k, j with i[k, j] = i of w[k, j] dy[..., k, ...], the axes from the last on."""
    dx = dy
    for axis, indices, weights, _ in reversed(tables(saved, mode=mode, **attributes)):
        shares = _weighted(
            np.repeat(np.expand_dims(dx, axis.number + 1), indices.shape[1], axis.number + 1), weights, axis.number
        )
        dx = np.zeros((*dx.shape[: axis.number], axis.size, *dx.shape[axis.number + 1 :]), dy.dtype)
        shares = np.moveaxis(shares, (axis.number, axis.number + 1), (0, 1))
        np.add.at(np.moveaxis(dx, axis.number, 0), indices, shares)
    return (dx,)


def _weighted(array, weights, axis):
    """Return the products with weights that lie along an axis and the next; what does not count is 0, even of NaN."""
    weights = _along(weights, axis, array.ndim).astype(array.dtype)
    counts = np.broadcast_to(weights != 0, array.shape)
    return np.multiply(weights, array, out=np.zeros_like(array), where=counts)


def _along(table, axis, dimensions):
    """Return a table whose axes stand at an axis and the next of an array."""
    return table.reshape((1,) * axis + table.shape + (1,) * (dimensions - axis - table.ndim))

"""Tile: an array repeated beside itself.

y[k_0, k_1, ...] = x[k_0 mod n_0, k_1 mod n_1, ...], where n_0, n_1, ... is the shape of x
"""

import numpy as np


def forward(x, *, repeats):
    """x -> y, as many times as large along each axis as ``repeats`` says."""
    return np.tile(x, repeats), x.shape


def backward(dy, saved, needs, *, repeats):
    """dx is the sum of dy over all copies."""
    # An axis of copies before each axis of x.
    copies = dy.reshape(np.array([repeats, saved], int).T.ravel())
    return (copies.sum(axis=tuple(range(0, copies.ndim, 2))),)

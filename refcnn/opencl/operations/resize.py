"""Resize on an OpenCL device: along one axis after the other, by tables that the host makes."""

import numpy as np

from ...interpolation import tables
from ..shared.along import sum_along
from ..shared.moving import pick

KERNELS = {"moving": (None,), "along": (None,)}


def forward(x, *, mode, extrapolation_value, **attributes):
    """x -> y; what lies outside of x, in the mode of coordinates that crops, is ``extrapolation_value``."""
    found, y = tables(x.shape, mode=mode, **attributes), x
    if mode != "nearest":
        # The last axis first, whose elements lie behind each other: there are fewer yet of images that become larger.
        for axis, indices, weights, _ in reversed(found):
            counts = weights != 0
            offsets = np.concatenate([[0], np.cumsum(counts.sum(axis=1))])
            y = sum_along(y, axis.number, indices[counts], offsets, weights[counts])
    picked = {axis.number: np.where(outside, -1, indices[:, 0]) for axis, indices, _, outside in found}
    if mode != "nearest":
        picked = {number: np.where(table < 0, -1, range(len(table))) for number, table in picked.items()}
        if all((table >= 0).all() for table in picked.values()):
            return y, x.shape
    picked = [picked.get(axis, range(size)) for axis, size in enumerate(y.shape)]
    return pick(y, picked, extrapolation_value), x.shape


def backward(dy, saved, needs, *, mode, extrapolation_value, **attributes):
    """dx[..., i, ...] = sum over the k, j with i[k, j] = i of w[k, j] dy[..., k, ...], one axis after the other."""
    dx = dy
    for axis, indices, weights, _ in tables(saved, mode=mode, **attributes):
        counts = weights != 0
        places, shares = np.nonzero(counts)[0], weights[counts]
        order = np.argsort(indices[counts], kind="stable")
        offsets = np.searchsorted(indices[counts][order], range(axis.size + 1))
        dx = sum_along(dx, axis.number, places[order], offsets, None if mode == "nearest" else shares[order])
    return (dx,)

"""Pad: an array with more elements before and behind those along an axis, or, where that is negative, fewer.

What is taken away is taken away first. Then y[k + before] = x[k], and elsewhere y has one constant, or what x has at
its edge, mirrored there ("reflect"), or at its other end ("wrap").
"""

import numpy as np


def forward(x, *, pads, mode, constant_value):
    """x -> y; pads are the elements before those of each axis, then those behind."""
    before, after = pads[: x.ndim], pads[x.ndim :]
    kept = x[tuple(slice(max(0, -b), n - max(0, -a)) for n, b, a in zip(x.shape, before, after, strict=True))]
    widths = [(max(0, b), max(0, a)) for b, a in zip(before, after, strict=True)]
    constant = {"constant_values": constant_value} if mode == "constant" else {}
    return np.pad(kept, widths, mode, **constant), x.shape


def backward(dy, saved, needs, *, pads, mode, constant_value):
    """dx is the sum of dy over all copies of an element."""
    if mode == "constant":
        return forward(dy, pads=tuple(-pad for pad in pads), mode=mode, constant_value=0)[:1]
    places, _ = forward(np.arange(np.prod(saved)).reshape(saved), pads=pads, mode=mode, constant_value=None)
    dx = np.zeros(saved, dy.dtype)
    np.add.at(dx.reshape(-1), places, dy)
    return (dx,)

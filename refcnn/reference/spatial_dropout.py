"""Spatial dropout: each channel of each image is kept with probability 1 - ratio, and scaled so that its mean stays.

    y[n, c] = x[n, c] / (1 - ratio) where bits[n, c] >= ratio 2^32, else 0

bits are the 32-bit words of the random stream (seed, stream), one for each
channel of each image in row-major order, from the word `first` on. Source:
Tompson et al., "Efficient object localization using convolutional networks"
(2015), in the scaled form.
"""

import numpy as np

from ..philox import random_bits


def forward(x, *, ratio, seed, stream, first=0):
    """x (N, C, ...) -> y of that shape."""
    maps = *x.shape[:2], *[1] * (x.ndim - 2)
    kept = (random_bits(seed, stream, x.shape[0] * x.shape[1], first) >= int(ratio * 2**32)).reshape(maps)
    return _scaled(x, kept, ratio), kept


def backward(dy, saved, needs, *, ratio, seed, stream, first=0):
    """dx = dy / (1 - ratio) where the channel was kept, else 0."""
    return (_scaled(dy, saved, ratio),)


def _scaled(x, kept, ratio):
    return np.where(kept, x * x.dtype.type(1 / (1 - ratio)), np.zeros_like(x))

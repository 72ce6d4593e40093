"""Dropout: each value is kept with probability 1 - ratio, and scaled so that its mean stays.

    y[i] = x[i] / (1 - ratio) where bits[i] >= ratio 2^32, else 0

bits are the 32-bit words of the random stream (seed, stream), one for each
value in row-major order, from the word `first` on. Source: Srivastava et al., "Dropout: a simple way to
prevent neural networks from overfitting" (2014), in the scaled form.
"""

import numpy as np

from ..philox import random_bits


def forward(x, *, ratio, seed, stream, first=0):
    """x of any shape -> y of that shape."""
    threshold = int(ratio * 2**32)
    kept = (random_bits(seed, stream, x.size, first) >= threshold).reshape(x.shape)
    factor = x.dtype.type(1 / (1 - ratio))
    return np.where(kept, x * factor, np.zeros_like(x)), kept


def backward(dy, saved, needs, *, ratio, seed, stream, first=0):
    """dx = dy / (1 - ratio) where the value was kept, else 0."""
    factor = dy.dtype.type(1 / (1 - ratio))
    return (np.where(saved, dy * factor, np.zeros_like(dy)),)

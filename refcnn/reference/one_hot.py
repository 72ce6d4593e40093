"""One-hot: for each index numbers that are all off, but for one.

y[..., k, ...] = on where the index is k, else off
"""

import numpy as np


def forward(indices, *, depth, axis, off, on, dtype):
    """Indices of any shape -> y with an axis more; an index that is below -depth, or depth or more, leaves all off."""
    places = np.arange(-depth, depth).reshape(2, depth, *(1,) * (indices.ndim - axis))
    is_on = (np.expand_dims(indices, axis) == places[0]) | (np.expand_dims(indices, axis) == places[1])
    return np.where(is_on, on, off).astype(dtype), None


def backward(dy, saved, needs, *, depth, axis, off, on, dtype):
    """An index has no gradient."""
    return (None,)

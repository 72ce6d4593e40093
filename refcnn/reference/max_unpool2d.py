"""Max unpooling: pixels put back to the places where max pooling found them, among zeros.

    y[indices[k]] = x[k], and 0 where no index points

Places are counted row by row through all images and channels. Where several
indices point to one place the last of them, in row-major order, is put there,
and it alone gets the gradient. Source: ONNX operator specification, MaxUnpool.
"""

import numpy as np


def forward(x, indices, *, size):
    """x and indices (N, C, H, W), or with one or three spatial axes -> y (N, C, *size); saved: what is put where."""
    last = np.full((*x.shape[:2], *size), -1)
    # Of several at one place NumPy assigns the last.
    last.reshape(-1)[indices] = np.arange(x.size).reshape(x.shape)
    y = np.where(last < 0, 0, x.reshape(-1)[last]).astype(x.dtype)
    return y, (indices, last)


def backward(dy, saved, needs, *, size):
    """dy (N, C, *size) -> dx (N, C, H, W) and None: the gradient at the place, of what was put there."""
    indices, last = saved
    is_there = last.reshape(-1)[indices] == np.arange(indices.size).reshape(indices.shape)
    return np.where(is_there, dy.reshape(-1)[indices], 0).astype(dy.dtype), None

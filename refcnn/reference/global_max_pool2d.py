"""Global max pooling: the largest pixel of each channel of each image, over all its spatial axes.

    y[n, c, 0, 0] = max over i, j of x[n, c, i, j]

Of equal pixels the first wins, row by row, and a NaN wins over every number,
as in max pooling. The gradient goes to the winner alone. Source: ONNX operator
specification, GlobalMaxPool.
"""

import numpy as np


def forward(x):
    """x (N, C, H, W), or with one or three spatial axes -> y (N, C, 1, 1), with as many; saved: the winner's place."""
    pixels = x.reshape(*x.shape[:2], -1)
    winner = pixels.argmax(axis=2)[..., None]
    y = np.take_along_axis(pixels, winner, axis=2)
    return y.reshape(*x.shape[:2], *[1] * (x.ndim - 2)), (winner, x.shape)


def backward(dy, saved, needs):
    """dy (N, C, 1, 1) -> dx (N, C, H, W): dy at the pixel that won."""
    winner, shape = saved
    dx = np.zeros((*shape[:2], np.prod(shape[2:])), dtype=dy.dtype)
    np.put_along_axis(dx, winner, dy.reshape(winner.shape), axis=2)
    return (dx.reshape(shape),)

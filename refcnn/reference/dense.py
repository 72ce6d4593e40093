"""A fully connected layer: y = x w + b.

y[n, o] = b[o] + sum over i of x[n, i] w[i, o]
"""

import numpy as np


def forward(x, w, b):
    """x (N, in), w (in, out), b (1, out) or None -> y (N, out)."""
    y = np.zeros((x.shape[0], w.shape[1]), dtype=x.dtype)
    for n in range(x.shape[0]):
        y[n] = x[n] @ w
    if b is not None:
        y += b
    return y, (x, w)


def backward(dy, saved, needs):
    """dy (N, out) -> dx = dy w^T, dw = x^T dy, db = the sum of dy over the batch."""
    x, w = saved
    dx = np.zeros_like(x) if needs[0] else None
    dw = np.zeros_like(w) if needs[1] else None
    db = dy.sum(axis=0, keepdims=True) if needs[2] else None
    if needs[0]:
        for n in range(x.shape[0]):
            dx[n] = w @ dy[n]
    if needs[1]:
        for n in range(x.shape[0]):
            dw += np.outer(x[n], dy[n])
    return dx, dw, db

"""The logarithm of softmax along an axis, computed so that it is right where softmax is too small for a float.

    y[n, i] = x[n, i] - m[n] - log(sum over j of exp(x[n, j] - m[n])),   m[n] = max over j of x[n, j]

The rows n are all that lies along the axis.
"""

import numpy as np


def forward(x, *, axis):
    """x of any shape -> y of that shape, the exponentials of each row of which sum to one."""
    y = np.zeros_like(x)
    rows, of_rows = np.moveaxis(x, axis, -1), np.moveaxis(y, axis, -1)
    for n in np.ndindex(rows.shape[:-1]):
        shifted = rows[n] - rows[n].max()
        of_rows[n] = shifted - np.log(np.sum(np.exp(shifted)))
    return y, y


def backward(dy, saved, needs, *, axis):
    """dx[n, i] = dy[n, i] - exp(y[n, i]) times the sum over j of dy[n, j]."""
    dx = np.zeros_like(saved)
    y, of_y, of_x = (np.moveaxis(array, axis, -1) for array in (saved, dy, dx))
    for n in np.ndindex(y.shape[:-1]):
        of_x[n] = of_y[n] - np.exp(y[n]) * np.sum(of_y[n])
    return (dx,)

"""Softmax along an axis: each row's values as probabilities, the rows being all that lies along the axis.

    y[n, i] = exp(x[n, i] - m[n]) / sum over j of exp(x[n, j] - m[n]),   m[n] = max over j of x[n, j]

Taking the row's maximum away changes nothing in exact arithmetic and keeps
exp from overflowing.
"""

import numpy as np


def forward(x, *, axis=1):
    """x of any shape -> y of that shape, each row of which sums to one."""
    y = np.zeros_like(x)
    rows, of_rows = np.moveaxis(x, axis, -1), np.moveaxis(y, axis, -1)
    for n in np.ndindex(rows.shape[:-1]):
        exponential = np.exp(rows[n] - rows[n].max())
        of_rows[n] = exponential / exponential.sum()
    return y, y


def backward(dy, saved, needs, *, axis=1):
    """dx[n, i] = y[n, i] (dy[n, i] - sum over j of dy[n, j] y[n, j])."""
    dx = np.zeros_like(saved)
    y, of_y, of_x = (np.moveaxis(array, axis, -1) for array in (saved, dy, dx))
    for n in np.ndindex(y.shape[:-1]):
        of_x[n] = y[n] * (of_y[n] - np.sum(of_y[n] * y[n]))
    return (dx,)

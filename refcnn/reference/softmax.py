"""Softmax over the second axis: each row's values as probabilities.

    y[n, i] = exp(x[n, i] - m[n]) / sum over j of exp(x[n, j] - m[n]),   m[n] = max over j of x[n, j]

Taking the row's maximum away changes nothing in exact arithmetic and keeps
exp from overflowing.
"""

import numpy as np


def forward(x):
    """x (N, K) -> y (N, K), each row of which sums to one."""
    y = np.zeros_like(x)
    for n in range(x.shape[0]):
        exponential = np.exp(x[n] - x[n].max())
        y[n] = exponential / exponential.sum()
    return y, y


def backward(dy, saved, needs):
    """dx[n, i] = y[n, i] (dy[n, i] - sum over j of dy[n, j] y[n, j])."""
    y = saved
    dx = np.zeros_like(y)
    for n in range(y.shape[0]):
        dx[n] = y[n] * (dy[n] - np.sum(dy[n] * y[n]))
    return (dx,)

"""Adagrad: steps scaled by the root of the sum of all squared gradients so far.

    r_new = r + g^2
    w_new = w - lr g / (sqrt(r_new) + epsilon)

Source: Duchi, Hazan and Singer, "Adaptive subgradient methods for online
learning and stochastic optimization" (2011).
"""

import numpy as np


def forward(w, g, r, *, lr, epsilon):
    """Parameter w, gradient g, sum of squares r, of one shape -> (w, r)."""
    number = w.dtype.type
    r_new = r + g * g
    return w - number(lr) * g / (np.sqrt(r_new) + number(epsilon)), r_new

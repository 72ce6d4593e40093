"""Adadelta: steps in the unit of the weights, by the ratio of the root mean squares of changes and of gradients.

    r_new = rho r + (1 - rho) g^2
    d = sqrt(s + epsilon) / sqrt(r_new + epsilon) g
    s_new = rho s + (1 - rho) d^2
    w_new = w - lr d

Source: Zeiler, "Adadelta: an adaptive learning rate method" (2012), algorithm 1, where lr is 1.
"""

import numpy as np


def forward(w, g, r, s, *, lr, rho, epsilon):
    """Parameter w, gradient g, mean squares r of gradients and s of changes, of one shape -> (w, r, s)."""
    number = w.dtype.type
    r_new = number(rho) * r + number(1 - rho) * (g * g)
    change = np.sqrt(s + number(epsilon)) / np.sqrt(r_new + number(epsilon)) * g
    s_new = number(rho) * s + number(1 - rho) * (change * change)
    return w - number(lr) * change, r_new, s_new

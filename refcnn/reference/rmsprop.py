"""RMSprop: steps scaled by the root of a running mean of the squared gradient, with momentum.

    r_new = rho r + (1 - rho) g^2
    v_new = momentum v + lr g / (sqrt(r_new) + epsilon)
    w_new = w - v_new

Source: Tieleman and Hinton, "Lecture 6.5: rmsprop" (Neural Networks for
Machine Learning, 2012); the momentum as in :mod:`.sgd`.
"""

import numpy as np


def forward(w, g, r, v, *, lr, rho, momentum, epsilon):
    """Parameter w, gradient g, mean square r, velocity v, of one shape -> (w, r, v)."""
    number = w.dtype.type
    r_new = number(rho) * r + number(1 - rho) * (g * g)
    v_new = number(momentum) * v + number(lr) * g / (np.sqrt(r_new) + number(epsilon))
    return w - v_new, r_new, v_new

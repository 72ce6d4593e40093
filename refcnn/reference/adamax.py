"""Adamax: Adam with the largest gradient, which decays, in the place of the root mean square.

    m_new = beta1 m + (1 - beta1) g
    u_new = max(beta2 u, |g| + epsilon)
    w_new = w - lr (m_new / (1 - beta1^step)) / u_new

Source: Kingma and Ba, "Adam: a method for stochastic optimization" (2015),
algorithm 2; epsilon as in PyTorch, so that u is never 0.
"""

import numpy as np


def forward(w, g, m, u, *, lr, beta1, beta2, epsilon, step):
    """Parameter w, gradient g, first moment m, largest gradient u, of one shape; step from 1 -> (w, m, u)."""
    number = w.dtype.type
    m_new = number(beta1) * m + number(1 - beta1) * g
    u_new = np.maximum(number(beta2) * u, np.abs(g) + number(epsilon))
    return w - number(lr) * (m_new / number(1 - beta1**step)) / u_new, m_new, u_new

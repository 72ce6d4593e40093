"""Adam: steps scaled by running means of the gradient and of its square.

    m_new = beta1 m + (1 - beta1) g
    r_new = beta2 r + (1 - beta2) g^2
    w_new = w - lr (m_new / (1 - beta1^step)) / (sqrt(r_new / (1 - beta2^step)) + epsilon)

Source: Kingma and Ba, "Adam: a method for stochastic optimization" (2015), algorithm 1.
"""

import numpy as np


def forward(w, g, m, r, *, lr, beta1, beta2, epsilon, step):
    """Parameter w, gradient g, first moment m, second moment r, of one shape; step from 1 -> (w, m, r)."""
    number = w.dtype.type
    m_new = number(beta1) * m + number(1 - beta1) * g
    r_new = number(beta2) * r + number(1 - beta2) * (g * g)
    m_hat = m_new / number(1 - beta1**step)
    r_hat = r_new / number(1 - beta2**step)
    return w - number(lr) * m_hat / (np.sqrt(r_hat) + number(epsilon)), m_new, r_new

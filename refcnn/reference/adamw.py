"""Adam with decoupled weight decay: the weights shrink beside the step, so that its scaling does not reach the decay.

    m_new = beta1 m + (1 - beta1) g
    r_new = beta2 r + (1 - beta2) g^2
    w_new = w - lr weight_decay w - lr (m_new / (1 - beta1^step)) / (sqrt(r_new / (1 - beta2^step)) + epsilon)

Source: Loshchilov and Hutter, "Decoupled weight decay regularization" (2019),
algorithm 2, where the schedule's multiplier is part of lr as in PyTorch.
"""

import numpy as np


def forward(w, g, m, r, *, lr, beta1, beta2, epsilon, weight_decay, step):
    """Parameter w, gradient g, first moment m, second moment r, of one shape; step from 1 -> (w, m, r)."""
    number = w.dtype.type
    m_new = number(beta1) * m + number(1 - beta1) * g
    r_new = number(beta2) * r + number(1 - beta2) * (g * g)
    m_hat = m_new / number(1 - beta1**step)
    r_hat = r_new / number(1 - beta2**step)
    kept = w - number(lr * weight_decay) * w
    return kept - number(lr) * m_hat / (np.sqrt(r_hat) + number(epsilon)), m_new, r_new

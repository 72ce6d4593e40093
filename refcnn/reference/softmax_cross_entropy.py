"""Cross entropy between targets and the softmax of logits, computed stably.

    loss[n, i] = -t[n, i] log p[n, i]
    log p[n, i] = x[n, i] - m[n] - log(sum over j of exp(x[n, j] - m[n])),   m[n] = max over j of x[n, j]

With reduce_sum the result is one number, the sum over i and the mean over
the batch. Source: Goodfellow, Bengio and Courville, Deep Learning, section 6.2.2.
"""

import numpy as np


def forward(x, t, *, reduce_sum):
    """Logits x (N, K), targets t (N, K) -> the loss, of shape () if reduce_sum, else (N, K)."""
    log_p = np.zeros_like(x)
    for n in range(x.shape[0]):
        shifted = x[n] - x[n].max()
        log_p[n] = shifted - np.log(np.sum(np.exp(shifted)))
    loss = -t * log_p
    if reduce_sum:
        loss = np.asarray(loss.sum() / x.dtype.type(x.shape[0]))
    return loss, (log_p, t)


def backward(dy, saved, needs, *, reduce_sum):
    """dx[n, i] = p[n, i] sum over j of g[n, j] t[n, j] - g[n, i] t[n, i], where g is the share of each loss[n, i]."""
    log_p, t = saved
    g = np.broadcast_to(dy / t.dtype.type(t.shape[0]) if reduce_sum else dy, t.shape)
    dx = np.zeros_like(log_p) if needs[0] else None
    dt = -g * log_p if needs[1] else None
    if needs[0]:
        for n in range(t.shape[0]):
            dx[n] = np.exp(log_p[n]) * np.sum(g[n] * t[n]) - g[n] * t[n]
    return dx, dt

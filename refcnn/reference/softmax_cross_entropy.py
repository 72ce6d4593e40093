"""Cross entropy between targets and the softmax of logits, computed stably.

    loss[n, i] = -t[n, i] log p[n, i]
    log p[n, i] = x[n, i] - m[n] - log(sum over j of exp(x[n, j] - m[n])),   m[n] = max over j of x[n, j]

With reduce_sum the result is one number, the sum over i and the mean over
the batch. Source: Goodfellow, Bengio and Courville, Deep Learning, section 6.2.2.

A target of 0 takes no part: its term is 0 whatever its log p is, -infinity for
a class that a logit of -infinity excludes, or NaN. (The limit of t log t at 0
is 0.) Nor does it in the gradients: dx is 0 in rows of which no target takes
part, and dt where log p is not finite. An excluded class with another target
has an infinite loss, but finite dx. Rows of which all logits are -infinity, or
one is infinite or NaN, have NaN as log p.
"""

import numpy as np


def forward(x, t, *, reduce_sum):
    """Logits x (N, K), targets t (N, K) -> the loss, of shape () if reduce_sum, else (N, K)."""
    log_p = np.zeros_like(x)
    for n in range(x.shape[0]):
        shifted = x[n] - x[n].max()
        log_p[n] = shifted - np.log(np.sum(np.exp(shifted)))
    loss = _weighted(-t, log_p)
    if reduce_sum:
        loss = np.asarray(loss.sum() / x.dtype.type(x.shape[0]))
    return loss, (log_p, t)


def backward(dy, saved, needs, *, reduce_sum):
    """dx[n, i] = p[n, i] sum over j of g[n, j] t[n, j] - g[n, i] t[n, i], where g is the share of each loss[n, i]."""
    log_p, t = saved
    g = np.broadcast_to(dy / t.dtype.type(t.shape[0]) if reduce_sum else dy, t.shape)
    dx = np.zeros_like(log_p) if needs[0] else None
    dt = np.zeros_like(log_p) if needs[1] else None
    for n in range(t.shape[0]):
        if needs[0] and t[n].any():
            gt = _weighted(t[n], g[n])
            dx[n] = np.exp(log_p[n]) * np.sum(gt) - gt
        if needs[1]:
            has_slope = np.isfinite(log_p[n]) | (t[n] != 0)
            dt[n, has_slope] = -g[n, has_slope] * log_p[n, has_slope]
    return dx, dt


def _weighted(t, values):
    """t times the values, and 0 where t is 0, even of what is not finite."""
    product = np.zeros_like(values)
    np.multiply(t, values, out=product, where=t != 0)
    return product

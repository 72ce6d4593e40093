"""Cross entropy between classes, given by their numbers, and the softmax of logits, computed stably.

The classes are the second axis of the logits x; t holds the class of each place n, d, where d stands for as many
further axes as there are. With the share e = label_smoothing that is taken from the class itself and given to all K
classes alike, and the classes' weights u (1 as a rule)

    q[n, i, d] = u[i] ((1 - e) [i = t[n, d]] + e / K)
    loss[n, d] = -sum over i of q[n, i, d] log p[n, i, d]

with log p as in :mod:`.softmax_cross_entropy`, whose rules hold for targets q of 0 and rows of them. At places where
t is ignore_index all q are 0. With reduce_sum the result is the sum over all places divided by the sum of their
u[t[n, d]], without those that are ignored; 0 / 0, NaN, if there are no others.

Source: ONNX's SoftmaxCrossEntropyLoss; of label_smoothing Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, "Rethinking
the Inception architecture for computer vision" (2016), section 7, with weights as in PyTorch.
"""

import numpy as np


def forward(x, t, *, class_weight, label_smoothing, ignore_index, reduce_sum):
    """Logits x (N, K, ...), classes t (N, ...) -> the loss, of shape () if reduce_sum, else (N, ...)."""
    log_p, loss = np.zeros_like(x), np.zeros(t.shape, x.dtype)
    q, weight = _targets(t, x.shape, x.dtype, class_weight, label_smoothing, ignore_index)
    for n in range(x.shape[0]):
        shifted = x[n] - x[n].max(axis=0)
        log_p[n] = shifted - np.log(np.sum(np.exp(shifted), axis=0))
        loss[n] = -np.sum(_weighted(q[n], log_p[n]), axis=0)
    total = weight.sum()
    if reduce_sum:
        loss = np.asarray(loss.sum() / total)
    return loss, (log_p, q, total)


def backward(dy, saved, needs, *, class_weight, label_smoothing, ignore_index, reduce_sum):
    """dx[n, i, d] = p[n, i, d] sum over j of g[n, d] q[n, j, d] - g[n, d] q[n, i, d].

    g is the share of each loss[n, d].
    """
    log_p, q, total = saved
    dx = np.zeros_like(log_p)
    for n in range(log_p.shape[0]):
        gq = _weighted(q[n], dy / total if reduce_sum else dy[n])
        takes_part = (q[n] != 0).any(axis=0)
        dx[n] = np.where(takes_part, np.exp(log_p[n]) * np.sum(gq, axis=0) - gq, 0)
    return dx, None


def _targets(t, shape, dtype, class_weight, label_smoothing, ignore_index):
    """Return q of the shape of x, and the weight of each place, 0 where it is ignored."""
    number, classes = dtype.type, shape[1]
    of_class = np.arange(classes).reshape(-1, *[1] * (t.ndim - 1))
    u = np.ones(classes, dtype) if class_weight is None else np.array(class_weight, dtype)
    is_own = of_class == t[:, None]
    q = u.reshape(of_class.shape) * (number(1 - label_smoothing) * is_own + number(label_smoothing / classes))
    counts = np.ones(t.shape, bool) if ignore_index is None else t != ignore_index
    weight = np.where(counts, u[np.where(counts, t, 0).astype(int)], 0)
    return np.where(counts[:, None], q, 0), weight


def _weighted(q, values):
    """q times the values, and 0 where q is 0, even of what is not finite."""
    product = np.zeros_like(q)
    np.multiply(q, values, out=product, where=q != 0)
    return product

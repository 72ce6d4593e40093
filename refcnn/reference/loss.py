"""Losses of numbers: how far the output x is from the target t, element by element, both of one shape (N, ...).

With reduce_sum the result is one number, the sum of all terms divided by N, the size of the first axis.
"""

import numpy as np


class Loss:
    """An operation of output and target: loss = formula(x, t), and what its gradient g makes of theirs.

    Attributes
    ----------
    formula : callable
        ``formula(x, t, **attributes)`` -> the terms
    of_x, of_t : callable
        ``of_x(g, x, t, **attributes)`` -> g times the derivative by x (by t)
    """

    def __init__(self, formula, of_x, of_t):
        self.formula, self.of_x, self.of_t = formula, of_x, of_t

    def forward(self, x, t, *, reduce_sum, **attributes):
        """x, t of one shape -> the loss, of shape () if reduce_sum, else of theirs."""
        loss = self.formula(x, t, **attributes)
        if reduce_sum:
            loss = loss.sum(axis=tuple(range(loss.ndim)), keepdims=False) / x.dtype.type(x.shape[0])
        return loss, (x, t)

    def backward(self, dy, saved, needs, *, reduce_sum, **attributes):
        """dx and dt, where g is the share of each term: dy, or dy / N."""
        x, t = saved
        g = np.broadcast_to(dy / x.dtype.type(x.shape[0]), x.shape) if reduce_sum else dy
        return tuple(
            gradient(g, x, t, **attributes) if need else None
            for gradient, need in zip((self.of_x, self.of_t), needs, strict=True)
        )


def mean_squared_error(x, t):
    """loss = (x - t)^2."""
    difference = x - t
    return difference * difference


def mean_squared_error_of_x(g, x, t):
    """dx = 2 g (x - t)."""
    return 2 * g * (x - t)


def mean_squared_error_of_t(g, x, t):
    """dt = 2 g (t - x)."""
    return 2 * g * (t - x)


def smoothed_l1(x, t, *, delta):
    """loss = d^2 / 2 where d = |x - t| is up to delta, and delta (d - delta / 2) beyond.

    Both are c (d - c / 2) with c = min(d, delta).
    Source: Huber, "Robust estimation of a location parameter" (1964).
    """
    number = x.dtype.type
    distance = np.abs(x - t)
    near = np.minimum(distance, number(delta))
    return near * (distance - number(0.5) * near)


def smoothed_l1_of_x(g, x, t, *, delta):
    """dx = g (x - t), where the difference is cut to -delta .. delta."""
    number = x.dtype.type
    return g * np.maximum(np.minimum(x - t, number(delta)), number(-delta))


def smoothed_l1_of_t(g, x, t, *, delta):
    """dt = g (t - x), where the difference is cut to -delta .. delta."""
    return smoothed_l1_of_x(g, t, x, delta=delta)


def sigmoid_cross_entropy(x, t):
    """loss = -t log p - (1 - t) log(1 - p), p = 1 / (1 + e^-x).

    -log p = log(1 + e^-x) = max(-x, 0) + log(1 + e^-|x|), in which nothing overflows or cancels; -log(1 - p) is that of
    -x. As in :mod:`.softmax_cross_entropy` a target of 0 takes no part, of p and of 1 - p: the loss of a logit of
    infinity is 0 where t is 1, and infinite elsewhere.
    """
    rest = np.log1p(np.exp(-np.abs(x)))
    return _weighted(t, np.maximum(-x, 0) + rest) + _weighted(1 - t, np.maximum(x, 0) + rest)


def sigmoid_cross_entropy_of_x(g, x, t):
    """dx = g ((1 - t) p - t (1 - p)), which is g (p - t) without loss of digits where p is near t = 1."""
    e = np.exp(-np.abs(x))
    p, other = np.where(x >= 0, 1, e) / (1 + e), np.where(x >= 0, e, 1) / (1 + e)
    return g * ((1 - t) * p - t * other)


def sigmoid_cross_entropy_of_t(g, x, t):
    """dt = -g x, and 0 for a logit of infinity that takes no part with its infinite logarithm."""
    with np.errstate(invalid="ignore"):
        dt = np.where((x == np.inf) & (t == 1), 0, -g * x)
    return np.where((x == -np.inf) & (t == 0), 0, dt)


def _weighted(weight, values):
    """The product, and 0 where the weight is 0, even of what is not finite."""
    with np.errstate(invalid="ignore"):
        return np.where(weight == 0, 0, weight * values)


OPERATIONS = {
    "mean_squared_error": Loss(mean_squared_error, mean_squared_error_of_x, mean_squared_error_of_t),
    "sigmoid_cross_entropy": Loss(sigmoid_cross_entropy, sigmoid_cross_entropy_of_x, sigmoid_cross_entropy_of_t),
    "smoothed_l1": Loss(smoothed_l1, smoothed_l1_of_x, smoothed_l1_of_t),
}

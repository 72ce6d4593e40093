"""The logarithm of softmax: cases and error bounds, by running error analysis of the formula."""

import numpy as np

from ..theory.approximation import LOG_ULP, Approximation
from ..theory.bounds import gamma
from ..theory.examples import of_shapes
from . import softmax
from .softmax import probabilities

cases = softmax.cases
edges = softmax.edges
random_cases = softmax.random_cases


def forward_bound(inputs, attributes, errors=None):
    """y = x - m - log(sum of exp(x - m)).

    It changes by twice what the furthest off of its row is off at most, where exp makes more of that.
    """
    log_p, _ = probabilities(inputs[0], errors and errors[0], attributes["axis"])
    rows = softmax.RowErrors.of(inputs, attributes, errors)
    if rows is None:
        return log_p.bound
    # The sum lies between 1 and the number of terms; the differences before and after it are rounded once each.
    of_sum = -np.log1p(-np.minimum(rows.relative, 0.5)) + gamma(2 * LOG_ULP) * np.log(rows.terms)
    of_differences = gamma(3) * (rows.distance + np.log(rows.terms) + of_sum)
    other = np.where(rows.relative < 0.5, 2 * rows.error + of_sum + of_differences + 4 * rows.lost, np.inf)
    return np.where(rows.are_numbers, rows.narrowest(log_p.bound, other), log_p.bound)


def exact_forward(x, *, axis):
    """As :func:`refcnn.reference.log_softmax.forward`, all rows at once."""
    shifted = np.subtract(x, x.max(axis=axis, keepdims=True), dtype=np.float64)
    y = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return y, y


def exact_backward(dy, saved, needs, *, axis):
    """As :func:`refcnn.reference.log_softmax.backward`, all rows at once."""
    return (dy - np.exp(saved) * dy.sum(axis=axis, keepdims=True),)


def backward_bound(dy, inputs, attributes, needs):
    """dx = dy - exp(y) sum of dy, with y as forward rounded it."""
    if not needs[0]:
        return (None,)
    _, p = probabilities(inputs[0], axis=attributes["axis"])
    dy = Approximation.of_input(dy)
    return ((dy - p * dy.sum(axis=attributes["axis"], random_signs=True)).bound,)


examples = of_shapes((2, 3), dy=(2, 3), axis=1)

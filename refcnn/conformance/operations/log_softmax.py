"""The logarithm of softmax: cases and error bounds, by running error analysis of the formula."""

from ..theory.approximation import Approximation
from . import softmax
from .softmax import probabilities

cases = softmax.cases
edges = softmax.edges


def forward_bound(inputs, attributes, errors=None):
    """y = x - m - log(sum of exp(x - m))."""
    log_p, _ = probabilities(inputs[0], errors and errors[0], attributes["axis"])
    return log_p.bound


def backward_bound(dy, inputs, attributes, needs):
    """dx = dy - exp(y) sum of dy, with y as forward rounded it."""
    if not needs[0]:
        return (None,)
    _, p = probabilities(inputs[0], axis=attributes["axis"])
    dy = Approximation.of_input(dy)
    return ((dy - p * dy.sum(axis=attributes["axis"])).bound,)

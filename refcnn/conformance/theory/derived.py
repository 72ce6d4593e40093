"""Error bounds that follow from a formula: the reference's own lines run on numbers that know their errors."""

import numpy as np

from .approximation import Approximation


class Derived:
    """What a module of an operation among :mod:`refcnn.conformance.operations` would have.

    Parameters
    ----------
    reference : object
        The operation's room in :mod:`refcnn.reference`, whose ``forward`` and ``backward`` take
        :class:`~refcnn.conformance.theory.approximation.Approximation`.
    cases : callable
        As in :mod:`refcnn.conformance.operations`.
    **traits
        What else such a module would say.
    """

    def __init__(self, reference, cases, **traits):
        self._reference, self.cases = reference, cases
        vars(self).update(traits)

    def forward_bound(self, inputs, attributes, errors=None):
        """By running error analysis of the reference's formula; of integers and truth values nothing is rounded."""
        if all(entry.dtype.kind != "f" for entry in inputs):
            return np.zeros(self._reference.forward(*inputs, **attributes)[0].shape)
        return self._forward(inputs, attributes, errors)[0].bound

    def backward_bound(self, dy, inputs, attributes, needs):
        """The same for the gradients, with the results as forward rounded them."""
        _, saved = self._forward(inputs, attributes)
        gradients = self._reference.backward(Approximation.of_input(dy), saved, needs, **attributes)
        return tuple(gradient.bound if need else None for gradient, need in zip(gradients, needs, strict=True))

    def _forward(self, inputs, attributes, errors=None):
        operands = map(Approximation.of_input, inputs, errors or (None,) * len(inputs))
        return self._reference.forward(*operands, **attributes)


def update_bound(forward, inputs, attributes, errors=None):
    """Return the bounds of an optimizer's update, one for each result, by the reference's formula.

    Parameters
    ----------
    forward : callable
        That of the operation's module in :mod:`refcnn.reference`.
    inputs, attributes, errors
        As in :mod:`refcnn.conformance.operations`.

    Returns
    -------
    tuple of ndarray of float64
    """
    operands = map(Approximation.of_input, inputs, errors or (None,) * len(inputs))
    return tuple(result.bound for result in forward(*operands, **attributes))

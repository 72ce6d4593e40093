"""What operations have in common that move numbers and compute none."""

import numpy as np
from hypothesis import strategies as st

from .strategies import ZEROS_AND_NOT_FINITE, Case, arrays, arrays_of_any_format, subnormal_numbers

_SPECIAL = (*ZEROS_AND_NOT_FINITE, *subnormal_numbers())


def numbers(shape, integers):
    """Return a strategy of arrays of a shape and any dtype."""
    return arrays_of_any_format(shape, integers, special=_SPECIAL)


@st.composite
def case(draw, reference, x, attributes, integers):
    """Draw what is missing of a case: the gradient of the result, if that can have one.

    Parameters
    ----------
    reference : module
        The operation's among :mod:`refcnn.reference`.
    x : ndarray
    attributes : dict
    integers : bool
    """
    y, _ = reference.forward(x, **attributes)
    dy = draw(arrays(y.shape, integers, special=_SPECIAL)) if x.dtype.kind == "f" else None
    return Case((x,), attributes, dy)


def forward_bound_of(reference):
    """Return the ``forward_bound`` of an operation, given its module among :mod:`refcnn.reference`."""

    def forward_bound(inputs, attributes, errors=None):
        """Each error goes where its number goes; nothing is computed, so that no number is flushed."""
        error = errors[0] if errors and errors[0] is not None else np.zeros(inputs[0].shape)
        return reference.forward(error, **attributes)[0]

    return forward_bound


def backward_bound(dy, inputs, attributes, needs):
    """Each dy goes back to where its number came from."""
    return (np.zeros(inputs[0].shape) if needs[0] else None,)


def is_copy(direction, case):
    """Always."""
    return True

"""The sum of two arrays: cases and error bounds."""

import numpy as np
from hypothesis import strategies as st

from ..theory.bounds import Approximation
from ..theory.strategies import ZEROS_AND_NOT_FINITE, Case, arrays, shapes

EXACT_ON_INTEGERS = True


@st.composite
def cases(draw, size="small", integers=False):
    """Draw two arrays of one shape."""
    shape = draw(shapes(size))
    a, b = (draw(arrays(shape, integers, special=ZEROS_AND_NOT_FINITE)) for _ in range(2))
    return Case((a, b), {}, draw(arrays(shape, integers, special=ZEROS_AND_NOT_FINITE)))


def forward_bound(inputs, attributes, errors=None):
    """One rounding of the sum."""
    a, b = map(Approximation.of_input, inputs, errors or (None, None))
    return (a + b).bound


def backward_bound(dy, inputs, attributes, needs):
    """dy is passed on as it is."""
    return tuple(np.zeros(dy.shape) if need else None for need in needs)


def is_copy(direction, attributes):
    """The gradients are dy itself."""
    return direction == "backward"

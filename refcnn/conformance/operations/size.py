"""Size: cases and error bounds. It is exact."""

import numpy as np
from hypothesis import strategies as st

from ..theory import moving
from ..theory.strategies import Case, shapes

EXACT_ON_INTEGERS = True
HAS_GRADIENT = False


@st.composite
def cases(draw, size="small", integers=False):
    """Draw an array of any shape and dtype, at times a single number."""
    return Case((draw(moving.numbers(draw(st.one_of(shapes(size), st.just(()))), integers)),), {})


def forward_bound(inputs, attributes, errors=None):
    """Nothing: the errors of numbers do not change how many there are."""
    return np.zeros(())


def backward_bound(dy, inputs, attributes, needs):
    """There is no gradient."""
    return (None,)

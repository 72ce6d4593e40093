"""Transpose: cases and error bounds. It moves numbers, and their errors with them."""

import numpy as np
from hypothesis import strategies as st

from ...reference import transpose
from ..theory.strategies import ZEROS_AND_NOT_FINITE, Case, arrays, arrays_of_any_format, shapes, subnormal_numbers

EXACT_ON_INTEGERS = True


@st.composite
def cases(draw, size="small", integers=False):
    """Draw an array of any shape and dtype, and an order of its axes."""
    special = (*ZEROS_AND_NOT_FINITE, *subnormal_numbers())
    x = draw(arrays_of_any_format(draw(shapes(size, axes=6)), integers, special=special))
    attributes = {"axes": tuple(draw(st.permutations(range(x.ndim))))}
    y, _ = transpose.forward(x, **attributes)
    return Case((x,), attributes, draw(arrays(y.shape, integers, special=special)) if x.dtype.kind == "f" else None)


def forward_bound(inputs, attributes, errors=None):
    """Each error goes where its number goes; nothing is computed, so that no number is flushed."""
    error = errors[0] if errors and errors[0] is not None else np.zeros(inputs[0].shape)
    return transpose.forward(error, **attributes)[0]


def backward_bound(dy, inputs, attributes, needs):
    """Each dy goes back to where its number came from."""
    return (np.zeros(inputs[0].shape) if needs[0] else None,)


def is_copy(direction, case):
    """Always."""
    return True

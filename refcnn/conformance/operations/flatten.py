"""Flatten: cases and error bounds. It moves numbers, and their errors with them."""

from hypothesis import strategies as st

from ...reference import flatten
from ..theory import moving
from ..theory.strategies import shapes

EXACT_ON_INTEGERS = True

forward_bound = moving.forward_bound_of(flatten)
may_flip = moving.may_flip
backward_bound, is_copy = moving.backward_bound, moving.is_copy


@st.composite
def cases(draw, size="small", integers=False):
    """Draw an array of any shape and dtype."""
    x = draw(moving.numbers(draw(shapes(size)), integers))
    return draw(moving.case(flatten, (x,), {}, integers))

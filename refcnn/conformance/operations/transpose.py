"""Transpose: cases and error bounds. It moves numbers, and their errors with them."""

from hypothesis import strategies as st

from ...reference import transpose
from ..theory import moving
from ..theory.examples import of_shapes
from ..theory.strategies import shapes

EXACT_ON_INTEGERS = True

forward_bound = moving.forward_bound_of(transpose)
may_flip = moving.may_flip
backward_bound, is_copy = moving.backward_bound, moving.is_copy


@st.composite
def cases(draw, size="small", integers=False):
    """Draw an array of any shape and dtype, and an order of its axes."""
    x = draw(moving.numbers(draw(shapes(size, axes=6)), integers))
    attributes = {"axes": tuple(draw(st.permutations(range(x.ndim))))}
    return draw(moving.case(transpose, (x,), attributes, integers))


examples = of_shapes((2, 3), dy=(3, 2), axes=(1, 0))

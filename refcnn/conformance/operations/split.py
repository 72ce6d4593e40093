"""Split: cases and error bounds. It moves numbers, and their errors with them."""

from hypothesis import strategies as st

from ...reference import split
from ..theory import moving
from ..theory.sizes import extents
from ..theory.strategies import shapes

EXACT_ON_INTEGERS = True

forward_bound = moving.forward_bound_of(split)
may_flip = moving.may_flip
backward_bound, is_copy = moving.backward_bound, moving.is_copy


@st.composite
def cases(draw, size="small", integers=False):
    """Draw an array of any dtype, and up to five parts of one of its axes."""
    shape = draw(shapes(size))
    axis = draw(st.integers(0, len(shape) - 1))
    sizes = (shape[axis], *draw(st.lists(extents(9), max_size=40 if size == "window" else 4)))
    sizes = tuple(draw(st.permutations(sizes)))
    x = draw(moving.numbers((*shape[:axis], sum(sizes), *shape[axis + 1 :]), integers))
    return draw(moving.case(split, (x,), {"axis": axis, "sizes": sizes}, integers))


OFFERED = {"parts": 2}

"""Gather elements: cases and error bounds. It moves numbers, and their errors with them; gradients are sums."""

from hypothesis import strategies as st

from ...reference import gather_elements
from ..theory import moving
from ..theory.sizes import extents
from ..theory.strategies import shapes

EXACT_ON_INTEGERS = True

forward_bound = moving.forward_bound_of(gather_elements, moved=1)
may_flip = moving.may_flip
backward_bound, is_copy = moving.sum_bound_of(gather_elements), moving.is_copy_forward


@st.composite
def cases(draw, size="small", integers=False):
    """Draw an array of any dtype, and indices of one of its axes, often one several times."""
    x = draw(moving.numbers(draw(shapes(size)), integers))
    axis = draw(st.integers(0, x.ndim - 1))
    picked = [draw(st.sampled_from([side, side, max(1, side - 1)])) for side in x.shape]
    picked[axis] = draw(extents(9))
    indices = draw(moving.indices(tuple(picked), x.shape[axis]))
    return draw(moving.case(gather_elements, (x, indices), {"axis": axis}, integers))

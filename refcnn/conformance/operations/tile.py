"""Tile: cases and error bounds. It moves numbers, and their errors with them; gradients are sums."""

from hypothesis import strategies as st

from ...reference import tile
from ..theory import moving
from ..theory.strategies import shapes

EXACT_ON_INTEGERS = True

forward_bound = moving.forward_bound_of(tile)
may_flip = moving.may_flip
backward_bound, is_copy = moving.sum_bound_of(tile), moving.is_copy_forward


@st.composite
def cases(draw, size="small", integers=False):
    """Draw an array of any shape and dtype, and how many times it is repeated along each axis."""
    x = draw(moving.numbers(draw(shapes(size)), integers))
    largest = max(2**16, 2 * x.size)
    repeats, copies = [], 1
    for _ in x.shape:
        fitting = [count for count in (1, 1, 2, 3, 5, 9) if x.size * copies * count <= largest]
        repeats.append(draw(st.sampled_from(fitting)))
        copies *= repeats[-1]
    return draw(moving.case(tile, (x,), {"repeats": tuple(repeats)}, integers))

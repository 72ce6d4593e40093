"""Space to depth: cases and error bounds. It moves numbers, and their errors with them."""

from hypothesis import strategies as st

from ...reference import space_to_depth
from ..theory import moving
from ..theory.sizes import LONG, batches, extents, sized

EXACT_ON_INTEGERS = True

forward_bound = moving.forward_bound_of(space_to_depth)
may_flip = moving.may_flip
backward_bound, is_copy = moving.backward_bound, moving.is_copy


@st.composite
def cases(draw, size="small", integers=False):
    """Draw images of any dtype, and the side of a block."""
    block, n, c = draw(st.sampled_from((2, 1, 3, 4))), draw(batches(size)), draw(extents(5))
    h, w = (draw(extents(5 if size == "tiny" else 17)) for _ in range(2))
    if size in LONG:
        n, c, h, w = draw(sized((n, c, h, w), size))
    x = draw(moving.numbers((n, c, h * block, w * block), integers))
    return draw(
        moving.case(space_to_depth, (x,), {"block": block, "mode": draw(st.sampled_from(("DCR", "CRD")))}, integers)
    )

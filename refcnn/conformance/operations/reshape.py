"""Reshape: cases and error bounds. It moves numbers, and their errors with them."""

from hypothesis import strategies as st

from ...reference import reshape
from ..theory import moving
from ..theory.strategies import shapes

EXACT_ON_INTEGERS = True

forward_bound = moving.forward_bound_of(reshape)
may_flip = moving.may_flip
backward_bound, is_copy = moving.backward_bound, moving.is_copy


@st.composite
def cases(draw, size="small", integers=False):
    """Draw an array of any shape and dtype, another shape with as many elements, at times left to follow."""
    x = draw(moving.numbers(draw(shapes(size, axes=6)), integers))
    sizes = draw(_shapes_of(x.size))
    axis = draw(st.integers(0, len(sizes) - 1))
    following = [None] if x.shape[axis : axis + 1] == (sizes[axis],) else []
    size = draw(st.sampled_from([sizes[axis], -1, *following]))
    attributes = {"shape": (*sizes[:axis], size, *sizes[axis + 1 :])}
    return draw(moving.case(reshape, (x,), attributes, integers))


@st.composite
def _shapes_of(draw, count):
    """Draw a shape with so many elements: prime factors, at times several in one size, and ones between them."""
    sizes, factor = [1] * draw(st.integers(1, 5)), 2
    while count > 1:
        if count % factor:
            factor += 1
        else:
            count //= factor
            sizes[draw(st.integers(0, len(sizes) - 1))] *= factor
    return tuple(sizes)

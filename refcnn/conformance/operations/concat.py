"""Concat: cases and error bounds. It moves numbers, and their errors with them."""

from hypothesis import strategies as st

from ...reference import concat
from ..theory import moving
from ..theory.examples import of_shapes
from ..theory.sizes import extents
from ..theory.strategies import shapes

EXACT_ON_INTEGERS = True

forward_bound = moving.forward_bound_of(concat)
may_flip = moving.may_flip
backward_bound, is_copy = moving.backward_bound, moving.is_copy


@st.composite
def cases(draw, size="small", integers=False):
    """Draw up to five arrays of one dtype, whose sizes along one axis are each another."""
    shape = draw(shapes(size))
    axis = draw(st.integers(0, len(shape) - 1))
    sizes = [shape[axis], *draw(st.lists(extents(9), max_size=40 if size == "window" else 4))]
    alike = [(*shape[:axis], along, *shape[axis + 1 :]) for along in sizes]
    xs = draw(moving.numbers_alike(alike, integers))
    return draw(moving.case(concat, xs, {"axis": axis}, integers))


examples = of_shapes((2, 1), (2, 2), dy=(2, 3), axis=1)

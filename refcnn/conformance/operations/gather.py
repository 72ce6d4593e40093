"""Gather: cases and error bounds. It moves numbers, and their errors with them; gradients are sums."""

import numpy as np
from hypothesis import strategies as st

from ...reference import gather
from ..theory import moving
from ..theory.examples import of_shapes
from ..theory.strategies import shapes

EXACT_ON_INTEGERS = True

forward_bound = moving.forward_bound_of(gather, moved=1)
may_flip = moving.may_flip
backward_bound, is_copy = moving.sum_bound_of(gather), moving.is_copy_forward


@st.composite
def cases(draw, size="small", integers=False):
    """Draw an array of any dtype, and indices of one of its axes, often one several times."""
    x = draw(moving.numbers(draw(shapes(size)), integers))
    axis = draw(st.integers(0, x.ndim - 1))
    indices = draw(moving.indices(draw(st.one_of(st.just(()), shapes("tiny", axes=2))), x.shape[axis]))
    return draw(moving.case(gather, (x, indices), {"axis": axis}, integers))


examples = of_shapes((3, 2), np.array([2, 0, 2]), dy=(3, 2), axis=0)

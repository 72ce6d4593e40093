"""Max unpooling: cases and error bounds. It moves numbers, and their errors with them."""

import math

import numpy as np
from hypothesis import strategies as st

from ...reference import max_unpool2d
from ..theory import moving
from ..theory.edges import of_axes
from ..theory.examples import of_shapes
from ..theory.strategies import ZEROS_AND_NOT_FINITE, arrays, image_shapes, subnormal_numbers

EXACT_ON_INTEGERS = True

is_copy = moving.is_copy
_moved = moving.forward_bound_of(max_unpool2d, moved=1)


@st.composite
def cases(draw, size="small", integers=False):
    """Draw images, the size of those to which they are unpooled, and places there, at times several times the same."""
    shape = draw(image_shapes(size))
    x = draw(arrays(shape, integers, special=(*ZEROS_AND_NOT_FINITE, *subnormal_numbers())))
    unpooled = tuple(max(1, draw(st.sampled_from((1, 2, 2, 3))) * side - draw(st.integers(0, 1))) for side in shape[2:])
    places = math.prod((*shape[:2], *unpooled))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if places >= x.size and draw(st.sampled_from((True, True, False))):
        indices = rng.permutation(places)[: x.size]
    else:
        # Few of them, again and again.
        indices = rng.integers(0, draw(st.integers(1, places)), x.size)
    indices = indices.astype(np.int64).reshape(shape)
    return draw(moving.case(max_unpool2d, (x, indices), {"size": unpooled}, integers))


def forward_bound(inputs, attributes, errors=None):
    """Each error goes where its number goes; where a number may be put that has no sure place, it may be or not be."""
    x, indices = inputs
    moved, places = _moved(inputs, attributes, errors), errors and errors[1]
    if places is None or not places.any():
        return moved
    is_open = places > 0
    begin, end = (np.clip(entry[is_open], 0, moved.size) for entry in (indices - places, indices + places + 1))
    reached = np.zeros(moved.size + 1)
    np.add.at(reached, begin.astype(np.int64), 1)
    np.add.at(reached, end.astype(np.int64), -1)
    y, _ = max_unpool2d.forward(x, indices, **attributes)
    most = (np.abs(x) + (0 if errors[0] is None else errors[0]))[is_open].max()
    return np.where(reached[:-1].cumsum().reshape(moved.shape) > 0, moved + np.abs(y) + most, moved)


def backward_bound(dy, inputs, attributes, needs):
    """Each number that was put gets what is at its place."""
    return (np.zeros(inputs[0].shape) if needs[0] else None, None)


def edges(case):
    """How many spatial axes there are, and whether a place is taken several times."""
    x, indices = case.inputs
    return {**of_axes(x.shape), "a place taken several times": np.unique(indices).size < indices.size}


examples = of_shapes((1, 1, 2, 2), np.array([[[[0, 3], [13, 10]]]]), dy=(1, 1, 4, 4), size=(4, 4))

OFFERED = {"filter": 2, "stride": 2}

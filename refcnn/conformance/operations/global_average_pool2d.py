"""Global average pooling: cases, and error bounds that follow from the reference's formula."""

import math

from hypothesis import strategies as st

from ...reference import global_average_pool2d
from ..theory.bounds import QUOTIENT_ROUNDINGS
from ..theory.derived import Derived
from ..theory.edges import of_axes, of_planes
from ..theory.examples import of_shapes
from ..theory.pieces import linear
from ..theory.probable import Sum
from ..theory.random_numbers import planes
from ..theory.strategies import FEW_NOT_FINITE, Case, arrays, image_shapes


@st.composite
def cases(draw, size="small", integers=False):
    """Draw images of one to three spatial axes, mostly two."""
    shape = draw(image_shapes(size))
    x = draw(arrays(shape, integers, **FEW_NOT_FINITE))
    return Case((x,), {}, draw(arrays((*shape[:2], *[1] * len(shape[2:])), integers, **FEW_NOT_FINITE)))


_derived = Derived(global_average_pool2d, cases)
may_flip = linear
forward_bound, backward_bound = _derived.forward_bound, _derived.backward_bound


def sums(case):
    """Of the pixels of a channel."""
    pixels = math.prod(case.inputs[0].shape[2:])
    return Sum(pixels, 1 / pixels, QUOTIENT_ROUNDINGS), (None,)


def random_cases(direction):
    """Draw images with few or many pixels."""
    return planes().map(lambda x: Case((x,), {}, random_signs=True)) if direction == "forward" else None


def edges(case):
    """How many spatial axes there are, and those of planes."""
    return of_axes(case.inputs[0].shape) | of_planes(case)


examples = of_shapes((1, 2, 2, 3), dy=(1, 2, 1, 1))

"""Global max pooling: cases, and the error bounds of a maximum over axes."""

from hypothesis import strategies as st

from ..theory.examples import of_shapes
from ..theory.strategies import ZEROS_AND_NOT_FINITE, Case, arrays, image_shapes, subnormal_numbers
from . import global_average_pool2d, reduction

EXACT_ON_INTEGERS = True

_MAX = reduction.OPERATIONS["reduce_max"]

#: How much of an array may be special: nearly all too, so that -infinity is the largest.
_SHARES = (0, 1e-9, 0.2, 0.95)


@st.composite
def cases(draw, size="small", integers=False):
    """Draw images of one to three spatial axes, mostly two, at times with NaN, infinities and subnormal numbers."""
    shape = draw(image_shapes(size))
    special = draw(st.sampled_from(((*ZEROS_AND_NOT_FINITE, *subnormal_numbers()), ZEROS_AND_NOT_FINITE[-1:])))
    x = draw(arrays(shape, integers, special=special, shares=_SHARES))
    return Case((x,), {}, draw(arrays((*shape[:2], *[1] * len(shape[2:])), integers, special=special)))


def forward_bound(inputs, attributes, errors=None):
    """A maximum is off by no more than the furthest off of what competes."""
    return _MAX.forward_bound(inputs, _over_pixels(inputs), errors)


def backward_bound(dy, inputs, attributes, needs):
    """Each dy is passed on to the first of the largest; which it is may be open."""
    return _MAX.backward_bound(dy, inputs, _over_pixels(inputs), needs)


def _over_pixels(inputs):
    return {"axes": tuple(range(2, inputs[0].ndim)), "keepdims": True}


edges = global_average_pool2d.edges


examples = of_shapes((1, 2, 2, 3), dy=(1, 2, 1, 1))

"""The rectifier: cases and error bounds. It is exact, and no error grows in it."""

import numpy as np
from hypothesis import strategies as st

from ..theory.bounds import UNDEFINED, input_error, may_be_flushed
from ..theory.pieces import turns_at
from ..theory.strategies import Case, arrays, shapes, special_numbers

EXACT_ON_INTEGERS = True
AS_FOLLOWER = {}
MASKS = True
may_flip = turns_at(0)


@st.composite
def cases(draw, size="small", integers=False):
    """Draw an array of any shape."""
    shape, special = draw(shapes(size)), special_numbers()
    x, dy = (draw(arrays(shape, integers, scales=(1.0, 1e30, 1e-30), special=special)) for _ in range(2))
    return Case((x,), {}, dy)


def forward_bound(inputs, attributes, errors=None):
    """|max(a, 0) - max(b, 0)| <= |a - b|."""
    return input_error(inputs[0], errors and errors[0])


def backward_bound(dy, inputs, attributes, needs):
    """Each dy is passed on or not; where x is NaN, or may be flushed to zero, either will do."""
    x = inputs[0]
    either = np.where(np.isfinite(dy), np.inf, UNDEFINED)
    return (np.where(np.isnan(x) | may_be_flushed(x), either, input_error(dy)) if needs[0] else None,)


def may_route(y, bound, is_open, dy):
    """Where y may have another sign, its gradient may be passed on or not."""
    return is_open | (np.abs(y) <= bound) & (bound > 0), dy


def masked_bound(x, gradient, bound):
    """Either will do where x may be read as 0; where it is 0 nothing passes."""
    either = np.where(np.isfinite(gradient) & (bound != UNDEFINED), np.inf, UNDEFINED)
    return np.where(x > 0, np.where(may_be_flushed(x), either, bound), 0)

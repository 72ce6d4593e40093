"""Max pooling: cases and error bounds. Forward is exact; backward adds the gradients of windows that overlap."""

import numpy as np
from hypothesis import strategies as st

from ...reference import average_pool2d, max_pool2d
from ..theory.bounds import input_error, may_be_flushed, sum_of_terms, windows_over_a_pixel
from ..theory.strategies import ZEROS_AND_NOT_FINITE, pooling_cases, subnormal_numbers


@st.composite
def cases(draw, size="small", integers=False, special=True):
    """Draw images, often with ties, at times (``special``) with NaN and infinities, and all attributes."""
    everything = (*ZEROS_AND_NOT_FINITE, *subnormal_numbers())
    return draw(pooling_cases(size, integers, special=everything if special else ()))


def forward_bound(inputs, attributes, errors=None):
    """A maximum is off by no more than the furthest off of what competes."""
    return max_pool2d.forward(input_error(inputs[0], errors and errors[0]), **attributes)[0]


def backward_bound(dy, inputs, attributes, needs):
    """One term for each window that the pixel can win.

    Which of several NaN in a window gets its gradient is not defined, so that any pixel of such a window may; the same
    holds where subnormal numbers may be flushed, and then tie.
    """
    if not needs[0]:
        return (None,)
    whole = {**attributes, "count_include_padding": True}

    def in_windows(pixels):
        share, _ = average_pool2d.forward(pixels.astype(np.float64), **whole)
        return np.rint(share * np.prod(attributes["kernel"]))

    _, saved = max_pool2d.forward(inputs[0], **attributes)
    is_open = (in_windows(np.isnan(inputs[0])) > 1) | (in_windows(may_be_flushed(inputs[0])) > 0)
    (undefined,) = average_pool2d.backward(is_open.astype(np.float64), inputs[0].shape, needs, **whole)

    def total(dy):
        return max_pool2d.backward(dy, saved, needs, **attributes)[0]

    bound = sum_of_terms(total, dy, windows_over_a_pixel(attributes["kernel"], attributes["stride"]))
    return (np.where(undefined > 0, np.inf, bound),)

"""Average pooling: cases and error bounds."""

import dataclasses
import math

from hypothesis import strategies as st

from ...reference import average_pool2d
from ..theory.bounds import QUOTIENT_ROUNDINGS, sum_of_terms, windows_over_a_pixel
from ..theory.edges import of_pooling
from ..theory.examples import pools
from ..theory.pieces import linear
from ..theory.probable import Sum
from ..theory.random_numbers import pooled
from ..theory.strategies import FEW_NOT_FINITE, pooling_cases

EXACT_ON_INTEGERS = True
may_flip = linear


@st.composite
def cases(draw, size="small", integers=False):
    """Draw images and all attributes; with ``integers`` windows that divide by a power of two, so exactly."""
    if integers:
        case = draw(pooling_cases(size, integers, kernels=(1, 2, 4), ceil_modes=(False,)))
        return dataclasses.replace(case, attributes={**case.attributes, "count_include_padding": True})
    case = draw(pooling_cases(size, integers, **FEW_NOT_FINITE))
    return dataclasses.replace(case, attributes={**case.attributes, "count_include_padding": draw(st.booleans())})


def forward_bound(inputs, attributes, errors=None):
    """One term for each pixel of the window, and the division by their number."""
    taps = math.prod(attributes["kernel"])

    def total(x):
        return average_pool2d.forward(x, **attributes)[0]

    return sum_of_terms(total, inputs[0], taps, QUOTIENT_ROUNDINGS, errors and errors[0])


def backward_bound(dy, inputs, attributes, needs):
    """One term for each window that holds the pixel, each the quotient of a dy and the number of pixels."""
    if not needs[0]:
        return (None,)

    terms = windows_over_a_pixel(attributes["kernel"], attributes["stride"], attributes.get("dilation"))

    def total(dy):
        return average_pool2d.backward(dy, inputs[0].shape, needs, **attributes)[0]

    return (sum_of_terms(total, dy, terms, QUOTIENT_ROUNDINGS),)


def sums(case):
    """Over a window, where all have the same number of pixels; of dy over what windows hold the pixel."""
    attributes = case.attributes
    if not attributes["count_include_padding"] or attributes.get("ceil_mode"):
        return None, (None,)
    taps = math.prod(attributes["kernel"])
    windows = windows_over_a_pixel(attributes["kernel"], attributes["stride"], attributes.get("dilation"))
    over_window, over_windows = (Sum(terms, 1 / taps, QUOTIENT_ROUNDINGS) for terms in (taps, windows))
    return over_window, (over_windows,)


def random_cases(direction):
    """Draw images and windows of any size."""
    return pooled()


def is_exact_with(attributes):
    """The mean is over a number of pixels that is a power of two."""
    is_whole = attributes["count_include_padding"] and not attributes.get("ceil_mode")
    return is_whole and all(side in (1, 2, 4) for side in attributes["kernel"])


def edges(case):
    """Those of windows and planes."""
    return of_pooling(case)


def examples():
    """A window over a channel."""
    return pools(count_include_padding=True)

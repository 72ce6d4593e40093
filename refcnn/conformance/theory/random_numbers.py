"""Cases for probable bounds: numbers of one size with random mantissas and signs, in sums of few and of many terms.

What is drawn is the shapes and one seed for all arrays of a case, so that no two numbers are equal for any other reason
than chance: of x and x all products have the same sign. None is so small or so large that products leave the normal
numbers.
"""

import math

import numpy as np
from hypothesis import strategies as st

from .bounds import number_format
from .strategies import Case, one_of_these

#: Terms of a sum, and a few more. The first is what a failure is shrunk to, if sums are as wrong that have no more.
_TERMS = (64, 8, 500, 1000, 2000, 2500, 4000, 8000, 16_000, 32_000)
#: Of a batch the reference takes one row after the other.
_MOST_ROWS = 4000
#: Products of a case, about.
_WORK = 2**19


@st.composite
def numbers(draw, *shapes):
    """Draw floats of some shapes, all arrays of a case, from 1/2 to 2 in magnitude, evenly by their logarithms."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    drawn = (np.exp2(rng.uniform(-1, 1, shape)) * rng.choice((-1.0, 1.0), shape) for shape in shapes)
    return [values.astype(number_format().dtype) for values in drawn]


@st.composite
def _terms(draw):
    """Draw how many terms sums have."""
    return draw(one_of_these(*_TERMS)) + draw(st.integers(0, 9))


@st.composite
def _few(draw, terms):
    """Draw (rows, columns) of sums of so many terms."""
    most = max(2, min(16, math.isqrt(_WORK // terms)))
    return draw(st.integers(1, most)), draw(st.integers(1, most))


@st.composite
def matrices(draw, direction):
    """Draw the shapes of two matrices and of the gradient of their product, with long sums in that direction."""
    terms = draw(_terms())
    one, other = draw(_few(terms))
    if direction == "forward":
        rows, inner, columns = one, terms, other
    else:
        rows, inner, columns = draw(one_of_these((min(terms, _MOST_ROWS), one, other), (one, other, terms)))
    return (rows, inner), (inner, columns), (rows, columns)


@st.composite
def convolutions(draw, kind):
    """Draw the shapes of images, of kernels (K, C, kh, kw) and of the gradient of their convolution, and its window.

    Parameters
    ----------
    kind : str
        Which sums are long: "gathered" under a window, "spread" on a pixel, or of "weights" over all windows.
    """
    terms = draw(_terms())
    # With 3 x 3 taps and a stride of 1 it may be Winograd's algorithm that is judged.
    side, stride, padding = draw(one_of_these(3, 3, 1, 2)), draw(one_of_these(2, 1)), draw(one_of_these(0, 1))
    out = draw(one_of_these((2, 2), (1, 3), (4, 4)))
    k, c = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    batch = draw(st.integers(1, 2))
    if kind == "gathered":
        c = max(1, terms // side**2)
    elif kind == "spread":
        k = max(1, terms // math.ceil(side / stride) ** 2)
    else:
        batch = max(1, terms // math.prod(out))
    padding = min(padding, side - 1)
    image = tuple((places - 1) * stride + side - 2 * padding for places in out)
    if min(image) < 1:
        image, padding = tuple(size + 2 * padding for size in image), 0
    shapes = (batch, c, *image), (k, c, side, side), (batch, k, *out)
    window = {"stride": (stride,) * 2, "padding": (padding,) * 4, "dilation": (1, 1)}
    return *shapes, window


@st.composite
def planes(draw):
    """Draw images, few of which have many pixels."""
    terms = draw(_terms())
    rows = draw(one_of_these(1, 7, 32))
    return draw(numbers((*draw(_few(terms)), rows, max(1, terms // rows))))[0]


@st.composite
def row_shapes(draw):
    """Draw (rows, terms) of few rows, which may be long."""
    terms = draw(_terms())
    return draw(_few(terms))[0], terms


@st.composite
def rows(draw, arrays=1):
    """Draw so many arrays of few rows, which may be long."""
    shape = draw(row_shapes())
    return draw(numbers(*[shape] * arrays))


@st.composite
def pooled(draw):
    """Draw a case of pooling by the mean, with windows of few or of many pixels that overlap or do not."""
    side, stride = draw(one_of_these(8, 3, 16, 32, 64)), draw(one_of_these(1, 2, 5))
    out = draw(one_of_these((2, 2), (1, 3)))
    image = tuple((places - 1) * stride + side for places in out)
    window = {"kernel": (side,) * 2, "stride": (stride,) * 2, "padding": (0,) * 4, "dilation": (1, 1)}
    window |= {"ceil_mode": False, "count_include_padding": True}
    x, dy = draw(numbers((2, 3, *image), (2, 3, *out)))
    return Case((x,), window, dy, random_signs=True)

"""Softmax: cases and error bounds, by running error analysis of the formula."""

import numpy as np
from hypothesis import strategies as st

from .bounds import Approximation
from .strategies import FEW_NOT_FINITE, LIMITS, Case, arrays, extents

#: At the last of these one value in a row takes all, and exp underflows.
LOGIT_SCALES = (1.0, 1e-3, 10.0, 1e3, 1e30)


@st.composite
def cases(draw, size="small", integers=False):
    """Draw rows of logits."""
    shape = draw(logit_shapes(size))
    # Of an infinite logit the formula makes NaN, where others make the limit; a negative one is as good as absent.
    x = draw(arrays(shape, integers, scales=LOGIT_SCALES, special=(np.nan, -np.inf), shares=FEW_NOT_FINITE["shares"]))
    return Case((x,), {}, draw(arrays(shape, integers, **FEW_NOT_FINITE)))


@st.composite
def logit_shapes(draw, size):
    """Draw (batch, classes)."""
    largest = LIMITS[size][1]
    return draw(extents(largest)), draw(extents(largest if size == "tiny" else 8 * largest))


def forward_bound(inputs, attributes, errors=None):
    """y = exp(x - m) / sum of exp(x - m)."""
    return _forward(inputs, errors).bound


def backward_bound(dy, inputs, attributes, needs):
    """dx = y (dy - sum of dy y), with y as forward rounded it."""
    if not needs[0]:
        return (None,)
    y, dy = _forward(inputs), Approximation.of_input(dy)
    return ((y * (dy - (dy * y).sum(axis=1))).bound,)


def _forward(inputs, errors=None):
    x = Approximation.of_input(inputs[0], errors and errors[0])
    exponential = (x - x.max(axis=1)).exp()
    return exponential / exponential.sum(axis=1)

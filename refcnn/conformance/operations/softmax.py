"""Softmax: cases and error bounds, by running error analysis of the formula."""

import numpy as np
from hypothesis import strategies as st

from ..theory.approximation import Approximation
from ..theory.strategies import FEW_NOT_FINITE, LIMITS, Case, arrays, extents, grown, shapes

#: At the last of these one value in a row takes all, and exp underflows.
_LOGIT_SCALES = (1.0, 1e-3, 10.0, 1e3, 1e30)

# NaN spreads over its row, so that there are few; a class is excluded by a logit of -infinity.
_FEW_NAN = {"special": (np.nan,), "shares": FEW_NOT_FINITE["shares"]}
_EXCLUDED = {"special": (-np.inf,), "shares": (0, 1e-9, 0.2)}
_FAR_APART = {"special": (-3e38, 3e38, -np.inf), "shares": (0, 0.2)}


#: Kernels sum long rows in parts of a power of two.
_LONG_ROWS = (1023, 1024, 1025, 2050)


@st.composite
def cases(draw, size="small", integers=False):
    """Draw rows of logits, or an array of any shape and the axis along which its rows lie."""
    shape, axis = draw(logit_shapes(size)), 1
    if size not in ("tiny", "vast") and draw(st.integers(0, 9)) == 9:
        shape = draw(st.sampled_from((1, 2, 3))), draw(st.sampled_from(_LONG_ROWS))
    elif draw(st.booleans()):
        shape = draw(shapes(size))
        axis = draw(st.integers(0, len(shape) - 1))
    return Case((draw(logits(shape, integers)),), {"axis": axis}, draw(arrays(shape, integers, **FEW_NOT_FINITE)))


@st.composite
def logits(draw, shape, integers):
    """Draw rows of logits, at times with NaN, with excluded classes, or with differences beyond the largest float32."""
    # The formula makes NaN of a logit of infinity, where others make the limit.
    special = draw(st.sampled_from((_FEW_NAN, _EXCLUDED, _FAR_APART)))
    return draw(arrays(shape, integers, scales=_LOGIT_SCALES, **special))


@st.composite
def logit_shapes(draw, size):
    """Draw (batch, classes)."""
    largest = LIMITS[size][1]
    shape = draw(extents(largest)), draw(extents(largest if size == "tiny" else 8 * largest))
    return draw(grown(shape)) if size == "vast" else shape


def forward_bound(inputs, attributes, errors=None):
    """y = exp(x - m) / sum of exp(x - m)."""
    return _forward(inputs, attributes, errors).bound


def backward_bound(dy, inputs, attributes, needs):
    """dx = y (dy - sum of dy y), with y as forward rounded it."""
    if not needs[0]:
        return (None,)
    y, dy = _forward(inputs, attributes), Approximation.of_input(dy)
    return ((y * (dy - (dy * y).sum(axis=attributes.get("axis", 1)))).bound,)


def _forward(inputs, attributes, errors=None):
    x, axis = Approximation.of_input(inputs[0], errors and errors[0]), attributes.get("axis", 1)
    largest = x.max(axis=axis)
    exponential = (x - largest).exp(x.is_far_below(largest))
    return exponential / exponential.sum(axis=axis)


def edges(case):
    """Which axis it is."""
    is_last = case.attributes.get("axis", 1) == case.inputs[0].ndim - 1
    return {"the last axis": is_last, "an axis further to the front": not is_last}


def probabilities(x, error=None, axis=1):
    """Return (log p, p) of logits along an axis, as :class:`Approximation`, p computed from log p."""
    x = Approximation.of_input(x, error)
    largest = x.max(axis=axis)
    vanishes, shifted = x.is_far_below(largest), x - largest
    log_p = shifted - shifted.exp(vanishes).sum(axis=axis).log()
    return log_p, log_p.exp(vanishes)

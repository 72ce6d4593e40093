"""Softmax: cases and error bounds, by running error analysis of the formula."""

import dataclasses

import numpy as np
from hypothesis import strategies as st

from ..theory.approximation import EXP_ULP, Approximation
from ..theory.bounds import QUOTIENT_ROUNDINGS, UNDEFINED, gamma, input_error, may_overflow, number_format, underflow
from ..theory.examples import of_shapes
from ..theory.random_numbers import rows
from ..theory.sizes import LIMITS, extents, sized
from ..theory.strategies import FEW_NOT_FINITE, Case, arrays, shapes

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
    if size in ("small", "large") and draw(st.integers(0, 9)) == 9:
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
    return draw(sized(shape, size))


def forward_bound(inputs, attributes, errors=None):
    """y = exp(x - m) / sum of exp(x - m).

    Where inputs are off, exp makes much of that, but y lies between 0 and 1, and changes by half of what the furthest
    off of its row is off at most: its derivatives by the row are y (1 - y) and -y y_j, 2 y (1 - y) in sum.
    """
    bound = _forward(inputs, attributes, errors).bound
    rows = RowErrors.of(inputs, attributes, errors)
    if rows is None:
        return bound
    y = exact_forward(inputs[0], **attributes)[0]
    largest = np.minimum(1, y + rows.error / 2)
    of_change = rows.error / 2 + rows.relative * largest + rows.lost
    of_range = np.maximum(y, 1 - y) + rows.relative_at_most + rows.lost
    return np.where(rows.are_numbers, rows.narrowest(bound, np.minimum(of_change, of_range)), bound)


def exact_forward(x, *, axis=1):
    """As :func:`refcnn.reference.softmax.forward`, all rows at once."""
    exponential = np.exp(np.subtract(x, x.max(axis=axis, keepdims=True), dtype=np.float64))
    y = exponential / exponential.sum(axis=axis, keepdims=True)
    return y, y


def exact_backward(dy, saved, needs, *, axis=1):
    """As :func:`refcnn.reference.softmax.backward`, all rows at once."""
    return (saved * (dy - (dy * saved).sum(axis=axis, keepdims=True)),)


@dataclasses.dataclass(frozen=True)
class RowErrors:
    """What the errors of logits make of a row of exp(x - m), whose largest is 1.

    Attributes
    ----------
    error : ndarray
        That of the logit that is furthest off in each row.
    distance : ndarray
        How far below the largest the others may be computed.
    terms : int
    are_numbers : ndarray of bool
        Rows that are surely finite.
    """

    error: np.ndarray
    distance: np.ndarray
    terms: int
    are_numbers: np.ndarray

    @classmethod
    def of(cls, inputs, attributes, errors):
        """Return those of some inputs, None where they are not off."""
        if errors is None or errors[0] is None:
            return None
        x, axis = inputs[0].astype(np.float64), attributes.get("axis", 1)
        error = input_error(inputs[0], errors[0]).max(axis=axis, keepdims=True)
        magnitude = np.abs(x).max(axis=axis, keepdims=True) + error
        distance = x.max(axis=axis, keepdims=True) - x.min(axis=axis, keepdims=True) + 2 * error
        return cls(error, distance, x.shape[axis], np.isfinite(magnitude) & ~may_overflow(2 * magnitude))

    @property
    def relative_at_most(self):
        """By how much a quotient of two of these may be off relatively, whose x - m are computed exactly."""
        return gamma(4 * EXP_ULP + self.terms + QUOTIENT_ROUNDINGS)

    @property
    def relative(self):
        """By how much a quotient may be off relatively: x - m is rounded once, above and below the line."""
        of_difference = np.expm1(2 * number_format().roundoff * self.distance)
        return of_difference + self.relative_at_most * (1 + of_difference)

    @property
    def lost(self):
        """By how much it may be off below the normal numbers."""
        return (self.terms + 2) * underflow()

    @staticmethod
    def narrowest(bound, other):
        """Return the smaller of two bounds, of which the first may be UNDEFINED or no number."""
        is_wider = (bound == UNDEFINED) | np.isnan(bound) | (bound > other)
        return np.where(is_wider, other, bound)


def backward_bound(dy, inputs, attributes, needs):
    """dx = y (dy - sum of dy y), with y as forward rounded it."""
    if not needs[0]:
        return (None,)
    y, dy = _forward(inputs, attributes), Approximation.of_input(dy)
    return ((y * (dy - (dy * y).sum(axis=attributes.get("axis", 1), random_signs=True))).bound,)


def _forward(inputs, attributes, errors=None):
    x, axis = Approximation.of_input(inputs[0], errors and errors[0]), attributes.get("axis", 1)
    largest = x.max(axis=axis)
    exponential = (x - largest).exp(x.is_far_below(largest))
    return exponential / exponential.sum(axis=axis)


def random_cases(direction):
    """Draw rows of few or many logits."""
    return rows(2).map(lambda drawn: Case(tuple(drawn[:1]), {"axis": 1}, drawn[1], random_signs=True))


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


examples = of_shapes((2, 3), dy=(2, 3), axis=1)

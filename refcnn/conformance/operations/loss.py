"""Losses of numbers: cases; the error bounds follow from the reference's formulas."""

import math

import numpy as np
from hypothesis import strategies as st

from ...reference import loss as reference
from ...reference.activation import sigmoid
from ..theory.derived import Derived
from ..theory.random_numbers import rows
from ..theory.strategies import FEW_NOT_FINITE, Case, arrays, shapes, special_numbers

#: Sums of so many squares of integers are exact.
_EXACT_TERMS = 2**14
_EXACT_DELTAS = (1.0, 0.5, 4.0)


@st.composite
def cases(draw, size="small", integers=False):
    """Draw output and target; with ``integers`` the mean is taken where no division rounds."""
    shape = draw(shapes(size))
    if integers:
        # Of one scale, or the squares of differences have too many digits.
        x, t = draw(arrays((2, *shape), integers))
    else:
        x, t = (draw(arrays(shape, special=special_numbers())) for _ in range(2))
    reduce_sum = draw(st.booleans())
    if integers:
        reduce_sum = reduce_sum and shape[0].bit_count() == 1 and math.prod(shape) <= _EXACT_TERMS
    special = FEW_NOT_FINITE if reduce_sum else {"special": special_numbers()}
    dy = draw(arrays(() if reduce_sum else shape, integers, **special))
    return Case((x, t), {"reduce_sum": reduce_sum}, dy)


@st.composite
def smoothed_l1_cases(draw, size="small", integers=False):
    """Draw output, target and delta."""
    case = draw(cases(size, integers))
    delta = draw(st.sampled_from(_EXACT_DELTAS if integers else (1.0, 0.1, 3.0, 1e-20, 1e20)))
    return Case(case.inputs, {"delta": delta, **case.attributes}, case.dy)


@st.composite
def sigmoid_cross_entropy_cases(draw, size="small", integers=False):
    """Draw logits, and probabilities: truths, or numbers between them, or any."""
    case = draw(cases(size, integers))
    # In a sum a NaN hides whether an infinity takes part.
    special = draw(st.sampled_from((special_numbers(), (np.inf, -np.inf))))
    x = draw(
        arrays(
            case.inputs[0].shape, integers, scales=(1.0, 10.0, 1e-3, 1e3, 1e30), special=special, shares=(0, 0.2, 0.2)
        )
    )
    t = case.inputs[1]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    truths, between = (rng.random(t.shape) < 0.5).astype(t.dtype), rng.random(t.shape).astype(t.dtype)
    return Case((x, draw(st.sampled_from((truths, truths, between, t)))), case.attributes, case.dy)


def _random_cases(**attributes):
    """Return a trait: few rows of numbers, whose losses are added up; gradients have no sums."""

    def of_rows(drawn):
        return Case(tuple(drawn), {"reduce_sum": True, **attributes}, random_signs=True)

    return {"random_cases": lambda direction: rows(2).map(of_rows) if direction == "forward" else None}


def _is_not_divided(attributes):
    return not attributes["reduce_sum"]


def sigmoid_cross_entropy_of_x(g, x, t):
    """By the reference's formula, or as g (p - t), whose digits cancel where p is near t."""
    return reference.sigmoid_cross_entropy_of_x(g, x, t).or_as(g * (sigmoid(x) - t))


OPERATIONS = {
    "mean_squared_error": Derived(
        reference.OPERATIONS["mean_squared_error"],
        cases,
        EXACT_ON_INTEGERS=True,
        is_exact_with=_is_not_divided,
        **_random_cases(),
    ),
    "sigmoid_cross_entropy": Derived(
        reference.Loss(
            reference.sigmoid_cross_entropy, sigmoid_cross_entropy_of_x, reference.sigmoid_cross_entropy_of_t
        ),
        sigmoid_cross_entropy_cases,
        **_random_cases(),
    ),
    "smoothed_l1": Derived(
        reference.OPERATIONS["smoothed_l1"],
        smoothed_l1_cases,
        EXACT_ON_INTEGERS=True,
        is_exact_with=lambda attributes: _is_not_divided(attributes) and attributes["delta"] in _EXACT_DELTAS,
        **_random_cases(delta=1.0),
    ),
}

"""Comparisons and logic: cases; where a comparison is open follows from the errors of what is compared."""

import numpy as np
from hypothesis import strategies as st

from ...formats import BOOL, EXACT, INT32, INT64
from ...reference import logic as reference
from ..theory.bounds import number_format
from ..theory.derived import Derived
from ..theory.strategies import Case, arrays, exact_arrays, shapes, special_numbers
from .arithmetic import broadcast_shapes


@st.composite
def comparison_cases(draw, size="small", integers=False, exact=(INT64, INT32)):
    """Draw two arrays that can be broadcast, of one format, of which many elements are equal."""
    a_shape, b_shape, _ = draw(broadcast_shapes(size))
    of = draw(st.sampled_from((number_format(), number_format(), number_format(), *exact)))
    a, b = (draw(_numbers(shape, integers, of)) for shape in (a_shape, b_shape))
    if a.size and draw(st.booleans()):
        # Elements of a at any place of b: of one place, where both have the same shape.
        taken = np.resize(a, b.shape)
        b = np.where(np.random.default_rng(draw(st.integers(0, 99))).random(b.shape) < 0.5, taken, b)
    return Case((a, b), {})


@st.composite
def equality_cases(draw, size="small", integers=False):
    """Draw as :func:`comparison_cases`, of truth values too."""
    return draw(comparison_cases(size, integers, exact=EXACT))


@st.composite
def logic_cases(draw, size="small", integers=False):
    """Draw two arrays of truth values that can be broadcast."""
    a, b, _ = draw(broadcast_shapes(size))
    return Case(tuple(draw(exact_arrays(shape, BOOL)) for shape in (a, b)), {})


@st.composite
def not_cases(draw, size="small", integers=False):
    """Draw an array of truth values."""
    return Case((draw(exact_arrays(draw(shapes(size)), BOOL)),), {})


def _numbers(shape, integers, of):
    return arrays(shape, integers, special=special_numbers()) if of.is_float else exact_arrays(shape, of)


def _derived(operation, cases):
    return Derived(reference.OPERATIONS[operation], cases, EXACT_ON_INTEGERS=True, HAS_GRADIENT=False)


OPERATIONS = {
    "equal": _derived("equal", equality_cases),
    "greater": _derived("greater", comparison_cases),
    "greater_or_equal": _derived("greater_or_equal", comparison_cases),
    "less": _derived("less", comparison_cases),
    "less_or_equal": _derived("less_or_equal", comparison_cases),
    "logical_and": _derived("logical_and", logic_cases),
    "logical_not": _derived("logical_not", not_cases),
    "logical_or": _derived("logical_or", logic_cases),
    "logical_xor": _derived("logical_xor", logic_cases),
    "not_equal": _derived("not_equal", equality_cases),
}

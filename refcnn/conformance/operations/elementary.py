"""Elementary functions of one number: cases; their error bounds follow from the reference's formulas."""

import numpy as np
from hypothesis import strategies as st

from ...formats import INT32, INT64
from ...reference import elementary as reference
from ..theory.derived import Derived
from ..theory.strategies import Case, arrays, exact_arrays, shapes, special_numbers

#: From where a function is all but linear to where it is all but constant, and where e^x would overflow.
_SCALES = (1.0, 10.0, 1e-3, 30.0, 1e3, 1e30, 1e-30)


@st.composite
def cases(draw, size="small", integers=False):
    """Draw an array of any shape."""
    shape = draw(shapes(size))
    special = special_numbers()
    x = draw(arrays(shape, integers, scales=_SCALES, special=special))
    return Case((x,), {}, draw(arrays(shape, integers, special=special)))


@st.composite
def cases_of_any_numbers(draw, size="small", integers=False):
    """Draw an array of any shape, of floats or of integers, which have no gradient."""
    if draw(st.sampled_from((True, True, True, False))):
        return draw(cases(size, integers))
    return Case((draw(exact_arrays(draw(shapes(size)), draw(st.sampled_from((INT64, INT32))))),), {})


@st.composite
def positive_cases(draw, size="small", integers=False):
    """Draw an array of any shape, as often as not of magnitudes, of which more functions are numbers."""
    case = draw(cases(size, integers))
    return draw(st.sampled_from([Case((np.abs(case.inputs[0]),), {}, case.dy), case]))


@st.composite
def stepped_cases(draw, size="small", integers=False):
    """Draw an array of any shape, at times of halves, between which and whole numbers a function steps."""
    case = draw(cases(size, integers))
    (x,) = case.inputs
    if integers or draw(st.booleans()):
        return case
    with np.errstate(invalid="ignore", over="ignore"):
        return Case((np.rint(x) / 2,), {}, case.dy)


def _keeps_zeros(direction, case):
    """Zeros get the other sign, or in gradients keep it."""
    return True


def _derived(operation, cases, **traits):
    return Derived(reference.OPERATIONS[operation], cases, **traits)


OPERATIONS = {
    "absolute": _derived("absolute", cases_of_any_numbers, EXACT_ON_INTEGERS=True),
    "ceil": _derived("ceil", stepped_cases, EXACT_ON_INTEGERS=True),
    "erf": _derived("erf", cases),
    "exp": _derived("exp", cases),
    "floor": _derived("floor", stepped_cases, EXACT_ON_INTEGERS=True),
    "log": _derived("log", positive_cases),
    "negative": _derived("negative", cases_of_any_numbers, EXACT_ON_INTEGERS=True, is_copy=_keeps_zeros),
    "reciprocal": _derived("reciprocal", cases),
    "round": _derived("round", stepped_cases, EXACT_ON_INTEGERS=True),
    "sign": _derived("sign", cases_of_any_numbers, EXACT_ON_INTEGERS=True),
    "sqrt": _derived("sqrt", positive_cases),
}

"""Arithmetic: cases; the error bounds follow from the reference's formulas."""

import itertools
import math

import numpy as np
from hypothesis import strategies as st

from ...formats import INT32, INT64
from ...reference import arithmetic as reference
from ...shapes import broadcast_shape
from ..theory.derived import Derived
from ..theory.pieces import linear, linear_in_first, linear_in_one
from ..theory.strategies import LARGEST_INTEGER, Case, arrays, exact_arrays, shapes, special_numbers


@st.composite
def cases(draw, size="small", integers=False):
    """Draw two arrays that can be broadcast."""
    a, b, y = draw(broadcast_shapes(size))
    a, b, dy = (draw(arrays(shape, integers, special=special_numbers())) for shape in (a, b, y))
    return Case((a, b), {}, dy)


@st.composite
def cases_of_any_numbers(draw, size="small", integers=False):
    """Draw two arrays that can be broadcast, of floats or of integers, which have no gradient."""
    if not draw(_of_integers()):
        return draw(cases(size, integers))
    a, b, _ = draw(broadcast_shapes(size))
    of = draw(st.sampled_from(_INTEGERS))
    return Case(tuple(draw(exact_arrays(shape, of)) for shape in (a, b)), {})


@st.composite
def quotient_cases(draw, size="small", integers=False):
    """Draw as :func:`cases_of_any_numbers` what ONNX defines: no integer is divided by 0, nor the least one by -1."""
    case = draw(cases_of_any_numbers(size, integers))
    a, b = case.inputs
    if case.dy is not None:
        return case
    return Case((np.maximum(a, -np.iinfo(a.dtype).max), np.where(b == 0, b.dtype.type(1), b)), {})


@st.composite
def prelu_cases(draw, size="small", integers=False):
    """Draw an array and slopes that are broadcast to its shape."""
    case = draw(cases(size, integers))
    x = draw(arrays(case.dy.shape, integers, special=special_numbers()))
    return Case((x, case.inputs[1]), {}, case.dy)


def _of_integers():
    return st.sampled_from((False, False, False, True))


_INTEGERS = (INT64, INT32)


@st.composite
def power_cases(draw, size="small", integers=False):
    """Draw bases and exponents of which many powers are numbers: positive bases, or exponents that are integers."""
    a, b, y = draw(broadcast_shapes(size))
    # More often than of other operations: a negative power is 0, 1 or -1 by the base.
    if draw(st.sampled_from((False, False, True))):
        return draw(_integer_powers(a, b))
    base = draw(arrays(a, integers, scales=(1.0, 10.0, 1e-3, 1e3, 1e-20), special=special_numbers()))
    exponent = draw(arrays(b, integers or draw(st.booleans()), scales=(1.0, 0.1, 3.0, 30.0), special=special_numbers()))
    base = draw(st.sampled_from([base, np.abs(base)]))
    return Case((base, exponent), {}, draw(arrays(y, integers, special=special_numbers())))


@st.composite
def _integer_powers(draw, a, b):
    """Draw bases and exponents of shapes whose powers are in their format, and in float64: 0 to no negative power."""
    of, random = draw(st.sampled_from(_INTEGERS)), np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    largest = 10 if of is INT32 else 17
    base = random.integers(-LARGEST_INTEGER, LARGEST_INTEGER, a, of.dtype, endpoint=True)
    least = draw(st.sampled_from((-3, -3, 0)))
    base = base if least == 0 else np.where(base == 0, base.dtype.type(-1), base)
    return Case((base, random.integers(least, largest, b, of.dtype, endpoint=True)), {})


@st.composite
def broadcast_shapes(draw, size):
    """Draw (shape of a, of b, of both together): often one shape, else each axis may be 1 in one, or even missing."""
    shape = draw(shapes(size, axes=5))
    if draw(st.integers(0, 2)) == 0:
        return shape, shape, shape
    owners = [draw(st.sampled_from(("b", "a", "ab"))) for _ in shape]
    a, b = (tuple(side if name in owner else 1 for side, owner in zip(shape, owners, strict=True)) for name in "ab")
    a, b = (tuple(itertools.dropwhile(_is_one, entry)) if draw(st.booleans()) else entry for entry in (a, b))
    return a, b, broadcast_shape(a, b)


def _is_one(side):
    return side == 1


def _edges(case):
    """Whether an operand is repeated, and how."""
    a, b = (entry.shape for entry in case.inputs)
    size = math.prod(broadcast_shape(a, b))
    return {
        "one shape": a == b,
        "an operand without axes": () in (a, b),
        "both operands repeated": size > max(entry.size for entry in case.inputs),
        "an operand with fewer axes": len(a) != len(b),
    }


def _passes_dy_on(direction, case):
    """The gradients are dy itself, or its sums."""
    return direction == "backward" and case.inputs[0].shape == case.inputs[1].shape


def _derived(operation, cases, **traits):
    return Derived(reference.OPERATIONS[operation], cases, edges=_edges, **traits)


OPERATIONS = {
    "add": _derived("add", cases_of_any_numbers, EXACT_ON_INTEGERS=True, is_copy=_passes_dy_on, may_flip=linear),
    "divide": _derived("divide", quotient_cases, may_flip=linear_in_first),
    "maximum": _derived("maximum", cases_of_any_numbers, EXACT_ON_INTEGERS=True),
    "minimum": _derived("minimum", cases_of_any_numbers, EXACT_ON_INTEGERS=True),
    "multiply": _derived("multiply", cases_of_any_numbers, EXACT_ON_INTEGERS=True, may_flip=linear_in_one),
    "power": _derived("power", power_cases),
    "prelu": _derived("prelu", prelu_cases, EXACT_ON_INTEGERS=True),
    "subtract": _derived(
        "subtract", cases_of_any_numbers, EXACT_ON_INTEGERS=True, is_copy=_passes_dy_on, may_flip=linear
    ),
}

"""Arithmetic: cases; the error bounds follow from the reference's formulas."""

import itertools

import numpy as np
from hypothesis import strategies as st

from ...reference import arithmetic as reference
from ...shapes import broadcast_shape
from ..theory.derived import Derived
from ..theory.strategies import Case, arrays, shapes, special_numbers


@st.composite
def cases(draw, size="small", integers=False):
    """Draw two arrays that can be broadcast."""
    a, b, y = draw(broadcast_shapes(size))
    a, b, dy = (draw(arrays(shape, integers, special=special_numbers())) for shape in (a, b, y))
    return Case((a, b), {}, dy)


@st.composite
def power_cases(draw, size="small", integers=False):
    """Draw bases and exponents of which many powers are numbers: positive bases, or exponents that are integers."""
    a, b, y = draw(broadcast_shapes(size))
    base = draw(arrays(a, integers, scales=(1.0, 10.0, 1e-3, 1e3, 1e-20), special=special_numbers()))
    exponent = draw(arrays(b, integers or draw(st.booleans()), scales=(1.0, 0.1, 3.0, 30.0), special=special_numbers()))
    base = draw(st.sampled_from([base, np.abs(base)]))
    return Case((base, exponent), {}, draw(arrays(y, integers, special=special_numbers())))


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
    return {
        "one shape": a == b,
        "an operand without axes": () in (a, b),
        "both operands repeated": case.dy.size > max(entry.size for entry in case.inputs),
        "an operand with fewer axes": len(a) != len(b),
    }


def _passes_dy_on(direction, case):
    """The gradients are dy itself, or its sums."""
    return direction == "backward" and case.inputs[0].shape == case.inputs[1].shape


OPERATIONS = {
    "add": Derived(reference.OPERATIONS["add"], cases, EXACT_ON_INTEGERS=True, edges=_edges, is_copy=_passes_dy_on),
    "divide": Derived(reference.OPERATIONS["divide"], cases, edges=_edges),
    "multiply": Derived(reference.OPERATIONS["multiply"], cases, EXACT_ON_INTEGERS=True, edges=_edges),
    "power": Derived(reference.OPERATIONS["power"], power_cases, edges=_edges),
    "subtract": Derived(
        reference.OPERATIONS["subtract"], cases, EXACT_ON_INTEGERS=True, edges=_edges, is_copy=_passes_dy_on
    ),
}

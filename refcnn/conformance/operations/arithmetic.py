"""Arithmetic: cases; the error bounds follow from the reference's formulas."""

import numpy as np
from hypothesis import strategies as st

from ...reference import arithmetic as reference
from ...shapes import broadcast_shape
from ..theory.derived import Derived
from ..theory.strategies import SUBNORMALS, ZEROS_AND_NOT_FINITE, Case, arrays, shapes

_SPECIAL = (*ZEROS_AND_NOT_FINITE, *SUBNORMALS)


@st.composite
def cases(draw, size="small", integers=False):
    """Draw two arrays that can be broadcast."""
    a, b, y = draw(broadcast_shapes(size))
    a, b, dy = (draw(arrays(shape, integers, special=_SPECIAL)) for shape in (a, b, y))
    return Case((a, b), {}, dy)


@st.composite
def power_cases(draw, size="small", integers=False):
    """Draw bases and exponents of which many powers are numbers: positive bases, or exponents that are integers."""
    a, b, y = draw(broadcast_shapes(size))
    base = draw(arrays(a, integers, scales=(1.0, 10.0, 1e-3, 1e3, 1e-20), special=_SPECIAL))
    exponent = draw(arrays(b, integers or draw(st.booleans()), scales=(1.0, 0.1, 3.0, 30.0), special=_SPECIAL))
    base = draw(st.sampled_from([base, np.abs(base)]))
    return Case((base, exponent), {}, draw(arrays(y, integers, special=_SPECIAL)))


@st.composite
def broadcast_shapes(draw, size):
    """Draw (shape of a, of b, of both together): as often as not one shape, else some axes are 1 or missing in one."""
    shape = draw(shapes(size, axes=5))
    if draw(st.booleans()):
        return shape, shape, shape
    a, b = (draw(_repeated(shape)) for _ in range(2))
    return a, b, broadcast_shape(a, b)


@st.composite
def _repeated(draw, shape):
    """Draw a shape that can be broadcast to another."""
    missing = draw(st.sampled_from([0, 0, *range(len(shape) + 1)]))
    return tuple(draw(st.sampled_from([side, side, 1])) for side in shape[missing:])


OPERATIONS = {
    "add": Derived(reference.OPERATIONS["add"], cases),
    "divide": Derived(reference.OPERATIONS["divide"], cases),
    "multiply": Derived(reference.OPERATIONS["multiply"], cases),
    "power": Derived(reference.OPERATIONS["power"], power_cases),
    "subtract": Derived(reference.OPERATIONS["subtract"], cases),
}

"""The rectifier: cases and error bounds. It is exact, and no error grows in it."""

import numpy as np
from hypothesis import strategies as st

from .strategies import Case, arrays, shapes

_SPECIAL = (0.0, -0.0, np.nan, np.inf, -np.inf)


@st.composite
def cases(draw, size="small", integers=False):
    """Draw an array of any shape."""
    shape = draw(shapes(size))
    x = draw(arrays(shape, integers, scales=(1.0, 1e30, 1e-30), special=_SPECIAL))
    return Case((x,), {}, draw(arrays(shape, integers, scales=(1.0, 1e30, 1e-30))))


def forward_bound(inputs, attributes, errors=None):
    """|max(a, 0) - max(b, 0)| <= |a - b|."""
    error = errors and errors[0]
    return np.zeros(inputs[0].shape) if error is None else np.asarray(error, dtype=np.float64)


def backward_bound(dy, inputs, attributes, needs):
    """Each dy is passed on or not; where x is NaN the derivative is not defined, so that either will do."""
    return (np.where(np.isnan(inputs[0]), np.inf, 0.0) if needs[0] else None,)

"""RMSprop: cases; the error bound follows from the reference's formula."""

import numpy as np
from hypothesis import strategies as st

from ...reference import rmsprop as reference
from ..theory.derived import update_bound
from ..theory.strategies import ZEROS_AND_NOT_FINITE, Case, arrays, shapes

EDGES_AT_ZERO = ("rho", "momentum")


@st.composite
def cases(draw, size="small", integers=False):
    """Draw parameter, gradient, mean square, velocity and all attributes."""
    shape = draw(shapes(size))
    attributes = {
        "lr": draw(st.sampled_from([1e-3, 1.0, 0.1])),
        "rho": draw(st.sampled_from([0.9, 0.0, 0.5, 0.999])),
        "momentum": draw(st.sampled_from([0.9, 0.0, 0.5, 0.999])),
        "epsilon": draw(st.sampled_from([1e-8, 1e-3, 1.0])),
    }
    w, g = (draw(arrays(shape, integers, special=ZEROS_AND_NOT_FINITE)) for _ in range(2))
    # A decay of 0 may be left out, or multiplied with what must be finite then.
    r, v = (draw(arrays(shape, integers)) for _ in range(2))
    return Case((w, g, np.abs(r), v), attributes)


def forward_bound(inputs, attributes, errors=None):
    """By running error analysis of the formula of :mod:`refcnn.reference.rmsprop`."""
    return update_bound(reference.forward, inputs, attributes, errors)

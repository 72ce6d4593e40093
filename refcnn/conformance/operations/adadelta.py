"""Adadelta: cases; the error bound follows from the reference's formula."""

import numpy as np
from hypothesis import strategies as st

from ...reference import adadelta as reference
from ..theory.derived import update_bound
from ..theory.strategies import ZEROS_AND_NOT_FINITE, Case, arrays, shapes

EDGES_AT_ZERO = ("rho",)


@st.composite
def cases(draw, size="small", integers=False):
    """Draw parameter, gradient, the two mean squares and all attributes."""
    shape = draw(shapes(size))
    attributes = {
        "lr": draw(st.sampled_from([1e-3, 1.0, 0.1])),
        "rho": draw(st.sampled_from([0.9, 0.0, 0.5, 0.999])),
        "epsilon": draw(st.sampled_from([1e-8, 1e-3, 1.0])),
    }
    w, g = (draw(arrays(shape, integers, special=ZEROS_AND_NOT_FINITE)) for _ in range(2))
    # A decay of 0 may be left out, or multiplied with what must be finite then.
    r, s = (draw(arrays(shape, integers)) for _ in range(2))
    return Case((w, g, np.abs(r), np.abs(s)), attributes)


def forward_bound(inputs, attributes, errors=None):
    """By running error analysis of the formula of :mod:`refcnn.reference.adadelta`."""
    return update_bound(reference.forward, inputs, attributes, errors)

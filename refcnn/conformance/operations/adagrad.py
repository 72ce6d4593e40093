"""Adagrad: cases; the error bound follows from the reference's formula."""

import numpy as np
from hypothesis import strategies as st

from ...reference import adagrad as reference
from ..theory.derived import update_bound
from ..theory.strategies import ZEROS_AND_NOT_FINITE, Case, arrays, shapes


@st.composite
def cases(draw, size="small", integers=False):
    """Draw parameter, gradient, the sum of squares and all attributes."""
    shape = draw(shapes(size))
    attributes = {"lr": draw(st.sampled_from([1e-3, 1.0, 0.1])), "epsilon": draw(st.sampled_from([1e-8, 1e-3, 1.0]))}
    w, g = (draw(arrays(shape, integers, special=ZEROS_AND_NOT_FINITE)) for _ in range(2))
    r = draw(arrays(shape, integers, special=(np.inf, np.nan)))
    return Case((w, g, np.abs(r)), attributes)


def forward_bound(inputs, attributes, errors=None):
    """By running error analysis of the formula of :mod:`refcnn.reference.adagrad`."""
    return update_bound(reference.forward, inputs, attributes, errors)

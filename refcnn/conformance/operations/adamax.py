"""Adamax: cases; the error bound follows from the reference's formula."""

import numpy as np
from hypothesis import strategies as st

from ...reference import adamax as reference
from ..theory.derived import update_bound
from ..theory.strategies import ZEROS_AND_NOT_FINITE, Case, arrays, shapes

EDGES_AT_ZERO = ("beta1", "beta2")


@st.composite
def cases(draw, size="small", integers=False):
    """Draw parameter, gradient, first moment, largest gradient and all attributes."""
    shape = draw(shapes(size))
    attributes = {
        "lr": draw(st.sampled_from([1e-3, 1.0, 0.1])),
        "beta1": draw(st.sampled_from([0.9, 0.0, 0.5, 0.999])),
        "beta2": draw(st.sampled_from([0.9, 0.0, 0.5, 0.999])),
        "epsilon": draw(st.sampled_from([1e-8, 1e-3, 1.0])),
        "step": draw(st.one_of(st.integers(1, 10), st.integers(1, 10**6))),
    }
    w, g = (draw(arrays(shape, integers, special=ZEROS_AND_NOT_FINITE)) for _ in range(2))
    # A decay of 0 may be left out, or multiplied with what must be finite then.
    m = draw(arrays(shape, integers))
    u = draw(arrays(shape, integers, special=(np.nan, np.inf) if attributes["beta2"] else ()))
    return Case((w, g, m, np.abs(u)), attributes)


def forward_bound(inputs, attributes, errors=None):
    """By running error analysis of the formula of :mod:`refcnn.reference.adamax`."""
    return update_bound(reference.forward, inputs, attributes, errors)

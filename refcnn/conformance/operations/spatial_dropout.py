"""Spatial dropout: cases and error bounds. Which channels are kept is exact; the product with a factor is rounded."""

import math

import numpy as np
from hypothesis import strategies as st

from ...reference import spatial_dropout
from ..theory.sizes import batches, extents, sized
from ..theory.strategies import ZEROS_AND_NOT_FINITE, Case, arrays
from . import dropout

EXACT_ON_INTEGERS = True
EDGES_AT_ZERO = ("ratio",)
is_exact_with = dropout.is_exact_with


@st.composite
def cases(draw, size="small", integers=False):
    """Draw images of 0 to 3 axes, a ratio, and a place in the random numbers; with ``integers`` the factor is exact."""
    shape = draw(batches(size)), draw(extents(9 if size == "tiny" else 65))
    for _ in range(draw(st.integers(0, 3))):
        largest = (25 if size == "tiny" else 330) // math.prod(shape[2:])
        shape += (draw(extents(max(1, largest))),)
    if size in ("small", "large") and draw(st.integers(0, 4)) == 4:
        # Maps that several work-items do.
        shape = *(min(4, extent) for extent in shape[:2]), draw(st.sampled_from((4096, 4097, 8191)))
    shape = draw(sized(shape, size))
    attributes = draw(dropout.random_numbers(shape[0] * shape[1], integers))
    x, dy = (draw(arrays(shape, integers, special=ZEROS_AND_NOT_FINITE)) for _ in range(2))
    return Case((x,), attributes, dy)


def forward_bound(inputs, attributes, errors=None):
    """x times 1 / (1 - ratio), or divided by 1 - ratio, each a number rounded once; nothing where x is dropped."""
    return _scaled(inputs[0], attributes, errors and errors[0])


def backward_bound(dy, inputs, attributes, needs):
    """The same for dy."""
    return (_scaled(dy, attributes) if needs[0] else None,)


def _scaled(x, attributes, error=None):
    kept, _ = spatial_dropout.forward(np.ones(x.shape), **attributes)
    return dropout.scaled_bound(x, kept > 0, attributes, error)

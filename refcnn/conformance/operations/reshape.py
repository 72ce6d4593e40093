"""Reshape: cases and error bounds. It moves numbers, and their errors with them."""

import numpy as np
from hypothesis import strategies as st

from ...reference import reshape
from ..theory.strategies import ZEROS_AND_NOT_FINITE, Case, arrays, arrays_of_any_format, shapes, subnormal_numbers

EXACT_ON_INTEGERS = True


@st.composite
def cases(draw, size="small", integers=False):
    """Draw an array of any shape and dtype, another shape with as many elements, at times left to follow."""
    special = (*ZEROS_AND_NOT_FINITE, *subnormal_numbers())
    x = draw(arrays_of_any_format(draw(shapes(size, axes=6)), integers, special=special))
    sizes = draw(_shapes_of(x.size))
    axis = draw(st.integers(0, len(sizes) - 1))
    following = [None] if x.shape[axis : axis + 1] == (sizes[axis],) else []
    size = draw(st.sampled_from([sizes[axis], -1, *following]))
    attributes = {"shape": (*sizes[:axis], size, *sizes[axis + 1 :])}
    y, _ = reshape.forward(x, **attributes)
    return Case((x,), attributes, draw(arrays(y.shape, integers, special=special)) if x.dtype.kind == "f" else None)


@st.composite
def _shapes_of(draw, count):
    """Draw a shape with so many elements: prime factors, at times several in one size, and ones between them."""
    sizes, factor = [1] * draw(st.integers(1, 5)), 2
    while count > 1:
        if count % factor:
            factor += 1
        else:
            count //= factor
            sizes[draw(st.integers(0, len(sizes) - 1))] *= factor
    return tuple(sizes)


def forward_bound(inputs, attributes, errors=None):
    """Each error goes where its number goes; nothing is computed, so that no number is flushed."""
    error = errors[0] if errors and errors[0] is not None else np.zeros(inputs[0].shape)
    return reshape.forward(error, **attributes)[0]


def backward_bound(dy, inputs, attributes, needs):
    """Each dy goes back to where its number came from."""
    return (np.zeros(inputs[0].shape) if needs[0] else None,)


def is_copy(direction, case):
    """Always."""
    return True

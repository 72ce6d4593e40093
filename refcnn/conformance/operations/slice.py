"""Slice: cases and error bounds. It moves numbers, and their errors with them."""

import numpy as np
from hypothesis import strategies as st

from ...reference import slice
from ..theory.strategies import ZEROS_AND_NOT_FINITE, Case, arrays, arrays_of_any_format, shapes, subnormal_numbers

EXACT_ON_INTEGERS = True


@st.composite
def cases(draw, size="small", integers=False):
    """Draw an array of any shape and dtype, and a part of each of its first axes, forwards or backwards."""
    special = (*ZEROS_AND_NOT_FINITE, *subnormal_numbers())
    x = draw(arrays_of_any_format(draw(shapes(size, axes=6)), integers, special=special))
    sizes = x.shape[: draw(st.integers(0, x.ndim))]
    entries = [draw(_parts(size)) for size in sizes]
    starts, stops, steps = zip(*entries, strict=True) if entries else ((), (), ())
    attributes = {"starts": starts, "stops": stops, "steps": steps}
    y, _ = slice.forward(x, **attributes)
    return Case((x,), attributes, draw(arrays(y.shape, integers, special=special)) if x.dtype.kind == "f" else None)


@st.composite
def _parts(draw, size):
    """Draw (start, stop, step) of a part with at least one index, written in one of the ways that mean it."""
    # Often all of an axis, as where one is cut behind others that stay.
    if draw(st.booleans()):
        return None, None, 1
    step = draw(st.sampled_from((1, 1, 2, 3, -1, -2, -5)))
    first = draw(st.one_of(st.none(), st.integers(-size - 1, size)))
    first = first if range(size)[first::step] else None
    indices = range(size)[first::step]
    taken = draw(st.integers(1, len(indices)))
    end = indices[taken - 1] + (1 if step > 0 else -1)
    # There is no index before the first one that a negative stop could name.
    same = [end - size, *[end] * (end >= 0)] if end < size else [size, size + 2]
    stop = draw(st.sampled_from([*same, *[None] * (taken == len(indices))]))
    return first, stop, step


def forward_bound(inputs, attributes, errors=None):
    """Each error goes where its number goes; nothing is computed, so that no number is flushed."""
    error = errors[0] if errors and errors[0] is not None else np.zeros(inputs[0].shape)
    return slice.forward(error, **attributes)[0]


def backward_bound(dy, inputs, attributes, needs):
    """Each dy goes back to where its number came from."""
    return (np.zeros(inputs[0].shape) if needs[0] else None,)


def is_copy(direction, case):
    """Always."""
    return True

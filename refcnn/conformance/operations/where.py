"""A choice between two arrays: cases; nothing is computed but the sums of the gradients of what was repeated."""

import math

import numpy as np
from hypothesis import strategies as st

from ... import formats
from ...reference import where as reference
from ...shapes import repeated_axes
from ..theory.bounds import sum_of_terms
from ..theory.strategies import Case, arrays, arrays_of_any_format, exact_arrays, special_numbers
from .arithmetic import broadcast_shapes

EXACT_ON_INTEGERS = True


@st.composite
def cases(draw, size="small", integers=False):
    """Draw a condition and two arrays of one format that can be broadcast."""
    a, b, y = draw(broadcast_shapes(size))
    condition = draw(exact_arrays(draw(st.sampled_from([y, a, b, ()])), formats.BOOL))
    a, b = draw(st.sampled_from([(a, b), (y, ()), ((), y)]))
    a = draw(arrays_of_any_format(a, integers, special=special_numbers()))
    if a.dtype.kind == "f":
        b = draw(arrays(b, integers, special=special_numbers()))
        return Case((condition, a, b), {}, draw(arrays(y, integers, special=special_numbers())))
    return Case((condition, a, draw(exact_arrays(b, formats.of(a.dtype)))), {})


def edges(case):
    """Return which operands are repeated, and how."""
    condition, a, b = (entry.shape for entry in case.inputs)
    return {
        "one shape": condition == a == b,
        "a single number to choose": () in (a, b),
        "a single condition": condition == (),
    }


def forward_bound(inputs, attributes, errors=None):
    """Each error goes where its number goes; nothing is computed, so that no number is flushed."""
    condition, *operands = inputs
    rows = zip(operands, (errors or (None,) * 3)[1:], strict=True)
    a, b = (np.zeros(operand.shape) if error is None else error for operand, error in rows)
    return reference.forward(condition, a, b)[0]


def backward_bound(dy, inputs, attributes, needs):
    """Sums of what was repeated."""
    condition, *operands = inputs
    chosen = np.where(condition, dy, 0), np.where(condition, 0, dy)
    rows = zip(chosen, operands, needs[1:], strict=True)
    return None, *(_sum_bound(gradient, operand.shape) if need else None for gradient, operand, need in rows)


def _sum_bound(gradient, shape):
    axes = repeated_axes(shape, gradient.shape)
    terms = math.prod(gradient.shape[axis] for axis in axes)
    return sum_of_terms(lambda x: x.sum(axis=axes, keepdims=True).reshape(shape), gradient, terms)

"""Fully connected layers: cases and error bounds."""

import numpy as np
from hypothesis import strategies as st

from ..theory.bounds import sum_of_products, sum_of_terms
from ..theory.edges import of_bias
from ..theory.examples import of_shapes
from ..theory.pieces import linear_in_first
from ..theory.probable import Sum
from ..theory.random_numbers import matrices, numbers
from ..theory.sizes import LIMITS, LONG, VAST, extents, sized
from ..theory.strategies import FEW_NOT_FINITE, OF_BIAS, Case, arrays

EXACT_ON_INTEGERS = True
BOUND_GROWS = True
may_flip = linear_in_first
_LARGEST_TINY = 18
_LONG_SUMS = st.sampled_from((511, 512, 513, 1023, 1024, 1025))
# Batch, inputs and outputs where rows lie so far apart that kernels may copy a matrix first, one after the other.
_FAR_ROWS = st.sampled_from(((130, 2, 1024), (2, 1024, 130), (2, 130, 1024), (1024, 2, 3)))


@st.composite
def cases(draw, size="small", integers=False):
    """Draw rows, a matrix and at times a bias."""
    largest = LIMITS[size][1]
    # Also in simulators past the longest vector, where kernels read up to the very end of their arrays.
    batch = draw(extents(_LARGEST_TINY if size == "tiny" else largest))
    # Long sums at times: kernels cut them into parts of a power of two.
    inputs = draw(extents(largest) if size == "tiny" else st.one_of(extents(8 * largest), _LONG_SUMS))
    outputs = draw(extents(_LARGEST_TINY if size == "tiny" else 2 * largest))
    if size not in ("tiny", *LONG) and draw(st.integers(0, 9)) == 9:
        batch, inputs, outputs = draw(_FAR_ROWS)
    if size in LONG:
        batch, inputs, outputs = draw(sized((min(batch, 9), min(inputs, 9), outputs), size))
    if size == "vast":
        inputs, outputs = max(inputs, 64), min(outputs, 9)
        batch = VAST // inputs + draw(st.integers(1, 9))
    x = draw(arrays((batch, inputs), integers, **FEW_NOT_FINITE))
    w = draw(arrays((inputs, outputs), integers, **FEW_NOT_FINITE))
    b = draw(st.one_of(st.none(), arrays((1, outputs), integers, integer_scales=OF_BIAS, **FEW_NOT_FINITE)))
    return Case((x, w, b), {}, draw(arrays((batch, outputs), integers, **FEW_NOT_FINITE)))


def forward_bound(inputs, attributes, errors=None):
    """One term for each value of a row."""
    x, w, b = inputs
    return sum_of_products(lambda x, w: x @ w, x, w, x.shape[1], b, errors or (None, None, None))


def backward_bound(dy, inputs, attributes, needs):
    """dx and dw are sums of products, over the outputs and over the batch; db is a sum over the batch."""
    x, w, b = inputs
    return (
        sum_of_products(lambda dy, w: dy @ w.T, dy, w, dy.shape[1]) if needs[0] else None,
        sum_of_products(lambda dy, x: x.T @ dy, dy, x, dy.shape[0]) if needs[1] else None,
        sum_of_terms(lambda dy: dy.sum(axis=0, keepdims=True), dy, dy.shape[0]) if needs[2] else None,
    )


def terms(inputs, attributes):
    """The products of a row."""
    return inputs[0].shape[1]


def squares(inputs, attributes):
    """Of the products of a row, and of the bias."""
    x, w, b = (None if entry is None else np.square(entry) for entry in inputs)
    return len(w) + (b is not None), x @ w if b is None else x @ w + b


def sums(case):
    """Of products of a row, and of the bias; of the outputs, of the batch, and of the batch alone."""
    x, w, b = case.inputs
    return Sum(len(w) + (b is not None)), (Sum(w.shape[1]), Sum(len(x)), Sum(len(x)))


@st.composite
def random_cases(draw, direction):
    """Draw rows, a matrix and at times a bias."""
    shapes = draw(matrices(direction))
    x, w, dy, b = draw(numbers(*shapes, (1, shapes[1][1])))
    return Case((x, w, draw(st.sampled_from((None, b)))), {}, dy, random_signs=True)


def edges(case):
    """With and without a bias."""
    return of_bias(case)


examples = of_shapes((2, 3), (3, 2), (1, 2), dy=(2, 2))

OFFERED = {"output_size": 2}

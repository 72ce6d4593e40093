"""Fully connected layers: cases and error bounds."""

import numpy as np
from hypothesis import strategies as st

from ..theory.bounds import sum_of_products, sum_of_terms
from ..theory.edges import of_bias
from ..theory.pieces import linear_in_first
from ..theory.strategies import FEW_NOT_FINITE, LIMITS, VAST, Case, arrays, extents

EXACT_ON_INTEGERS = True
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
    if size != "tiny" and draw(st.integers(0, 9)) == 9:
        batch, inputs, outputs = draw(_FAR_ROWS)
    if size == "vast":
        inputs, outputs = max(inputs, 64), min(outputs, 9)
        batch = VAST // inputs + draw(st.integers(1, 9))
    x = draw(arrays((batch, inputs), integers, **FEW_NOT_FINITE))
    w = draw(arrays((inputs, outputs), integers, **FEW_NOT_FINITE))
    b = draw(st.one_of(st.none(), arrays((1, outputs), integers, **FEW_NOT_FINITE)))
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


def edges(case):
    """With and without a bias."""
    return of_bias(case)

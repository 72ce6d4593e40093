"""Products of matrices and of stacks of them: cases and error bounds."""

import math

import numpy as np
from hypothesis import strategies as st

from ...reference.arithmetic import unbroadcast
from ...shapes import broadcast_shape, matrix_product_shape
from ..theory.bounds import sum_of_products
from ..theory.examples import of_shapes
from ..theory.pieces import linear_in_one
from ..theory.probable import Sum
from ..theory.random_numbers import matrices, numbers
from ..theory.sizes import LONG, extents, grown, sized
from ..theory.strategies import FEW_NOT_FINITE, Case, arrays

EXACT_ON_INTEGERS = True
BOUND_GROWS = True
may_flip = linear_in_one
_LONG_SUMS = (511, 512, 513, 1025)
#: The axes before the last two, of a and of b.
_STACKS = (
    ((), ()),
    ((3,), (3,)),
    ((2,), ()),
    ((), (2,)),
    ((2, 1), (3,)),
    ((1, 2), (2, 2)),
    ((2, 3), (2, 3)),
    ((1,), (4,)),
)


@st.composite
def cases(draw, size="small", integers=False):
    """Draw two matrices, stacks of them that are broadcast, or vectors."""
    largest = 9 if size == "tiny" else 33
    rows, columns = draw(extents(largest)), draw(extents(largest))
    # Long sums at times: kernels cut them into parts of a power of two.
    terms = draw(extents(largest) if size == "tiny" else st.one_of(extents(2 * largest), st.sampled_from(_LONG_SUMS)))
    of_a, of_b = draw(st.sampled_from(_STACKS))
    if size in LONG:
        rows, terms, columns = draw(sized((min(rows, 9), min(terms, 9), min(columns, 9)), size))
    if size == "vast":
        (rows, terms), columns = draw(grown((rows, draw(extents(9))))), draw(extents(9))
        of_a = of_b = ()
    a, b = (*of_a, rows, terms), (*of_b, terms, columns)
    vectors = "" if size == "vast" else draw(st.sampled_from(("", "", "", "a", "b", "ab")))
    a, b = (terms,) if "a" in vectors else a, (terms,) if "b" in vectors else b
    y = matrix_product_shape(a, b)
    a, b, dy = (draw(arrays(shape, integers, **FEW_NOT_FINITE)) for shape in (a, b, y))
    return Case((a, b), {}, dy)


def forward_bound(inputs, attributes, errors=None):
    """One term for each number in a row of a."""
    a, b = inputs
    return sum_of_products(np.matmul, a, b, a.shape[-1], errors=(*(errors or (None, None)), None))


def terms(inputs, attributes):
    """The products of a row and a column."""
    return inputs[0].shape[-1]


def squares(inputs, attributes):
    """Of the products of a row and a column."""
    return inputs[0].shape[-1], np.matmul(*map(np.square, inputs))


def backward_bound(dy, inputs, attributes, needs):
    """da and db are sums of products over columns and rows, and over what a or b is repeated along."""
    a, b = inputs
    left, right = a[None] if a.ndim == 1 else a, b[:, None] if b.ndim == 1 else b
    stack = broadcast_shape(left.shape[:-2], right.shape[:-2])
    dy = dy.reshape(*stack, left.shape[-2], right.shape[-1])
    repeats = [math.prod(stack) // math.prod(one.shape[:-2]) for one in (left, right)]

    def of_a(dy, right):
        return unbroadcast(dy @ right.swapaxes(-1, -2), left.shape).reshape(a.shape)

    def of_b(dy, left):
        return unbroadcast(left.swapaxes(-1, -2) @ dy, right.shape).reshape(b.shape)

    return (
        sum_of_products(of_a, dy, right, repeats[0] * right.shape[-1]) if needs[0] else None,
        sum_of_products(of_b, dy, left, repeats[1] * left.shape[-2]) if needs[1] else None,
    )


def sums(case):
    """Of products of a row and a column, and of columns and rows, over what a or b is repeated along."""
    a, b = case.inputs
    y = math.prod(matrix_product_shape(a.shape, b.shape))
    # A product for each element of y and each number in a row of a, dealt out evenly.
    return Sum(a.shape[-1]), (Sum(y * a.shape[-1] // a.size), Sum(y * a.shape[-1] // b.size))


@st.composite
def random_cases(draw, direction):
    """Draw two matrices, at times several first ones."""
    a, b, dy = draw(numbers(*draw(matrices(direction))))
    if draw(st.booleans()):
        a, dy = (entry.reshape(1, *entry.shape) for entry in (a, dy))
    return Case((a, b), {}, dy, random_signs=True)


def edges(case):
    """Which operand is repeated, and whether one is a vector."""
    a, b = (entry.shape for entry in case.inputs)
    return {
        "a vector": 1 in (len(a), len(b)),
        "two matrices": len(a) == len(b) == 2,
        "a stack, and one matrix": len(a) > 2 and len(b) == 2,
        "stacks of other shapes": len(a) > 1 and len(b) > 2 and a[:-2] != b[:-2],
        "stacks of one shape": len(a) > 2 and a[:-2] == b[:-2],
    }


examples = of_shapes((2, 3), (3, 2), dy=(2, 2))

"""Dropout: cases and error bounds. Which values are kept is exact; their product with a factor is rounded."""

import numpy as np
from hypothesis import strategies as st

from ...philox import random_bits
from ...reference import dropout
from ..theory.approximation import Approximation
from ..theory.strategies import ZEROS_AND_NOT_FINITE, Case, arrays, shapes

EXACT_ON_INTEGERS = True
EDGES_AT_ZERO = ("ratio",)


@st.composite
def cases(draw, size="small", integers=False):
    """Draw an array of any shape, a ratio, and a place in the random numbers; with ``integers`` the factor is exact."""
    shape = draw(shapes(size))
    attributes = draw(random_numbers(int(np.prod(shape)), integers))
    x = draw(arrays(shape, integers, special=ZEROS_AND_NOT_FINITE))
    return Case((x,), attributes, draw(arrays(shape, integers, special=ZEROS_AND_NOT_FINITE)))


@st.composite
def random_numbers(draw, count, integers):
    """Draw a ratio, a seed and a stream, of which so many words are taken."""
    number = st.one_of(st.integers(0, 3), st.sampled_from([2**32 - 1, 2**32, 2**64 - 1]), st.integers(0, 2**64 - 1))
    seed, stream = draw(number), draw(number)
    # Of a part of a batch, those of a later part; the blocks of four are counted in 64 bits.
    first = draw(st.sampled_from([0, 0, 1, 2, 3, 7, 1000, 2**34 - 3, 2**34 + 2**32 + 5]))
    ratios = st.sampled_from([0.5, 0.0, 0.75])
    if not integers:
        # A random word that equals the threshold shows whether the comparison is strict.
        words = random_bits(seed, stream, min(16, count), first)
        at_a_word = st.sampled_from([word * 2.0**-32 for word in words.tolist()])
        others = st.one_of(ratios, st.floats(0, 0.999), st.sampled_from([0.1, 2.0**-33, 1 - 2.0**-20]))
        # More often than not, since each lane of the generator has a comparison of its own.
        ratios = at_a_word if draw(st.integers(0, 2)) else others
    return {"ratio": draw(ratios), "seed": seed, "stream": stream, "first": first}


def forward_bound(inputs, attributes, errors=None):
    """x times 1 / (1 - ratio), or divided by 1 - ratio, each a number rounded once; nothing where x is dropped."""
    return _scaled(inputs[0], attributes, errors and errors[0])


def backward_bound(dy, inputs, attributes, needs):
    """The same for dy."""
    return (_scaled(dy, attributes) if needs[0] else None,)


def _scaled(x, attributes, error=None):
    kept, _ = dropout.forward(np.ones(x.shape), **attributes)
    return scaled_bound(x, kept > 0, attributes, error)


def scaled_bound(x, kept, attributes, error=None):
    """Return the bound of x / (1 - ratio) where it is kept, else of 0."""
    x, kept_share = Approximation.of_input(x, error), 1 - attributes["ratio"]
    product = x * Approximation.of_attribute(1 / kept_share)
    quotient = x / Approximation.of_attribute(kept_share)
    return np.where(kept, product.or_as(quotient).bound, 0)


def is_exact_with(attributes):
    """The factor is a power of two."""
    return attributes["ratio"] in (0.0, 0.5, 0.75)

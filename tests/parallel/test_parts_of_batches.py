"""A part of a batch: what is drawn for its examples is what is drawn for them in the whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn import mode

KINDS = {"dropout": rm.dropout, "spatial_dropout": rm.spatial_dropout}


@st.composite
def cut_batches(draw):
    """Draw the shape of a batch and where it is cut."""
    shape = tuple(draw(st.lists(st.integers(1, 9), min_size=2, max_size=4)))
    inner = draw(st.lists(st.integers(0, shape[0]), max_size=4))
    return shape, [0, *sorted(inner), shape[0]]


@pytest.mark.parametrize("name", KINDS)
@given(case=cut_batches(), seed=st.integers(0, 2**64 - 1))
def test_dropout_of_parts_is_that_of_the_whole(backend, name, case, seed):
    shape, ends = case
    x = np.arange(1, np.prod(shape) + 1, dtype=np.float32).reshape(shape)
    with rm.use_backend(backend), mode.training():
        rm.set_seed(seed)
        whole = KINDS[name](x, 0.5).as_ndarray()
        parts = []
        for first, end in zip(ends, ends[1:], strict=False):
            rm.set_seed(seed)
            if end > first:
                with mode.part_of_batch(first, end - first):
                    parts.append(KINDS[name](x[first:end], 0.5).as_ndarray())
    assert np.array_equal(np.concatenate(parts), whole)


@given(
    first=st.integers(0, 40),
    examples=st.integers(1, 9),
    others=st.lists(st.integers(1, 5), max_size=3),
    merged=st.integers(1, 4),
)
def test_place_of_an_array_in_that_of_the_whole_batch(first, examples, others, merged):
    with mode.part_of_batch(first, examples):
        # Examples may be merged with another axis, as of words in sentences.
        assert mode.place_in_batch((examples * merged, *others)) == first * merged * np.prod(others, dtype=int)
        assert mode.place_in_batch(()) == 0
    assert mode.place_in_batch((7, *others)) == 0

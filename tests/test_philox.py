"""Philox 4x32-10 against the known answers that Random123 publishes (kat_vectors), and what is built on it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn import philox

KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
UINT64 = st.integers(0, 2**64 - 1)


@pytest.mark.parametrize("counter, key, expected", KNOWN_ANSWERS)
def test_known_answers(counter, key, expected):
    np.testing.assert_array_equal(philox.philox4x32(counter, key), np.array(expected, dtype=np.uint32))


@given(seed=UINT64, stream=UINT64, count=st.integers(0, 50), more=st.integers(0, 20))
def test_a_word_depends_on_its_position_alone(seed, stream, count, more):
    longer = philox.random_bits(seed, stream, count + more)
    np.testing.assert_array_equal(philox.random_bits(seed, stream, count), longer[:count])


@given(seed=UINT64, stream=UINT64, block=st.integers(0, 100))
def test_counter_layout(seed, stream, block):
    counter = [block, 0, stream & 0xFFFFFFFF, stream >> 32]
    expected = philox.philox4x32(counter, [seed & 0xFFFFFFFF, seed >> 32])
    np.testing.assert_array_equal(philox.random_bits(seed, stream, 4 * block + 4)[4 * block :], expected)


@given(seed=UINT64, stream=UINT64, count=st.integers(0, 300))
def test_permutation_holds_every_index_once(seed, stream, count):
    np.testing.assert_array_equal(np.sort(philox.permutation(seed, stream, count)), np.arange(count))


def test_moments():
    count = 200_000
    uniform, normal = philox.uniform(7, 0, count), philox.normal(7, 1, count)
    # Six standard errors of each moment.
    assert abs(uniform.mean() - 0.5) < 6 / np.sqrt(12 * count)
    assert abs(normal.mean()) < 6 / np.sqrt(count)
    assert abs(normal.var() - 1) < 6 * np.sqrt(2 / count)
    assert uniform.min() > 0 and uniform.max() < 1


def test_streams_and_seeds_differ():
    first = philox.random_bits(1, 0, 8)
    assert not np.array_equal(first, philox.random_bits(1, 1, 8))
    assert not np.array_equal(first, philox.random_bits(2, 0, 8))


def test_generator_hands_out_streams_in_order():
    generator = philox.Generator(5)
    assert [generator.next_stream() for _ in range(3)] == [(5, 0), (5, 1), (5, 2)]
    generator.set_seed(5)
    np.testing.assert_array_equal(generator.normal((2, 3)).ravel(), philox.normal(5, 0, 6))
    assert (generator.seed, generator.stream) == (5, 1)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "1", True, None])
def test_bad_seed(seed):
    with pytest.raises(rm.errors.ArgumentError, match="2\\*\\*64 - 1"):
        rm.set_seed(seed)

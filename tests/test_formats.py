"""Number formats against NumPy's own numbers, by computing with them."""

import numpy as np
import pytest

from refcnn import formats
from refcnn.errors import ArgumentError

FLOATS = [formats.FLOAT16, formats.FLOAT32, formats.FLOAT64]


@pytest.mark.parametrize("of", FLOATS, ids=lambda of: of.name)
def test_floats_begin_and_end_where_they_say(of):
    kind = of.dtype.type
    one, infinity = kind(1), kind(np.inf)
    assert np.nextafter(one, infinity) - one == 2 * of.roundoff
    with np.errstate(over="ignore"):
        assert np.nextafter(kind(of.largest), infinity) == infinity and np.isfinite(kind(of.largest))
    assert np.nextafter(kind(0), one) == of.smallest_subnormal
    # Below it the numbers are as far from each other as from zero; above it they have all digits.
    assert np.spacing(kind(of.smallest_normal)) == of.smallest_subnormal == 2 * of.roundoff * of.smallest_normal
    assert kind(1 + of.roundoff) == 1, "a tie goes to the even number"


@pytest.mark.parametrize("of", [formats.INT64, formats.INT32], ids=lambda of: of.name)
def test_integers_end_where_they_say(of):
    largest = np.array(of.largest, of.dtype)
    assert largest + np.array(1, of.dtype) < 0 and of.roundoff == 0 and not of.is_float


@pytest.mark.parametrize("of", [*FLOATS, *formats.EXACT], ids=lambda of: of.name)
def test_a_format_is_found_by_whatever_numpy_calls_it(of):
    for dtype in (of.name, of.dtype, of.dtype.type, of.dtype.newbyteorder("S"), np.ones(2, of.dtype).dtype):
        assert formats.of(dtype) is of


@pytest.mark.parametrize("dtype", ["uint8", "complex64", "<U3"])
def test_other_dtypes_have_no_format(dtype):
    with pytest.raises(ArgumentError, match="float32"):
        formats.of(dtype)


def test_a_number_is_rounded_as_a_device_may_read_it():
    assert formats.FLOAT32.round(0.1) == np.float32(0.1) and formats.FLOAT16.round(0.1) == np.float16(0.1)
    assert formats.FLOAT32.round(1e-40) == 0 and formats.FLOAT16.round(1e-5) == 0
    assert formats.FLOAT32.round(-1e39) == formats.FLOAT16.round(-1e5) == -np.inf

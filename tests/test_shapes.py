"""Output sizes against counting the places one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcnn.errors import ShapeError
from refcnn.shapes import convolution_output_size, repeated_axes, window_extent, window_output_shape

SIZES = st.integers(1, 20)
FEW = st.integers(1, 5)
PADDING = st.integers(0, 4)


@given(size=SIZES, kernel=FEW, stride=FEW, before=PADDING, after=PADDING, dilation=FEW)
def test_counts_the_places_of_the_window(size, kernel, stride, before, after, dilation):
    padded = range(-before, size + after)
    places = 0
    while all(places * stride - before + tap * dilation in padded for tap in range(kernel)):
        places += 1
    if places:
        assert convolution_output_size(size, kernel, stride, before, after, dilation) == places
    else:
        with pytest.raises(ShapeError, match="smaller than the kernel"):
            convolution_output_size(size, kernel, stride, before, after, dilation)


def test_axes_are_not_mixed_up():
    assert window_output_shape((10, 20), (3, 5), (1, 2), (1, 2, 0, 4), (2, 1)) == (7, 11)
    assert window_extent(3, 4) == 9


def test_axes_along_which_an_array_is_repeated():
    assert repeated_axes((3, 1), (2, 3, 4)) == (0, 2)
    assert repeated_axes((), (2, 1)) == (0,)
    assert repeated_axes((2, 1), (2, 1)) == ()

"""Output sizes against counting the places one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refcnn.errors import ShapeError
from refcnn.shapes import (
    convolution_output_size,
    has_empty_window,
    image_slices,
    padded_sizes,
    reached_padding,
    repeated_axes,
    resolved_padding,
    sides,
    window,
    window_extent,
    window_output_shape,
)

from .one_node import run_node

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


@given(size=SIZES, kernel=FEW, stride=FEW, dilation=FEW)
def test_same_keeps_the_size_divided_by_the_stride(size, kernel, stride, dilation):
    window = (size,), (kernel,), (stride,)
    for name, order in (("same", 1), ("same_lower", -1)):
        padding = resolved_padding(name, *window, (dilation,))
        assert window_output_shape(*window, padding, (dilation,)) == (-(-size // stride),)
        before, after = padding[::order]
        assert after - before in (0, 1)
        if before + after and size + before + after > window_extent(kernel, dilation):
            fewer = (before, after - 1) if after else (before - 1, after)
            assert window_output_shape(*window, fewer, (dilation,)) < (-(-size // stride),)
    assert resolved_padding("valid", *window, (dilation,)) == (0, 0)


def test_padding_by_name_of_several_axes():
    assert resolved_padding("same", (5, 6, 7), (2, 3, 4), (1, 2, 3)) == (0, 0, 1, 1, 1, 2)
    assert resolved_padding("same_lower", (5, 6, 7), (2, 3, 4), (1, 2, 3)) == (1, 1, 2, 0, 0, 1)
    assert resolved_padding((1, 2, 3, 4), (5, 6), (2, 2), (1, 1)) == (1, 2, 3, 4)


def test_what_a_window_takes_of_a_padded_image():
    assert sides((1, 2, 3, 4)) == ((1, 3), (2, 4))
    assert window((1, 2), (3, 2), (2, 5), (1, 3)) == (slice(2, 5, 1), slice(10, 14, 3))


@given(
    size=st.integers(1, 12),
    kernel=st.integers(1, 4),
    stride=FEW,
    before=st.integers(0, 3),
    after=st.integers(0, 3),
    dilation=st.integers(1, 3),
    ceil_mode=st.booleans(),
)
@settings(max_examples=40)
def test_the_places_of_pools_are_those_of_onnxruntime(size, kernel, stride, before, after, dilation, ceil_mode):
    before, after = min(before, kernel - 1), min(after, kernel - 1)
    arguments = (size,), (kernel,), (stride,), (before, after), (dilation,), ceil_mode
    try:
        places = window_output_shape(*arguments)
    except ShapeError:
        return
    assert _places_in_onnxruntime(*arguments) == places


@given(
    size=st.integers(1, 9),
    kernel=st.integers(1, 4),
    stride=FEW,
    padding=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    dilation=st.integers(1, 3),
    ceil_mode=st.booleans(),
)
def test_what_windows_reach(size, kernel, stride, padding, dilation, ceil_mode):
    """The padding that is reached, and whether a window holds no pixel, against counting all taps."""
    geometry = (size,), (kernel,), (stride,), padding, (dilation,), ceil_mode
    try:
        (places,) = window_output_shape(*geometry)
    except ShapeError:
        return
    taps = [[i * stride + p * dilation - padding[0] for p in range(kernel)] for i in range(places)]
    reached = max(padding[1], taps[-1][-1] - size + 1)
    assert reached_padding(*geometry) == (padding[0], reached)
    assert has_empty_window(*geometry) == any(all(not 0 <= tap < size for tap in window) for window in taps)


def test_where_the_image_is_in_a_padded_one():
    assert padded_sizes((4, 5), (1, 2, 0, 3)) == (5, 10)
    assert image_slices((4, 5), (1, 2, 0, 3)) == (slice(1, 5), slice(2, 7))


def _places_in_onnxruntime(image, kernel, stride, padding, dilation, ceil_mode):
    window = {"kernel_shape": kernel, "strides": stride, "pads": padding, "dilations": dilation}
    x = np.ones((1, 1, *image), dtype=np.float32)
    return run_node("MaxPool", x, **window, ceil_mode=int(ceil_mode)).shape[2:]

"""Transposed convolution."""

import numpy as np
import pytest
from hypothesis import assume, given, settings

from refcnn import rooms
from refcnn.conformance.operations import conv_transpose2d
from refcnn.opencl import variants

from .checks import SIZE, check, check_example, check_gradients, check_needs, check_onnxruntime, check_special_numbers

ATTRIBUTES = {"stride": (1, 1), "padding": (0, 0, 0, 0), "output_padding": (0, 0), "dilation": (1, 1), "groups": 1}


def test_worked_example(backend):
    """Kernels of two steps that overlap by one column; everything is one more."""
    check_example(
        "conv_transpose2d",
        ([[[[1, 2], [3, 4]]]], [[[[1, 10, 100]]]], [[[[1]]]]),
        {**ATTRIBUTES, "stride": (1, 2)},
        [[[[2, 11, 103, 21, 201], [4, 31, 305, 41, 401]]]],
        dy=[[[[1, 2, 3, 4, 5], [0, 0, 0, 0, 1]]]],
        gradients=([[[[1 + 20 + 300, 3 + 40 + 500], [0, 100]]]], [[[[1 + 6, 2 + 8, 3 + 10 + 4]]]], [[[[16]]]]),
        backend=backend,
    )


def test_worked_example_with_every_attribute(backend):
    """Two groups, dilation 2 down, stride 2 across, a row cut off above, and one more column than kernels reach."""
    x = [[[[1, 2]], [[3, 4]]]]
    w = [[[[1], [10]]], [[[100], [1000]]]]
    attributes = {"stride": (1, 2), "padding": (1, 0, 0, 0), "output_padding": (0, 1), "dilation": (2, 1), "groups": 2}
    y = [[[[0, 0, 0, 0], [10, 0, 20, 0]], [[0, 0, 0, 0], [3000, 0, 4000, 0]]]]
    check_example("conv_transpose2d", (x, w, None), attributes, y, backend=backend)


def test_worked_example_along_one_axis(backend):
    check_example(
        "conv_transpose2d",
        ([[[1, 2]]], [[[1, 10, 100]]], None),
        {"stride": (3,), "padding": (1, 0), "output_padding": (2,), "dilation": (1,), "groups": 1},
        [[[10, 100, 2, 20, 200, 0, 0]]],
        dy=[[[1, 2, 3, 4, 5, 6, 7]]],
        gradients=([[[10 + 200, 3 + 40 + 500]]], [[[2 * 3, 1 + 2 * 4, 2 + 2 * 5]]], None),
        backend=backend,
    )


@given(case=conv_transpose2d.cases(SIZE))
def test_within_bound(backend, case):
    check("conv_transpose2d", case, backend)


@given(case=conv_transpose2d.cases(SIZE, integers=True))
def test_integers_exact(backend, case):
    check("conv_transpose2d", case, backend, to_the_bit=True)


# The kernels are conv2d's, whose tests draw more.
@pytest.mark.parametrize("variant", variants.FORCED)
@settings(max_examples=10)
@given(case=conv_transpose2d.cases(SIZE))
def test_variants_within_bound(opencl_backend, variant, case):
    with variants.use_variant(variant):
        check("conv_transpose2d", case, opencl_backend)


@pytest.mark.parametrize("variant", variants.FORCED)
@settings(max_examples=10)
@given(case=conv_transpose2d.cases(SIZE, integers=True))
def test_variants_exact(opencl_backend, variant, case):
    with variants.use_variant(variant):
        check("conv_transpose2d", case, opencl_backend, to_the_bit=True)


@given(case=conv_transpose2d.cases(SIZE))
def test_special_numbers(backend, case):
    check_special_numbers("conv_transpose2d", case, backend)


@given(case=conv_transpose2d.cases("tiny"))
def test_each_gradient_alone(backend, case):
    check_needs("conv_transpose2d", case, backend)


@settings(max_examples=10)
@given(case=conv_transpose2d.cases("tiny", integers=True))
def test_gradients_of_reference(case):
    check_gradients("conv_transpose2d", case, step=1)


@given(case=conv_transpose2d.cases("tiny"))
def test_is_a_convolutions_gradient(case):
    """It is what conv2d hands back to images of the result's size, if no window more has place there."""
    x, w = (np.random.default_rng(entry.size).standard_normal(entry.shape) for entry in case.inputs[:2])
    attributes = dict(case.attributes)
    more = attributes.pop("output_padding")
    assume(all(extra < step for extra, step in zip(more, attributes["stride"], strict=True)))
    convolution, transposed = (rooms.require(rooms.REFERENCE, stem) for stem in ("conv2d", "conv_transpose2d"))
    _, saved = convolution.forward(np.zeros(case.dy.shape), w, None, **attributes)
    dx, _, _ = convolution.backward(x, saved, (True, False, False), **attributes)
    y, _ = transposed.forward(x, w, None, **case.attributes)
    np.testing.assert_array_equal(y, dx)


@given(case=conv_transpose2d.cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime("conv_transpose2d", case)

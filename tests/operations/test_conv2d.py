"""Convolution."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refcnn.conformance.operations import conv2d
from refcnn.conformance.theory import sliding
from refcnn.conformance.theory.strategies import FEW_NOT_FINITE, Case, arrays
from refcnn.opencl import variants
from refcnn.reference import conv2d as reference

from .checks import SIZE, check, check_example, check_gradients, check_needs, check_onnxruntime, check_special_numbers

ATTRIBUTES = {"stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1), "groups": 1}


def test_worked_example(backend):
    x = [[[[1, 2, 3], [4, 5, 6], [7, 8, 9]]]]
    w = [[[[1, 0], [0, -1]]]]
    # Every window: its upper left pixel less its lower right one, plus 10.
    check_example(
        "conv2d",
        (x, w, [[[[10]]]]),
        ATTRIBUTES,
        [[[[6, 6], [6, 6]]]],
        dy=[[[[1, 2], [3, 4]]]],
        gradients=(
            [[[[1, 2, 0], [3, 4 - 1, -2], [0, -3, -4]]]],
            [[[[1 + 4 + 12 + 20, 2 + 6 + 15 + 24], [4 + 10 + 21 + 32, 5 + 12 + 24 + 36]]]],
            [[[[10]]]],
        ),
        backend=backend,
    )


def test_worked_example_with_every_attribute(backend):
    """Two groups, stride 2 across, dilation 2 down, one row of padding above, one column to the right."""
    x = [[[[1, 2], [3, 4]], [[5, 6], [7, 8]]]]
    w = [[[[1, 10], [100, 1000]]], [[[1, 10], [100, 1000]]]]
    attributes = {"stride": (1, 2), "padding": (1, 0, 0, 1), "dilation": (2, 1), "groups": 2}
    # Taps lie on the row of padding (zero) and on the image's last row.
    check_example("conv2d", (x, w, None), attributes, [[[[4300]], [[8700]]]], backend=backend)


def test_worked_example_along_one_axis(backend):
    """Stride 2, dilation 2, two zeros before and one behind."""
    check_example(
        "conv2d",
        ([[[1, 2, 3, 4]]], [[[10, 1]]], [[[5]]]),
        {"stride": (2,), "padding": (2, 1), "dilation": (2,), "groups": 1},
        [[[1 + 5, 13 + 5, 30 + 5]]],
        dy=[[[1, 2, 4]]],
        gradients=([[[20 + 1, 0, 40 + 2, 0]]], [[[2 * 1 + 4 * 3, 1 * 1 + 2 * 3]]], [[[7]]]),
        backend=backend,
    )


def test_worked_example_along_three_axes(backend):
    """A kernel of two slices: each result is ten times a slice's upper left pixel plus the next one's lower right."""
    x = [[[[[1, 2], [3, 4]], [[5, 6], [7, 8]], [[9, 8], [7, 6]]]]]
    w = [[[[[10, 0], [0, 0]], [[0, 0], [0, 1]]]]]
    attributes = {"stride": (1, 1, 1), "padding": (0, 0, 0, 0, 0, 0), "dilation": (1, 1, 1), "groups": 1}
    dx = [[[[10, 0], [0, 0]], [[20, 0], [0, 1]], [[0, 0], [0, 2]]]]
    dw = [[[[1 + 10, 2 + 12], [3 + 14, 4 + 16]], [[5 + 18, 6 + 16], [7 + 14, 8 + 12]]]]
    check_example(
        "conv2d",
        (x, w, None),
        attributes,
        [[[[[18]], [[56]]]]],
        dy=[[[[[1]], [[2]]]]],
        gradients=([dx], [dw], None),
        backend=backend,
    )


@given(case=conv2d.cases(SIZE))
def test_within_bound(backend, case):
    check("conv2d", case, backend)


@given(case=conv2d.cases(SIZE, integers=True))
def test_integers_exact(backend, case):
    check("conv2d", case, backend, to_the_bit=True)


# What is chosen where none is forced the tests above compute.
@pytest.mark.parametrize("variant", variants.FORCED)
@given(case=conv2d.cases(SIZE))
def test_variants_within_bound(opencl_backend, variant, case):
    with variants.use_variant(variant):
        check("conv2d", case, opencl_backend)


@pytest.mark.parametrize("variant", variants.FORCED)
@given(case=conv2d.cases(SIZE, integers=True))
def test_variants_exact(opencl_backend, variant, case):
    with variants.use_variant(variant):
        check("conv2d", case, opencl_backend, to_the_bit=True)


@given(case=conv2d.cases(SIZE))
def test_special_numbers(backend, case):
    check_special_numbers("conv2d", case, backend)


@given(case=conv2d.cases("tiny"))
def test_each_gradient_alone(backend, case):
    check_needs("conv2d", case, backend)


@settings(max_examples=10)
@given(case=conv2d.cases("tiny", integers=True))
def test_gradients_of_reference(case):
    check_gradients("conv2d", case, step=1)


@given(case=conv2d.cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime("conv2d", case)


def test_the_error_of_a_bias_of_large_images_is_small(opencl_backend):
    """In every variant: one after the other, 2^18 times 0.1 are off by 2e-3 of their sum."""
    x, w, b = (np.ones(shape, np.float32) for shape in ((1, 1, 512, 512), (1, 1, 3, 3), (1, 1, 1, 1)))
    attributes = {"stride": (1, 1), "padding": (1, 1, 1, 1), "dilation": (1, 1), "groups": 1}
    dy, module = np.full(x.shape, np.float32(0.1)), opencl_backend.operation("conv2d")
    for variant in variants.GENERAL:
        with variants.use_variant(variant):
            _, saved = module.forward(*map(opencl_backend.array, (x, w, b)), **attributes)
            *_, db = module.backward(opencl_backend.array(dy), saved, (False, False, True), **attributes)
        assert abs(opencl_backend.to_host(db)[0, 0, 0, 0] / (dy.size * np.float64(dy[0, 0, 0, 0])) - 1) <= 1e-4


@pytest.mark.parametrize("variant", ["cpu", "gpu"])
@pytest.mark.parametrize("image", [(4, 4), (2, 16), (4, 5)], ids=str)
@given(data=st.data())
def test_images_are_read_as_they_lie(opencl_backend, variant, image, data):
    """Where each window is one pixel; on CPUs planes that leave much of their vectors idle are joined in a copy."""
    c, k, groups = data.draw(conv2d.channels("tiny"))
    shapes = (data.draw(st.integers(1, 5)), c, *image), (k, c // groups, 1, 1), (1, k, 1, 1)
    x, w, b = (data.draw(arrays(shape, False, **FEW_NOT_FINITE)) for shape in shapes)
    dy = data.draw(arrays((x.shape[0], k, *image), False, **FEW_NOT_FINITE))
    case = Case((x, w, data.draw(st.sampled_from((b, None)))), ATTRIBUTES | {"groups": groups}, dy)
    with variants.use_variant(variant), opencl_backend.device.capture() as capture:
        check("conv2d", case, opencl_backend)
    is_copied = "pack" in {launch.kernel_name for launch in capture.launches}
    assert is_copied == (variant == "cpu" and image == (4, 5) and len(dy) > 1)


@pytest.mark.parametrize("variant", ["cpu", "gpu"])
@given(data=st.data())
def test_windows_of_one_pixel_that_leave_pixels_out(opencl_backend, variant, data):
    """Of all images that are small, the pixels of a channel are multiplied as one row."""
    c, k, groups = data.draw(conv2d.channels("tiny"))
    n, stride = data.draw(st.integers(1, 5)), data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    image = data.draw(st.tuples(st.integers(2, 9), st.integers(2, 9)))
    out = tuple((side - 1) // step + 1 for side, step in zip(image, stride, strict=True))
    shapes = (n, c, *image), (k, c // groups, 1, 1), (1, k, 1, 1), (n, k, *out)
    integers = data.draw(st.booleans())
    x, w, b, dy = (data.draw(arrays(shape, integers, **FEW_NOT_FINITE)) for shape in shapes)
    case = Case((x, w, b), ATTRIBUTES | {"groups": groups, "stride": stride}, dy)
    with variants.use_variant(variant):
        check("conv2d", case, opencl_backend, to_the_bit=integers)


@pytest.mark.parametrize("variant", ["cpu", "gpu"])
@given(data=st.data())
def test_a_window_that_is_the_whole_image(opencl_backend, variant, data):
    """There is one pixel of the result, and the products are of plain matrices; with long sums they are cut."""
    image = data.draw(st.sampled_from(((1, 1), (3, 2), (5, 5), (24, 30))))
    n, c, k = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 3)), data.draw(st.integers(1, 20))
    shapes = (n, c, *image), (k, c, *image), (1, k, 1, 1), (n, k, 1, 1)
    integers = data.draw(st.booleans())
    x, w, b, dy = (data.draw(arrays(shape, integers, **FEW_NOT_FINITE)) for shape in shapes)
    step = data.draw(st.integers(1, 3))
    case = Case((x, w, data.draw(st.sampled_from((b, None)))), ATTRIBUTES | {"stride": (step, 2)}, dy)
    with variants.use_variant(variant), opencl_backend.device.capture() as capture:
        check("conv2d", case, opencl_backend, to_the_bit=integers)
    assert "pack" not in {launch.kernel_name for launch in capture.launches}


def compare_exact(case):
    """Hold what the judge takes in place of the reference's loops against these, in float64."""
    inputs = [None if entry is None else entry.astype(np.float64) for entry in case.inputs]
    with np.errstate(all="ignore"):
        expected, saved = reference.forward(*inputs, **case.attributes)
        computed, also_saved = conv2d.exact_forward(*inputs, **case.attributes)
        magnitudes = [None if entry is None else np.abs(entry) for entry in inputs]
        magnitude, _ = reference.forward(*magnitudes, **case.attributes)
    assert computed.shape == expected.shape and computed.dtype == expected.dtype
    for one, other in zip(saved, also_saved, strict=True):
        np.testing.assert_array_equal(one, other)
    is_number = np.isfinite(magnitude)
    assert (np.abs(computed[is_number] - expected[is_number]) <= 1e-12 * magnitude[is_number]).all()
    np.testing.assert_array_equal(computed[~is_number], expected[~is_number])


@settings(max_examples=100)
@given(case=conv2d.cases())
def test_the_judge_s_matrix_products_are_the_loops(case):
    compare_exact(case)


@pytest.mark.parametrize("most", [1, 100, 5000])
@given(case=conv2d.cases("tiny"))
def test_they_are_in_parts_of_the_images(most, case):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sliding, "_MOST_ELEMENTS", most)
        compare_exact(case)


@given(case=conv2d.cases(integers=True))
def test_they_are_to_the_bit_on_integers(case):
    inputs = [None if entry is None else entry.astype(np.float64) for entry in case.inputs]
    computed, _ = conv2d.exact_forward(*inputs, **case.attributes)
    np.testing.assert_array_equal(computed, reference.forward(*inputs, **case.attributes)[0])

"""Max pooling."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn.conformance.operations import max_pool2d
from refcnn.conformance.theory.strategies import Case
from refcnn.opencl import variants

from .checks import SIZE, check, check_example, check_gradients, check_node_cases, check_onnxruntime
from .pooling import check_axes, check_padding_by_name, check_refusals, window_of_node


def test_worked_example(backend):
    x = [[[[1, 5, 2], [4, 3, 5], [0, 1, 2]]]]
    # The 5 of the first row wins the two upper windows; the lower ones go to the 4 and to the 5 of the second row.
    check_example(
        "max_pool2d",
        (x,),
        {"kernel": (2, 2), "stride": (1, 1), "padding": (0, 0, 0, 0)},
        [[[[5, 5], [4, 5]]]],
        dy=[[[[1, 2], [3, 4]]]],
        gradients=([[[[0, 3, 0], [3, 0, 4], [0, 0, 0]]]],),
        backend=backend,
    )


@pytest.mark.parametrize(("window", "step"), [(3, 1), (2, 2), (5, 3), (40, 7), (600, 1), (3, 40)])
def test_long_rows(backend, window, step):
    # Longer than what kernels keep of a row at once.
    x = np.random.default_rng(0).standard_normal((1, 2, 3, 1500)).astype(np.float32)
    attributes = {"stride": step, "padding": (0, 1)}
    with rm.use_backend("reference"):
        expected = [pool(x, (2, window), **attributes).as_ndarray() for pool in (rm.max_pool2d, rm.average_pool2d)]
    with rm.use_backend(backend):
        computed = [pool(x, (2, window), **attributes).as_ndarray() for pool in (rm.max_pool2d, rm.average_pool2d)]
    np.testing.assert_array_equal(computed[0], expected[0])
    np.testing.assert_allclose(computed[1], expected[1], rtol=0, atol=1e-5)


def test_padding_never_wins(backend):
    attributes = {"kernel": (2, 2), "stride": (2, 2), "padding": (1, 1, 0, 0)}
    check_example(
        "max_pool2d",
        ([[[[-1, -2], [-3, -np.inf]]]],),
        attributes,
        [[[[-1]]]],
        dy=[[[[7]]]],
        gradients=([[[[7, 0], [0, 0]]]],),
        backend=backend,
    )


def test_first_of_equals_wins_and_nan_before_all(backend):
    attributes = {"kernel": (1, 3), "stride": (1, 3), "padding": (0, 0, 0, 0)}
    x = [[[[2, 2, 1, 3, np.nan, np.nan, -np.inf, -np.inf, -np.inf]]]]
    check_example(
        "max_pool2d",
        (x,),
        attributes,
        [[[[2, np.nan, -np.inf]]]],
        dy=[[[[1, 2, 3]]]],
        gradients=([[[[1, 0, 0, 0, 2, 0, 3, 0, 0]]]],),
        backend=backend,
    )


@given(case=max_pool2d.cases(SIZE))
def test_within_bound(backend, case):
    check("max_pool2d", case, backend)


@pytest.mark.parametrize("variant", variants.OF_POOLING)
@given(case=max_pool2d.cases(SIZE))
def test_variants_within_bound(opencl_backend, variant, case):
    with variants.use_variant(variant):
        check("max_pool2d", case, opencl_backend)


@given(case=max_pool2d.cases(SIZE, integers=True))
def test_integers_exact(backend, case):
    check("max_pool2d", case, backend, to_the_bit=True)


@given(case=max_pool2d.cases("tiny", integers=True), data=st.data())
def test_gradients_of_reference(case, data):
    # Different integers, so that no step of a quarter changes the winner.
    (x,) = case.inputs
    x = np.array(data.draw(st.permutations(range(x.size))), np.float32).reshape(x.shape)
    check_gradients("max_pool2d", Case((x,), case.attributes, case.dy), step=0.25)


@given(case=max_pool2d.cases(SIZE, special=False))
def test_onnxruntime(case):
    check_onnxruntime("max_pool2d", case)


def test_any_pixel_of_a_window_with_nan_may_have_its_gradient():
    x, dy = np.array([[[[np.nan, np.nan, 1, 2]]]], np.float32), np.ones((1, 1, 1, 2), np.float32)
    attributes = {"kernel": (1, 2), "stride": (1, 2), "padding": (0, 0, 0, 0)}
    (bound,) = max_pool2d.backward_bound(dy, (x,), attributes, (True,))
    np.testing.assert_array_equal(np.isinf(bound), [[[[True, True, False, False]]]])


def test_taps_that_are_apart_and_a_window_over_the_end(backend):
    window = {"kernel": (2,), "stride": (3,), "padding": (1, 0), "dilation": (2,)}
    x, dy = [[[1, 5, 2, 4, 3, 7]]], [[[1, 2, 4]]]
    # Under the taps are pixels -1 and 1, 2 and 4, and, only with ceil_mode, 5 and 7.
    example = {"operation": "max_pool2d", "inputs": (x,), "backend": backend}
    check_example(
        **example,
        attributes={**window, "ceil_mode": False},
        y=[[[5, 3]]],
        dy=[[[1, 2]]],
        gradients=([[[0, 1, 0, 0, 2, 0]]],),
    )
    check_example(
        **example, attributes={**window, "ceil_mode": True}, y=[[[5, 3, 7]]], dy=dy, gradients=([[[0, 1, 0, 0, 2, 4]]],)
    )


def test_windows_over_the_end_are_not_fused_as_whole_ones(opencl_backend):
    """Winograd's kernels pool what they rectify over windows of 2x2, which are all whole."""
    x = np.arange(25, dtype=np.float32).reshape(1, 1, 5, 5)
    with rm.use_backend(opencl_backend), variants.use_variant("winograd_2x2"):
        image = rm.relu(rm.conv2d(x, np.ones((1, 1, 3, 3), np.float32) / 9, padding=1))
        y = rm.max_pool2d(image, 2, stride=2, ceil_mode=True).as_ndarray()
        pixels = image.as_ndarray()[0, 0]
    expected = [[pixels[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].max() for j in range(3)] for i in range(3)]
    np.testing.assert_array_equal(y, [[expected]])


def test_layers_of_each_number_of_axes():
    check_axes("MaxPool", lambda pixels: pixels.max(axis=2))


def test_padding_by_name():
    check_padding_by_name(rm.max_pool2d)


def test_windows_that_cannot_be():
    check_refusals(rm.MaxPool2d, rm.max_pool2d)


@pytest.mark.parametrize("operation", ["max_pool2d", "max_pool2d_with_indices"])
def test_cases_of_onnx(page_backend, operation):
    def translate(given, x):
        # Places may be counted column by column there.
        is_other = x.dtype != np.float32 or given.get("storage_order", 0)
        return None if is_other else ((x,), window_of_node(given, x))

    check_node_cases(operation, "MaxPool", translate, page_backend)

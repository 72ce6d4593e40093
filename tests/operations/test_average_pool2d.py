"""Average pooling."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn.conformance.operations import average_pool2d
from refcnn.conformance.theory.strategies import Case
from refcnn.opencl import variants

from .checks import SIZE, check, check_example, check_gradients, check_node_cases, check_onnxruntime
from .pooling import check_axes, check_padding_by_name, check_refusals, window_of_node


def test_worked_example(backend):
    x = [[[[1, 3, 2], [4, 0, 6], [8, 4, 2]]]]
    attributes = {"kernel": (2, 2), "stride": (1, 1), "padding": (0, 0, 0, 0), "count_include_padding": True}
    check_example(
        "average_pool2d",
        (x,),
        attributes,
        [[[[2, 2.75], [4, 3]]]],
        dy=[[[[4, 8], [12, 16]]]],
        gradients=([[[[1, 3, 2], [4, 10, 6], [3, 7, 4]]]],),
        backend=backend,
    )


@pytest.mark.parametrize(("count_include_padding", "y", "dx"), [(True, 1.5, 1), (False, 3, 2)])
def test_padding_counts_or_not(backend, count_include_padding, y, dx):
    """One row of padding above the window's row of two pixels."""
    attributes = {"kernel": (2, 2), "stride": (2, 2), "padding": (1, 0, 0, 0)}
    check_example(
        "average_pool2d",
        ([[[[2, 4]]]],),
        {**attributes, "count_include_padding": count_include_padding},
        [[[[y]]]],
        dy=[[[[4]]]],
        gradients=([[[[dx, dx]]]],),
        backend=backend,
    )


@given(case=average_pool2d.cases(SIZE))
def test_within_bound(backend, case):
    check("average_pool2d", case, backend)


@pytest.mark.parametrize("variant", variants.OF_POOLING)
@given(case=average_pool2d.cases(SIZE))
def test_variants_within_bound(opencl_backend, variant, case):
    with variants.use_variant(variant):
        check("average_pool2d", case, opencl_backend)


@given(case=average_pool2d.cases(SIZE, integers=True))
def test_integers_exact(backend, case):
    check("average_pool2d", case, backend, to_the_bit=True)


@given(case=average_pool2d.cases("tiny"), count_include_padding=st.booleans())
def test_gradients_of_reference(case, count_include_padding):
    x, dy = (np.nan_to_num(np.sign(entry)) for entry in (case.inputs[0], case.dy))
    attributes = {**case.attributes, "count_include_padding": count_include_padding}
    check_gradients("average_pool2d", Case((x,), attributes, dy), step=1, tolerance=1e-12)


@given(case=average_pool2d.cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime("average_pool2d", case)


@pytest.mark.parametrize(
    ("count_include_padding", "y", "dx"), [(True, [1, 5, 8], [0, 6, 0, 7, 0]), (False, [2, 5, 8], [0, 8, 0, 7, 0])]
)
def test_taps_that_are_apart_and_a_window_over_the_end(backend, count_include_padding, y, dx):
    """Under the taps are pixels -1 and 1, 1 and 3, 3 and 5: the last is behind the padding and never counts."""
    check_example(
        "average_pool2d",
        ([[[6, 2, 4, 8, 12]]],),
        {
            "kernel": (2,),
            "stride": (2,),
            "padding": (1, 0),
            "dilation": (2,),
            "ceil_mode": True,
            "count_include_padding": count_include_padding,
        },
        [[y]],
        dy=[[[4, 8, 3]]],
        gradients=([[dx]],),
        backend=backend,
    )


def test_layers_of_each_number_of_axes():
    check_axes("AveragePool", lambda pixels: pixels.mean(axis=2))


def test_padding_by_name():
    check_padding_by_name(rm.average_pool2d)


def test_windows_that_cannot_be():
    check_refusals(rm.AveragePool2d, rm.average_pool2d)


def test_cases_of_onnx(page_backend):
    def translate(given, x):
        counts = bool(given.get("count_include_pad", 0))
        return (x,), {**window_of_node(given, x), "count_include_padding": counts}

    # Of some there are four digits.
    check_node_cases("average_pool2d", "AveragePool", translate, page_backend, tolerance=1e-4)


@pytest.mark.parametrize("variant", variants.OF_POOLING)
@pytest.mark.parametrize("operation", ["average_pool2d", "lp_pool2d"])
def test_the_error_of_a_mean_over_a_whole_image_is_small(opencl_backend, operation, variant):
    """2^18 times 0.1, one after the other, are off by 2e-3; windows with gaps have another kernel."""
    x = opencl_backend.array(np.full((1, 1, 512, 512), 0.1, np.float32))
    exact = np.float64(np.float32(0.1))
    for dilation in (1, 2):
        kernel = (512 // dilation,) * 2
        attributes = {"kernel": kernel, "stride": (1, 1), "padding": (0,) * 4, "dilation": (dilation,) * 2}
        further = {"count_include_padding": True} if operation == "average_pool2d" else {"p": 1}
        with variants.use_variant(variant):
            y, _ = opencl_backend.operation(operation).forward(x, **attributes, ceil_mode=False, **further)
        expected = exact * (1 if operation == "average_pool2d" else np.prod(kernel))
        relative = opencl_backend.to_host(y) / expected - 1
        assert np.abs(relative).max() <= 512 * 2.0**-24

"""Global max pooling."""

import numpy as np
import pytest
from hypothesis import given

import refcnn as rm
from refcnn.conformance.operations import global_max_pool2d
from refcnn.conformance.theory.strategies import Case
from refcnn.errors import ShapeError

from .checks import SIZE, check, check_example, check_gradients, check_node_cases, check_onnxruntime


def test_worked_example(backend):
    x = [[[[1, 3, 2], [4, 0, 4]], [[-6, -3, -1], [-6, -6, -2]]]]
    # Of the two fours the first gets the gradient.
    dx = [[[[0, 0, 0], [7, 0, 0]], [[0, 0, 5], [0, 0, 0]]]]
    check_example(
        "global_max_pool2d", (x,), {}, [[[[4]], [[-1]]]], dy=[[[[7]], [[5]]]], gradients=(dx,), backend=backend
    )


def test_nan_wins_and_of_minus_infinity_alone_the_first(backend):
    x = [[[1, np.nan, np.inf, np.nan], [-np.inf] * 4]]
    dx = [[[0, 7, 0, 0], [5, 0, 0, 0]]]
    check_example(
        "global_max_pool2d", (x,), {}, [[[np.nan], [-np.inf]]], dy=[[[7], [5]]], gradients=(dx,), backend=backend
    )


@given(case=global_max_pool2d.cases(SIZE))
def test_within_bound(backend, case):
    check("global_max_pool2d", case, backend)


@given(case=global_max_pool2d.cases(SIZE, integers=True))
def test_integers_exact(backend, case):
    check("global_max_pool2d", case, backend, to_the_bit=True)


@given(case=global_max_pool2d.cases("tiny", integers=True))
def test_gradients_of_reference(case):
    # All different, so that no step changes a winner.
    x = np.random.default_rng(0).permutation(case.inputs[0].size).reshape(case.inputs[0].shape).astype(np.float32)
    check_gradients("global_max_pool2d", Case((x,), {}, case.dy), step=0.25)


@given(case=global_max_pool2d.cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime("global_max_pool2d", case)


def test_cases_of_onnx(page_backend):
    check_node_cases("global_max_pool2d", "GlobalMaxPool", lambda _, x: ((x,), {}), page_backend)


FUNCTIONS = {
    "GlobalMaxPool1d": rm.global_max_pool1d,
    "GlobalMaxPool2d": rm.global_max_pool2d,
    "GlobalMaxPool3d": rm.global_max_pool3d,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_number_of_spatial_axes_has_a_layer(name):
    axes, layer = int(name[-2]), getattr(rm, name)()
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5, 6)[: 2 + axes])
    with rm.use_backend("reference:float64"):
        for y in (layer(x), FUNCTIONS[name](x)):
            expected = x.max(axis=tuple(range(2, x.ndim)), keepdims=True)
            np.testing.assert_array_equal(y.as_ndarray(), expected, strict=True)
    for shape in (x.shape[:-1], (*x.shape, 2), (0, *x.shape[1:]), (*x.shape[:-1], 0)):
        with pytest.raises(ShapeError, match=f"{name}: the input has shape"):
            layer(np.zeros(shape, np.float32))

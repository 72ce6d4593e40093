"""Max pooling that tells the places of the largest pixels too."""

import numpy as np
import pytest
from hypothesis import given

import refcnn as rm
from refcnn.conformance.operations import max_pool2d_with_indices
from refcnn.conformance.subjects.backends import BackendSubject
from refcnn.mode import recording
from refcnn.opencl.variants import OF_POOLING

from .checks import SIZE, check, check_onnxruntime


def test_worked_example(backend):
    """Two images of two channels; places are counted through all of them. Of equal pixels the first wins."""
    x = np.array(
        [[[[1, 5, 2], [4, 3, 5]], [[0, 0, 0], [0, 0, 0]]], [[[-1, -2, -3], [-4, -5, -6]], [[1, 2, 3], [4, 5, 6]]]]
    )
    with rm.use_backend(backend):
        x = rm.Variable(x, requires_grad=True, dtype="float32")
        with recording():
            y, indices = rm.max_pool2d(x, 2, return_indices=True)
            loss = (y * np.arange(1, 9, dtype=np.float32).reshape(y.shape)).sum()
        dx = loss.grad().get(x).as_ndarray()
    np.testing.assert_array_equal(y.as_ndarray(), [[[[5, 5]], [[0, 0]]], [[[-1, -2]], [[5, 6]]]])
    np.testing.assert_array_equal(indices.as_ndarray(), [[[[1, 1]], [[6, 7]]], [[[12, 13]], [[22, 23]]]], strict=False)
    assert indices.dtype == np.int64
    expected = [[[[0, 3, 0], [0, 0, 0]], [[3, 4, 0], [0, 0, 0]]], [[[5, 6, 0], [0, 0, 0]], [[0, 0, 0], [0, 7, 8]]]]
    np.testing.assert_array_equal(dx, expected)


@given(case=max_pool2d_with_indices.cases(SIZE))
def test_within_bound(backend, case):
    check("max_pool2d_with_indices", case, backend)


@pytest.mark.parametrize("variant", OF_POOLING)
@given(case=max_pool2d_with_indices.cases(SIZE))
def test_variants_within_bound(opencl_backend, variant, case):
    """Also what gives a variant the gradients of several results, of which one is none."""
    check("max_pool2d_with_indices", case, BackendSubject(opencl_backend.name, variant))


@given(case=max_pool2d_with_indices.cases(SIZE, integers=True))
def test_integers_exact(backend, case):
    check("max_pool2d_with_indices", case, backend, to_the_bit=True)


@given(case=max_pool2d_with_indices.cases(SIZE, integers=True))
def test_it_is_max_pooling(backend, case):
    """Its result and gradient are those of max pooling, and its places hold the result."""
    (x,), (dy, _) = case.inputs, case.dy
    plain, more = backend.operation("max_pool2d"), backend.operation("max_pool2d_with_indices")
    expected, saved = plain.forward(backend.array(x), **case.attributes)
    (y, indices), more_saved = more.forward(backend.array(x), **case.attributes)
    np.testing.assert_array_equal(backend.to_host(y), backend.to_host(expected))
    np.testing.assert_array_equal(x.ravel()[backend.to_host(indices)], backend.to_host(y))
    (dx,) = plain.backward(backend.array(dy), saved, (True,), **case.attributes)
    (more_dx,) = more.backward((backend.array(dy), None), more_saved, (True,), **case.attributes)
    np.testing.assert_array_equal(backend.to_host(more_dx), backend.to_host(dx))


@given(case=max_pool2d_with_indices.cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime("max_pool2d_with_indices", case)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_layers_return_both(axes):
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 6, 5)[: 2 + axes])
    with rm.use_backend("reference:float64"):
        layer = getattr(rm, f"MaxPool{axes}d")(2, stride=2, ceil_mode=True, return_indices=True)
        y, indices = layer(x)
        np.testing.assert_array_equal(x.ravel()[indices.as_ndarray()], y.as_ndarray())
        np.testing.assert_array_equal(
            getattr(rm, f"max_pool{axes}d")(x, 2, stride=2, ceil_mode=True).as_ndarray(), y.as_ndarray()
        )
    assert "return_indices=True" in repr(layer)

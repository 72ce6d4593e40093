"""Elements at an index each: numbers are moved; gradients are sums over all copies."""

import numpy as np
import pytest
from hypothesis import given

import refcnn as rm
from refcnn.conformance.operations import gather_elements
from refcnn.errors import ArgumentError, OutOfRangeError, ShapeError
from refcnn.mode import recording

from .checks import SIZE, check, check_node_cases, check_onnxruntime

X = np.array([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]], np.float32)


@pytest.mark.parametrize(
    ("indices", "axis", "expected", "gradient"),
    [
        ([[1, 2, 0], [2, 0, -3]], 0, [[4, 8, 3], [7, 2, 3]], [[0, 16, 36], [1, 0, 0], [8, 2, 0]]),
        ([[2], [-3], [2]], 1, [[3], [4], [9]], [[0, 0, 1], [2, 0, 0], [0, 0, 4]]),
        ([[0, 0, 0, 2]], 1, [[1, 1, 1, 3]], [[7, 0, 8], [0, 0, 0], [0, 0, 0]]),
    ],
)
def test_worked_example(backend, indices, axis, expected, gradient):
    with rm.use_backend(backend):
        x = rm.Variable(X, requires_grad=True)
        with recording():
            y = rm.gather_elements(x, indices, axis=axis)
            loss = (y * 2.0 ** np.arange(np.size(indices)).reshape(np.shape(indices))).sum()
        assert y.as_ndarray().tolist() == expected
        assert loss.grad().get(x).as_ndarray().tolist() == gradient


@given(case=gather_elements.cases(SIZE))
def test_within_bound(backend, case):
    check("gather_elements", case, backend)


@given(case=gather_elements.cases(SIZE, integers=True))
def test_integers_exact(backend, case):
    check("gather_elements", case, backend, to_the_bit=True)


@given(case=gather_elements.cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime("gather_elements", case)


def test_cases_of_onnx(backend):
    def translate(given, x, indices):
        return (x, indices), {"axis": given.get("axis", 0)}

    check_node_cases("gather_elements", "GatherElements", translate, backend)


@pytest.mark.parametrize("dtype", ["int64", "bool"])
def test_sorted_by_its_own_order(backend, dtype):
    x = (np.random.default_rng(0).integers(0, 99, (4, 5, 6)) % 2 == 0).astype(dtype)
    order = np.argsort(x, axis=1)
    with rm.use_backend(backend):
        y = rm.gather_elements(rm.Variable(x), order, axis=-2).as_ndarray()
    np.testing.assert_array_equal(y, np.take_along_axis(x, order, 1), strict=True)


@pytest.mark.parametrize(
    ("indices", "axis", "error"),
    [
        ([[3]], 0, OutOfRangeError),
        ([[-4]], 1, OutOfRangeError),
        ([0], 0, ShapeError),
        ([[0]] * 4, 1, ShapeError),
        ([[0.0]], 0, ArgumentError),
        ([[0]], -3, ArgumentError),
    ],
)
def test_what_does_not_fit_is_refused(indices, axis, error):
    with rm.use_backend("reference"), pytest.raises(error, match="gather_elements"):
        rm.gather_elements(X, indices, axis)

"""Elements at indices along an axis: numbers are moved; gradients are sums over all copies."""

import numpy as np
import pytest
from hypothesis import given

import refcnn as rm
from refcnn.conformance.operations import gather
from refcnn.errors import ArgumentError, OutOfRangeError
from refcnn.mode import recording
from refcnn.onnx import export, open_exported

from .checks import SIZE, check, check_node_cases, check_onnxruntime

X = np.array([[1.0, 2, 3], [4, 5, 6]], np.float32)


@pytest.mark.parametrize("dtype", [np.int64, np.int32])
def test_worked_example(backend, dtype):
    with rm.use_backend(backend):
        x = rm.Variable(X, requires_grad=True)
        with recording():
            y = rm.gather(x, np.array([[2, -1], [0, 2]], dtype), axis=1)
            loss = (y * np.array([[[1, 2], [4, 8]], [[16, 32], [64, 128]]])).sum()
        assert y.as_ndarray().tolist() == [[[3, 3], [1, 3]], [[6, 6], [4, 6]]]
        assert loss.grad().get(x).as_ndarray().tolist() == [[4, 0, 11], [64, 0, 176]]


@given(case=gather.cases(SIZE))
def test_within_bound(backend, case):
    check("gather", case, backend)


@given(case=gather.cases(SIZE, integers=True))
def test_integers_exact(backend, case):
    check("gather", case, backend, to_the_bit=True)


def test_gradients_of_reference():
    """Of each element the sum of dy over its copies: with powers of two each can be told."""
    x, indices = np.zeros((2, 3, 2)), np.array([0, 2, 2, -1])
    with rm.use_backend("reference:float64"):
        leaf = rm.Variable(x, requires_grad=True)
        weights = 2.0 ** np.arange(16).reshape(2, 4, 2)
        with recording():
            loss = (rm.gather(leaf, indices, axis=1) * weights).sum()
        expected = np.zeros_like(x)
        for k, index in enumerate(indices):
            expected[:, index] += weights[:, k]
        np.testing.assert_array_equal(loss.grad().get(leaf).as_ndarray(), expected)


@given(case=gather.cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime("gather", case)


def test_cases_of_onnx(backend):
    def translate(given, x, indices):
        return (x, indices), {"axis": given.get("axis", 0)}

    check_node_cases("gather", "Gather", translate, backend)


def test_the_gradient_of_one_seed_is_the_same_each_time(backend):
    """Sums of many copies are added up in their order, whatever runs beside."""
    random, operation = np.random.default_rng(0), backend.operation("gather")
    x, indices = random.normal(size=(3, 5, 70)), random.integers(0, 5, 900)
    dy = backend.array(random.normal(size=(3, 900, 70)).astype(np.float32))
    _, saved = operation.forward(backend.array(x), backend.array(indices), axis=1)
    first, second = (backend.to_host(operation.backward(dy, saved, (True, False), axis=1)[0]) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    in_order = np.zeros((3, 5, 70), np.float32)
    for k, index in enumerate(indices):
        in_order[:, index] += backend.to_host(dy)[:, k]
    np.testing.assert_array_equal(first, in_order)


@pytest.mark.parametrize("indices", [[], [0], 1, [[0, 1], [1, 0]], np.int32(-2)])
def test_as_in_numpy(backend, indices):
    indices = np.asarray(indices, np.int64)
    x = np.arange(6).reshape(2, 3)
    with rm.use_backend(backend):
        y = rm.gather(rm.Variable(x), indices)
    np.testing.assert_array_equal(y.as_ndarray(), np.take(x, indices, 0), strict=True)


@pytest.mark.parametrize(
    ("indices", "axis", "error"),
    [
        ([3], 1, OutOfRangeError),
        ([-4], 1, OutOfRangeError),
        ([0.0], 0, ArgumentError),
        ([True, False], 0, ArgumentError),
        ([0], 2, ArgumentError),
        ([0], None, ArgumentError),
    ],
)
def test_what_does_not_fit_is_refused(indices, axis, error):
    with rm.use_backend("reference"), pytest.raises(error, match="gather"):
        rm.gather(X, indices, axis)


class Embedding(rm.Model):
    def __init__(self):
        self.table = rm.Parameter(np.random.default_rng(0).normal(size=(5, 3)))

    def forward(self, x):
        return rm.gather(self.table, x.astype("int64")) * 2


def test_a_learned_table_is_trained_and_exported(tmp_path, backend):
    model, x = Embedding(), np.array([[1, 4], [1, 1]])
    with rm.use_backend(backend):
        with model.train():
            loss = model(rm.Variable(x)).sum()
        np.testing.assert_array_equal(loss.grad().get(model.table).as_ndarray().sum(axis=1), [0, 18, 0, 0, 6])
        export(model, tmp_path / "model.onnx", (2,), examples=2, backends=[backend])
        found = open_exported(tmp_path / "model.onnx").predict(x.astype(np.float32))
        np.testing.assert_array_equal(found, model(rm.Variable(x)).as_ndarray())

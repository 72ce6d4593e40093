"""Arrays that are joined along an axis: numbers are moved, and nothing is computed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn.conformance.operations import concat
from refcnn.errors import ArgumentError, ShapeError
from refcnn.mode import recording
from refcnn.onnx import export, open_exported

from .checks import SIZE, check, check_example, check_gradients, check_needs, check_node_cases, check_onnxruntime


def test_worked_example(backend):
    check_example(
        "concat",
        ([[1, 2], [3, 4]], [[5], [6]], [[7, 8, 9], [10, 11, 12]]),
        {"axis": 1},
        [[1, 2, 5, 7, 8, 9], [3, 4, 6, 10, 11, 12]],
        dy=[[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]],
        gradients=([[1, 2], [7, 8]], [[3], [9]], [[4, 5, 6], [10, 11, 12]]),
        backend=backend,
    )


@given(case=concat.cases(SIZE))
def test_to_the_bit(backend, case):
    check("concat", case, backend, to_the_bit=True)


@given(case=concat.cases("tiny", integers=True))
def test_gradients_of_reference(case):
    check_gradients("concat", case, step=1)


@given(case=concat.cases("tiny").filter(lambda case: case.dy is not None))
def test_a_gradient_that_is_not_needed_is_left_out(backend, case):
    check_needs("concat", case, backend)


@given(case=concat.cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime("concat", case)


@pytest.mark.parametrize("dtype", ["float32", "int64", "int32", "bool"])
def test_every_bit_arrives(backend, dtype):
    """What NaN carry too."""
    random, axis = np.random.default_rng(0), 1
    bits = {"float32": "uint32", "int64": "uint64", "int32": "uint32", "bool": "uint8"}[dtype]
    most = 1 if dtype == "bool" else np.iinfo(bits).max
    xs = [random.integers(0, most, (3, along, 5), bits, endpoint=True).view(dtype) for along in (1, 70, 2)]
    y, _ = backend.operation("concat").forward(*map(backend.array, xs), axis=axis)
    y = backend.to_host(y)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y.view(bits), np.concatenate(xs, axis).view(bits))


@given(axis=st.integers(0, 2), sizes=st.lists(st.integers(0, 3), min_size=1, max_size=3))
def test_empty_arrays_are_joined_as_in_numpy(backend, axis, sizes):
    xs = [np.full((2, 3, 4)[:axis] + (size,) + (2, 3, 4)[axis + 1 :], size, np.float32) for size in sizes]
    operation = backend.operation("concat")
    y, saved = operation.forward(*map(backend.array, xs), axis=axis)
    expected = np.concatenate(xs, axis)
    np.testing.assert_array_equal(backend.to_host(y), expected, strict=True)
    for x, dx in zip(xs, operation.backward(y, saved, (True,) * len(xs), axis=axis), strict=True):
        np.testing.assert_array_equal(backend.to_host(dx), x, strict=True)


def test_an_array_that_is_joined_to_itself_gets_both_gradients(backend):
    with rm.use_backend(backend):
        x = rm.Variable(np.arange(6.0).reshape(2, 3), requires_grad=True)
        with recording():
            loss = rm.multiply(rm.concat([x, x], axis=-1), np.arange(12.0).reshape(2, 6)).sum()
        np.testing.assert_array_equal(loss.grad().get(x).as_ndarray(), [[3, 5, 7], [15, 17, 19]])


def test_integers_stay_what_they_are_and_lists_are_floats_as_ever(backend):
    with rm.use_backend(backend):
        whole = rm.Variable([2**53 + 1])
        found = rm.concat([whole, [7]])
        assert found.dtype == np.int64 and found.as_ndarray().tolist() == [2**53 + 1, 7]
        assert rm.concat([[1], [2]]).dtype == np.float32
        assert rm.concat(([True], rm.Variable([False]))).dtype == np.bool_


@pytest.mark.parametrize(
    ("xs", "axis", "error"),
    [
        ([], 0, ArgumentError),
        (rm.Variable, 0, ArgumentError),
        (np.ones((2, 2)), 0, ArgumentError),
        (iter(()), 0, ArgumentError),
        ([np.ones(3), 1.0], 0, ShapeError),
        ([1.0, 2.0], 0, ArgumentError),
        ([np.ones(3)], 1, ArgumentError),
        ([np.ones(3)], -2, ArgumentError),
        ([np.ones(3)], True, ArgumentError),
        ([np.ones(3)], 0.0, ArgumentError),
        ([np.ones(3)], None, ArgumentError),
        ([np.ones((2, 3)), np.ones((3, 3))], 1, ShapeError),
        ([np.ones((2, 3)), np.ones((2, 3, 1))], 0, ShapeError),
        ([rm.Variable, [1.5, 2.5]], 0, ArgumentError),
    ],
)
def test_what_does_not_fit_is_refused(xs, axis, error):
    def made(entry):
        return rm.Variable(np.arange(2)) if entry is rm.Variable else entry

    with rm.use_backend("reference"), pytest.raises(error, match="concat"):
        rm.concat([made(x) for x in xs] if isinstance(xs, list) else made(xs), axis)


class Dense(rm.Model):
    """Features that are joined to those that they were computed from, or examples."""

    def __init__(self, axis):
        super().__init__()
        self.convolution, self.axis = rm.Conv2d(3, 3, padding=1), axis

    def forward(self, x):
        y = rm.concat([x, self.convolution(x), x], axis=self.axis)
        return y if self.axis else y.reshape(3, *x.shape)[1]


@pytest.mark.parametrize("opset", [13, 22])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_a_model_is_exported_for_any_batch(tmp_path, axis, opset):
    model = Dense(axis)
    with rm.use_backend("reference"):
        export(model, tmp_path / "model.onnx", (3, 4, 5), opset=opset, examples=3, backends=["reference"])
        x = np.random.default_rng(0).normal(size=(4, 3, 4, 5)).astype(np.float32)
        np.testing.assert_allclose(
            open_exported(tmp_path / "model.onnx").predict(x), model(x).as_ndarray(), rtol=1e-5, atol=1e-5
        )


def test_cases_of_onnx(backend):
    check_node_cases("concat", "Concat", lambda given, *xs: (xs, {"axis": given["axis"] % xs[0].ndim}), backend)

"""Sums, means and the largest over axes."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn.conformance.operations.reduction import OPERATIONS
from refcnn.conformance.theory.strategies import Case
from refcnn.errors import ArgumentError
from refcnn.mode import recording

from .checks import SIZE, check_example, check_gradients, check_node_cases, check_onnxruntime

NUMPY = {"reduce_max": np.max, "reduce_mean": np.mean, "reduce_sum": np.sum}
X = [[[1, 5], [3, 4]], [[5, 5], [-1, 0]]]

#: Of X, for axes (0, 2) without and axis 1 with keepdims: y, and what becomes of dy = (8, 4) or ((8, 4), (2, 6)).
EXAMPLES = {
    "reduce_sum": (
        [16, 6],
        [[[8, 8], [4, 4]], [[8, 8], [4, 4]]],
        [[[4, 9]], [[4, 5]]],
        [[[8, 4], [8, 4]], [[2, 6], [2, 6]]],
    ),
    "reduce_mean": (
        [4, 1.5],
        [[[2, 2], [1, 1]], [[2, 2], [1, 1]]],
        [[[2, 4.5]], [[2, 2.5]]],
        [[[4, 2], [4, 2]], [[1, 3], [1, 3]]],
    ),
    # The first of several that are the largest gets the gradient.
    "reduce_max": (
        [5, 4],
        [[[0, 8], [0, 4]], [[0, 0], [0, 0]]],
        [[[3, 5]], [[5, 5]]],
        [[[0, 4], [8, 0]], [[2, 6], [0, 0]]],
    ),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_worked_example(page_backend, operation):
    y, dx, y_kept, dx_kept = EXAMPLES[operation]
    attributes = {"axes": (0, 2), "keepdims": False}
    check_example(operation, (X,), attributes, y, dy=[8, 4], gradients=(dx,), backend=page_backend)
    attributes, dy = {"axes": (1,), "keepdims": True}, [[[8, 4]], [[2, 6]]]
    check_example(operation, (X,), attributes, y_kept, dy=dy, gradients=(dx_kept,), backend=page_backend)


@pytest.mark.parametrize("operation", OPERATIONS)
@given(data=st.data())
def test_gradients_of_reference(operation, data):
    case = data.draw(OPERATIONS[operation].cases("tiny", integers=True))
    # All different, so that a step changes no winner.
    x = np.random.default_rng(0).permutation(case.inputs[0].size).reshape(case.inputs[0].shape).astype(np.float32)
    tolerance = 1e-12 if operation == "reduce_mean" else 0
    check_gradients(operation, Case((x,), case.attributes, case.dy), step=0.25, tolerance=tolerance)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("shape", "axes"),
    [((70_001,), (0,)), ((3, 700, 5), (1,)), ((2, 300, 2, 300), (1, 3)), ((), ()), ((2, 3), ()), ((0, 3), (1,))],
)
def test_long_axes_and_none(page_backend, operation, shape, axes):
    x = np.random.default_rng(0).integers(-8, 8, shape).astype(np.float32)
    y, saved = page_backend.operation(operation).forward(page_backend.array(x), axes=axes, keepdims=False)
    np.testing.assert_allclose(page_backend.to_host(y), NUMPY[operation](x.astype(np.float64), axis=axes), rtol=1e-6)
    dy = np.random.default_rng(1).integers(1, 8, y.shape).astype(np.float32)
    (dx,) = page_backend.operation(operation).backward(
        page_backend.array(dy), saved, (True,), axes=axes, keepdims=False
    )
    dx = page_backend.to_host(dx)
    assert dx.shape == shape
    share = {"reduce_sum": dy.size / max(dx.size, 1), "reduce_mean": 1, "reduce_max": 1}[operation]
    np.testing.assert_allclose(dx.sum(axis=axes, dtype=np.float64) * share, dy, rtol=1e-5)
    assert operation != "reduce_max" or np.count_nonzero(dx) == dy.size


def test_where_nothing_is_larger_than_minus_infinity(page_backend):
    x, attributes = np.full((2, 2, 2), -np.inf), {"axes": (0, 2), "keepdims": False}
    dx = [[[1, 0], [2, 0]], [[0, 0], [0, 0]]]
    check_example("reduce_max", (x,), attributes, x[0, 0], dy=[1, 2], gradients=(dx,), backend=page_backend)


def test_the_first_of_several_nan_gets_the_gradient(page_backend):
    x, attributes = [[[1, np.nan], [np.nan, 9]], [[np.nan, 2], [3, np.nan]]], {"axes": (0, 2), "keepdims": False}
    dx = [[[0, 8], [4, 0]], [[0, 0], [0, 0]]]
    check_example("reduce_max", (x,), attributes, [np.nan] * 2, dy=[8, 4], gradients=(dx,), backend=page_backend)


@pytest.mark.parametrize(("operation", "y"), [("reduce_sum", 0), ("reduce_mean", np.nan), ("reduce_max", -np.inf)])
def test_of_no_elements(page_backend, operation, y):
    """As ONNX has it; NumPy refuses the largest of none."""
    x, attributes = np.zeros((2, 0, 3), np.float32), {"axes": (1,), "keepdims": False}
    with np.errstate(all="ignore"):
        check_example(
            operation, (x,), attributes, np.full((2, 3), y), dy=np.ones((2, 3)), gradients=(x,), backend=page_backend
        )


@pytest.mark.parametrize("operation", OPERATIONS)
def test_axes_are_given_as_in_numpy(operation):
    x, function = np.arange(24.0).reshape(2, 3, 4), getattr(rm, operation)
    with rm.use_backend("reference:float64"):
        for axes, keepdims in itertools.product((None, 0, -1, (0, 2), [2, -3], ()), (False, True)):
            expected = NUMPY[operation](x, axis=tuple(axes) if isinstance(axes, list) else axes, keepdims=keepdims)
            np.testing.assert_array_equal(function(x, axes, keepdims=keepdims).as_ndarray(), expected, strict=True)
        for axes in (3, -4, (0, 0), (0, -3), "0", 1.0, True, (0, None)):
            with pytest.raises(ArgumentError, match=f"{operation}: axes"):
                function(x, axes)


def test_a_loss_may_be_a_mean():
    with rm.use_backend("reference:float64"):
        v = rm.Variable([[1.0, 2.0, 3.0], [4.0, 5.0, 9.0]], requires_grad=True)
        with recording():
            loss = (v.max(axis=1) * v.mean(axis=1)).sum()
        assert float(loss) == 3 * 2 + 9 * 6
        np.testing.assert_allclose(loss.grad().get(v).as_ndarray(), [[1, 1, 3], [3, 3, 9]])


@pytest.mark.parametrize("operation", OPERATIONS)
@given(data=st.data())
def test_onnxruntime(operation, data):
    check_onnxruntime(operation, data.draw(OPERATIONS[operation].cases(SIZE)))


ONNX = {"reduce_max": "ReduceMax", "reduce_mean": "ReduceMean", "reduce_sum": "ReduceSum"}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_cases_of_onnx(page_backend, operation):
    def translate(attributes, x, axes=None):
        if x.dtype != np.float32:
            return None
        is_all = axes is None or (axes.size == 0 and not attributes.get("noop_with_empty_axes", 0))
        numbers = range(x.ndim) if is_all else sorted(axes % x.ndim)
        return (x,), {"axes": tuple(map(int, numbers)), "keepdims": bool(attributes.get("keepdims", 1))}

    check_node_cases(operation, ONNX[operation], translate, page_backend, tolerance=2e-6)

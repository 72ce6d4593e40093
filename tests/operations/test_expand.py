"""Arrays repeated along axes of size 1: numbers are moved; the gradient is the sum over all copies."""

import numpy as np
import pytest
from hypothesis import given

import refcnn as rm
from refcnn.conformance.operations import expand
from refcnn.errors import ArgumentError, ShapeError

from .checks import SIZE, check, check_example, check_gradients, check_node_cases, check_onnxruntime


def test_worked_example(backend):
    check_example(
        "expand",
        ([[1], [2]],),
        {"shape": (2, 1, 3)},
        [[[1, 1, 1], [2, 2, 2]]] * 2,
        dy=[[[1, 2, 3], [4, 5, 6]], [[10, 20, 30], [40, 50, 60]]],
        gradients=([[66], [165]],),
        backend=backend,
    )


@given(case=expand.cases(SIZE))
def test_within_bound(backend, case):
    check("expand", case, backend)


@given(case=expand.cases(SIZE, integers=True))
def test_integers_exact(backend, case):
    check("expand", case, backend, to_the_bit=True)


@given(case=expand.cases("tiny", integers=True))
def test_gradients_of_reference(case):
    check_gradients("expand", case, step=1)


@given(case=expand.cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime("expand", case)


def test_cases_of_onnx(backend):
    check_node_cases("expand", "Expand", lambda given, x, shape: ((x,), {"shape": tuple(shape.tolist())}), backend)


@pytest.mark.parametrize("shape", [(2, 3), (4, 1, 3), (1,), (), 3, (2, 1), (0, 2, 3)])
def test_as_broadcasting_in_numpy(backend, shape):
    x = np.array([[1], [2]], np.int32)
    with rm.use_backend(backend):
        y = rm.expand(rm.Variable(x), shape)
    expected = np.broadcast_to(x, np.broadcast_shapes(x.shape, shape))
    np.testing.assert_array_equal(y.as_ndarray(), expected, strict=True)


@pytest.mark.parametrize(
    ("shape", "error"), [((3, 3), ShapeError), ((-1, 3), ArgumentError), ((2.0,), ArgumentError), (None, ArgumentError)]
)
def test_what_does_not_fit_is_refused(shape, error):
    with rm.use_backend("reference"), pytest.raises(error):
        rm.expand(np.ones((2, 1)), shape)

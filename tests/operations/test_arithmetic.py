"""Arithmetic of two arrays that are broadcast."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import refcnn as rm
from refcnn.conformance.operations.arithmetic import OPERATIONS
from refcnn.conformance.theory.strategies import Case
from refcnn.errors import ShapeError
from refcnn.shapes import broadcast_shape

from .checks import SIZE, check_example, check_gradients, check_needs, check_node_cases, check_onnxruntime

NUMPY = {"add": np.add, "divide": np.divide, "multiply": np.multiply, "power": np.power, "subtract": np.subtract}

#: Of (2, 2) and (2,) with dy = ((1, 2), (3, 4)): a, b, y, da, db.
EXAMPLES = {
    "add": ([[1, -2], [3, 4]], [10, 20], [[11, 18], [13, 24]], [[1, 2], [3, 4]], [4, 6]),
    "subtract": ([[1, -2], [3, 4]], [10, 20], [[-9, -22], [-7, -16]], [[1, 2], [3, 4]], [-4, -6]),
    "multiply": ([[1, -2], [3, 4]], [10, 20], [[10, -40], [30, 80]], [[10, 40], [30, 80]], [10, 12]),
    "divide": ([[1, -2], [3, 4]], [2, 4], [[0.5, -0.5], [1.5, 1]], [[0.5, 0.5], [1.5, 1]], [-2.5, -0.75]),
    # db = y log(a) dy: 16 log(4) 3 beside 1 log(1) 1, and 8 log(2) 2 beside 27 log(3) 4.
    "power": ([[1, 2], [4, 3]], [2, 3], [[1, 8], [16, 27]], [[2, 24], [24, 108]], [66.5421293338, 129.7404915]),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_worked_example(page_backend, operation):
    a, b, y, *gradients = EXAMPLES[operation]
    check_example(operation, (a, b), {}, y, dy=[[1, 2], [3, 4]], gradients=gradients, backend=page_backend)


@pytest.mark.parametrize("operation", OPERATIONS)
@given(data=st.data())
def test_one_gradient_at_a_time(page_backend, operation, data):
    check_needs(operation, data.draw(OPERATIONS[operation].cases("tiny")), page_backend)


@pytest.mark.parametrize("operation", OPERATIONS)
@given(data=st.data())
def test_gradients_of_reference(operation, data):
    case = data.draw(OPERATIONS[operation].cases("tiny", integers=True))
    a, b = case.inputs
    # Positive, and far enough from zero that powers and quotients are smooth over a step.
    a, b = (np.asarray(1 + np.abs(entry) / 4) for entry in (a, b))
    check_gradients(operation, Case((a, b), {}, case.dy), step=2.0**-12, tolerance=1e-4)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        # No axes, missing ones, both repeated, and more kinds of axes in turn than a kernel has arguments for.
        ((), ()),
        ((1,), ()),
        ((), (2, 3)),
        ((4, 1), (1, 5)),
        ((2, 3, 4, 5), (3, 1, 1)),
        ((2, 1, 3, 1), (5, 1, 4)),
        ((2, 1, 2, 1, 2, 1, 3), (1, 2, 1, 2, 1, 2, 1)),
        ((0, 3), (1,)),
        ((3, 1), (0,)),
        ((1200, 3), (1200, 1)),
        ((2, 1500), (1500,)),
    ],
)
@pytest.mark.parametrize("operation", ["subtract", "divide"])
def test_shapes_broadcast_as_in_numpy(page_backend, operation, a, b):
    rng = np.random.default_rng(0)
    a, b = (1 + rng.random(shape).astype(np.float32) for shape in (a, b))
    for left, right in ((a, b), (b, a)):
        expected = NUMPY[operation](left.astype(np.float64), right)
        y, saved = page_backend.operation(operation).forward(page_backend.array(left), page_backend.array(right))
        np.testing.assert_allclose(page_backend.to_host(y), expected, rtol=1e-6)
        assert y.shape == expected.shape == broadcast_shape(left.shape, right.shape)
        dy = page_backend.array(np.ones(expected.shape))
        gradients = page_backend.operation(operation).backward(dy, saved, (True, True))
        for operand, gradient in zip((left, right), gradients, strict=True):
            assert page_backend.to_host(gradient).shape == operand.shape


@given(a=st.lists(st.integers(0, 3), max_size=5), b=st.lists(st.integers(0, 3), max_size=5))
def test_broadcast_shapes_are_those_of_numpy(a, b):
    try:
        expected = np.broadcast_shapes(a, b)
    except ValueError:
        with pytest.raises(ShapeError, match="broadcast"):
            broadcast_shape(a, b)
    else:
        assert broadcast_shape(a, b) == expected


@pytest.mark.parametrize("operation", OPERATIONS)
def test_functions_compute_as_numpy_and_name_what_does_not_fit(operation):
    a, b = np.array([[1.0, 2.0], [3.0, 4.0]]), [2.0, 0.5]
    with rm.use_backend("reference:float64"):
        np.testing.assert_array_equal(getattr(rm, operation)(a, b).as_ndarray(), NUMPY[operation](a, b))
        with pytest.raises(ShapeError, match=rf"{operation}: .*\(2, 2\) and \(3,\)"):
            getattr(rm, operation)(a, np.ones(3))


@given(case=OPERATIONS["add"].cases(SIZE))
def test_what_is_passed_on_is_not_copied(case):
    assume(case.inputs[0].shape == case.inputs[1].shape)
    with rm.use_backend("reference") as backend, np.errstate(all="ignore"):
        _, saved = backend.operation("add").forward(*case.inputs)
        assert all(entry is case.dy for entry in backend.operation("add").backward(case.dy, saved, (True, True)))


#: Base, exponent, power and both gradients where the formula alone gives NaN, as PyTorch has them.
@pytest.mark.parametrize(
    ("a", "b", "y", "da", "db"),
    [
        (0, 0, 1, 0, 0),
        (0, 2, 0, 0, 0),
        (0, 1, 0, 1, 0),
        (0, 0.5, 0, np.inf, 0),
        (-2, 2, 4, -4, np.nan),
        (-2, 0, 1, 0, np.nan),
        (-2, 0.5, np.nan, np.nan, np.nan),
        (0, -1, np.inf, -np.inf, -np.inf),
    ],
)
def test_powers_at_the_edge(page_backend, a, b, y, da, db):
    with np.errstate(all="ignore"):
        check_example("power", ([a], [b]), {}, [y], dy=[1], gradients=([da], [db]), backend=page_backend)


@pytest.mark.parametrize("operation", OPERATIONS)
@given(data=st.data())
def test_onnxruntime(operation, data):
    check_onnxruntime(operation, data.draw(OPERATIONS[operation].cases(SIZE)))


ONNX = {"add": "Add", "divide": "Div", "multiply": "Mul", "power": "Pow", "subtract": "Sub"}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_cases_of_onnx(page_backend, operation):
    def translate(attributes, a, b):
        # Those of integers are of another arithmetic; a power takes the base's.
        return ((a, np.asarray(b, np.float32)), {}) if a.dtype == np.float32 else None

    check_node_cases(operation, ONNX[operation], translate, page_backend, tolerance=2e-6)

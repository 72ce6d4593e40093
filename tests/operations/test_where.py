"""A choice between two arrays by a third one, of truth values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn.conformance.operations.where import cases
from refcnn.errors import ArgumentError, ShapeError
from refcnn.mode import recording

from .checks import SIZE, check, check_onnxruntime

CONDITION = np.array([[True, False], [False, True]])


def test_worked_example(backend):
    """Of what is repeated the gradient is the sum of 2 and 3, where the condition is not true."""
    with rm.use_backend(backend):
        a, b = rm.Variable([[1.0, 2.0], [3.0, 4.0]], requires_grad=True), rm.Variable(9.0, requires_grad=True)
        with recording():
            y = rm.where(CONDITION, a, b)
            gradients = (y * [[1, 2], [3, 4]]).sum().grad()
    np.testing.assert_array_equal(y.as_ndarray(), [[1, 9], [9, 4]])
    np.testing.assert_array_equal(gradients.get(a).as_ndarray(), [[1, 0], [0, 4]])
    np.testing.assert_array_equal(gradients.get(b).as_ndarray(), 5)


@given(case=cases(SIZE))
def test_within_bound(backend, case):
    check("where", case, backend)


@given(case=cases(SIZE, integers=True))
def test_integers_exact(backend, case):
    check("where", case, backend, to_the_bit=True)


@given(case=cases("tiny", integers=True))
def test_gradients_of_reference(case):
    if case.dy is not None:
        condition, *operands = case.inputs
        exact = [entry.astype(np.float64) for entry in (*operands, case.dy)]
        for index, _ in enumerate(operands):
            step = [np.zeros_like(entry) for entry in exact[:2]]
            step[index][...] = 1
            with rm.use_backend("reference:float64") as backend:
                operation = backend.operation("where")
                _, saved = operation.forward(condition, *exact[:2])
                gradient = operation.backward(exact[2], saved, (False, True, True))[1 + index]
                slope, _ = operation.forward(condition, *step)
            assert gradient.shape == operands[index].shape
            assert gradient.sum() == (slope * exact[2]).sum()


@given(case=cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime("where", case)


@pytest.mark.parametrize(
    ("dtype", "bits"), [("float32", "uint32"), ("int64", "uint64"), ("int32", "uint32"), (bool, "u1")]
)
@given(seed=st.integers(0, 999), shape=st.sampled_from([(), (7,), (2, 3, 5), (1, 40)]))
def test_every_bit_is_kept(backend, dtype, bits, seed, shape):
    random = np.random.default_rng(seed)
    most = 1 if dtype is bool else np.iinfo(bits).max
    a, b = (random.integers(0, most, shape, bits, endpoint=True).view(dtype) for _ in "ab")
    condition = random.random(shape) < 0.5
    y, _ = backend.operation("where").forward(*map(backend.array, (condition, a, b)))
    found = backend.to_host(y)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found.view(bits), np.where(condition, a.view(bits), b.view(bits)))


@pytest.mark.parametrize(
    "shapes",
    [
        ((3, 1), (1, 4), ()),
        ((), (2, 3), (3,)),
        ((2, 1, 3), (4, 1), (2, 4, 3)),
        ((1, 1), (5,), (5, 1)),
        ((0,), (1,), ()),
    ],
)
def test_shapes_broadcast_as_in_numpy(backend, shapes):
    random = np.random.default_rng(0)
    condition = random.random(shapes[0]) < 0.5
    a, b = (random.random(shape) for shape in shapes[1:])
    with rm.use_backend(backend):
        y = rm.where(condition, a, b).as_ndarray()
    np.testing.assert_array_equal(y, np.where(condition, a.astype(np.float32), b.astype(np.float32)))


def test_what_is_not_chosen_does_no_harm(backend):
    with rm.use_backend(backend):
        x = rm.Variable([0.0, 4.0], requires_grad=True)
        with recording():
            y = rm.where(rm.greater(x, 0), rm.log(x + rm.where(rm.greater(x, 0), 0.0, 1.0)), x)
            gradient = y.sum().grad().get(x)
    np.testing.assert_allclose(y.as_ndarray(), [0, np.log(4)], rtol=1e-6)
    np.testing.assert_allclose(gradient.as_ndarray(), [1, 0.25])


def test_what_does_not_fit_is_refused():
    with rm.use_backend("reference"):
        for condition in ([1, 0], [0.5, 1.0], rm.Variable([1, 0])):
            with pytest.raises(ArgumentError, match="bool"):
                rm.where(condition, 1.0, 2.0)
        with pytest.raises(ArgumentError, match="one dtype"):
            rm.where([True], rm.Variable([1]), rm.Variable([1.0]))
        for shapes in (((2,), (3,), ()), ((), (2,), (3,))):
            with pytest.raises(ShapeError, match=r"where: .*\(2,\) and \(3,\)"):
                rm.where(np.ones(shapes[0], bool), np.ones(shapes[1]), np.ones(shapes[2]))

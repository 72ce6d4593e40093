"""Softmax, and its logarithm."""

import math

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn import rooms
from refcnn.backend import find
from refcnn.conformance.operations import log_softmax, softmax
from refcnn.conformance.theory.strategies import Case
from refcnn.errors import ArgumentError, ShapeError
from refcnn.onnx import export

from .checks import SIZE, check, check_example, check_gradients, check_node_cases, check_onnxruntime


def test_worked_example(backend):
    x = [[0, math.log(2), math.log(5)], [1000, 1000, 900]]
    # y = (1, 2, 5) / 8; sum of dy y = 1; dx = y (dy - 1).
    check_example(
        "softmax",
        (x,),
        {},
        [[0.125, 0.25, 0.625], [0.5, 0.5, 0]],
        dy=[[8, 0, 0], [2, 0, 0]],
        gradients=([[0.875, -0.25, -0.625], [0.5, -0.5, 0]],),
        backend=backend,
    )


@pytest.mark.filterwarnings("ignore:.*encountered in subtract:RuntimeWarning")
def test_excluded_classes(backend):
    # A class with a logit of -infinity, or further below another than float32 can say, has no probability.
    x = [[-np.inf, 0, 0], [3e38, -3e38, 3e38], [-np.inf, 7, -np.inf]]
    check_example(
        "softmax",
        (x,),
        {},
        [[0, 0.5, 0.5], [0.5, 0, 0.5], [0, 1, 0]],
        dy=[[8, 4, 0], [4, 9, 0], [5, 5, 5]],
        gradients=([[0, 1, -1], [1, 0, -1], [0, 0, 0]],),
        backend=backend,
    )


@pytest.mark.parametrize("operation", ["softmax", "log_softmax"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_along_any_axis(backend, operation, axis):
    """Each row as if it were alone: the same bits as along the second of two axes."""
    rng, module = np.random.default_rng(0), backend.operation(operation)
    x, dy = (rng.standard_normal((3, 5, 4)).astype(np.float32) for _ in range(2))
    y, saved = module.forward(backend.array(x), axis=axis)
    (dx,) = module.backward(backend.array(dy), saved, (True,), axis=axis)
    rows = [np.moveaxis(entry, axis, -1).reshape(-1, x.shape[axis]) for entry in (x, dy)]
    of_rows, saved = module.forward(backend.array(rows[0]), axis=1)
    (dx_of_rows,) = module.backward(backend.array(rows[1]), saved, (True,), axis=1)
    for found, expected in ((y, of_rows), (dx, dx_of_rows)):
        found = np.moveaxis(backend.to_host(found), axis, -1).reshape(rows[0].shape)
        np.testing.assert_array_equal(found, backend.to_host(expected))


@pytest.mark.parametrize("operation", ["softmax", "log_softmax"])
@given(case=softmax.cases(SIZE))
def test_within_bound(backend, operation, case):
    check(operation, case, backend)


@pytest.mark.parametrize("module", [softmax, log_softmax])
@given(data=st.data())
def test_gradients_of_reference(module, data):
    case = data.draw(module.cases("tiny", integers=True))
    case = Case((case.inputs[0] / np.float32(4),), case.attributes, case.dy)
    check_gradients(module.__name__.rpartition(".")[2], case, step=2.0**-12, tolerance=1e-6)


@pytest.mark.parametrize("operation", ["softmax", "log_softmax"])
@given(case=softmax.cases(SIZE))
def test_onnxruntime(operation, case):
    check_onnxruntime(operation, case)


@pytest.mark.parametrize("operation", ["softmax", "log_softmax"])
def test_cases_of_onnx(operation):
    def translate(attributes, x):
        return (x,), {"axis": attributes.get("axis", -1) % x.ndim}

    name = {"softmax": "Softmax", "log_softmax": "LogSoftmax"}[operation]
    check_node_cases(operation, name, translate, find("reference"), tolerance=1e-5)


def test_the_layer_is_the_function(backend, tmp_path):
    rm.set_seed(0)
    x = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    with rm.use_backend(backend):
        logits = rm.Sequential([rm.Dense(4)])
        model = rm.Sequential([*logits, rm.Softmax()])
        y = model(x)
        np.testing.assert_array_equal(y.as_ndarray(), rm.softmax(logits(x)).as_ndarray())
        assert [name for name, _ in model.parameters()] == ["0.w", "0.b"]
        export(model, tmp_path / "model.onnx", (5,), backends=["reference"])
    np.testing.assert_allclose(y.as_ndarray().sum(axis=1), 1, rtol=1e-6)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (found,) = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(found, y.as_ndarray(), rtol=1e-5)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_empty_arrays_are_refused(shape):
    for layer in (rm.Softmax(), rm.LogSoftmax()):
        with pytest.raises(ShapeError, match="Softmax: the input has shape"):
            layer(np.zeros(shape, np.float32))


@pytest.mark.parametrize(("shape", "axis"), [((3,), 1), ((2, 3), 2), ((2, 3), -3), ((), 0)])
def test_an_axis_that_is_not_there_is_refused(shape, axis):
    for layer in (rm.Softmax(axis), rm.LogSoftmax(axis)):
        with pytest.raises(ArgumentError, match="Softmax: axis"):
            layer(np.zeros(shape, np.float32))


def test_layers_along_an_axis():
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype(np.float32)
    with rm.use_backend("reference"):
        for axis in (1, -3):
            np.testing.assert_allclose(rm.Softmax(axis)(x).as_ndarray().sum(axis=1), 1, rtol=1e-6)
        np.testing.assert_allclose(rm.LogSoftmax()(x).as_ndarray(), np.log(rm.Softmax()(x).as_ndarray()), rtol=1e-5)


@pytest.mark.parametrize("operation", ["softmax", "log_softmax"])
@given(data=st.data())
def test_bounds_of_logits_that_are_far_off_are_finite_and_hold(operation, data):
    """A softmax lies in [0, 1] and changes by half of what its logits do at most, its logarithm by twice that."""
    room, reference = (rooms.find(wing, operation) for wing in (rooms.CONFORMANCE, rooms.REFERENCE))
    shape = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 20))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    x = (random.standard_normal(shape) * data.draw(st.sampled_from((1e-3, 1.0, 30.0, 1e4)))).astype(np.float32)
    error = np.abs(random.standard_normal(shape)) * data.draw(st.sampled_from((1e-6, 1e-2, 1.0, 1e2, 1e5)))
    with np.errstate(all="ignore"):
        bound = room.forward_bound((x,), {"axis": 1}, (error,))
    assert np.isfinite(bound).all()
    exact, _ = reference.forward(x.astype(np.float64), axis=1)
    if operation == "softmax":
        assert (bound <= 1.001).all() and (bound <= error.max(axis=1, keepdims=True) / 2 + 1e-2).all()
    for signs in (random.uniform(-1, 1, shape), random.choice((-1, 1), shape)):
        # As far off as float32 can be without passing the error.
        moved = (x + signs * error * 0.999).astype(np.float32)
        moved = np.where(np.abs(moved.astype(np.float64) - x) <= error, moved, x)
        computed = reference.forward(moved, axis=1)[0].astype(np.float64)
        assert (np.abs(computed - exact) <= bound).all()

"""Softmax."""

import math

import numpy as np
import onnxruntime
import pytest
from hypothesis import given

import refcnn as rm
from refcnn.conformance.operations import softmax
from refcnn.conformance.theory.strategies import Case
from refcnn.errors import ShapeError
from refcnn.onnx import export

from .checks import SIZE, check, check_example, check_gradients, check_onnxruntime


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


@given(case=softmax.cases(SIZE))
def test_within_bound(backend, case):
    check("softmax", case, backend)


@given(case=softmax.cases("tiny", integers=True))
def test_gradients_of_reference(case):
    case = Case((case.inputs[0] / np.float32(4),), {}, case.dy)
    check_gradients("softmax", case, step=2.0**-12, tolerance=1e-7)


@given(case=softmax.cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime("softmax", case)


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


@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), (0, 3), (3, 0)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ShapeError, match="Softmax: the input has shape"):
        rm.Softmax()(np.zeros(shape, np.float32))

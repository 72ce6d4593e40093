"""Normalisation: by the statistics of batches, and by those that are kept of them."""

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn.conformance.operations.normalization import OPERATIONS
from refcnn.conformance.theory.strategies import Case
from refcnn.errors import ArgumentError, ShapeError
from refcnn.mode import recording
from refcnn.mode import training as training_mode
from refcnn.onnx import export
from refcnn.runs import training
from refcnn.runs.run_folder import RunFolder

from .. import small_run
from .checks import SIZE, check_example, check_gradients, check_needs, check_node_cases, check_onnxruntime

INFERENCE = {"epsilon": 1e-5, "momentum": 0.9, "training": False}
#: Two images of two channels and two pixels: of the first channel the mean is 4 and the variance 5, of the second -1
#: and 0.
X = [[[1, 3], [-1, -1]], [[5, 7], [-1, -1]]]


def test_worked_example_of_inference(page_backend):
    # (x - 1) / 4 and (x + 3) / 2, times (8, 2) plus (1, -1).
    attributes = INFERENCE | {"epsilon": 0.0}
    dy = [[[1, 0], [2, 0]], [[0, 1], [0, 1]]]
    check_example(
        "batch_normalization",
        (X, [8, 2], [1, -1], [1, -3], [16, 4]),
        attributes,
        [[[1, 5], [1, 1]], [[9, 13], [1, 1]]],
        dy=dy,
        gradients=([[[2, 0], [2, 0]], [[0, 2], [0, 1]]], [1.5, 3], [2, 3], [-4, -3], [-0.375, -0.75]),
        backend=page_backend,
    )


def test_worked_example_of_training(page_backend):
    # With epsilon 4 the deviations are 3 and 2. Of xhat (-1, -1/3, 1/3, 1) and dy (9, 0, 0, 0): the mean of dy is 9/4,
    # of dy xhat -9/4, so that 3 dx = 2 (dy - 9/4 + 9/4 xhat). The kept mean and variance go half-way, and what they
    # get of a gradient goes to x too: 1/8 of the mean's, (x - mean) / 4 of the variance's.
    inputs = X, [2, 8], [1, -1], [0, 3], [1, 2]
    attributes = {"epsilon": 4.0, "momentum": 0.5, "training": True}
    operation = page_backend.operation("batch_normalization")
    arrays = [page_backend.array(np.float32(entry)) for entry in inputs]
    results, saved = operation.forward(*arrays, **attributes)
    expected = [[[-1, 1 / 3], [-1, -1]], [[5 / 3, 3], [-1, -1]]], [2, 1], [3, 1]
    for found, wanted in zip(results, expected, strict=True):
        np.testing.assert_allclose(page_backend.to_host(found), np.float32(wanted), rtol=1e-6)
    dy = [[[9, 0], [4, 0]], [[0, 0], [0, 0]]], [8, 0], [4, 0]
    dy = tuple(page_backend.array(np.float32(entry)) for entry in dy)
    gradients = operation.backward(dy, saved, (True,) * 5, **attributes)
    expected = [[[1, -2], [12, -4]], [[1, 4], [-4, -4]]], [-9, 0], [9, 4], [4, 0], [2, 0]
    for found, wanted in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(page_backend.to_host(found), np.float32(wanted), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("operation", OPERATIONS)
@given(data=st.data())
def test_gradients_of_reference(operation, data):
    case = data.draw(OPERATIONS[operation].cases("tiny", integers=True))
    x, *others = case.inputs
    # With variances of some size the third derivative is small.
    case = Case((x / np.float32(8), *others), case.attributes | {"epsilon": 1.0}, case.dy)
    check_gradients(operation, case, step=2.0**-12, tolerance=1e-6)


@pytest.mark.parametrize("operation", OPERATIONS)
@given(data=st.data())
def test_each_gradient_alone(page_backend, operation, data):
    check_needs(operation, data.draw(OPERATIONS[operation].cases("tiny")), page_backend)


@pytest.mark.parametrize("operation", OPERATIONS)
@given(data=st.data())
def test_onnxruntime(operation, data):
    check_onnxruntime(operation, data.draw(OPERATIONS[operation].cases(SIZE)))


def test_cases_of_onnx(page_backend):
    def translate(attributes, x, scale, bias, mean, variance):
        known = {name: attributes[name] for name in ("epsilon", "momentum") if name in attributes}
        training = bool(attributes.get("training_mode", 0))
        return (x, scale, bias, mean, variance), INFERENCE | known | {"training": training}

    check_node_cases("batch_normalization", "BatchNormalization", translate, page_backend, tolerance=2e-6)


@pytest.mark.parametrize(
    "shape", [(2, 3), (3, 70_001), (70_001, 3), (2, 3, 1), (5, 2, 15), (5, 2, 16), (300, 2, 30), (2, 3, 70_001)]
)
def test_statistics_of_values_far_from_zero(page_backend, shape):
    """Of the mean of the squares less the square of the mean no digit would be right."""
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32) + np.float32(3000)
    channels = shape[1]
    zeros, ones = np.zeros(channels, np.float32), np.ones(channels, np.float32)
    arrays = [page_backend.array(entry) for entry in (x, ones, zeros, zeros, ones)]
    attributes = INFERENCE | {"training": True, "momentum": 0.0}
    (y, mean, variance), _ = page_backend.operation("batch_normalization").forward(*arrays, **attributes)
    y, mean, variance = map(page_backend.to_host, (y, mean, variance))
    axes = tuple(axis for axis in range(x.ndim) if axis != 1)
    np.testing.assert_allclose(mean, x.mean(axis=axes, dtype=np.float64), rtol=3e-7)
    np.testing.assert_allclose(variance, x.astype(np.float64).var(axis=axes), rtol=0, atol=2e-4)
    np.testing.assert_allclose(y.std(axis=axes, dtype=np.float64), np.sqrt(variance / (variance + 1e-5)), rtol=0.02)


def test_the_layer_keeps_statistics_in_training_and_takes_them_else(page_backend):
    x = np.random.default_rng(0).normal(3, 2, (6, 4, 5, 5)).astype(np.float32)
    with rm.use_backend(page_backend):
        layer = rm.BatchNormalization(momentum=0.75)
        untrained = layer(x).as_ndarray()
        np.testing.assert_allclose(untrained, x, rtol=1e-5)
        model = rm.Sequential([layer])
        with model.train():
            y = model(x)
        loss = (y * y).sum()
    assert {name for name, _ in model.parameters()} == {"0.scale", "0.bias"}
    assert {name for name, _ in model.named_buffers()} == {"0.mean", "0.variance"}
    mean, variance = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
    np.testing.assert_allclose(layer.buffers.mean.as_ndarray(), 0.25 * mean, rtol=1e-5)
    np.testing.assert_allclose(layer.buffers.variance.as_ndarray(), 0.75 + 0.25 * variance, rtol=1e-5)
    y = y.as_ndarray()
    np.testing.assert_allclose(y.mean(axis=(0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(y.var(axis=(0, 2, 3)), 1, rtol=1e-5)
    kept = layer.buffers.mean.as_ndarray(), layer.buffers.variance.as_ndarray()
    with rm.use_backend(page_backend), recording():
        y = layer(x).as_ndarray()
    expected = (x - kept[0][:, None, None]) / np.sqrt(kept[1][:, None, None] + 1e-5)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    for name, former in zip(BUFFERS, kept, strict=True):
        np.testing.assert_array_equal(layer.buffers[name].as_ndarray(), former)
    assert float(loss) == pytest.approx(x.size, rel=1e-4)


BUFFERS = "mean", "variance"
MODEL = """
import refcnn as rm


def make(image_shape, classes):
    return rm.Sequential([rm.Conv2d(3), rm.BatchNormalization(), rm.Relu(), rm.Flatten(), rm.Dense(classes),
                          rm.BatchNormalization(momentum=0.5)])
"""


def test_a_run_ends_the_same_when_it_is_resumed_and_its_model_is_exported(page_backend, tmp_path, monkeypatch):
    small_run.write_inputs(tmp_path)
    (tmp_path / "with_normalization.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    options = {"data": "data.npz", "model": "with_normalization:make", "batch_size": 8, "lr": 0.02, "seed": 3}
    with rm.use_backend(page_backend):
        whole = training.start({**options, "epochs": 2}, tmp_path / "whole")
        whole.finish(lambda line: None)
        part = training.start({**options, "epochs": 1}, tmp_path / "part")
        part.finish(lambda line: None)
        resumed = training.resume(RunFolder.open(tmp_path / "part", options["model"]), {"epochs": 2})
        resumed.finish(lambda line: None)
        small_run.assert_same(whole.run.last, part.run.last)
        for name in BUFFERS:
            kept = resumed.model[1].buffers[name].as_ndarray()
            assert len(set(kept.tolist())) == 3
            np.testing.assert_array_equal(kept, whole.model[1].buffers[name].as_ndarray())
        export(whole.model, tmp_path / "model.onnx", (1, 6, 6), examples=4, backends=[page_backend])
    operators = [node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node]
    assert operators.count("BatchNormalization") == 2


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1, 1), (3,), (0, 3), (2, 0), (2, 3, 0)])
def test_what_has_no_variance_is_refused(shape):
    layer = rm.BatchNormalization()
    with (
        rm.use_backend("reference"),
        training_mode(),
        pytest.raises(ShapeError, match=r"BatchNormalization: the input"),
    ):
        layer(np.ones(shape))
    assert not layer.params and not layer.buffers


def test_one_value_of_a_channel_is_enough_outside_of_training():
    with rm.use_backend("reference"):
        np.testing.assert_allclose(rm.BatchNormalization(epsilon=3)(np.ones((1, 2))).as_ndarray(), [[0.5, 0.5]])


@pytest.mark.parametrize("arguments", [{"momentum": -0.1}, {"momentum": 1}, {"momentum": "0.9"}, {"epsilon": -1e-5}])
def test_numbers_out_of_range_are_refused(arguments):
    (name,) = arguments
    with pytest.raises(ArgumentError, match=f"BatchNormalization: {name} is"):
        rm.BatchNormalization(**arguments)
    with rm.use_backend("reference"), pytest.raises(ArgumentError, match=f"batch_normalization: {name} is"):
        rm.batch_normalization(np.ones((2, 3)), *np.ones((4, 3)), **arguments)


@pytest.mark.parametrize("name", ["scale", "bias", "mean", "variance"])
def test_arrays_that_do_not_fit_are_refused(name):
    arrays = dict.fromkeys(("scale", "bias", "mean", "variance"), np.ones(3)) | {name: np.ones(4)}
    with rm.use_backend("reference"), pytest.raises(ShapeError, match=f"{name} has shape .4,."):
        rm.batch_normalization(np.ones((2, 3)), **arrays)

"""Normalisation: by the statistics of batches, and by those that are kept of them."""

import functools
import re
import types

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

import refcnn as rm
from refcnn import rooms
from refcnn.conformance.judging import comparison, judge
from refcnn.conformance.operations.normalization import OPERATIONS, batch_cases
from refcnn.conformance.subjects import finding as subjects
from refcnn.conformance.theory import bounds, probable
from refcnn.conformance.theory.approximation import Approximation
from refcnn.conformance.theory.bounds import UNDEFINED
from refcnn.conformance.theory.strategies import Case
from refcnn.errors import ArgumentError, ShapeError
from refcnn.mode import recording
from refcnn.mode import training as training_mode
from refcnn.onnx import export
from refcnn.onnx.writing.graph import build_alone
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


#: With epsilon 4 the deviations of (1, 3, 5, 7) and (-1, -1, -1, -1) are 3 and 2.
ROWS = [[1, 3, 5, 7], [-1, -1, -1, -1]]
#: What dx is of ROWS for dy = (9, 0, 0, 0), (4, 0, 0, 0) and a scale of 2: see above.
SLOPES = [[3, -2, -1, 0], [3, -1, -1, -1]]


@pytest.mark.parametrize(
    ("operation", "shape", "attributes", "of_rows"),
    [
        ("layer_normalization", (2, 2, 2), {"axis": 1}, (2, 2)),
        ("layer_normalization", (2, 4), {"axis": 1}, (4,)),
        ("layer_normalization", (1, 2, 4), {"axis": 2}, (4,)),
        ("group_normalization", (2, 4), {"groups": 1}, (4,)),
    ],
)
def test_worked_example_with_a_scale_for_each_value(page_backend, operation, shape, attributes, of_rows):
    check_example(
        operation,
        (np.reshape(ROWS, shape), np.full(of_rows, 2), np.reshape([1, 0, 0, -1], of_rows)),
        attributes | {"epsilon": 4.0},
        np.reshape([[-1, -2 / 3, 2 / 3, 1], [1, 0, 0, -1]], shape),
        dy=np.reshape([[9, 0, 0, 0], [4, 0, 0, 0]], shape),
        gradients=(np.reshape(SLOPES, shape), np.reshape([-9, 0, 0, 0], of_rows), np.reshape([13, 0, 0, 0], of_rows)),
        backend=page_backend,
    )


@pytest.mark.parametrize(
    ("operation", "shape", "attributes"),
    [
        ("instance_normalization", (1, 2, 2, 2), {}),
        ("instance_normalization", (1, 2, 4), {}),
        ("group_normalization", (1, 2, 4), {"groups": 2}),
    ],
)
def test_worked_example_with_a_scale_for_each_channel(page_backend, operation, shape, attributes):
    check_example(
        operation,
        (np.reshape(ROWS, shape), [2, 4], [1, -1]),
        attributes | {"epsilon": 4.0},
        np.reshape([[-1, 1 / 3, 5 / 3, 3], [-1, -1, -1, -1]], shape),
        dy=np.reshape([[9, 0, 0, 0], [4, 0, 0, 0]], shape),
        gradients=(np.reshape([SLOPES[0], [6, -2, -2, -2]], shape), [-9, 0], [9, 4]),
        backend=page_backend,
    )


def test_worked_example_of_groups(page_backend):
    # Channels (1, 3) and (5, 7) are a group, (-1, -1) and (-1, -1) another.
    check_example(
        "group_normalization",
        (np.reshape(ROWS, (1, 4, 2)), [2, 3, 1, 1], [1, 0, 0, 5]),
        {"groups": 2, "epsilon": 4.0},
        [[[-1, 1 / 3], [1, 3], [0, 0], [5, 5]]],
        dy=[[[9, 0], [0, 0], [0, 0], [4, 0]]],
        gradients=([[[3, -2], [-1, 0], [-0.5, -0.5], [1.5, -0.5]]], [-9, 0, 0, 0], [9, 0, 0, 4]),
        backend=page_backend,
    )


def test_worked_example_without_a_mean(page_backend):
    # The mean of the squares of (1, 7) is 25, of (3, 3) 9; dxhat is (8, 0) and (0, 6), and their means with xhat
    # (0.2, 1.4) and (1, 1) are 0.8 and 3.
    check_example(
        "rms_normalization",
        ([[1, 7], [3, 3]], [2, 3]),
        {"axis": 1, "epsilon": 0.0},
        [[0.4, 4.2], [2, 3]],
        dy=[[4, 0], [0, 2]],
        gradients=([[1.568, -0.224], [-1, 1]], [0.8, 2]),
        backend=page_backend,
    )


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


#: What the node has beside epsilon, as the operation's attributes.
TRANSLATED = {
    "batch_normalization": lambda given, x: {
        "momentum": given.get("momentum", 0.9),
        "training": bool(given.get("training_mode", 0)),
    },
    "group_normalization": lambda given, x: {"groups": given["num_groups"]},
    "instance_normalization": lambda given, x: {},
    "layer_normalization": lambda given, x: {"axis": given.get("axis", -1) % x.ndim},
    "rms_normalization": lambda given, x: {"axis": given.get("axis", -1) % x.ndim},
}
ONNX = {
    "batch_normalization": "BatchNormalization",
    "group_normalization": "GroupNormalization",
    "instance_normalization": "InstanceNormalization",
    "layer_normalization": "LayerNormalization",
    "rms_normalization": "RMSNormalization",
}


@given(case=batch_cases("tiny"), error=st.sampled_from((None, 0.0, 1e-7, 0.5)))
def test_the_bound_of_inference_by_channels_is_that_of_running_error_analysis(case, error):
    attributes = {**case.attributes, "training": False}
    errors = (None if error is None else error * np.abs(np.nan_to_num(case.inputs[0])), *(None,) * 4)
    with np.errstate(all="ignore"):
        bound = rooms.require(rooms.CONFORMANCE, "batch_normalization").forward_bound(case.inputs, attributes, errors)
        form = 1, -1, *[1] * (case.inputs[0].ndim - 2)
        x, scale, bias, mean, variance = map(Approximation.of_input, case.inputs, errors)
        scale, bias, mean, variance = (entry.reshape(form) for entry in (scale, bias, mean, variance))
        deviation = (variance + Approximation.of_attribute(attributes["epsilon"])).sqrt()
        factor = scale / deviation
        forms = (x - mean) * factor + bias, x * factor + (bias - mean * factor)
        running = functools.reduce(Approximation.or_as, forms)
    expected = running.bound
    known = (expected != UNDEFINED) & np.isfinite(expected) & np.isfinite(running.exact)
    np.testing.assert_array_equal(bound[~known], expected[~known])
    assert (bound[known] >= expected[known] * (1 - 1e-9)).all()
    # What needs no rounding is not known of a whole channel: x - mean, a few roundings of some eight, or y itself.
    of_result = bounds.gamma(1) * np.abs(running.exact[known])
    of_underflow = 20 * bounds.underflow() * (1 + np.abs(scale.exact)) * (1 + 1 / np.abs(deviation.exact))
    of_underflow = np.broadcast_to(of_underflow, bound.shape)[known]
    assert (bound[known] <= 1.5 * expected[known] + of_result + of_underflow).all()


def test_a_momentum_that_is_rounded_before_it_is_taken_from_1_conforms():
    """ONNX's momentum is a float32: onnxruntime takes 1 - 0.99 to be 0.00999999, which is 1e-6 of it less."""
    one, x = np.ones(1, np.float32), np.array([[151], [152]], np.float32)
    case = Case((x, one, one, one, one), {"epsilon": 1e-5, "momentum": 0.99, "training": True})
    expected = judge.expect_forward("batch_normalization", case, subjects.find("onnxruntime"))
    model, feeds = build_alone("batch_normalization", case.inputs, case.attributes, 15)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    _, mean, _ = session.run(None, feeds)
    for computed, is_within in ((mean, True), (mean - 2e-5, False)):
        verdict = comparison.verdict(computed, expected.exact[1], expected.bounds[1])
        assert verdict.within == is_within, verdict.text


@pytest.mark.parametrize(("computed", "is_within"), [(0, True), (-1.92e-34, True), (5e-34, False), (-8e-34, False)])
def test_half_a_slope_may_be_flushed(computed, is_within):
    """The scale is a normal number and its half is not, so that the gradient of the variance may be 0 for -1.92e-34."""
    scale, inputs = np.float32([1.2e-38]), (np.float32([[4]]), *(np.zeros(1, np.float32) for _ in range(3)))
    attributes = {"epsilon": 1.0, "momentum": 0.9, "training": False}
    x, bias, mean, variance = inputs
    needs = (False,) * 4 + (True,)
    flushing = types.SimpleNamespace(denormals=False, name="flushing", array=np.array, to_host=np.array)
    case = Case((x, scale, bias, mean, variance), attributes, np.float32([[8000]]))
    expected = judge.expect_backward("batch_normalization", case, flushing, needs=needs)
    (exact,), (bound,) = expected.exact, expected.bounds
    np.testing.assert_allclose(exact, -1.92e-34, rtol=1e-6)
    assert comparison.verdict(np.float32([computed]), exact, bound).within == is_within


@pytest.mark.parametrize("operation", OPERATIONS)
def test_cases_of_onnx(page_backend, operation):
    def translate(given, x, *others):
        return (x, *others), {"epsilon": given.get("epsilon", 1e-5)} | TRANSLATED[operation](given, x)

    check_node_cases(operation, ONNX[operation], translate, page_backend, tolerance=4e-6)


@pytest.mark.parametrize(
    "shape", [(2, 3), (3, 70_001), (70_001, 3), (2, 3, 1), (5, 2, 15), (5, 2, 16), (300, 2, 30), (2, 3, 70_001)]
)
def test_statistics_over_long_axes_of_values_far_from_zero(page_backend, shape):
    """Of the mean of the squares less the square of the mean no digit would be right."""
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32) + np.float32(3000)
    channels = shape[1]
    zeros, ones = np.zeros(channels, np.float32), np.ones(channels, np.float32)
    arrays = [page_backend.array(entry) for entry in (x, ones, zeros, zeros, ones)]
    attributes = INFERENCE | {"training": True, "momentum": 0.0}
    (y, mean, variance), _ = page_backend.operation("batch_normalization").forward(*arrays, **attributes)
    y, mean, variance = map(page_backend.to_host, (y, mean, variance))
    axes = tuple(axis for axis in range(x.ndim) if axis != 1)
    # In whatever order the device adds up numbers that are nearly equal: theory/probable.py derives it.
    np.testing.assert_allclose(mean, x.mean(axis=axes, dtype=np.float64), rtol=probable.FACTOR * 2**-24)
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


def test_a_run_ends_the_same_when_it_is_resumed_and_its_model_is_exported(tmp_path, monkeypatch):
    small_run.write_inputs(tmp_path)
    (tmp_path / "with_normalization.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    options = {"data": "data.npz", "model": "with_normalization:make", "batch_size": 8, "lr": 0.02, "seed": 3}
    with rm.use_backend("reference"):
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
        export(whole.model, tmp_path / "model.onnx", (1, 6, 6), examples=4, backends=["reference"])
    operators = [node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node]
    assert operators.count("BatchNormalization") == 2


LAYERS = {
    "group": (lambda: rm.GroupNormalization(2, epsilon=1e-3), lambda x: x.reshape(5, 2, -1), (4,)),
    "instance": (lambda: rm.InstanceNormalization(epsilon=1e-3), lambda x: x.reshape(5, 4, -1), (4,)),
    "layer": (lambda: rm.LayerNormalization(epsilon=1e-3), lambda x: x, (6,)),
    "layer from the first axis on": (
        lambda: rm.LayerNormalization(1, epsilon=1e-3),
        lambda x: x.reshape(5, -1),
        (4, 3, 6),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_normalise_and_learn(page_backend, name):
    make, rows, shape = LAYERS[name]
    x = np.random.default_rng(0).normal(3, 2, (5, 4, 3, 6)).astype(np.float32)
    with rm.use_backend(page_backend):
        model = rm.Sequential([make()])
        with model.train():
            y = model(x)
            loss = (y * y * y).sum()
        gradients = loss.grad()
        assert {entry: parameter.shape for entry, parameter in model.parameters()} == {
            "0.scale": shape,
            "0.bias": shape,
        }
        assert all(np.abs(gradients.get(entry).as_ndarray()).min() > 0 for _, entry in model.parameters())
    expected = (rows(x) - rows(x).mean(axis=-1, keepdims=True)) / np.sqrt(rows(x).var(axis=-1, keepdims=True) + 1e-3)
    np.testing.assert_allclose(y.as_ndarray(), expected.reshape(x.shape), rtol=1e-4, atol=1e-5)


def test_the_layer_without_a_mean(page_backend):
    x = np.random.default_rng(0).normal(3, 2, (5, 3, 6)).astype(np.float32)
    with rm.use_backend(page_backend):
        model = rm.Sequential([rm.RMSNormalization(-2, epsilon=1e-3)])
        y = model(x).as_ndarray()
    assert {entry: parameter.shape for entry, parameter in model.parameters()} == {"0.scale": (3, 6)}
    expected = x / np.sqrt(np.square(x).mean(axis=(1, 2), keepdims=True) + 1e-3)
    np.testing.assert_allclose(y, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("opset", "operators"),
    [
        (16, {"InstanceNormalization"}),
        (17, {"InstanceNormalization", "LayerNormalization"}),
        (22, {"InstanceNormalization", "LayerNormalization"}),
    ],
)
def test_the_exported_operators(opset, operators, tmp_path):
    layers = rm.InstanceNormalization(), rm.GroupNormalization(2), rm.LayerNormalization(), rm.RMSNormalization()
    with rm.use_backend("reference"):
        model = rm.Sequential([rm.Conv2d(4, 2), *layers])
        export(model, tmp_path / "model.onnx", (1, 4, 4), opset=opset, examples=2, backends=["reference"])
    found = {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    assert {name for name in found if name.endswith("Normalization")} == operators


def test_groups_far_from_0_are_exported_right(tmp_path):
    """By ONNX's operator of that name all digits of their variance cancel."""
    with rm.use_backend("reference"):
        model = rm.Sequential([rm.GroupNormalization(1)])
        export(model, tmp_path / "model.onnx", (2, 1, 1), opset=22, examples=2, backends=["reference"])
    session = onnxruntime.InferenceSession((tmp_path / "model.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {session.get_inputs()[0].name: np.float32([[100_000, 100_001]]).reshape(1, 2, 1, 1)})
    np.testing.assert_allclose(y.ravel(), [-1, 1], rtol=1e-4)


def test_the_operator_of_a_later_version():
    """No export writes opset 23 yet, in which there is one of ONNX's own."""
    inputs = np.float32([[1, 7], [3, 3]]), np.float32([2, 3])
    model, feeds = build_alone("rms_normalization", inputs, {"axis": 1, "epsilon": 0.0}, 23)
    assert [node.op_type for node in model.graph.node] == ["RMSNormalization"]
    (y,) = ReferenceEvaluator(model).run(None, feeds)
    np.testing.assert_allclose(y, [[0.4, 4.2], [2, 3]], rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "shape", "error", "match"),
    [
        (lambda: rm.GroupNormalization(3), (2, 4, 5), ShapeError, "4 channels, which 3 groups"),
        (lambda: rm.GroupNormalization(4), (2, 4), ShapeError, "one value for each group"),
        (lambda: rm.GroupNormalization(0), (2, 4), ArgumentError, "groups is 0"),
        (lambda: rm.InstanceNormalization(), (2, 4), ShapeError, "one value for each channel of each image"),
        (lambda: rm.InstanceNormalization(epsilon=-1), (2, 4, 3), ArgumentError, "epsilon is -1"),
        (lambda: rm.InstanceNormalization(), (4,), ShapeError, "(N, C, ...)"),
        (lambda: rm.LayerNormalization(), (3, 1), ShapeError, "2 values or more"),
        (lambda: rm.LayerNormalization(), (0, 3), ShapeError, "without an axis of size 0"),
        (lambda: rm.LayerNormalization(2), (3, 4), ArgumentError, "axis is 2"),
        (lambda: rm.LayerNormalization(-3), (3, 4), ArgumentError, "axis is -3"),
        (lambda: rm.LayerNormalization(1.0), (3, 4), ArgumentError, "axis is 1.0"),
        (lambda: rm.RMSNormalization(epsilon=np.inf), (3, 4), ArgumentError, "epsilon is inf"),
        (lambda: rm.RMSNormalization(True), (3, 4), ArgumentError, "axis is True"),
    ],
)
def test_what_cannot_be_normalised_is_refused(make, shape, error, match):
    with rm.use_backend("reference"), pytest.raises(error, match=re.escape(match)):
        make()(np.ones(shape))


@pytest.mark.parametrize("make", [lambda: rm.GroupNormalization(2), rm.InstanceNormalization, rm.LayerNormalization])
def test_another_shape_than_at_the_first_call_is_refused(make):
    layer = make()
    with rm.use_backend("reference"):
        layer(np.ones((2, 4, 4)))
        with pytest.raises(ShapeError, match="scale has shape .4,."):
            layer(np.ones((2, 6, 6)))


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

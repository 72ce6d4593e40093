"""Models and arguments that an export refuses, before any proof, and models of several inputs and outputs."""

import os

import numpy as np
import onnxruntime
import pytest

import refcnn as rm
from refcnn.data import Preprocessing
from refcnn.errors import ArgumentError, ExportError, FileWriteError, ShapeError
from refcnn.onnx import export, exporting, load


@pytest.fixture(autouse=True)
def reference():
    with rm.use_backend("reference"):
        yield


class Changing(rm.Model):
    """A forward pass that is another function for another batch or other values."""

    def __init__(self, change):
        super().__init__()
        self.dense, self.change = rm.Dense(3, input_size=4), change

    def forward(self, x):
        return self.change(self.dense(x), x)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y, x: rm.relu(y) if x.shape[0] == 3 else y, "1 operations, but 2 when run on a batch of 3"),
        (
            lambda y, x: rm.relu(y) if x.shape[0] == 3 else rm.softmax(y),
            "operation 2 is softmax.dense_1, axis=1., but relu",
        ),
        (lambda y, x: rm.add(y, np.ones(y.shape)), "constant.1, which add_1 .* shape"),
        (lambda y, x: rm.add(y, y.as_ndarray() * 2), "constant.1, which add_1"),
        (lambda y, x: rm.relu(y) if x.as_ndarray().min() < -0.5 else y, "when run on a batch of . drawn images"),
        (lambda y, x: rm.relu(np.ones((x.shape[0], 3))), "does not depend on its input"),
        (lambda y, x: y.as_ndarray(), "a ndarray, is not the result"),
        (lambda y, x: x, "a Variable, is not the result"),
        (lambda y, x: rm.softmax_cross_entropy(y, y, reduce_sum=False), "softmax_cross_entropy, which has no ONNX"),
    ],
)
def test_what_is_no_fixed_graph_is_refused(tmp_path, change, message):
    with pytest.raises(ExportError, match=message):
        export(Changing(change), tmp_path / "model.onnx", (4,), backends=["reference"])
    assert os.listdir(tmp_path) == []


def test_a_batch_reduced_away_is_refused(tmp_path):
    def change(y, x):
        return rm.softmax_cross_entropy(y, y)

    with pytest.raises(ExportError, match="first axis is not the batch"):
        export(Changing(change), tmp_path / "model.onnx", (4,))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_parameters_that_are_not_finite_are_refused(tmp_path, value):
    model = rm.Sequential([rm.Dense(3, input_size=4)])
    weights = np.ones((4, 3))
    weights[1, 2] = value
    model.set_state({"0.w": weights, "0.b": np.zeros((1, 3))})
    with pytest.raises(ExportError, match="0.w holds 1 values of 12 that are NaN or infinite"):
        export(model, tmp_path / "model.onnx", (4,))


def test_huge_parameters(tmp_path):
    model = rm.Sequential([rm.Dense(3, input_size=4)])
    model.set_state({"0.w": np.full((4, 3), 1e30), "0.b": np.full((1, 3), -1e30)})
    export(model, tmp_path / "model.onnx", (4,), examples=5, backends=["reference"])
    model = rm.Sequential([rm.Dense(3, input_size=4), rm.Dense(3, input_size=3)])
    model.set_state(
        {"0.w": np.full((4, 3), 1e30), "0.b": np.zeros((1, 3)), "1.w": np.full((3, 3), 1e30), "1.b": np.zeros((1, 3))}
    )
    with pytest.raises(ExportError, match="leave float32's range"):
        export(model, tmp_path / "overflow.onnx", (4,), backends=["reference"])
    assert os.listdir(tmp_path) == ["model.onnx"]


def test_a_model_too_large_for_one_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "_LARGEST_CONSTANTS", 100)
    with pytest.raises(ExportError, match=r"take 104 bytes.*100"):
        export(rm.Sequential([rm.Dense(2)]), tmp_path / "model.onnx", (12,))


def test_arguments(tmp_path):
    model, path = rm.Sequential([rm.Dense(3)]), tmp_path / "model.onnx"
    for message, options in [
        ("opset is 12", {"opset": 12}),
        ("opset is 23", {"opset": 23}),
        ("opset is 'new'", {"opset": "new"}),
        ("input_shape is 4", {"input_shape": 4}),
        ("input_shape is .0, 4.", {"input_shape": (0, 4)}),
        ("examples is 0", {"examples": 0}),
        ("classes is 'abc'", {"classes": "abc"}),
        ("there are 2 classes", {"classes": ["a", "b"]}),
        ("preprocessing gives .1, 2, 2.", {"preprocessing": Preprocessing(1.0, 1, 2, 2)}),
        ("the model is Dense", {"model": rm.Dense(3)}),
    ]:
        with pytest.raises(ArgumentError, match=message):
            export(**{"model": model, "path": path, "input_shape": (4,), **options})
    with model.train(), pytest.raises(ArgumentError, match="after the block"):
        export(model, path, (4,))
    with pytest.raises(ShapeError, match="put Flatten"):
        export(rm.Sequential([rm.Dense(3)]), path, (1, 2, 2))
    with pytest.raises(FileWriteError, match="missing"):
        export(model, tmp_path / "missing" / "model.onnx", (4,))
    assert os.listdir(tmp_path) == []


class Siamese(rm.Model):
    def forward(self, a, b):
        return rm.add(a, b)


class Both(rm.Model):
    def forward(self, x):
        return rm.relu(x), rm.softmax(x)


@pytest.mark.parametrize("shapes", [(5,), [(5,)] * 3])
def test_another_number_of_inputs_is_refused(tmp_path, shapes):
    with pytest.raises(ExportError, match=r"forward\(a, b\)"):
        export(Siamese(), tmp_path / "model.onnx", shapes, backends=["reference"])
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.parametrize("model, shapes", [(Siamese(), [(5,), (5,)]), (Siamese(), [(4, 5), (1, 5)]), (Both(), (5,))])
def test_several_inputs_and_outputs_are_exported(tmp_path, model, shapes):
    path, number = tmp_path / "model.onnx", 2 if isinstance(model, Both) else 1
    proof = export(model, path, shapes, backends=["reference"], examples=4)
    assert proof.examples == 4 and all(0 <= ratio <= 1 for ratio in proof.ratios.values())
    inputs, outputs = (["a", "b"], ["logits"]) if number == 1 else (["image"], ["output_1", "output_2"])
    again = load(path)
    assert [list(again.input_names), list(again.output_names)] == [inputs, outputs]
    shapes = shapes if number == 1 else [shapes]
    arrays = [np.arange(-7.0, 3 * np.prod(shape) - 7).reshape(3, *shape).astype(np.float32) for shape in shapes]
    found = model(*arrays)
    for one, other in zip(found if number == 2 else (found,), again.run(arrays), strict=True):
        np.testing.assert_allclose(other, one.as_ndarray(), rtol=1e-6)
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    for one, other in zip(again.run(arrays), session.run(None, dict(zip(inputs, arrays, strict=True))), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-6)


def test_a_result_that_is_returned_twice_has_two_names(tmp_path):
    class Twice(rm.Model):
        def forward(self, x):
            y = rm.relu(x)
            return y, y

    export(Twice(), tmp_path / "model.onnx", (5,), backends=["reference"], examples=3)
    first, second = load(tmp_path / "model.onnx").run([np.ones((2, 5), np.float32)])
    np.testing.assert_array_equal(first, second)


def test_classes_and_preprocessing_are_of_one_output_and_one_input(tmp_path):
    with pytest.raises(ArgumentError, match="one name for each value of a row"):
        export(Both(), tmp_path / "model.onnx", (2,), classes=["a", "b"], backends=["reference"])
    with pytest.raises(ArgumentError, match="preprocessing"):
        export(Siamese(), tmp_path / "model.onnx", [(1, 2, 2)] * 2, preprocessing=Preprocessing(1.0, 1, 2, 2))

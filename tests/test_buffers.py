"""Buffers: state that is found, saved, resumed, copied and exported as parameters are, but not trained."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import onnxruntime
import pytest

import refcnn as rm
from refcnn import backend as backends
from refcnn import models
from refcnn.errors import ArgumentError, CheckpointError, ExportError, GradientError, ShapeError
from refcnn.mode import is_training, recording
from refcnn.npz import save
from refcnn.onnx import export
from refcnn.runs import training
from refcnn.runs.checkpoint import Checkpoint
from refcnn.runs.run_folder import RunFolder

from . import small_run

X = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)


@pytest.fixture(autouse=True)
def reference():
    rm.set_seed(0)
    with rm.use_backend("reference"):
        yield


class Shift(rm.Layer):
    """Subtracts the mean of all that it was trained on, and adds a bias; both are made at the first call."""

    def parameter_shapes(self):
        return {"b": (1, None)}

    def buffer_shapes(self):
        return {"minus_mean": (1, None)}

    def forward(self, x):
        size = x.shape[1]
        if not self.params:
            self.set_buffers({"minus_mean": np.zeros((1, size))})
            self.set_parameters({"b": np.zeros((1, size))})
        shift = self.buffers.minus_mean
        if is_training():
            shift.set(0.75 * shift - 0.25 * x.mean(axis=0, keepdims=True))
        return rm.dense(rm.dense(x, np.eye(size), shift), np.eye(size), self.params.b)


def network():
    return rm.Sequential([rm.Flatten(), Shift(), rm.Dense(3)])


def train(model, optimizer, steps=3):
    for _ in range(steps):
        with model.train():
            loss = rm.softmax_cross_entropy(model(X), np.eye(3)[[0, 1, 2, 0]])
        gradients = loss.grad()
        gradients.update(optimizer)
    return gradients


def test_buffers_are_found_where_parameters_are():
    model = rm.Sequential([Shift()])
    model.scale, model.more = rm.Buffer([2.0]), {"steps": [rm.Buffer([0.0])], "parameter": rm.Parameter([1.0])}
    model.again = model.scale
    model(X)
    assert [name for name, _ in model.named_buffers()] == ["scale", "more.steps.0", "0.minus_mean"]
    assert [name for name, _ in model.parameters()] == ["more.parameter", "0.b"]
    assert dict(model[0].own_buffers()) == {"minus_mean": model[0].buffers.minus_mean}
    assert [name for name, _ in model[0].own_parameters()] == ["b"]
    assert set(model.state()) == {"scale", "again", "more.steps.0", "more.parameter", "0.b", "0.minus_mean"}
    with pytest.raises(AttributeError, match="no buffer 'variance'"):
        model[0].buffers.variance  # noqa: B018


def test_a_layer_of_layers_may_have_an_attribute_of_that_name():
    """As before there were buffers, a list in an attribute is a part of the names of what lies in it."""
    model = rm.Sequential([])
    model.buffers = [rm.Dense(2, input_size=3)]
    assert [name for name, _ in model.parameters()] == ["buffers.0.w", "buffers.0.b"]


def test_a_buffer_and_a_parameter_of_one_name_are_refused():
    layer = Shift()
    layer.b = rm.Buffer([1.0])
    layer(X)
    with pytest.raises(ArgumentError, match="'b'"):
        rm.Sequential([layer]).state()


def test_no_optimizer_changes_a_buffer_and_none_has_a_gradient():
    model, optimizer = network(), rm.Sgd(lr=0.1)
    gradients = train(model, optimizer, 1)
    buffer = model[1].buffers.minus_mean
    np.testing.assert_allclose(buffer.as_ndarray(), -0.25 * X.mean(axis=0, keepdims=True), rtol=1e-6)
    with pytest.raises(GradientError):
        gradients.get(buffer)
    assert all(variable is not buffer for variable, _ in gradients)
    assert optimizer.state(buffer) == {}


@pytest.mark.parametrize("is_made", [False, True])
def test_buffers_are_saved_and_loaded(tmp_path, is_made):
    model, twin = network(), network()
    train(model, rm.Sgd(lr=0.1))
    model.save(tmp_path / "model.npz")
    if is_made:
        twin(X)
        former = twin[1].buffers.minus_mean
    twin.load(tmp_path / "model.npz")
    assert isinstance(twin[1].buffers.minus_mean, rm.Buffer) and set(twin[1].params) == {"b"}
    assert not is_made or twin[1].buffers.minus_mean is former
    np.testing.assert_array_equal(twin(X).as_ndarray(), model(X).as_ndarray())


@pytest.mark.parametrize("is_made", [False, True])
@pytest.mark.parametrize(
    "change", [{"1.minus_mean": None}, {"1.minus_mean": np.zeros((5,))}, {"1.variance": np.zeros((1, 5))}]
)
def test_buffers_of_another_model_are_refused(change, is_made):
    model, twin = network(), network()
    train(model, rm.Sgd(lr=0.1))
    if is_made:
        twin(X)
    before = twin.state()
    state = {name: array for name, array in (model.state() | change).items() if array is not None}
    with pytest.raises(CheckpointError):
        twin.set_state(state)
    assert twin.state().keys() == before.keys()
    for name, array in twin.state().items():
        np.testing.assert_array_equal(array, before[name])


def test_whole_numbers_and_truth_values_stay_what_they_are(tmp_path, backend):
    def make(steps=0):
        model = rm.Sequential([rm.Dense(2, input_size=3)])
        model.steps, model.seen = rm.Buffer([steps]), rm.Buffer([False, steps > 0])
        return model

    with rm.use_backend(backend):
        model, twin = make(2**53 + 1), make()
        model.save(tmp_path / "model.npz")
        twin.load(tmp_path / "model.npz")
        for copied in (twin, model.replica("reference"), model.replica(backend)):
            assert copied.steps.dtype == np.int64 and copied.seen.dtype == np.bool_
            assert copied.steps.as_ndarray()[0] == 2**53 + 1 and copied.seen.as_ndarray()[1]
        for wrong in ({"steps": np.array([1.0])}, {"seen": np.array([0, 1])}, {"steps": np.array([1], np.int32)}):
            with pytest.raises(CheckpointError, match="in this model"):
                twin.set_state(model.state() | wrong)
        assert twin.steps.as_ndarray()[0] == 2**53 + 1


def test_a_file_in_which_a_parameter_is_of_whole_numbers_is_refused(tmp_path):
    model = rm.Sequential([rm.Dense(2, input_size=3)])
    before = model.state()
    save(tmp_path / "model.npz", before | {"0.b": np.ones((1, 2), np.int64)}, {"format": "refcnn parameters"})
    with pytest.raises(CheckpointError, match=r"0\.b.*int64"):
        model.load(tmp_path / "model.npz")
    checkpoint = Checkpoint(before | {"0.b": np.ones((1, 2), np.int64)}, {}, 0, None, np.zeros(0), 0.0, 0, 0, [])
    with pytest.raises(CheckpointError, match=r"0\.b.*int64"):
        checkpoint.restore(model)
    np.testing.assert_array_equal(model.state()["0.b"], before["0.b"])
    model = network()
    model(X)
    save(tmp_path / "model.npz", {"1.minus_mean": np.ones((1, 5), np.int16)}, {"format": "refcnn parameters"})
    with pytest.raises(CheckpointError, match=r"1\.minus_mean.*int16.*float64 or int64 or int32 or bool"):
        model.load(tmp_path / "model.npz")


def test_a_layer_takes_no_buffers_of_another():
    layer = Shift()
    for wrong in ({"minus_mean": (5,)}, {"mean": (1, 5)}, {}):
        with pytest.raises(ShapeError):
            layer.set_buffers({name: np.zeros(shape) for name, shape in wrong.items()})
        assert not layer.buffers


def test_the_summary_counts_buffers_beside_parameters(capsys):
    network().summary((5,))
    heading, _, flatten, shift, dense, total = map(str.split, capsys.readouterr().out.splitlines())
    assert heading == ["layer", "output", "shape", "parameters", "buffers", "FLOP", "memory"]
    counts = [row[-5:-3] for row in (flatten, shift, dense, total)]
    assert counts == [["0", "0"], ["5", "5"], ["18", "0"], ["23", "5"]]


def test_a_summary_before_the_first_call_says_what_is_not_made():
    (line,) = (line for line in repr(network()).splitlines() if "Shift" in line)
    assert line.count("not made yet") == 2


def test_models_without_buffers_have_no_column_of_them():
    assert "buffers" not in repr(rm.Sequential([rm.Dense(2, input_size=3)]))


def test_buffers_are_exported_as_constants_by_name(tmp_path):
    model = network()
    train(model, rm.Sgd(lr=0.1))
    export(model, tmp_path / "model.onnx", (5,), examples=4, backends=["reference"])
    (stored,) = (
        onnx.numpy_helper.to_array(entry)
        for entry in onnx.load(tmp_path / "model.onnx").graph.initializer
        if entry.name == "1.minus_mean"
    )
    np.testing.assert_array_equal(stored.reshape(1, 5), model[1].buffers.minus_mean.as_ndarray())
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"image": X})
    np.testing.assert_allclose(found, model(X).as_ndarray(), rtol=1e-4, atol=1e-5)


HIDING = rm.Buffer(np.ones((1, 5)))


class Hiding(rm.Model):
    def __init__(self):
        super().__init__()
        self.dense = rm.Dense(3)

    def forward(self, x):
        return self.dense(rm.dense(rm.flatten(x), np.eye(5), HIDING))


def test_a_buffer_that_the_model_does_not_list_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ExportError, match="attribute of the model"):
        export(Hiding(), tmp_path / "model.onnx", (5,), backends=["reference"])
    monkeypatch.setitem(models.NAMED, "hiding", lambda image_shape, classes: Hiding())
    with pytest.raises(ArgumentError, match="attribute of the model"):
        models.build("hiding", (1, 1, 5), 3)


def test_a_buffer_is_read_and_set_on_any_backend(backend):
    model = network()
    train(model, rm.Sgd(lr=0.1))
    expected = model(X).as_ndarray()
    with rm.use_backend(backend):
        np.testing.assert_allclose(model(X).as_ndarray(), expected, rtol=1e-4, atol=1e-5)
        train(model, rm.Sgd(lr=0.1))
    assert model[1].buffers.minus_mean.backend is backend
    assert np.isfinite(model(X).as_ndarray()).all()


def test_what_is_set_keeps_shape_and_dtype():
    buffers = {dtype: rm.Buffer(np.zeros(2), dtype=dtype) for dtype in ("float32", "int64", "int32", "bool")}
    for given in ([1, 0], np.array([1, 0], np.uint8), np.array([True, False]), rm.Buffer([True, False])):
        buffers["float32"].set(given if not isinstance(given, rm.Variable) else given.astype("float32"))
        np.testing.assert_array_equal(buffers["float32"].as_ndarray(), [1, 0])
    buffers["int64"].set([2**24 + 1, 0])
    buffers["int32"].set([7, 0])
    buffers["bool"].set(rm.Variable([True, False]))
    assert [int(entry[0]) for entry in buffers.values()] == [1, 2**24 + 1, 7, 1]
    assert [entry.dtype.name for entry in buffers.values()] == list(buffers)
    for dtype, other in (
        ("int64", [0.5, 0.5]),
        ("bool", [1, 0]),
        ("int32", rm.Variable([1, 2])),
        ("float32", rm.Variable([1, 2])),
    ):
        with pytest.raises(ArgumentError, match="Convert"):
            buffers[dtype].set(other)
    for other in (0.0, [1.0], [[1.0, 2.0]], rm.Variable(np.ones(3))):
        with pytest.raises(ShapeError, match="shape"):
            buffers["float32"].set(other)
    np.testing.assert_array_equal(buffers["float32"].as_ndarray(), [1, 0])


def test_what_is_set_is_apart_from_what_it_was_set_to():
    parameter, buffer = rm.Parameter([1.0, 2.0]), rm.Buffer([0.0, 0.0])
    with recording():
        buffer.set(parameter * 2)
        loss = (parameter * buffer).sum()
    np.testing.assert_array_equal(loss.grad().get(parameter).as_ndarray(), [2.0, 4.0])
    buffer.set(parameter)
    parameter.set([5.0, 5.0])
    np.testing.assert_array_equal(buffer.as_ndarray(), [1.0, 2.0])


def test_threads_read_a_buffer_whole_while_another_sets_it():
    """On whichever backend, before or after: never a part of either value."""
    buffer, is_done = rm.Buffer(np.zeros((1, 200))), threading.Event()
    names = ("reference", "reference:float64")

    def learn():
        for number in range(1, 400):
            with rm.use_backend(names[number % 2]):
                buffer.set(np.full((1, 200), float(number)))
        is_done.set()

    def read(name):
        seen = [0.0]
        with rm.use_backend(name):
            while not is_done.is_set():
                values = rm.relu(buffer).as_ndarray()
                assert values.dtype == backends.active().dtype
                assert (values == values[0, 0]).all() and values[0, 0] >= seen[-1]
                seen.append(values[0, 0])
        return seen

    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(read, name) for name in names] + [pool.submit(learn)]
        for future in futures:
            future.result(60)
    assert float(buffer.as_ndarray()[0, 0]) == 399.0


OWN = """
import numpy as np
import refcnn as rm
from refcnn.mode import is_training, recording


class Shift(rm.Layer):
    def __init__(self):
        super().__init__()
        self.buffers["shift"] = rm.Buffer(np.zeros((1, 36)))

    def forward(self, x):
        shift = self.buffers.shift
        if is_training():
            shift.set(0.9 * shift - 0.1 * x.mean(axis=0, keepdims=True))
        return rm.dense(x, np.eye(36), shift)


def make(image_shape, classes):
    return rm.Sequential([rm.Flatten(), Shift(), rm.Dropout(0.3), rm.Dense(classes)])
"""


def test_a_run_with_buffers_ends_the_same_when_it_is_resumed(tmp_path, monkeypatch):
    small_run.write_inputs(tmp_path)
    (tmp_path / "with_buffers.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    options = {"data": "data.npz", "model": "with_buffers:make", "batch_size": 8, "lr": 0.02, "seed": 3}
    whole = training.start({**options, "epochs": 2}, tmp_path / "whole")
    whole.finish(lambda line: None)
    part = training.start({**options, "epochs": 1}, tmp_path / "part")
    part.finish(lambda line: None)
    resumed = training.resume(RunFolder.open(tmp_path / "part", "with_buffers:make"), {"epochs": 2})
    resumed.finish(lambda line: None)
    small_run.assert_same(whole.run.last, part.run.last)
    restored = models.build("with_buffers:make", (1, 6, 6), 3)
    checkpoint = Checkpoint.load(part.run.last)
    checkpoint.restore(restored)
    assert restored[1].buffers.shift.as_ndarray().any()
    np.testing.assert_array_equal(restored[1].buffers.shift.as_ndarray(), whole.model[1].buffers.shift.as_ndarray())
    assert set(checkpoint.optimizer) == {name for name, _ in restored.parameters()}

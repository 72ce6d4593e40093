"""Parameters are found wherever a model keeps them: saved, resumed, summarised, exported; others are refused."""

import json
import types

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn import models, npz
from refcnn.errors import ArgumentError, CheckpointError, ExportError, ShapeError
from refcnn.mode import is_training
from refcnn.onnx import export
from refcnn.runs import training
from refcnn.runs.checkpoint import Checkpoint
from refcnn.runs.run_folder import RunFolder

from . import small_run

X = np.random.default_rng(0).normal(size=(3, 6))


@pytest.fixture(autouse=True)
def reference():
    with rm.use_backend("reference"):
        yield


class Affine(rm.Layer):
    """A layer with a parameter in an attribute of its own and a layer inside it."""

    def __init__(self):
        super().__init__()
        self.shift = rm.Parameter(np.full((1, 4), 0.5))
        self.inner = rm.Dense(4)

    def forward(self, x):
        return rm.dense(self.inner(x), np.eye(4), self.shift)


class Everywhere(rm.Model):
    """One parameter in every place that is searched, a layer that is used twice, and a circle."""

    def __init__(self):
        super().__init__()
        self.heads = {"digit": rm.Dense(4), "a.b/ü": [rm.Dense(4)], 3: (rm.Dense(4),)}
        self.deep = [[rm.Dense(4), [rm.Dense(4)]], {"x": {"y": rm.Dense(4)}}]
        self.file = rm.Parameter(np.ones((1, 4)))
        self.params["own"] = rm.Parameter(np.full((1, 4), 2.0))
        self.affine = Affine()
        self.again = self.heads["digit"]
        self.me = self
        self.deep.append(self.deep)

    def forward(self, x):
        heads = [self.heads["digit"], self.heads["a.b/ü"][0], self.heads[3][0], self.affine, self.again]
        heads += [self.deep[0][0], self.deep[0][1][0], self.deep[1]["x"]["y"]]
        y = rm.dense(x, np.ones((6, 4)), rm.add(self.file, self.params.own))
        for head in heads:
            y = rm.add(y, head(x))
        return y


NAMES = {
    "file": (1, 4),
    "own": (1, 4),
    "affine.shift": (1, 4),
    **{
        f"{layer}.{key}": shape
        for layer in (
            "heads.digit",
            "heads.a%2Eb%2Fü.0",
            "heads.3.0",
            "deep.0.0",
            "deep.0.1.0",
            "deep.1.x.y",
            "affine.inner",
        )
        for key, shape in (("w", (6, 4)), ("b", (1, 4)))
    },
}


def test_parameters_are_found_in_every_place():
    model = Everywhere()
    model(X)
    names = [name for name, _ in model.parameters()]
    assert len(names) == len(set(names))
    assert {name: parameter.shape for name, parameter in model.parameters()} == NAMES
    assert {name: array.shape for name, array in model.state().items()} == NAMES


def test_what_is_found_is_saved_loaded_and_trained(tmp_path):
    model, other, built = Everywhere(), Everywhere(), Everywhere()
    optimizer = rm.Sgd(lr=0.1)
    for _ in range(2):
        with model.train():
            loss = rm.softmax_cross_entropy(model(X), np.eye(4)[:3])
        loss.grad().update(optimizer)
    y = model(X).as_ndarray()
    model.save(tmp_path / "model.npz")
    built(X)
    for twin in (other, built):
        twin.load(tmp_path / "model.npz")
        np.testing.assert_array_equal(twin(X).as_ndarray(), y)
    assert all(np.any(optimizer.state(parameter)["v"]) for _, parameter in model.parameters())


def test_the_summary_counts_every_parameter_once(capsys):
    model = Everywhere()
    model.summary((6,))
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].split()[:2] == ["total", f"{sum(int(np.prod(shape)) for shape in NAMES.values())}"]
    assert any(line.startswith("heads.digit: Dense") and "(N, 4)" in line and "28" in line for line in lines)
    assert any(line.startswith("affine: Affine") for line in lines)
    assert lines[1].split()[:4] == ["Everywhere", "(N,", "4)", "8"]


def test_the_exported_file_computes_what_the_model_does(tmp_path):
    model = Everywhere()
    model(X)
    random = np.random.default_rng(1)
    model.set_state({name: random.normal(size=shape) for name, shape in NAMES.items()})
    export(model, tmp_path / "model.onnx", (6,), examples=2, backends=["reference"])
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"image": X.astype(np.float32)})
    np.testing.assert_allclose(found, model(X).as_ndarray(), rtol=1e-4, atol=1e-5)
    names = {entry.name for entry in onnx.load(tmp_path / "model.onnx").graph.initializer}
    assert names >= set(NAMES)


class NamedLikeTheGraph(rm.Model):
    """Parameters with names that the graph has for its input, its output, its operations and its constants."""

    NAMES = ("image", "logits", "dense_1", "dense_2", "constant")

    def __init__(self):
        super().__init__()
        for number, name in enumerate(self.NAMES):
            setattr(self, name, rm.Parameter(np.full((1, 4), number + 1.0)))
        self.constant = [rm.Parameter(np.full((1, 4), 7.0)), self.constant]
        self.parameter = {"image": rm.Parameter(np.full((1, 4), 11.0))}

    def forward(self, x):
        x = rm.dense(x, np.ones((6, 4)))
        for name in self.NAMES[:-1]:
            x = rm.dense(x, 2 * np.eye(4), getattr(self, name))
        for bias in (*self.constant, self.parameter["image"]):
            x = rm.dense(x, np.eye(4), bias)
        return x


def test_names_that_the_graph_needs_do_not_mix_up_the_exported_file(tmp_path):
    model = NamedLikeTheGraph()
    export(model, tmp_path / "model.onnx", (6,), examples=2, backends=["reference"])
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"image": X.astype(np.float32)})
    np.testing.assert_allclose(found, model(X).as_ndarray(), rtol=1e-4)
    names = {entry.name for entry in onnx.load(tmp_path / "model.onnx").graph.initializer}
    assert {"parameter.parameter.image", "parameter.image", "parameter.constant.1"} <= names


def test_a_model_that_numpy_computes_is_refused_by_export(tmp_path):
    class Net(rm.Model):
        def forward(self, x):
            return rm.relu(np.tanh(x))

    with pytest.raises(ExportError, match="numpy.tanh"):
        export(Net(), tmp_path / "model.onnx", (6,), backends=["reference"])


def test_a_parameter_of_two_layers_is_one_parameter_under_both_names():
    model = rm.Sequential([rm.Dense(6, input_size=6), rm.Dense(6, input_size=6)])
    model[1].params["w"] = model[0].params.w
    assert [name for name, _ in model.parameters()] == ["0.w", "0.b", "1.b"]
    twin = rm.Sequential([rm.Dense(6), rm.Dense(6)])
    twin.set_state(model.state())
    np.testing.assert_array_equal(twin(X).as_ndarray(), model(X).as_ndarray())


class Tied(rm.Model):
    """Two layers with one w, as of an encoder and a decoder, and an untied twin."""

    def __init__(self, is_tied=True, classes=6):
        super().__init__()
        self.first, self.second = rm.Dense(classes, input_size=classes), rm.Dense(classes, input_size=classes)
        if is_tied:
            self.second.params["w"] = self.first.params.w

    def forward(self, x):
        return self.second(rm.relu(self.first(x)))


def test_the_gradients_of_a_shared_parameter_add_up():
    tied, untied = Tied(), Tied(is_tied=False)
    untied.set_state(tied.state())

    def gradients(model):
        with model.train():
            loss = rm.softmax_cross_entropy(model(X), np.eye(6)[:3])
        found = loss.grad()
        return {name: found.get(parameter).as_ndarray() for name, parameter in model.parameters()}

    together, apart = gradients(tied), gradients(untied)
    np.testing.assert_allclose(together["first.w"], apart["first.w"] + apart["second.w"], rtol=1e-5, atol=1e-7)
    assert set(apart) - set(together) == {"second.w"}
    for name in ("first.b", "second.b"):
        np.testing.assert_array_equal(together[name], apart[name])


@pytest.mark.parametrize("make", [lambda: rm.Sgd(lr=0.1, momentum=0.9), lambda: rm.Adam(lr=0.1)])
def test_a_shared_parameter_is_updated_once_and_has_one_state(make):
    model, optimizer = Tied(), make()
    for _ in range(3):
        with model.train():
            loss = rm.softmax_cross_entropy(model(X), np.eye(6)[:3])
        gradients = loss.grad()
        assert sum(variable is model.first.params.w for variable, _ in gradients) == 1
        gradients.update(optimizer)
    assert model.first.params.w is model.second.params.w
    assert optimizer.state(model.first.params.w)["step"] == 3


def test_a_shared_parameter_is_saved_under_each_name_and_loaded_as_one(tmp_path):
    model, twin = Tied(), Tied()
    model.save(tmp_path / "model.npz")
    state = model.state()
    np.testing.assert_array_equal(state["first.w"], state["second.w"])
    twin.load(tmp_path / "model.npz")
    assert twin.first.params.w is twin.second.params.w
    np.testing.assert_array_equal(twin(X).as_ndarray(), model(X).as_ndarray())
    # Of two values one would be lost without a word.
    before = twin.state()
    with pytest.raises(CheckpointError, match=r"first\.w and second\.w are one parameter"):
        twin.set_state(state | {"second.w": state["first.w"] + 1})
    for name, array in twin.state().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_shared_parameter_is_counted_and_exported_once(tmp_path):
    model = Tied()
    assert repr(model).splitlines()[-1].split() == ["total", "48"]
    export(model, tmp_path / "model.onnx", (6,), examples=2, backends=["reference"])
    stored = [entry.name for entry in onnx.load(tmp_path / "model.onnx").graph.initializer]
    assert sorted(stored) == ["first.b", "first.w", "second.b"]
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"image": X.astype(np.float32)})
    np.testing.assert_allclose(found, model(X).as_ndarray(), rtol=1e-4, atol=1e-5)


KEYS = st.one_of(st.text(max_size=4), st.integers(-9, 9), st.tuples(st.integers(0, 9), st.text(max_size=2)), st.none())


@given(keys=st.lists(KEYS, min_size=1, max_size=4, unique_by=str))
def test_any_keys_of_a_dict_give_names_that_files_can_hold(tmp_path_factory, keys):
    path = tmp_path_factory.mktemp("keys")
    model, twin = (rm.Sequential([]) for _ in range(2))
    model.heads, twin.heads = ({key: rm.Dense(2, input_size=3) for key in keys} for _ in range(2))
    names = [name for name, _ in model.parameters()]
    assert len(set(names)) == 2 * len(keys)
    model.save(path / "model.npz")
    twin.load(path / "model.npz")
    checkpoint = Checkpoint(model.state(), {name: {} for name in names}, 0, None, np.zeros(0), 0.0, 0, 0, [])
    checkpoint.save(path / "checkpoint.npz")
    restored = Checkpoint.load(path / "checkpoint.npz").parameters
    for state in (twin.state(), restored):
        assert set(state) == set(names)
        for name, array in model.state().items():
            np.testing.assert_array_equal(state[name], array)


def test_keys_without_a_lasting_name_are_refused():
    model = rm.Sequential([])
    model.heads = {object(): 3}
    assert list(model.parameters()) == []
    model.heads = {object(): rm.Dense(2, input_size=2)}
    with pytest.raises(ArgumentError, match="strings or numbers"):
        list(model.parameters())


def test_two_parameters_of_one_name_are_refused():
    model = rm.Sequential([])
    model.params["scale"], model.scale = rm.Parameter([1.0]), rm.Parameter([2.0])
    with pytest.raises(ArgumentError, match="'scale'"):
        model.state()


# Where parameters are kept that no search can find by a name.
HIDDEN = {
    "closure": "dense = rm.Dense(classes); model.head = lambda x: dense(x)",
    "set": "dense = rm.Dense(classes); model.kept = {dense}; model.head = lambda x: next(iter(model.kept))(x)",
    "object": "model.kept = types.SimpleNamespace(dense=rm.Dense(classes)); model.head = lambda x: model.kept.dense(x)",
    "parameter": "w = rm.Parameter(np.ones((36, classes))); model.head = lambda x: rm.dense(x, w)",
}
HIDING = """
import types
import numpy as np
import refcnn as rm


class Net(rm.Model):
    def forward(self, x):
        return self.head(rm.flatten(x))


def make(image_shape, classes):
    model = Net()
    {hidden}
    return model
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    small_run.write_inputs(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def options(model, **more):
    return {"data": "data.npz", "model": model, "epochs": 2, "batch_size": 8, "lr": 0.02, "seed": 3, **more}


@pytest.mark.parametrize("kind", HIDDEN)
def test_training_and_export_refuse_a_parameter_that_the_model_does_not_list(folder, kind):
    (folder / f"hiding_{kind}.py").write_text(HIDING.replace("{hidden}", HIDDEN[kind]))
    with pytest.raises(ArgumentError, match="attribute of the model"):
        training.start(options(f"hiding_{kind}:make"), folder / "run")
    assert not (folder / "run").exists()
    namespace = {"types": types, "rm": rm, "np": np}
    exec(HIDING.replace("{hidden}", HIDDEN[kind]), namespace)
    with pytest.raises(ExportError, match="attribute of the model"):
        export(namespace["make"]((1, 6, 6), 3), folder / "model.onnx", (1, 6, 6), backends=["reference"])
    assert not (folder / "model.onnx").exists()


def test_a_parameter_that_only_training_reads_is_refused_before_it_changes(folder, monkeypatch):
    hidden = rm.Parameter(np.ones((1, 3)))

    class Net(rm.Model):
        def __init__(self):
            super().__init__()
            self.dense = rm.Dense(3)

        def forward(self, x):
            y = self.dense(rm.flatten(x))
            return rm.dense(y, np.eye(3), hidden) if is_training() else y

    monkeypatch.setitem(models.NAMED, "net", lambda image_shape, classes: Net())
    session = training.start(options("net"), folder / "run")
    before = session.model.state()
    with pytest.raises(ArgumentError, match="attribute of the model"):
        session.finish(lambda line: None)
    np.testing.assert_array_equal(hidden.as_ndarray(), np.ones((1, 3)))
    for name, array in session.model.state().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_model_whose_parameters_take_no_part_is_refused(monkeypatch):
    class Cut(rm.Model):
        def __init__(self):
            super().__init__()
            self.dense = rm.Dense(3)

        def forward(self, x):
            return rm.relu(self.dense(rm.flatten(x)).as_ndarray())

    monkeypatch.setitem(models.NAMED, "cut", lambda image_shape, classes: Cut())
    with pytest.raises(ArgumentError, match="no parameter takes part"):
        models.build("cut", (1, 6, 6), 3)


HEADS = """
import refcnn as rm


class Net(rm.Model):
    def __init__(self, classes):
        super().__init__()
        self.heads = {"digit": rm.Dense(classes), "other": [rm.Dense(classes)]}
        self.drop = rm.Dropout(0.3)

    def forward(self, x):
        x = self.drop(rm.flatten(x))
        return rm.add(self.heads["digit"](x), self.heads["other"][0](x))


def make(image_shape, classes):
    return Net(classes)
"""


def test_a_run_with_heads_in_a_dict_ends_the_same_when_it_is_resumed(folder):
    (folder / "with_heads.py").write_text(HEADS)
    whole = training.start(options("with_heads:make"), folder / "whole")
    whole.finish(lambda line: None)
    part = training.start(options("with_heads:make", epochs=1), folder / "part")
    part.finish(lambda line: None)
    resumed = training.resume(RunFolder.open(folder / "part", "with_heads:make"), {"epochs": 2})
    resumed.finish(lambda line: None)
    small_run.assert_same(whole.run.last, part.run.last)
    x = whole.validation.preprocessing.apply(whole.validation.x[:5])
    restored = models.build("with_heads:make", (1, 6, 6), 3)
    Checkpoint.load(part.run.last).restore(restored)
    np.testing.assert_array_equal(restored(x).as_ndarray(), whole.model(x).as_ndarray())


TIED = """
import refcnn as rm


class Net(rm.Model):
    def __init__(self, classes):
        super().__init__()
        self.first, self.second = rm.Dense(36, input_size=36), rm.Dense(36, input_size=36)
        self.second.params["w"] = self.first.params.w
        self.drop, self.last = rm.Dropout(0.3), rm.Dense(classes)

    def forward(self, x):
        return self.last(self.drop(self.second(rm.relu(self.first(rm.flatten(x))))))


def make(image_shape, classes):
    return Net(classes)
"""


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_a_run_with_a_shared_parameter_ends_the_same_when_it_is_resumed(folder, optimizer):
    (folder / "tied.py").write_text(TIED)
    whole = training.start(options("tied:make", optimizer=optimizer), folder / "whole")
    whole.finish(lambda line: None)
    part = training.start(options("tied:make", epochs=1, optimizer=optimizer), folder / "part")
    part.finish(lambda line: None)
    resumed = training.resume(RunFolder.open(folder / "part", "tied:make"), {"epochs": 2})
    resumed.finish(lambda line: None)
    assert resumed.model.first.params.w is resumed.model.second.params.w
    small_run.assert_same(whole.run.last, part.run.last)
    checkpoint = Checkpoint.load(part.run.last)
    assert "second.w" in checkpoint.parameters and "second.w" not in checkpoint.optimizer
    np.testing.assert_array_equal(checkpoint.parameters["first.w"], checkpoint.parameters["second.w"])


# Loading into a model whose parameters are not made yet.


def small(**keywords):
    return rm.Sequential([rm.Conv2d(4, filter=3, **keywords), rm.Relu(), rm.Flatten(), rm.Dense(3)])


STATE = {"0.w": (4, 2, 3, 3), "0.b": (1, 4, 1, 1), "3.w": (16, 3), "3.b": (1, 3)}


def state(changes=()):
    shapes = {**STATE, **dict(changes)}
    return {name: np.full(shape, 0.5, np.float32) for name, shape in shapes.items() if shape is not None}


REFUSED = {
    "unknown": {"0.zzz": (3,)},
    "unknown in a layer without parameters": {"1.w": (3,)},
    "unknown layer": {"9.w": (3,)},
    "too many channels": {"0.w": (5, 2, 3, 3)},
    "another filter": {"0.w": (4, 2, 3, 5)},
    "too few axes": {"0.w": (4, 2, 3)},
    "no input channels": {"0.w": (4, 0, 3, 3)},
    "bias of another shape": {"0.b": (4,)},
    "units": {"3.w": (16, 5)},
    "bias of units": {"3.b": (1, 5)},
    "transposed": {"3.w": (3, 16)},
    "no bias": {"0.b": None},
    "no weight": {"3.w": None},
    "no last layer": {"3.w": None, "3.b": None},
}


@pytest.mark.parametrize("changes", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("is_run", [False, True], ids=["unmade", "made"])
def test_parameters_of_another_model_are_refused(tmp_path, changes, is_run):
    path = tmp_path / "model.npz"
    npz.save(path, state(changes), {"format": "refcnn parameters"})
    model = small()
    if is_run:
        model(np.zeros((1, 2, 4, 4)))
    before = model.state()
    with pytest.raises(CheckpointError):
        model.load(path)
    assert set(model.state()) == set(before)
    for name, array in model.state().items():
        np.testing.assert_array_equal(array, before[name])
    # What fits is taken by the same model afterwards.
    npz.save(path, state(), {"format": "refcnn parameters"})
    model.load(path)
    assert {name: array.shape for name, array in model.state().items()} == STATE
    assert model(np.zeros((1, 2, 4, 4))).shape == (1, 3)


def test_a_bias_that_the_layer_leaves_out_is_refused():
    for model in (small(ignore_bias=True), small(ignore_bias=True, input_size=2)):
        before = set(model.state())
        with pytest.raises(CheckpointError, match=r"0\.b"):
            model.set_state(state())
        assert set(model.state()) == before
        model.set_state(state({"0.b": None}))
        np.testing.assert_array_equal(model(np.zeros((1, 2, 4, 4))).as_ndarray(), np.full((1, 3), 0.5))


def test_a_size_that_is_given_is_held_against_the_file():
    model = small(input_size=3)
    with pytest.raises(CheckpointError, match=r"0\.w has shape \(4, 2, 3, 3\)"):
        model.set_state(state())
    assert set(model.state()) == {"0.w", "0.b"}


@pytest.mark.parametrize("values", [np.array([["a"] * 3] * 16), np.full((16, 3), 1j)])
def test_arrays_that_hold_no_numbers_leave_the_model_as_it_was(values):
    for model in (small(), small(input_size=2)):
        before = model.state()
        with pytest.raises(CheckpointError, match=r"3\.w"):
            model.set_state({**state(), "3.w": values})
        assert set(model.state()) == set(before)
        for name, array in model.state().items():
            np.testing.assert_array_equal(array, before[name])


class Unused(rm.Model):
    def __init__(self):
        super().__init__()
        self.used, self.spare = rm.Dense(2), rm.Dense(2)

    def forward(self, x):
        return self.used(x)


def test_a_layer_that_the_model_does_not_need_may_be_missing_where_the_model_has_been_run():
    model, twin = Unused(), Unused()
    model(X)
    with pytest.raises(CheckpointError, match=r"spare\.b.*call it once"):
        twin.set_state(model.state())
    twin(X)
    twin.set_state(model.state())
    np.testing.assert_array_equal(twin(X).as_ndarray(), model(X).as_ndarray())


class Scale(rm.Layer):
    """A user's own layer, which makes its parameter at the first call and does not tell before."""

    def forward(self, x):
        if not self.params:
            self.set_parameters({"b": np.full((1, x.shape[1]), 2.0)})
        return rm.dense(x, np.eye(x.shape[1]), self.params.b)


class TellingScale(Scale):
    def parameter_shapes(self):
        return {"b": (1, None)}


def test_own_layers_take_the_parameters_that_they_have_made_or_tell():
    saved = {"0.b": np.full((1, 6), 3.0)}
    wrong_ones = [{}, {"0.b": np.ones((2, 6))}, {**saved, "0.w": np.ones(1)}]
    for layer, wrong in ((TellingScale(), wrong_ones), (Scale(), [saved])):
        model = rm.Sequential([layer])
        for arrays in wrong:
            with pytest.raises(CheckpointError):
                model.set_state(arrays)
            assert not layer.params
    silent, telling = rm.Sequential([Scale()]), rm.Sequential([TellingScale()])
    silent(X)
    for model in (silent, telling):
        model.set_state(saved)
        np.testing.assert_allclose(model(X).as_ndarray(), X + 3, rtol=1e-6)


def test_a_checkpoint_with_states_of_parameters_that_it_lacks_is_refused():
    model = rm.Sequential([rm.Dense(2, input_size=3)])
    before = model.state()
    arrays = {name: np.zeros_like(array) for name, array in before.items()}
    checkpoint = Checkpoint(arrays, {"1.w": {}}, 0, None, np.zeros(0), 0.0, 0, 0, [])
    with pytest.raises(CheckpointError, match=r"1\.w"):
        checkpoint.restore(model, rm.Adam())
    for name, array in model.state().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_layer_takes_no_values_of_another():
    dense = rm.Dense(3, ignore_bias=True)
    for wrong in ({"w": (4, 3), "b": (1, 3)}, {"w": (4, 2)}, {"b": (1, 3)}, {}, {"w": (4, 3), "v": (1,)}):
        with pytest.raises(ShapeError):
            dense.set_parameters({name: np.ones(shape) for name, shape in wrong.items()})
        assert not dense.params
    dense.set_parameters({"w": np.ones((4, 3))})
    np.testing.assert_array_equal(dense(np.ones((1, 4))).as_ndarray(), np.full((1, 3), 4.0))


def test_files_of_earlier_versions_still_load(tmp_path):
    """What numpy.savez wrote, with the names that models of lists and attributes have always had."""
    metadata = np.frombuffer(json.dumps({"format": "refcnn parameters"}).encode(), np.uint8)
    np.savez(tmp_path / "model.npz", **{"refcnn.json": metadata}, **state())
    for model in (small(), small(input_size=2)):
        model.load(tmp_path / "model.npz")
        np.testing.assert_array_equal(model(np.zeros((1, 2, 4, 4))).as_ndarray(), np.full((1, 3), 4.5))

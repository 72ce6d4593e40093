"""What an export may do otherwise than write the model as it is: fold, store in half the bytes, put data beside."""

import os
import shutil

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import refcnn as rm
from refcnn.errors import ArgumentError, DataError, ExportError, FileWriteError
from refcnn.layers import conv2d
from refcnn.onnx import export, exporting, load, open_exported
from refcnn.onnx.writing import folding
from refcnn.program import trace

# A proof draws by Hypothesis inside of a test that does.
NESTED = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
PROVED = {"examples": 3, "backends": ["reference"]}
SHAPE = (4, 9, 8)
X = np.random.default_rng(0).standard_normal((3, *SHAPE)).astype(np.float32)


@pytest.fixture(autouse=True)
def reference():
    with rm.use_backend("reference"):
        yield


def network():
    """Return a network that has learned something of its inputs' statistics."""
    rm.set_seed(0)
    model = rm.Sequential(
        [
            rm.Conv2d(8, 3, padding=1, ignore_bias=True),
            rm.BatchNormalization(),
            rm.Relu(),
            rm.ConvTranspose2d(6, filter=3, groups=2, stride=2),
            rm.BatchNormalization(),
            rm.Relu(),
            rm.Flatten(),
            rm.Dense(12),
            rm.BatchNormalization(),
        ]
    )
    for _ in range(2):
        with model.train():
            model(X)
    return model


def by_onnxruntime(path, x=X):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"image": x})[0]


def operators(path):
    return [node.op_type for node in onnx.load(path, load_external_data=False).graph.node]


def stored(path):
    return {entry.name: onnx.numpy_helper.to_array(entry) for entry in onnx.load(path).graph.initializer}


def with_dyadic_numbers(model, x, random):
    """Give a model whole numbers, and variances that are powers of 4, so that folding and computing round nothing."""
    model(x)
    state = {name: random.integers(-4, 4, value.shape).astype(np.float32) for name, value in model.state().items()}
    for name in state:
        if name.endswith("variance"):
            state[name] = np.float32(4) ** random.integers(-2, 3, state[name].shape)
    model.set_state(state)
    return model


LAYERS = {
    "conv1d": lambda groups, channels, bias: (rm.Conv1d(channels, 2, groups=groups, ignore_bias=bias), (7,)),
    "conv2d": lambda groups, channels, bias: (rm.Conv2d(channels, (2, 3), groups=groups, ignore_bias=bias), (5, 6)),
    "conv3d": lambda groups, channels, bias: (rm.Conv3d(channels, 2, groups=groups, ignore_bias=bias), (3, 4, 3)),
    "transposed": lambda groups, channels, bias: (
        rm.ConvTranspose2d(channels, filter=(2, 3), stride=2, groups=groups, ignore_bias=bias),
        (3, 4),
    ),
    "transposed signals": lambda groups, channels, bias: (
        rm.ConvTranspose1d(channels, filter=3, stride=4, output_padding=3, groups=groups, ignore_bias=bias),
        (4,),
    ),
}


@NESTED
@given(
    st.sampled_from(sorted(LAYERS)),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_a_folded_convolution_gives_the_same_bits(tmp_path_factory, kind, groups, inputs, of_each, bias, seed):
    path, random = tmp_path_factory.mktemp("fold") / "model.onnx", np.random.default_rng(seed)
    layer, spatial = LAYERS[kind](groups, groups * of_each, bias)
    x = random.integers(-4, 4, (2, groups * inputs, *spatial)).astype(np.float32)
    model = with_dyadic_numbers(rm.Sequential([layer, rm.BatchNormalization(epsilon=0.0)]), x, random)
    proof = export(model, path, x.shape[1:], fold=True, **PROVED)
    assert "BatchNormalization" not in operators(path) and "1 normalisation folded" in str(proof)
    assert proof.departure.measured == 0
    np.testing.assert_array_equal(by_onnxruntime(path, x), model(x).as_ndarray())
    np.testing.assert_array_equal(load(path)(x).as_ndarray(), model(x).as_ndarray())


@NESTED
@given(st.integers(1, 5), st.integers(1, 5), st.booleans(), st.integers(0, 2**32 - 1))
def test_a_folded_dense_layer_gives_the_same_bits(tmp_path_factory, inputs, outputs, bias, seed):
    path, random = tmp_path_factory.mktemp("fold") / "model.onnx", np.random.default_rng(seed)
    x = random.integers(-4, 4, (3, inputs)).astype(np.float32)
    layers = [rm.Dense(outputs, ignore_bias=bias), rm.BatchNormalization(epsilon=0.0)]
    model = with_dyadic_numbers(rm.Sequential(layers), x, random)
    export(model, path, (inputs,), fold=True, **PROVED)
    assert operators(path) == ["Gemm"]
    np.testing.assert_array_equal(by_onnxruntime(path, x), model(x).as_ndarray())


def test_folded_numbers_are_rounded_once(tmp_path):
    model, path = network(), tmp_path / "model.onnx"
    proof = export(model, path, SHAPE, fold=True, **PROVED)
    assert proof.examples == 3 and "3 normalisations folded" in str(proof)
    assert 0 < proof.departure.measured < proof.departure.proved < 1e-3
    assert operators(path).count("BatchNormalization") == 0
    of_model = {name: array.astype(np.float64) for name, array in model.state().items()}
    factor = of_model["1.scale"] / np.sqrt(of_model["1.variance"] + 1e-5)
    file = stored(path)
    np.testing.assert_array_equal(file["0.w"], (of_model["0.w"] * factor[:, None, None, None]).astype(np.float32))
    np.testing.assert_array_equal(
        file["0.w.bias"], (of_model["1.bias"] - of_model["1.mean"] * factor).astype(np.float32)
    )
    assert set(file) == {"0.w", "0.w.bias", "3.w", "3.b", "7.w", "7.b"}
    np.testing.assert_allclose(by_onnxruntime(path), model(X).as_ndarray(), atol=1e-5)


class Wired(rm.Model):
    """Convolutions and a normalisation, put together as is told."""

    def __init__(self, wire):
        super().__init__()
        self.first, self.second = rm.Conv2d(4, 3, padding=1), rm.Conv2d(4, 3, padding=1)
        self.norm, self.other, self.wire = rm.BatchNormalization(), rm.BatchNormalization(), wire

    def forward(self, x):
        return self.wire(self, x)


def read_twice(self, x):
    y = self.first(x)
    return self.norm(y) + y


def returned(self, x):
    y = self.first(x)
    return self.norm(y), y


def computed_kernels(self, x):
    self.first(x)
    return self.norm(rm.conv2d(x, self.first.params.w * 2.0, self.first.params.b))


@pytest.mark.parametrize(
    ("wire", "left", "names"),
    [
        (read_twice, 1, None),
        (returned, 1, None),
        (computed_kernels, 1, None),
        (lambda self, x: self.first(rm.relu(self.norm(x))), 1, None),
        (lambda self, x: self.norm(rm.relu(self.first(x))), 1, None),
        (lambda self, x: self.other(self.norm(self.first(x))), 1, {"first.w", "first.b"}),
        (lambda self, x: self.norm(self.second(rm.relu(self.norm(self.first(x))))), 0, {"second.w", "first.w"}),
        (
            lambda self, x: self.norm(self.first(x)) + self.other(self.first(x)),
            0,
            {"first.w.folded", "first.w.folded2"},
        ),
        (lambda self, x: self.norm(self.first(x)) + self.first(x), 0, {"first.w", "first.w.folded"}),
    ],
)
def test_what_else_reads_a_result_or_kernels_stays_right(tmp_path, wire, left, names):
    rm.set_seed(0)
    model, path = Wired(wire), tmp_path / "model.onnx"
    with model.train():
        model(X)
    export(model, path, SHAPE, fold=True, **PROVED)
    assert operators(path).count("BatchNormalization") == left
    assert names is None or names <= stored(path).keys()
    found, expected = load(path)(X), model(X)
    pairs = zip(found, expected, strict=True) if isinstance(found, tuple) else [(found, expected)]
    for one, other in pairs:
        np.testing.assert_allclose(one.as_ndarray(), other.as_ndarray(), atol=1e-5)


@pytest.mark.parametrize("wrong", [lambda w, factor: factor[::-1], lambda w, factor: factor * (1 + 1e-5)])
def test_a_wrong_fold_is_refused(tmp_path, monkeypatch, wrong):
    right = conv2d.scaled_channels
    monkeypatch.setattr(
        conv2d, "scaled_channels", lambda w, factor, **attributes: right(w, wrong(w, factor), **attributes)
    )
    with pytest.raises(
        ExportError, match="3 normalisations folded: conv2d_1 is off from the model's batch_normalization_1 by"
    ):
        export(network(), tmp_path / "model.onnx", SHAPE, fold=True, **PROVED)
    assert os.listdir(tmp_path) == []


def test_what_float32_cannot_hold_is_not_folded(tmp_path):
    model, path = rm.Sequential([rm.Conv2d(2, 1), rm.BatchNormalization(epsilon=0.0)]), tmp_path / "model.onnx"
    model(X)
    model.set_state(model.state() | {"1.variance": np.array([1e-30, 1]), "0.w": np.full((2, 4, 1, 1), 1e30)})
    export(model, path, SHAPE, fold=True, proof=False)
    assert operators(path) == ["Conv", "BatchNormalization"]


def test_halves(tmp_path):
    model, path = network(), tmp_path / "model.onnx"
    proof = export(model, path, SHAPE, float16=True, **PROVED)
    file, of_model = stored(path), model.state()
    for name, array in file.items():
        is_half = of_model[name].size >= 64
        assert array.dtype == (np.float16 if is_half else np.float32)
        np.testing.assert_array_equal(array.reshape(-1), of_model[name].astype(array.dtype).reshape(-1))
    assert "3 weights rounded to float16" in str(proof) and "\n" not in str(proof)
    assert 1e-6 < proof.departure.measured < proof.departure.proved
    # As parameters and buffers under the same names, and trained on in float32.
    again = load(path)
    assert {name for name, _ in again.named_state()} == {name for name, _ in model.named_state()}
    assert {name for name, _ in again.named_buffers()} == {name for name, _ in model.named_buffers()}
    np.testing.assert_allclose(again(X).as_ndarray(), model(X).as_ndarray(), atol=5e-3)
    np.testing.assert_allclose(by_onnxruntime(path), again(X).as_ndarray(), atol=1e-5)
    with again.train():
        loss = rm.softmax_cross_entropy(again(X), np.array([0, 1, 2]))
    loss.grad().update(rm.Sgd(lr=0.1))
    assert again.params["0.w"].as_ndarray().dtype == np.float32


def test_halves_take_half_the_bytes(tmp_path):
    layers = [rm.Conv2d(64, 3, padding=1), rm.BatchNormalization(), rm.Conv2d(64, 3), rm.Flatten(), rm.Dense(40)]
    model, sizes = rm.Sequential(layers), []
    for number, options in enumerate([{}, {"float16": True}]):
        export(model, tmp_path / f"{number}.onnx", SHAPE, proof=False, **options)
        sizes.append((tmp_path / f"{number}.onnx").stat().st_size)
    assert 0.5 < sizes[1] / sizes[0] < 0.52
    # What is read of either is the same but for the numbers.
    whole, halves = (load(tmp_path / f"{number}.onnx") for number in (0, 1))
    assert [name for name, _ in halves.named_buffers()] == ["1.mean", "1.variance"]
    one, other = (trace(entry, X) for entry in (whole, halves))
    assert [(step.operation, step.inputs) for step in one.steps] == [
        (step.operation, step.inputs) for step in other.steps
    ]
    assert stored(tmp_path / "1.onnx")["1.mean"].dtype == np.float16
    export(model, tmp_path / "again.onnx", SHAPE, proof=False, float16=True)
    assert (tmp_path / "again.onnx").read_bytes() == (tmp_path / "1.onnx").read_bytes()


@pytest.mark.parametrize(
    ("value", "is_kept"), [(1e5, True), (65504, False), (65519, True), (1e-7, True), (2.0**-24, False), (1e-4, False)]
)
def test_what_float16_would_lose_stays_in_float32(tmp_path, value, is_kept):
    model, path = rm.Sequential([rm.Dense(8, input_size=8)]), tmp_path / "model.onnx"
    weights = np.ones((8, 8))
    weights[3] = value
    model.set_state({"0.w": weights, "0.b": np.zeros((1, 8))})
    proof = export(model, path, (8,), float16=True, **PROVED)
    assert stored(path)["0.w"].dtype == (np.float32 if is_kept else np.float16)
    assert ("kept in float32" in str(proof) and "0.w" in proof.remark) == is_kept
    assert (proof.departure is None) == (is_kept or value != 1e-4)


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=4))
def test_no_row_loses_more_than_roundings(values):
    array = np.float32(values)[:, None] * np.linspace(0.5, 1, 16, dtype=np.float32)
    if not folding._fits_half(array):
        return
    error = np.linalg.norm(array.astype(np.float16).astype(np.float64) - array, axis=1)
    assert (error <= 2.0**-11 * np.linalg.norm(array.astype(np.float64), axis=1)).all()


def data_of(folder):
    return sorted(entry for entry in os.listdir(folder) if entry.endswith(".data"))


def test_data_beside_the_file(tmp_path):
    model, path = network(), tmp_path / "model.onnx"
    proof = export(model, path, SHAPE, external_data=True, **PROVED)
    assert proof.examples == 3 and proof.departure is None
    (name,) = data_of(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["model.onnx", name] and name.startswith("model.onnx.")
    assert path.stat().st_size < 8000 < (tmp_path / name).stat().st_size
    outside = [
        {field.key: field.value for field in entry.external_data}
        for entry in onnx.load(path, load_external_data=False).graph.initializer
        if entry.data_location == onnx.TensorProto.EXTERNAL
    ]
    assert outside and all(entry["location"] == name and int(entry["offset"]) % 4096 == 0 for entry in outside)
    onnx.checker.check_model(str(path), full_check=True)
    expected = model(X).as_ndarray()
    np.testing.assert_array_equal(load(path)(X).as_ndarray(), expected)
    np.testing.assert_allclose(by_onnxruntime(path), expected, atol=1e-5)
    np.testing.assert_allclose(open_exported(path).predict(X), expected, atol=1e-5)
    mode = {oct(file.stat().st_mode & 0o777) for file in tmp_path.iterdir()}
    assert len(mode) == 1


@pytest.mark.parametrize("options", [{"fold": True}, {"float16": True}, {"fold": True, "float16": True}])
def test_options_together(tmp_path, options):
    model = network()
    for name, more in (("inside", {}), ("beside", {"external_data": True})):
        proof = export(model, tmp_path / f"{name}.onnx", SHAPE, **options, **more, **PROVED)
        assert proof.examples == 3 and proof.departure.measured < proof.departure.proved
    inside, beside = (by_onnxruntime(tmp_path / f"{name}.onnx") for name in ("inside", "beside"))
    np.testing.assert_array_equal(inside, beside)
    np.testing.assert_allclose(inside, model(X).as_ndarray(), atol=5e-3)


def test_the_data_of_a_model_that_is_replaced_is_removed(tmp_path):
    model, path = network(), tmp_path / "model.onnx"
    beside = {"external_data": True, "proof": False}
    export(model, path, SHAPE, **beside)
    first, content = data_of(tmp_path), path.read_bytes()
    export(model, path, SHAPE, **beside)
    assert (data_of(tmp_path), path.read_bytes()) == (first, content)
    export(model, tmp_path / "other.onnx", SHAPE, **beside)
    model.set_state({name: value * 0.5 for name, value in model.state().items()})
    export(model, path, SHAPE, **beside)
    assert len(data_of(tmp_path)) == 2 and not set(first) & set(data_of(tmp_path))
    np.testing.assert_array_equal(load(path)(X).as_ndarray(), model(X).as_ndarray())
    # Others with such a name that this model does not read stay.
    (tmp_path / "model.onnx.0123456789abcdef.data").write_bytes(b"mine")
    export(model, path, SHAPE, proof=False)
    assert [name.split(".")[0] for name in data_of(tmp_path)] == ["model", "other"]
    assert (tmp_path / "model.onnx.0123456789abcdef.data").read_bytes() == b"mine"
    load(tmp_path / "other.onnx")(X)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("number", [1, 2])
def test_what_is_cut_off_leaves_the_former_pair(tmp_path, monkeypatch, error, number):
    model, path = network(), tmp_path / "model.onnx"
    export(model, path, SHAPE, external_data=True, proof=False)
    before, expected = path.read_bytes(), model(X).as_ndarray()
    model.set_state({name: value * 0.5 for name, value in model.state().items()})
    replace, calls = os.replace, []

    def cut_off(*arguments):
        calls.append(arguments)
        if len(calls) == number:
            raise error
        replace(*arguments)

    monkeypatch.setattr(os, "replace", cut_off)
    with pytest.raises((FileWriteError, KeyboardInterrupt)):
        export(model, path, SHAPE, external_data=True, proof=False)
    assert path.read_bytes() == before and len(calls) == number
    np.testing.assert_array_equal(load(path)(X).as_ndarray(), expected)
    assert not any(name.startswith(".") for name in os.listdir(tmp_path)) and len(data_of(tmp_path)) == 1


def test_a_refused_export_leaves_no_data(tmp_path, monkeypatch):
    monkeypatch.setattr(conv2d, "to_onnx", lambda graph, x, w, b, **attributes: graph.node("Relu", [graph.tensor(w)]))
    with pytest.raises(ExportError):
        export(network(), tmp_path / "model.onnx", SHAPE, external_data=True, **PROVED)
    assert os.listdir(tmp_path) == []


def test_data_is_missed_and_moves_with_its_model(tmp_path):
    model, path = network(), tmp_path / "model.onnx"
    export(model, path, SHAPE, external_data=True, proof=False)
    for folder in ("alone", "both"):
        (tmp_path / folder).mkdir()
        shutil.copy(path, tmp_path / folder)
    shutil.copy(tmp_path / data_of(tmp_path)[0], tmp_path / "both")
    np.testing.assert_array_equal(load(tmp_path / "both" / "model.onnx")(X).as_ndarray(), model(X).as_ndarray())
    for read in (load, open_exported):
        with pytest.raises(DataError, match="missing beside the model"):
            read(tmp_path / "alone" / "model.onnx")


def test_beyond_what_one_file_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "_LARGEST_CONSTANTS", 20_000)
    model, path = rm.Sequential([rm.Dense(64, input_size=128)]), tmp_path / "model.onnx"
    with pytest.raises(ExportError, match=r"take 33,024 bytes.*20,000.*external_data=True.*--external-data"):
        export(model, path, (128,), proof=False)
    export(model, path, (128,), proof=False, float16=True)
    assert data_of(tmp_path) == [] and path.stat().st_size < 20_000
    export(model, path, (128,), external_data=True, **PROVED)
    assert len(data_of(tmp_path)) == 1 and path.stat().st_size < 2000
    x = np.random.default_rng(0).random((2, 128)).astype(np.float32)
    np.testing.assert_array_equal(load(path)(x).as_ndarray(), model(x).as_ndarray())


def test_small_weights_stay_in_the_file(tmp_path):
    export(rm.Sequential([rm.Dense(3)]), tmp_path / "model.onnx", (4,), external_data=True, proof=False)
    assert os.listdir(tmp_path) == ["model.onnx"]


@pytest.mark.parametrize("name", ["fold", "float16", "external_data"])
def test_options_are_flags(tmp_path, name):
    with pytest.raises(ArgumentError, match=name):
        export(rm.Sequential([rm.Dense(3)]), tmp_path / "model.onnx", (4,), **{name: "yes"})


def test_a_remark_names_few_of_many(tmp_path):
    model = rm.Sequential([rm.Dense(8, input_size=8, ignore_bias=True) for _ in range(6)])
    model.set_state({name: np.full(value.shape, 1e-7) for name, value in model.state().items()})
    proof = export(model, tmp_path / "model.onnx", (8,), float16=True, proof=False)
    assert "roundings: 0.w, 1.w, 2.w, 3.w and 2 more)" in str(proof)

"""Exported files, run in onnxruntime by themselves, against the float64 reference."""

import json
import os
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import refcnn as rm
from refcnn.conformance.judging import comparison
from refcnn.conformance.operations import average_pool2d as average_pool2d_bounds
from refcnn.data import Preprocessing
from refcnn.errors import ExportError
from refcnn.layers import cast
from refcnn.onnx import export, open_exported

# A proof draws by Hypothesis inside of a test that does. What attributes mean in ONNX more cases show in conformance,
# on onnxruntime; here it is whole files.
NESTED = settings(max_examples=10, suppress_health_check=list(HealthCheck))


@pytest.fixture(autouse=True)
def reference():
    with rm.use_backend("reference"):
        yield


def integers(random, shape, largest=4):
    return random.integers(-largest, largest, shape, endpoint=True).astype(np.float32)


def with_integers(model, x, seed=0):
    """Give a model integer parameters, so that float32 rounds nothing and every right answer is the same bits."""
    model(x)
    random = np.random.default_rng(seed)
    model.set_state({name: integers(random, value.shape) for name, value in model.state().items()})
    return model


def run_file(path, x):
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    return session.run(None, {"image": x.astype(np.float32)})[0]


def exact(model, x):
    with rm.use_backend("reference:float64"):
        return model(x).as_ndarray()


def assert_same_bits(tmp_path, model, shape, seed=0, **options):
    path, random = tmp_path / "model.onnx", np.random.default_rng(seed)
    with_integers(model, np.zeros((1, *shape)), seed)
    export(model, path, shape, **{"examples": 3, "backends": ["reference"], **options})
    for batch in (1, 2, 5):
        x = integers(random, (batch, *shape))
        np.testing.assert_array_equal(run_file(path, x), exact(model, x))
    return onnx.load(path)


@st.composite
def windows(draw, dilated):
    """Draw (filter, padding, stride, dilation), padding less than the filter."""
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    padding = tuple(draw(st.integers(0, kernel[axis] - 1)) for axis in (0, 1, 0, 1))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    dilation = draw(st.tuples(st.integers(1, 3), st.integers(1, 3))) if dilated else (1, 1)
    return kernel, padding, stride, dilation


sizes = st.tuples(st.integers(7, 10), st.integers(7, 10))


@NESTED
@given(windows(True), st.integers(1, 3), st.integers(1, 2), st.integers(1, 2), st.booleans(), sizes)
def test_convolution(tmp_path_factory, window, groups, inputs, outputs, ignore_bias, size):
    kernel, padding, stride, dilation = window
    layer = rm.Conv2d(
        groups * outputs,
        filter=kernel,
        padding=padding,
        stride=stride,
        dilation=dilation,
        groups=groups,
        ignore_bias=ignore_bias,
    )
    model = assert_same_bits(tmp_path_factory.mktemp("conv"), rm.Sequential([layer]), (groups * inputs, *size))
    assert [entry.name for entry in model.graph.initializer] == ["0.w", "0.b"][: 2 - ignore_bias]


@NESTED
@given(windows(False), sizes)
def test_max_pooling(tmp_path_factory, window, size):
    kernel, padding, stride, _ = window
    layer = rm.MaxPool2d(filter=kernel, padding=padding, stride=stride)
    assert_same_bits(tmp_path_factory.mktemp("pool"), rm.Sequential([layer]), (2, *size))


@NESTED
@given(windows(False), st.booleans(), sizes)
def test_average_pooling(tmp_path_factory, window, count_include_padding, size):
    kernel, padding, stride, _ = window
    layer = rm.AveragePool2d(kernel, padding, stride, count_include_padding=count_include_padding)
    path = tmp_path_factory.mktemp("pool") / "model.onnx"
    export(rm.Sequential([layer]), path, (2, *size), examples=3, backends=["reference"])
    x = integers(np.random.default_rng(1), (3, 2, *size), 9)
    attributes = {**layer.attributes, "count_include_padding": count_include_padding}
    bound = average_pool2d_bounds.forward_bound((x,), attributes)
    comparison.compare("the file", run_file(path, x), exact(rm.Sequential([layer]), x), bound)


@NESTED
@given(st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_dense(tmp_path_factory, inputs, outputs, ignore_bias):
    model = rm.Sequential([rm.Dense(outputs, ignore_bias=ignore_bias), rm.Relu()])
    assert_same_bits(tmp_path_factory.mktemp("dense"), model, (inputs,))


class Branches(rm.Model):
    """One layer used twice, a sum of branches, a weight that is itself computed, and a constant."""

    def __init__(self):
        super().__init__()
        self.shared = rm.Conv2d(2, filter=3, padding=1)
        self.kernels = [rm.Conv2d(2, filter=1), rm.Dense(4)]
        self.scale = rm.Variable(np.full((2, 2, 1, 1), 3.0))

    def forward(self, x):
        x = self.shared(x)
        y = rm.add(rm.relu(self.shared(x)), self.kernels[0](x))
        y = rm.conv2d(y, rm.add(self.kernels[0].params.w, self.scale), self.shared.params.b)
        return self.kernels[1](rm.flatten(y))


def test_branches(tmp_path):
    model = assert_same_bits(tmp_path, Branches(), (2, 4, 5))
    names = {entry.name for entry in model.graph.initializer}
    assert names == {"shared.w", "shared.b", "kernels.0.w", "kernels.0.b", "kernels.1.w", "kernels.1.b", "constant.1"}
    assert sorted(node.name for node in model.graph.node if node.op_type == "Conv") == [
        f"conv2d_{number}" for number in (1, 2, 3, 4)
    ]


class ComputedBias(rm.Model):
    """A bias that is no parameter but a result, so that its new shape needs an operator of its own."""

    def __init__(self):
        super().__init__()
        self.layer = rm.Conv2d(3, filter=2)

    def forward(self, x):
        bias = rm.add(self.layer.params.b, self.layer.params.b) if self.layer.params else None
        return rm.conv2d(x, self.layer.params.w, bias) if bias is not None else self.layer(x)


def test_computed_bias(tmp_path):
    model = assert_same_bits(tmp_path, ComputedBias(), (2, 4, 4))
    assert [node.op_type for node in model.graph.node] == ["Add", "Reshape", "Conv"]


def test_an_operation_of_several_operators(tmp_path, monkeypatch):
    def to_onnx(graph, x):
        zero, one = (graph.constant(np.array(value, np.float32)) for value in (0, 1))
        return graph.node("Mul", [graph.node("Max", [graph.tensor(x), zero]), one])

    monkeypatch.setattr("refcnn.layers.relu.to_onnx", to_onnx)
    model = assert_same_bits(tmp_path, rm.Sequential([rm.Relu(), rm.Dense(2), rm.Relu()]), (3,))
    assert [(node.name, *node.output) for node in model.graph.node] == [
        ("relu_1.1", "relu_1.1"),
        ("relu_1.2", "relu_1"),
        ("dense_1", "dense_1"),
        ("relu_2.1", "relu_2.1"),
        ("relu_2.2", "logits"),
    ]


def test_an_operation_that_needs_no_operator(tmp_path, monkeypatch):
    monkeypatch.setattr("refcnn.layers.flatten.to_onnx", lambda graph, x: graph.tensor(x))
    model = assert_same_bits(tmp_path, rm.Sequential([rm.Dense(2), rm.Flatten()]), (3,))
    assert [node.op_type for node in model.graph.node] == ["Gemm", "Identity"]


def small_network():
    return rm.Sequential(
        [
            rm.Conv2d(4, filter=3, padding=(0, 1, 2, 1)),
            rm.Relu(),
            rm.MaxPool2d(2, stride=2),
            rm.Dropout(0.5),
            rm.Conv2d(4, filter=3, padding=1, groups=2),
            rm.AveragePool2d(2, padding=1, stride=2),
            rm.Flatten(),
            rm.Dense(5),
        ]
    )


@pytest.mark.parametrize("opset", range(13, 23))
def test_every_opset(tmp_path, opset):
    path, model = tmp_path / "model.onnx", small_network()
    proof = export(model, path, (1, 8, 8), opset=opset, examples=3, backends=["reference"])
    proto = onnx.load(path)
    assert [(entry.domain, entry.version) for entry in proto.opset_import] == [("", opset)]
    # The oldest runtime of an operator version reads up to this version of the format (ONNX, "Versioning").
    assert proto.ir_version == {13: 7, 14: 7, 19: 9, 20: 9, 21: 10, 22: 10}.get(opset, 8)
    assert proof.opset == opset
    x = np.random.default_rng(0).standard_normal((3, 1, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(run_file(path, x), exact(model, x), rtol=1e-4, atol=1e-5)


class Residual(rm.Model):
    """Operators, broadcasting and reductions, with constants of every kind."""

    def __init__(self):
        super().__init__()
        self.inner, self.outer = rm.Dense(6), rm.Dense(4)

    def forward(self, x):
        x = x + rm.tanh(self.inner(x))
        x = (2 * x - x.mean(axis=1, keepdims=True)) / (1 + abs(x)) ** 0.5
        x = rm.leaky_relu(-x, alpha=0.1) + x.max(axis=1, keepdims=True) * [1, 2, 3, 4, 5, 6]
        return rm.softplus(self.outer(x)) * rm.sigmoid(x.sum(axis=-1, keepdims=True))


@pytest.mark.parametrize("opset", [13, 18, 19, 22])
def test_pools_that_older_operators_do_not_have(tmp_path, opset):
    """Windows with gaps, and padded by as much as they have taps: other operators say the same of any batch."""
    layers = [
        rm.MaxPool2d(2, padding="same", dilation=4),
        rm.AveragePool2d((3, 2), padding=(1, 2), dilation=(1, 3), ceil_mode=True, stride=2),
        rm.AveragePool2d(2, padding=1, dilation=2, count_include_padding=False),
        rm.LpPool2d(2, padding=2, dilation=3, p=3),
    ]
    path = tmp_path / "pools.onnx"
    proof = export(rm.Sequential(layers), path, (2, 9, 10), opset=opset, examples=3, backends=["reference"])
    assert proof.opset == opset
    x = np.random.default_rng(0).normal(size=(4, 2, 9, 10)).astype(np.float32)
    np.testing.assert_allclose(run_file(path, x), exact(rm.Sequential(layers), x), rtol=1e-5)


@pytest.mark.parametrize("opset", [13, 17, 18, 22])
def test_operators_are_exported(tmp_path, opset):
    model, path = Residual(), tmp_path / "model.onnx"
    export(model, path, (6,), opset=opset, examples=3, backends=["reference"])
    x = np.random.default_rng(0).standard_normal((3, 6))
    np.testing.assert_allclose(run_file(path, x), exact(model, x), rtol=1e-5)
    assert {node.op_type for node in onnx.load(path).graph.node} == {
        *("Abs", "Add", "Div", "Gemm", "LeakyRelu", "Mul", "Neg", "Pow", "ReduceMax", "ReduceMean", "ReduceSum"),
        *("Sigmoid", "Softplus", "Sub", "Tanh"),
    }


def test_what_the_file_says(tmp_path):
    path, preprocessing = tmp_path / "model.onnx", Preprocessing(1 / 16, 1, 8, 8, white=16.0)
    classes = ("null", "eins", "zwei", "drei", "größer")
    export(
        small_network(),
        path,
        (1, 8, 8),
        classes=classes,
        preprocessing=preprocessing,
        examples=3,
        backends=["reference"],
    )
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    assert (proto.producer_name, proto.producer_version) == ("refcnn", rm.__version__)
    assert "image (N, 1, 8, 8) -> logits (N, 5)" in proto.doc_string
    metadata = {entry.key: json.loads(entry.value) for entry in proto.metadata_props}
    assert metadata == {
        "refcnn.classes": list(classes),
        "refcnn.scores": "logits",
        "refcnn.preprocessing": json.loads(json.dumps(preprocessing.to_json())),
    }
    (image,), (output,) = proto.graph.input, proto.graph.output
    assert (image.name, output.name) == ("image", "logits")
    for value in (image, output):
        assert value.type.tensor_type.shape.dim[0].dim_param == "N"
    # Dropout does nothing outside training, so it is not there.
    assert [node.name for node in proto.graph.node] == [
        "conv2d_1",
        "relu_1",
        "max_pool2d_1",
        "conv2d_2",
        "average_pool2d_1",
        "flatten_1",
        "dense_1",
    ]
    model = open_exported(path)
    assert (model.classes, model.preprocessing, model.input_shape) == (classes, preprocessing, (1, 8, 8))
    assert model.output_name == "logits"


def test_softmax_is_in_the_graph_when_asked_for(tmp_path):
    path, model = tmp_path / "model.onnx", small_network()
    export(model, path, (1, 8, 8), softmax=True, examples=3, backends=["reference"])
    x = np.random.default_rng(0).standard_normal((3, 1, 8, 8)).astype(np.float32)
    logits = exact(model, x)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(run_file(path, x), probabilities, rtol=1e-4)
    assert open_exported(path).output_name == onnx.load(path).graph.output[0].name == "probabilities"


def test_the_proof_says_what_it_did(tmp_path):
    calls = []
    proof = export(
        small_network(),
        tmp_path / "model.onnx",
        (1, 8, 8),
        backends=["reference"],
        progress=lambda *arguments: calls.append(arguments),
    )
    runtime = f"onnxruntime {onnxruntime.__version__}"
    assert calls == [(number, 20) for number in range(1, 21)]
    # One, which is where a lost axis shows, and others, of which Hypothesis has its own mind how often it draws which.
    assert proof.examples == 20 and 1 in proof.batch_sizes and len(proof.batch_sizes) > 1
    assert set(proof.ratios) == set(proof.differences) == {runtime, "reference"}
    for name in proof.ratios:
        assert 0 < proof.ratios[name] <= 1 and 0 < proof.differences[name] < np.inf
    assert str(proof).startswith("proved on 20 drawn inputs") and f"{runtime} 0." in str(proof)
    assert "\n" not in str(proof)


def test_opencl_is_held_against_the_bound(tmp_path, opencl_backend):
    model = small_network()
    proof = export(model, tmp_path / "model.onnx", (1, 8, 8), examples=4, backends=["reference", opencl_backend])
    assert 0 < proof.ratios[opencl_backend.name] <= 1
    with rm.use_backend(opencl_backend):
        proof = export(model, tmp_path / "model.onnx", (1, 8, 8), examples=4)
    assert set(proof.ratios) == {f"onnxruntime {onnxruntime.__version__}", "reference", opencl_backend.name}


def test_without_opencl_the_proof_says_so(tmp_path, monkeypatch):
    find = rm.backend.find

    def without_opencl(name):
        if name == "opencl":
            raise rm.errors.NoDeviceError("no device", "Install one.")
        return find(name)

    monkeypatch.setattr(rm.backend, "find", without_opencl)
    proof = export(small_network(), tmp_path / "model.onnx", (1, 8, 8), examples=2)
    assert "OpenCL: no device)" in str(proof) and len(proof.ratios) == 2


def test_parameters_trained_in_float64_are_rounded(tmp_path):
    with rm.use_backend("reference:float64"):
        model = rm.Sequential([rm.Dense(3)])
        model(np.zeros((1, 4)))
        model.set_state({"0.w": np.full((4, 3), 1 / 3), "0.b": np.zeros((1, 3))})
        export(model, tmp_path / "model.onnx", (4,), examples=3, backends=["reference"])
        assert model.state()["0.w"][0, 0] == 1 / 3
    weights = onnx.numpy_helper.to_array(onnx.load(tmp_path / "model.onnx").graph.initializer[0])
    assert weights[0, 0] == np.float32(1 / 3)


def test_an_export_changes_neither_model_nor_random_numbers(tmp_path):
    model = small_network()
    model(np.zeros((1, 1, 8, 8)))
    before, state = model.state(), np.random.get_state()[1].copy()  # noqa: NPY002
    export(model, tmp_path / "model.onnx", (1, 8, 8), examples=3, backends=["reference"])
    assert all(np.array_equal(before[name], value) for name, value in model.state().items())
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_the_same_model_gives_the_same_bytes(tmp_path):
    model = small_network()
    for name in ("a.onnx", "b.onnx"):
        export(model, tmp_path / name, (1, 8, 8), examples=1, classes=list("abcde"), backends=["reference"])
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_an_export_is_quiet_and_leaves_one_file(tmp_path):
    program = (
        "import refcnn as rm\n"
        "from refcnn.onnx import export, open_exported\n"
        "export(rm.Sequential([rm.Conv2d(2), rm.Flatten(), rm.Dense(2)]), 'model.onnx', (1, 6, 6))\n"
        "open_exported('model.onnx').predict([[[[0] * 6] * 6]])\n"
    )
    # A file in the folder itself, for it is of such that Hypothesis keeps notes.
    (tmp_path / "program.py").write_text(program)
    folder = os.path.dirname(os.path.dirname(rm.__file__))
    environment = {**os.environ, "PYTHONPATH": folder, "REFCNN_BACKEND": "reference"}
    done = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(os.listdir(tmp_path)) == ["model.onnx", "program.py"]


class OfIntegers(rm.Model):
    """Whole pixels, and a constant that float32 has not, each converted in the graph."""

    def __init__(self):
        super().__init__()
        self.constant = rm.Variable([[2**24 + 1, -3]])
        self.w = rm.Parameter([[1, 2], [3, 4], [5, 6], [7, 8]])

    def forward(self, x):
        whole = rm.flatten(x.astype("int64")).astype("int32").astype("float32")
        return rm.dense(whole, self.w, self.constant.astype("bool").astype("float32"))


def test_integers_and_truth_values_are_written_as_such(tmp_path):
    model, path = OfIntegers(), tmp_path / "model.onnx"
    export(model, path, (1, 2, 2), examples=3, backends=["reference"])
    x = np.array([[[[-1.5, 2.5], [3.0, -0.5]]]])
    np.testing.assert_array_equal(run_file(path, x), model(x.astype(np.float32)).as_ndarray())
    graph = onnx.load(path).graph
    (constant,) = (entry for entry in graph.initializer if entry.name == "constant.1")
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(constant), np.array([[2**24 + 1, -3]]))
    types = {entry.name: entry.type.tensor_type.elem_type for entry in graph.value_info}
    kinds = onnx.TensorProto
    assert types["flatten_1"] == kinds.INT64
    assert {kinds.INT64, kinds.INT32, kinds.BOOL} < {kind for name, kind in types.items() if "cast" in name}


def test_a_wrong_integer_in_the_file_is_refused(tmp_path, monkeypatch):
    right = cast.to_onnx

    def to_onnx(graph, x, *, dtype):
        return right(graph, x, dtype="bool" if dtype == "int64" else dtype)

    monkeypatch.setattr(cast, "to_onnx", to_onnx)
    with pytest.raises(ExportError):
        export(OfIntegers(), tmp_path / "model.onnx", (1, 2, 2), examples=5, backends=["reference"])

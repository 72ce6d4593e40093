"""Models that were read from ONNX files: what they compute, learn and keep."""

import copy
import pickle

import numpy as np
import onnx.backend.base
import pytest
from onnx import TensorProto, helper, numpy_helper

import refcnn as rm
from refcnn.errors import ArgumentError, DataError, ShapeError, UnsupportedError
from refcnn.onnx import backend as onnx_backend
from refcnn.onnx import export, load
from refcnn.program import trace

X = np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32)


def model_of(nodes, inputs=("x",), outputs=("y",), constants=None, opset=17, **options):
    """Return a ModelProto of nodes, inputs of floats of any shape and constants."""
    infos = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names] for names in (inputs, outputs)
    ]
    constants = [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()]
    graph = helper.make_graph(nodes, "graph", *infos, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, **options)


NETWORKS = ("lenet5", "squeezenet", "resnet18", "mobilenet_v2")


@pytest.fixture(scope="module", params=NETWORKS)
def network(request, tmp_path_factory):
    """A ready network that was trained a little, its file, and what it computes."""
    rm.set_seed(0)
    model = getattr(rm.models, request.param)(X.shape[1:], 4)
    with model.train():
        model(X)
    path = tmp_path_factory.mktemp(request.param) / "model.onnx"
    export(model, path, X.shape[1:], proof=False)
    return model, path


def test_a_file_computes_what_its_model_does(network, page_backend):
    model, path = network
    with rm.use_backend(page_backend):
        expected, computed = model.replica(page_backend)(X).as_ndarray(), load(path)(X).as_ndarray()
    np.testing.assert_allclose(computed, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_there_and_back_is_the_same_program(network, tmp_path):
    _, path = network
    model = load(path)
    export(model, tmp_path / "again.onnx", X.shape[1:], proof=False)
    programs = [trace(entry, X[:1], softmax=False) for entry in (model, load(tmp_path / "again.onnx"))]
    assert [step.operation for step in programs[0].steps] == [step.operation for step in programs[1].steps]
    assert [step.attributes for step in programs[0].steps] == [step.attributes for step in programs[1].steps]
    assert programs[0].constants.keys() == programs[1].constants.keys()
    for name, array in programs[0].constants.items():
        np.testing.assert_array_equal(array, programs[1].constants[name])


def test_it_learns_what_its_model_does():
    rm.set_seed(0)
    model = rm.Sequential(
        [
            rm.Conv2d(4, 3, padding=1),
            rm.BatchNormalization(),
            rm.Relu(),
            rm.MaxPool2d(2, stride=2),
            rm.Flatten(),
            rm.Dense(3),
        ]
    )
    target = np.array([0, 2])
    model(X)
    graph = model_of(
        [
            helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
            helper.make_node("BatchNormalization", ["c", "scale", "bias", "mean", "variance"], ["n"]),
            helper.make_node("Relu", ["n"], ["r"]),
            helper.make_node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
            helper.make_node("Flatten", ["p"], ["f"]),
            helper.make_node("Gemm", ["f", "w2", "b2"], ["y"]),
        ],
        constants={
            "w": model[0].params.w.as_ndarray(),
            "b": model[0].params.b.as_ndarray().ravel(),
            **{name: entry.as_ndarray() for name, entry in model[1].params.items()},
            **{name: entry.as_ndarray() for name, entry in model[1].buffers.items()},
            "w2": model[5].params.w.as_ndarray(),
            "b2": model[5].params.b.as_ndarray(),
        },
    )
    other = load(graph)
    assert {name for name, _ in other.named_buffers()} == {"mean", "variance"}
    for one in (model, other):
        optimizer = rm.Sgd(lr=0.01)
        for _ in range(3):
            with one.train():
                loss = rm.softmax_cross_entropy(one(X), target)
            loss.grad().update(optimizer)
    np.testing.assert_allclose(other.params["w"].as_ndarray(), model[0].params.w.as_ndarray(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(other.buffers["mean"].as_ndarray(), model[1].buffers.mean.as_ndarray(), rtol=1e-5)
    np.testing.assert_allclose(other(X).as_ndarray(), model(X).as_ndarray(), rtol=1e-3, atol=1e-4)


def test_copies_of_it_are_models_of_their_own():
    model = load(model_of([helper.make_node("Mul", ["x", "w"], ["y"])], constants={"w": np.float32([2])}))
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model)), model.replica("reference")]
    model.params["w"].set(np.float32([3]))
    assert [float(entry(np.float32([5])).as_ndarray()[0]) for entry in (model, *copies)] == [15, 10, 10, 10]
    copies[0].set_state(model.state())
    assert copies[0](np.float32([5])).as_ndarray() == [15]


def test_what_follows_from_shapes_is_folded_anew_for_each():
    rows = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["batch"]),
        helper.make_node("Concat", ["batch", "rest"], ["wanted"], axis=0),
        helper.make_node("Reshape", ["x", "wanted"], ["y"]),
    ]
    model = load(model_of(rows, constants={"first": np.int64([0]), "rest": np.int64([-1])}))
    for shape in ((2, 3, 4), (5, 1, 2, 2), (2, 3, 4)):
        assert model(np.zeros(shape)).shape == (shape[0], int(np.prod(shape[1:])))


@pytest.mark.parametrize(("least", "most"), [(-1, 2), ([-1], [2])])
def test_limits_may_be_numbers_along_an_axis(least, most):
    clip = helper.make_node("Clip", ["x", "least", "most"], ["y"])
    model = load(model_of([clip], constants={"least": np.float32(least), "most": np.float32(most)}))
    np.testing.assert_array_equal(model(np.float32([-3, 0, 5])).as_ndarray(), [-1, 0, 2])


def test_values_that_inputs_give_are_not_kept():
    graph = model_of([helper.make_node("Tile", ["x", "repeats"], ["y"])], inputs=("x",))
    graph.graph.input.append(helper.make_tensor_value_info("repeats", TensorProto.INT64, [1]))
    model = load(graph)
    assert [model.run([np.float32([1, 2]), np.int64([count])])[0].shape for count in (3, 1)] == [(6,), (2,)]


def test_what_may_be_given_another_value_is_not_folded():
    graph = model_of(
        [
            helper.make_node("Identity", ["wanted"], ["same"]),
            helper.make_node("ConstantOfShape", ["same"], ["zeros"]),
            helper.make_node("Add", ["x", "zeros"], ["y"]),
        ],
        constants={"wanted": np.int64([2])},
    )
    graph.graph.input.append(helper.make_tensor_value_info("wanted", TensorProto.INT64, [1]))
    model = load(graph)
    x = np.float32([1])
    assert [model.run(given)[0].shape for given in ([x], [x, np.int64([3])], [x, np.int64([4])])] == [(2,), (3,), (4,)]


def test_values_from_which_a_range_is_made_are_not_kept():
    graph = model_of([helper.make_node("Range", ["from", "limit", "step"], ["y"])], inputs=())
    graph.graph.input.append(helper.make_tensor_value_info("limit", TensorProto.INT64, []))
    for name, value in (("from", 1), ("step", 2)):
        graph.graph.initializer.append(numpy_helper.from_array(np.int64(value), name))
    model = load(graph)
    assert [model.run([np.int64(limit)])[0].tolist() for limit in (6, 4)] == [[1, 3, 5], [1, 3]]


@pytest.mark.parametrize(
    ("nodes", "options", "error", "message"),
    [
        (
            [helper.make_node("Relu", ["nowhere"], ["y"])],
            {},
            DataError,
            "'nowhere', an input of the node y, is given by",
        ),
        ([], {}, DataError, "'y', an output of the graph, is given by no node"),
        ([helper.make_node("Relu", ["x"], ["y"])] * 2, {}, DataError, "'y' has two values"),
        ([helper.make_node("Relu", ["x"], ["x"])], {}, DataError, "'x' has two values"),
        ([helper.make_node("MaxPool", ["x"], ["y"])], {}, DataError, "the node y lacks kernel_shape"),
        ([helper.make_node("Conv", ["x"], ["y"])], {}, DataError, "the node y has 1 inputs, but 2 to 3"),
        ([helper.make_node("Conv", ["x", ""], ["y"])], {}, DataError, "the node y has 1 inputs, but 2 to 3"),
        (
            [helper.make_node("Reshape", ["x", "shape"], ["y"])],
            {"constants": {"shape": np.int64([[2], [-1]])}},
            DataError,
            "shape has shape (2, 1), but numbers along one axis",
        ),
        ([helper.make_node("Cast", ["x"], ["y"], to=TensorProto.COMPLEX64)], {}, UnsupportedError, "Cast (y): "),
        (
            [helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[2, 2])],
            {"constants": {"w": np.ones((1, 3, 3, 3), np.float32)}},
            ShapeError,
            "kernel_shape is (2, 2), but w has shape",
        ),
        ([helper.make_node("Softmax", ["x"], ["y"], axis=9)], {}, ArgumentError, "Softmax (y): "),
        ([helper.make_node("Gelu", ["x"], ["y"])], {"opset": 17}, UnsupportedError, "Gelu (opset 17, which has none)"),
    ],
)
def test_a_wrong_graph_is_refused_by_name(nodes, options, error, message):
    with pytest.raises(error) as caught:
        load(model_of(nodes, **options))(X)
    assert message in str(caught.value)


def test_data_of_attributes_is_read_from_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_bytes(bytes(4))
    tensor = numpy_helper.from_array(np.float32([1]), "value")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret")
    with pytest.raises(UnsupportedError, match="value keeps its data in another file"):
        load(model_of([helper.make_node("Constant", [], ["y"], value=tensor)]))


@pytest.mark.parametrize("content", [b"", b"\\x08", b"no model at all", None])
def test_a_file_that_is_none_is_refused(tmp_path, content):
    path = tmp_path / "model.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match="model.onnx"):
        load(path)(X)


def test_the_interface_of_onnx():
    node = helper.make_node("Add", ["a", "b"], ["y"])
    (y,) = onnx_backend.run_node(node, [np.float32([1, 2]), np.float32([3])], "REFERENCE")
    np.testing.assert_array_equal(y, [4, 5])
    model = model_of([helper.make_node("Relu", ["x"], ["y"])])
    (y,) = onnx_backend.run_model(model, [np.float32([-1, 2])], "REFERENCE")
    np.testing.assert_array_equal(y, [0, 2])
    assert issubclass(onnx_backend.Backend, onnx.backend.base.Backend)
    assert [onnx_backend.supports_device(name) for name in ("REFERENCE", "CPU", "CUDA", "OPENCL:99:0")] == [
        True,
        True,
        False,
        False,
    ]

"""Files that become classifiers for training: their logits, a last layer for other classes, their nodes' mode."""

import numpy as np
import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import refcnn as rm
from refcnn.errors import DataError, ShapeError, UnsupportedError
from refcnn.onnx import export, load
from refcnn.onnx.reading import classifier
from refcnn.program import trace

from .test_networks import LIGHT, with_random_weights

X = np.random.default_rng(0).standard_normal((2, 3, 6, 6)).astype(np.float32)
node = helper.make_node


def drawn(*shape):
    return np.random.default_rng(len(shape) * 7 + sum(shape)).standard_normal(shape).astype(np.float32)


def dense_ends(features, classes):
    """Return for each way in which a network may end its nodes, from ``f`` (N, features, 1, 1), and its constants.

    The third entry says which constants are made anew for other classes.
    """
    matrix, row = drawn(features, classes), drawn(classes)
    turned = np.ascontiguousarray(matrix.T)
    flat = node("Flatten", ["f"], ["g"])
    other_axes = node("Reshape", ["w", "matrix"], ["t"])
    return {
        "gemm": ([flat, node("Gemm", ["g", "w", "b"], ["y"])], {"w": matrix, "b": row}, "wb"),
        "gemm of a turned matrix": ([flat, node("Gemm", ["g", "w"], ["y"], transB=1)], {"w": turned}, "w"),
        "matmul and add": (
            [flat, node("MatMul", ["g", "w"], ["m"]), node("Add", ["b", "m"], ["y"])],
            {"w": matrix, "b": row[None]},
            "wb",
        ),
        "matmul of a turned matrix": (
            [flat, node("Transpose", ["w"], ["t"]), node("MatMul", ["g", "t"], ["y"])],
            {"w": turned},
            "w",
        ),
        "gemm of a matrix with other axes": (
            [flat, other_axes, node("Gemm", ["g", "t", "b"], ["y"], transB=1)],
            {"w": turned[None, None], "b": row, "matrix": np.array([classes, features])},
            "wb",
        ),
    }


def convolution_ends(features, classes):
    """Return the same as dense_ends."""
    kernels, row, shape = drawn(classes, features, 1, 1), drawn(classes), np.array([-1, classes])
    conv = node("Conv", ["f", "w"], ["d"])
    to_rows = [node("GlobalAveragePool", ["c"], ["p"]), node("Reshape", ["p", "shape"], ["y"])]
    scaled = [
        node("Mul", ["d", "k"], ["e"]),
        node("Div", ["e", "two"], ["h"]),
        node("BatchNormalization", ["h", "s", "o", "m", "v"], ["c"]),
    ]
    of_scaled = {"k": row[:, None, None], "two": np.float32([2]), **dict.fromkeys("som", row), "v": row**2}
    return {
        "convolution": (
            [node("Conv", ["f", "w", "b"], ["c"]), node("GlobalAveragePool", ["c"], ["y"])],
            {"w": kernels, "b": row},
            "wb",
        ),
        "convolution, rectified and reshaped": (
            [conv, node("Relu", ["d"], ["c"]), *to_rows],
            {"w": kernels, "shape": shape},
            "w",
        ),
        "convolution, scaled": ([conv, *scaled, *to_rows], {"w": kernels, "shape": shape, **of_scaled}, "wksomv"),
    }


def layer_ends(features, classes):
    return dense_ends(features, classes) | convolution_ends(features, classes)


ENDS = tuple(layer_ends(2, 3))


def file_of(path, nodes, constants, classes=None, opset=17, image=(3, 6, 6), inputs=("x",), outputs=("y",), dtype=1):
    """Write a file of nodes whose inputs are images, and return its path."""
    infos = [helper.make_tensor_value_info(name, dtype, ["N", *image]) for name in inputs]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    initializers = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "graph", infos, results, initializers)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    return path


def network(path, features, classes, end, last=(), **options):
    """Write a file that ends in one of ENDS, with further nodes from ``y`` to ``z``."""
    nodes, constants, renewed = layer_ends(features, classes)[end]
    begin = [node("Conv", ["x", "w0"], ["c0"]), node("GlobalAveragePool", ["c0"], ["f"])]
    outputs = ("z",) if last else ("y",)
    constants = {"w0": drawn(features, 3, 3, 3), **constants}
    return file_of(path, [*begin, *nodes, *last], constants, outputs=outputs, **options), renewed


def named(count):
    return [f"class {number}" for number in range(count)]


def made(path, classes, image_shape=(3, 6, 6)):
    rm.set_seed(0)
    return classifier.open_file(path).model(image_shape, named(classes))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@settings(max_examples=15)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 6), st.sampled_from(["none", "Softmax", "LogSoftmax"]))
@pytest.mark.parametrize("end", ENDS)
def test_a_network_gets_one_logit_for_each_class(folder, end, features, classes, wanted, last):
    # Among axes of one that of a single class is not to be found.
    assume(classes > 1 or end != "gemm of a matrix with other axes")
    last = [] if last == "none" else [node(last, ["y"], ["z"], axis=1)]
    path, renewed = network(folder / "model.onnx", features, classes, end, last)
    without, _ = network(folder / "logits.onnx", features, classes, end)
    with rm.use_backend("reference"):
        former = load(without)
        model, changes = made(path, wanted)
        y = model(X).as_ndarray()
        assert y.shape == (2, wanted) and changes.classes == classes
        assert changes.left_out == tuple(entry.op_type for entry in last)
        state, before = model.state(), former.state()
        if wanted == classes:
            assert changes.renewed == ()
            np.testing.assert_array_equal(y, former(X).as_ndarray().reshape(2, classes))
        else:
            # A factor of a single class is taken for one of all.
            assert set(changes.renewed) == set(renewed) - ({"k"} if classes == 1 else set())
        for name in before.keys() - set(changes.renewed):
            np.testing.assert_array_equal(state[name], before[name])
        assert all(np.isfinite(array).all() for array in state.values())
        if wanted > 1:
            with model.train():
                loss = rm.softmax_cross_entropy(model(X), np.array([0, wanted - 1]))
            gradients = loss.grad()
            assert any(np.abs(gradients.get(entry).as_ndarray()).max() for entry in model.params.values())


def test_a_new_layer_begins_as_a_dense_one_does(folder):
    path, _ = network(folder / "begin.onnx", 30, 5, "gemm")
    with rm.use_backend("reference"):
        model, _ = made(path, 70)
        other, _ = made(path, 70)
    weights = model.params["w"].as_ndarray()
    assert weights.shape == (30, 70)
    assert np.std(weights) == pytest.approx(np.sqrt(2 / (30 + 70)), rel=0.1)
    np.testing.assert_array_equal(weights, other.params["w"].as_ndarray())
    np.testing.assert_array_equal(model.params["b"].as_ndarray(), 0)


def test_what_another_layer_shares_stays_as_it_is(folder):
    # The rows of zeros that PyTorch ties to each other.
    nodes = [
        node("Conv", ["x", "w0", "b"], ["c0"]),
        node("GlobalAveragePool", ["c0"], ["f"]),
        node("Flatten", ["f"], ["g"]),
        node("Identity", ["b"], ["b2"]),
        node("Gemm", ["g", "w", "b2"], ["y"]),
    ]
    path = file_of(folder / "tied.onnx", nodes, {"w0": drawn(4, 3, 3, 3), "b": drawn(4), "w": drawn(4, 4)})
    with rm.use_backend("reference"):
        model, changes = made(path, 6)
        assert model(X).shape == (2, 6)
    assert changes.renewed == ("w", "b/new")
    np.testing.assert_array_equal(model.params["b"].as_ndarray().ravel(), drawn(4))


@pytest.mark.parametrize(
    ("name", "left_out"), [("squeezenet", ("Softmax",)), ("shufflenet", ("Softmax",)), ("densenet121", ())]
)
def test_light_networks_get_another_last_layer(folder, name, left_out):
    content = with_random_weights(onnx.load(LIGHT / f"light_{name}.onnx"), np.random.default_rng(0))
    onnx.save(content, folder / f"{name}.onnx")
    rm.use_backend("auto")
    model, changes = made(folder / f"{name}.onnx", 7, (3, 224, 224))
    assert changes.classes == 1000 and changes.left_out == left_out and changes.renewed
    assert model(np.zeros((2, 3, 224, 224))).shape == (2, 7)


BATCH_NORMALIZATION = ["x", "s", "o", "m", "v"]
STATISTICS = {"s": drawn(3), "o": drawn(3) + 1, "m": drawn(3), "v": drawn(3) ** 2}


@pytest.mark.parametrize(
    ("attributes", "outputs", "opset"),
    [({}, ["n"], 17), ({"training_mode": 1}, ["n", "m2", "v2"], 17), ({}, ["n", "m2", "v2", "m3", "v3"], 9)],
)
def test_the_run_says_which_statistics_are_taken_and_the_file_does_not(folder, attributes, outputs, opset):
    nodes = [
        node("BatchNormalization", BATCH_NORMALIZATION, outputs, momentum=0.75, **attributes),
        node("GlobalAveragePool", ["n"], ["f"]),
        node("Flatten", ["f"], ["y"]),
    ]
    path = file_of(folder / "statistics.onnx", nodes, STATISTICS, opset=opset)
    with rm.use_backend("reference:float64"):
        model, _ = made(path, 3)
        mean, variance = (STATISTICS[name].astype(np.float64)[:, None, None] for name in "mv")
        scale, bias = (STATISTICS[name].astype(np.float64)[:, None, None] for name in "so")
        outside = scale * (X - mean) / np.sqrt(variance + 1e-5) + bias
        np.testing.assert_allclose(model(X).as_ndarray(), outside.mean((2, 3)), rtol=1e-6)
        np.testing.assert_array_equal(model.buffers["m"].as_ndarray(), STATISTICS["m"])
        with model.train():
            inside = model(X).as_ndarray()
        # The mean of each channel is taken away.
        np.testing.assert_allclose(inside.mean(0), STATISTICS["o"], rtol=1e-6)
        learned = 0.75 * STATISTICS["m"] + 0.25 * X.mean((0, 2, 3), dtype=np.float64)
        np.testing.assert_allclose(model.buffers["m"].as_ndarray(), learned, rtol=1e-6)
        learned = 0.75 * STATISTICS["v"] + 0.25 * X.var((0, 2, 3), dtype=np.float64)
        np.testing.assert_allclose(model.buffers["v"].as_ndarray(), learned, rtol=1e-6)


@pytest.mark.parametrize("inputs", [["c"], ["c", "ratio"], ["c", "ratio", "always"]])
def test_dropout_drops_in_training_alone(folder, inputs):
    nodes = [
        node("GlobalAveragePool", ["x"], ["f"]),
        node("Flatten", ["f"], ["c"]),
        node("Dropout", inputs, ["y", "mask"]),
    ]
    constants = {"ratio": np.float32(0.5), "always": np.array(True), "w": drawn(3, 3)}
    path = file_of(folder / "dropout.onnx", nodes, constants)
    x = np.ones((50, 3, 6, 6))
    with rm.use_backend("reference"):
        model, _ = made(path, 3)
        np.testing.assert_array_equal(model(x).as_ndarray(), 1)
        with model.train():
            found = model(x).as_ndarray()
    assert set(np.unique(found)) == {0, 2}


def test_statistics_of_a_new_network_are_no_weights(folder):
    # PyTorch's exporter ties the variances of ones to the scales.
    identities = [node("Identity", ["s"], ["v"]), node("Identity", ["o"], ["m"]), node("Identity", ["s"], ["s2"])]
    nodes = [
        *identities,
        node("BatchNormalization", BATCH_NORMALIZATION, ["n"]),
        node("BatchNormalization", ["n", "s2", "o", "m", "v"], ["y"]),
    ]
    model = load(file_of(folder / "new.onnx", nodes, {"s": np.ones(3, np.float32), "o": np.zeros(3, np.float32)}))
    assert list(dict(model.parameters())) == ["s", "o"]
    assert sorted(dict(model.named_buffers())) == ["m", "v"]
    assert model.tied == {"s": ("s2",)}


def test_a_summary_says_what_is_tied(folder, capsys):
    nodes = [node("Identity", ["w"], ["w2"]), node("Mul", ["x", "w"], ["h"]), node("Mul", ["h", "w2"], ["y"])]
    model = load(file_of(folder / "tied_two.onnx", nodes, {"w": drawn(3, 1, 1)}))
    with rm.use_backend("reference"):
        model.summary((3, 6, 6))
    assert "tied in the file, one parameter: w, w2" in capsys.readouterr().out
    assert "w, w2" in repr(model)
    path, _ = network(folder / "free.onnx", 2, 3, "gemm")
    assert "tied" not in repr(load(path))


def test_a_file_that_was_trained_further_is_exported_with_its_classes(folder):
    path, _ = network(folder / "again.onnx", 4, 3, "convolution", [node("Softmax", ["y"], ["z"], axis=1)])
    with rm.use_backend("reference"):
        model, _ = made(path, 5)
        export(model, folder / "exported.onnx", (3, 6, 6), classes=named(5), examples=3)
        again, changes = made(folder / "exported.onnx", 5)
        assert not changes.renewed
        assert [step.operation for step in trace(model, X, False).steps] == [
            step.operation for step in trace(again, X, False).steps
        ]
        # As many classes of other names are others.
        file = classifier.open_file(folder / "exported.onnx")
        assert file.classes == tuple(named(5)) and file.sizes == (3, 6, 6)
        _, changes = file.model((3, 6, 6), ["a", "b", "c", "d", "e"])
        assert len(changes.renewed) == 2


def test_data_beside_the_file_is_taken_in(folder):
    path, _ = network(folder / "beside.onnx", 4, 3, "gemm")
    inside = classifier.open_file(path)
    assert inside.content == path.read_bytes()
    onnx.save_model(onnx.load(path), path, save_as_external_data=True, location="beside.data", size_threshold=0)
    file = classifier.open_file(path)
    (folder / "beside.data").unlink()
    (folder / "whole.onnx").write_bytes(file.content)
    for one in (file, classifier.open_file(folder / "whole.onnx")):
        assert one.graph.constants.keys() == inside.graph.constants.keys()
        for name, array in inside.graph.constants.items():
            np.testing.assert_array_equal(one.graph.constants[name], array)


GROUPED = [node("Conv", ["x", "w"], ["c"], group=3), node("GlobalAveragePool", ["c"], ["y"])]
SUMMED = [node("ReduceSum", ["x", "axes"], ["y"], keepdims=0)]
ONE_AXIS = [node("MatMul", ["x", "w"], ["m"]), node("Flatten", ["m"], ["y"])]
TWICE = [
    node("Flatten", ["x"], ["f"]),
    node("Gemm", ["f", "w"], ["g"]),
    node("Gemm", ["f", "w"], ["h"]),
    node("Add", ["g", "h"], ["y"]),
]
COMPUTED = [node("Flatten", ["x"], ["f"]), node("Relu", ["w"], ["r"]), node("Gemm", ["f", "r"], ["y"])]


@pytest.mark.parametrize(
    ("nodes", "constants", "options", "error", "message"),
    [
        ([node("Add", ["x", "x2"], ["y"])], {}, {"inputs": ("x", "x2")}, UnsupportedError, "2 inputs: x, x2"),
        ([node("Relu", ["w"], ["y"])], {"w": drawn(1, 3)}, {"inputs": ()}, UnsupportedError, "it has 0 inputs"),
        ([node("Split", ["x"], ["y", "z"], axis=2)], {}, {"outputs": ("y", "z")}, UnsupportedError, "2 outputs: y, z"),
        ([node("Relu", ["x"], ["y"])], {}, {}, UnsupportedError, r"no classifier: .* shape \(1, 3, 6, 6\)"),
        ([node("Size", ["x"], ["y"])], {}, {}, UnsupportedError, r"no classifier: .* shape \(\)"),
        ([node("Flatten", ["x"], ["y"], axis=2)], {}, {}, UnsupportedError, r"no classifier: .* shape \(3, 36\)"),
        ([node("Cast", ["x"], ["y"], to=1)], {}, {"dtype": TensorProto.UINT8}, UnsupportedError, "the type UINT8"),
        ([node("Flatten", ["x"], ["y"])], {}, {"image": (3, 6)}, UnsupportedError, "arrays of 3 axes"),
        (
            [node("Flatten", ["x"], ["y"])],
            {},
            {"image": (3, 2**30, 2)},
            UnsupportedError,
            "sizes .* at most 134,217,728",
        ),
        (ONE_AXIS, {"w": drawn(6)}, {}, DataError, "no classifier can be made of it"),
        (GROUPED, {"w": drawn(6, 1, 3, 3)}, {}, UnsupportedError, "cannot be made anew .* Conv .* in groups"),
        (SUMMED, {"axes": np.array([2, 3])}, {}, UnsupportedError, "behind which no layer is looked for"),
        (COMPUTED, {"w": drawn(108, 4)}, {}, UnsupportedError, "takes weights that are computed"),
        (TWICE, {"w": drawn(108, 4)}, {}, UnsupportedError, "Add .* of what several layers compute"),
        ([node("GlobalMaxPool", ["x"], ["y"])], {}, {}, UnsupportedError, "no dense layer or convolution"),
        ([node("Nonsense", ["x"], ["y"])], {}, {}, UnsupportedError, "Nonsense"),
        ([node("Relu", ["nothing"], ["y"])], {}, {}, DataError, "'nothing'"),
        ([node("Conv", ["x", "w"], ["y"])], {"w": drawn(5, 4, 3, 3)}, {}, ShapeError, "Conv"),
    ],
)
def test_what_is_no_classifier_is_refused_by_its_cause(folder, nodes, constants, options, error, message):
    path = file_of(folder / "refused.onnx", nodes, constants, **options)
    with rm.use_backend("reference"), pytest.raises(error, match=message) as found:
        made(path, 7)
    assert str(path) in str(found.value)


def test_broken_files_are_refused(folder):
    path, _ = network(folder / "broken.onnx", 2, 3, "gemm")
    content = path.read_bytes()
    for broken in (b"", content[: len(content) // 2], b"no model at all"):
        path.write_bytes(broken)
        with pytest.raises(DataError, match=r"broken\.onnx"):
            classifier.open_file(path)
    with pytest.raises(DataError, match="does not exist"):
        classifier.open_file(folder / "absent.onnx")
    model = onnx.load_model_from_string(content)
    helper.set_model_props(model, {"refcnn.classes": '["a", "b"]'})
    path.write_bytes(model.SerializeToString())
    with pytest.raises(DataError, match="it names 2 classes"):
        classifier.open_file(path)

"""Models that are read from a file, exported, and read again: the same program, and the same answers."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import refcnn as rm
from refcnn import philox, use_backend
from refcnn.errors import ExportError
from refcnn.onnx import export, load
from refcnn.program import trace

from .test_networks import LIGHT, LIGHT_NETWORKS, PACKAGED, SHAPES, with_random_weights

#: Sizes of images that the ready networks take, where not (3, 32, 32).
SIZES = {"chapter": (1, 8, 8), "lenet5": (1, 32, 32), "alexnet": (3, 64, 64)}


def there_and_back(model, path, shape, **options):
    """Export a model and hold what is read of the file against it; the file may say in another way what it had said."""
    with use_backend("auto"):
        export(model, path, shape, **{"proof": False, **options})
        again = load(path)
        x = np.random.default_rng(0).random((1, *shape)).astype(np.float32)
        one, other = trace(model, x), trace(again, x)
    assert [(step.operation, step.attributes) for step in one.steps] == [
        (step.operation, step.attributes) for step in other.steps
    ]
    assert wiring(one) == wiring(other)
    assert {name: array.dtype for name, array in one.constants.items()} == {
        name: array.dtype for name, array in other.constants.items()
    }
    for name, array in one.constants.items():
        np.testing.assert_array_equal(array, other.constants[name])
    for first, second in zip(outputs(model, x), outputs(again, x), strict=True):
        np.testing.assert_array_equal(first, second)
    return again


def wiring(program):
    """Return what each step reads: its inputs' and results' names, the latter numbered in their order."""
    names = {name: f"input {place}" for place, name in enumerate(program.inputs)}
    for step in program.steps:
        names |= {name: f"{len(names)} {name is None}" for name in step.results}
    ends = [names.get(name, name) for name in program.outputs]
    return [[names.get(name, name) for name in step.inputs] for step in program.steps], ends


def outputs(model, x):
    with use_backend("auto"):
        found = model(x)
    return [entry.as_ndarray() for entry in (found if isinstance(found, tuple) else (found,))]


@pytest.mark.parametrize("name", rm.models.NAMED)
def test_ready_network(name, tmp_path, monkeypatch):
    # To draw them takes more than a third of the time, and which ones they are decides nothing.
    monkeypatch.setattr(philox, "normal", lambda seed, stream, count: np.random.default_rng(stream).normal(size=count))
    shape = SIZES.get(name, (3, 32, 32))
    rm.set_seed(0)
    with use_backend("auto"):
        model = rm.models.NAMED[name](shape, 4)
        with model.train():
            model(np.random.default_rng(1).random((2, *shape)))
        export(model, tmp_path / "first.onnx", shape, proof=False)
    there_and_back(load(tmp_path / "first.onnx"), tmp_path / "model.onnx", shape)


@pytest.mark.parametrize("name", LIGHT_NETWORKS)
def test_light_network(name, tmp_path):
    graph = with_random_weights(onnx.load(LIGHT / f"light_{name}.onnx"), np.random.default_rng(0))
    model = load(graph, rebatch=True)
    (entry,) = (entry for entry in graph.graph.input if entry.name in model.input_names)
    there_and_back(
        model, tmp_path / "model.onnx", tuple(size.dim_value for size in entry.type.tensor_type.shape.dim)[1:]
    )


@pytest.mark.skipif(not PACKAGED.is_dir(), reason="REFCNN_TEST_MODELS names no folder of tools/package_models")
@pytest.mark.parametrize("name", SHAPES)
def test_trained_network(name, tmp_path):
    there_and_back(load(PACKAGED / name, rebatch=True), tmp_path / "model.onnx", SHAPES[name][1:])


@pytest.mark.parametrize(("name", "options"), [("squeezenet", {}), ("mobilenet_v2", {"fold": True})])
def test_a_network_is_proved(name, options, tmp_path):
    """What is read of its file is the program that was proved, folded once and for all."""
    rm.set_seed(0)
    shape = (3, 32, 32)
    with use_backend("reference"):
        model = rm.models.NAMED[name](shape, 4)
        with model.train():
            model(np.random.default_rng(1).random((4, *shape)))
        proof = export(model, tmp_path / "first.onnx", shape, examples=2, backends=["reference"], **options)
    assert proof.examples == 2 and (proof.departure is not None) == bool(options)
    there_and_back(load(tmp_path / "first.onnx"), tmp_path / "model.onnx", shape)


def file_of(nodes, outputs, constants=(), opset=17):
    """Return a file of nodes with the input x of four numbers."""
    info = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(nodes, "graph", [info], ends, [numpy_helper.from_array(a, n) for n, a in constants])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


RELU, DOUBLED = helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Add", ["r", "r"], ["s"])


@pytest.mark.parametrize("names", ["rs", "sr", "xs", "sx", "cs", "sc", "scxr"])
def test_outputs_may_be_read_on_or_be_what_is_given(names, tmp_path):
    model = load(file_of([RELU, DOUBLED], list(names), [("c", np.float32([3, 4, 5]))]))
    again = there_and_back(model, tmp_path / "model.onnx", (4,), proof=True, examples=4, backends=["reference"])
    x = np.float32([[-1, 2, 3, -4], [5, 6, -7, 8]])
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    known = {"x": x, "c": [3, 4, 5], "r": x.clip(0), "s": 2 * x.clip(0)}
    for found in (again.run([x]), session.run(None, {"image": x})):
        for name, entry in zip(names, found, strict=True):
            np.testing.assert_array_equal(entry, known[name])


def test_a_file_has_the_first_opset_that_says_all(tmp_path):
    """Below opset 19 no mode of Pad goes round."""
    nodes = [helper.make_node("Pad", ["x", "pads"], ["y"], mode="wrap"), helper.make_node("Gelu", ["y"], ["z"])]
    model = load(file_of(nodes, ["z"], [("pads", np.int64([0, 1, 0, 2]))], opset=20))
    assert export(model, tmp_path / "model.onnx", (4,), proof=False).opset == 19
    with pytest.raises(ExportError, match="opset 17 of ONNX has no Pad with the mode wrap.*19"):
        export(model, tmp_path / "model.onnx", (4,), proof=False, opset=17)
    assert [entry.version for entry in onnx.load(tmp_path / "model.onnx").opset_import] == [19]
    there_and_back(model, tmp_path / "model.onnx", (4,), opset=20)


def test_a_model_of_constants_alone_is_refused(tmp_path):
    model = load(file_of([helper.make_node("Relu", ["c"], ["y"])], ["y"], [("c", np.float32([3]))]))
    with pytest.raises(ExportError, match="does not depend on its input"):
        export(model, tmp_path / "model.onnx", (4,))

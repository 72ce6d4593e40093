"""What a file says of its inputs, and files that are made to take a batch of another size."""

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from refcnn.errors import ArgumentError, DataError
from refcnn.onnx.reading.batches import File, FileInput

from .test_replaying import node


def written(tmp_path, inputs, nodes=None, outputs=("y",), constants=None):
    """Write a file with inputs of such (dtype, shape) and return its path."""
    infos = [helper.make_tensor_value_info(name, *entry) for name, entry in inputs.items()]
    nodes = nodes or [node("Identity", next(iter(inputs)), "y")]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    constants = [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()]
    graph = helper.make_graph(nodes, "graph", infos, results, constants)
    path = tmp_path / "model.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())
    return path


def test_inputs_have_the_batch_and_the_usual_sizes_of_images(tmp_path):
    inputs = {
        "x": (TensorProto.FLOAT, ["N", 3, "height", None]),
        "n": (TensorProto.INT64, ["N", 7]),
        "s": (TensorProto.BOOL, []),
    }
    file = File(written(tmp_path, inputs))
    assert file.batch is None and file.for_batch(4) is None
    assert file.inputs(4, {}) == [
        FileInput("x", (4, 3, 224, 224), "float32"),
        FileInput("n", (4, 7), "int64"),
        FileInput("s", (), "bool"),
    ]
    assert file.inputs(2, {"x": (3, 8, 9)})[0].shape == (2, 3, 8, 9)


@pytest.mark.parametrize(
    ("shape", "given", "part"),
    [
        ([1, "length"], {}, "leaves sizes free"),
        (None, {}, "leaves sizes free"),
        ([1, 3, 8, 8], {"x": (4, 8, 8)}, "Nx3x8x8"),
        ([1, 3, 8, 8], {"x": (3, 8)}, "Nx3x8x8"),
        ([1, 3, 8, 8], {"other": (3, 8, 8)}, "the inputs are x"),
    ],
)
def test_sizes_that_are_missing_or_contradict_the_file_are_refused(tmp_path, shape, given, part):
    file = File(written(tmp_path, {"x": (TensorProto.FLOAT, shape)}))
    with pytest.raises(ArgumentError, match=part):
        file.inputs(1, given)


def test_a_shape_without_a_name_is_that_of_the_only_input(tmp_path):
    file = File(written(tmp_path, {"x": (TensorProto.FLOAT, None)}))
    assert file.inputs(2, {"": (5, 6)}) == [FileInput("x", (2, 5, 6), "float32")]


def test_a_file_for_one_example_takes_several(tmp_path):
    nodes = [node("Reshape", "x rows", "r"), node("Reshape", "weights matrix", "w"), node("MatMul", "r w", "y")]
    weights = np.random.default_rng(0).standard_normal((1, 12, 5)).astype(np.float32)
    constants = {"rows": np.int64([1, 12]), "weights": weights, "matrix": np.int64([12, 5])}
    file = File(written(tmp_path, {"x": (TensorProto.FLOAT, [1, 3, 4])}, nodes, constants=constants))
    assert file.batch == 1 and file.for_batch(1) is None
    x = np.random.default_rng(1).standard_normal((3, 3, 4)).astype(np.float32)
    session = onnxruntime.InferenceSession(file.for_batch(3), providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"x": x})
    np.testing.assert_allclose(y, x.reshape(3, 12) @ weights[0], rtol=1e-5, atol=1e-5)


def test_what_is_no_file_is_refused(tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"nothing of the kind")
    for name in ("absent.onnx", "broken.onnx"):
        with pytest.raises(DataError, match=name):
            File(tmp_path / name)

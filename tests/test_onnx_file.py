"""Reading exported files again, and whatever else somebody may give."""

import numpy as np
import onnx
import pytest

import refcnn as rm
from refcnn.errors import DataError, ShapeError
from refcnn.onnx import export, load


@pytest.fixture(autouse=True)
def reference():
    with rm.use_backend("reference"):
        yield


@pytest.fixture
def path(tmp_path):
    path, model = tmp_path / "model.onnx", rm.Sequential([rm.Dense(2, input_size=3)])
    model.set_state({"0.w": np.array([[1, 2], [3, 4], [5, 6]]), "0.b": np.array([[10, 20]])})
    export(model, path, (3,), classes=("a", "b"), examples=1, backends=["reference"])
    return path


def test_predict(path):
    model = load(path)
    assert (model.classes, model.preprocessing, model.input_shape) == (("a", "b"), None, (3,))
    for dtype in (np.uint8, np.float64, np.float32):
        logits = model.predict(np.array([[1, 0, 0], [0, 1, 1]], dtype))
        assert logits.dtype == np.float32
        np.testing.assert_array_equal(logits, [[11, 22], [18, 30]])
    np.testing.assert_array_equal(model.predict([[0, 0, 0]]), [[10, 20]])


@pytest.mark.parametrize("x", [np.ones(3), np.ones((0, 3)), np.ones((1, 4)), 1.0, [["a", "b", "c"]]])
def test_predict_says_which_shape_it_needs(path, x):
    with pytest.raises(ShapeError, match=r"Give numbers of shape \('N', 3\)"):
        load(path).predict(x)


def test_files_that_cannot_be_read(path, tmp_path):
    content = path.read_bytes()
    with pytest.raises(DataError, match="absent.onnx cannot be read: No such file"):
        load(tmp_path / "absent.onnx")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        load(tmp_path)
    for name, damaged in [
        ("empty", b""),
        ("text", b"no model at all"),
        ("truncated", content[: len(content) // 2]),
        ("zeros", bytes(100)),
    ]:
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(DataError, match=name):
            load(tmp_path / name)


def changed(path, change):
    model = onnx.load(path)
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


def test_a_foreign_file(path):
    changed(path, lambda model: setattr(model, "producer_name", "pytorch"))
    with pytest.raises(DataError, match="not written by refcnn .its producer is 'pytorch'"):
        load(path)


@pytest.mark.parametrize("location", ["../secret", "weights.bin"])
def test_data_outside_the_file_is_not_followed(path, location):
    (path.parent / "weights.bin").write_bytes(bytes(24))

    def outside(model):
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)

    with pytest.raises(DataError, match="keeps data in other files"):
        load(changed(path, outside))


def test_data_outside_the_file_is_found_in_a_constant_too(path):
    def outside(model):
        tensor = onnx.TensorProto(name="t", data_type=1, dims=[2], data_location=onnx.TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value="weights.bin")
        model.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["t"], value=tensor))

    with pytest.raises(DataError, match="keeps data in other files"):
        load(changed(path, outside))


@pytest.mark.parametrize("key", ["refcnn.classes", "refcnn.preprocessing"])
@pytest.mark.parametrize("value", ["{", "1", '{"scale": 1}', "[1, 2]", '"ab"'])
def test_damaged_metadata(path, key, value):
    def damage(model):
        del model.metadata_props[:]
        model.metadata_props.add(key=key, value=value)

    with pytest.raises(DataError, match="model.onnx is damaged"):
        load(changed(path, damage))


def test_other_metadata_is_left_alone(path):
    changed(path, lambda model: model.metadata_props.add(key="note", value="no JSON"))
    assert load(path).classes == ("a", "b")


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.graph.node.pop(),
        lambda model: model.graph.initializer.pop(),
        lambda model: setattr(model.graph.node[0], "op_type", "Nonsense"),
        lambda model: setattr(model, "ir_version", 1000),
        lambda model: model.graph.input.add(name="second").CopyFrom(
            onnx.helper.make_tensor_value_info("second", 1, ["N", 3])
        ),
    ],
)
def test_a_damaged_graph(path, change):
    with pytest.raises(DataError, match="model.onnx is damaged"):
        load(changed(path, change))


def test_onnxruntime_is_quiet(path, capfd):
    unused = onnx.numpy_helper.from_array(np.zeros(3, np.float32), "unused")
    load(changed(path, lambda model: model.graph.initializer.append(unused))).predict(np.ones((1, 3)))
    assert capfd.readouterr() == ("", "")

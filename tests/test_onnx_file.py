"""Reading exported files again, and whatever else somebody may give."""

import json

import numpy as np
import onnx
import pytest

import refcnn as rm
from refcnn.errors import DataError, ShapeError
from refcnn.onnx import export, open_exported, runtime


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
    model = open_exported(path)
    assert (model.classes, model.preprocessing, model.input_shape) == (("a", "b"), None, (3,))
    for dtype in (np.uint8, np.float64, np.float32):
        logits = model.predict(np.array([[1, 0, 0], [0, 1, 1]], dtype))
        assert logits.dtype == np.float32
        np.testing.assert_array_equal(logits, [[11, 22], [18, 30]])
    np.testing.assert_array_equal(model.predict([[0, 0, 0]]), [[10, 20]])


@pytest.mark.parametrize("x", [np.ones(3), np.ones((0, 3)), np.ones((1, 4)), 1.0, [["a", "b", "c"]]])
def test_predict_says_which_shape_it_needs(path, x):
    with pytest.raises(ShapeError, match=r"Give numbers of shape \('N', 3\)"):
        open_exported(path).predict(x)


def test_files_that_cannot_be_read(path, tmp_path):
    content = path.read_bytes()
    with pytest.raises(DataError, match="absent.onnx does not exist"):
        open_exported(tmp_path / "absent.onnx")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        open_exported(tmp_path)
    for name, damaged in [
        ("empty", b""),
        ("text", b"no model at all"),
        ("truncated", content[: len(content) // 2]),
        ("zeros", bytes(100)),
    ]:
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(DataError, match=name):
            open_exported(tmp_path / name)


def changed(path, change):
    model = onnx.load(path)
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


def test_a_foreign_file(path):
    changed(path, lambda model: setattr(model, "producer_name", "pytorch"))
    with pytest.raises(DataError, match="not written by refcnn.*'pytorch'"):
        open_exported(path)


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("../secret", "own folder"),
        ("/secret", "own folder"),
        ("link.bin", "is a link"),
        ("short.bin", "not whole"),
        ("absent.bin", "missing beside"),
        (".", "own folder"),
        ("folder", "is no file"),
        ("nan.bin", "holds NaN"),
    ],
)
def test_data_elsewhere_is_not_followed(path, location, message):
    secret = path.parent.parent / "secret"
    secret.write_bytes(bytes(24))
    (path.parent / "link.bin").symlink_to(secret)
    (path.parent / "short.bin").write_bytes(bytes(23))
    (path.parent / "nan.bin").write_bytes(bytes(20) + np.float32(np.nan).tobytes())
    (path.parent / "folder").mkdir()

    def outside(model):
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)

    with pytest.raises(DataError, match=f"model.onnx.*{message}"):
        open_exported(changed(path, outside))


def test_data_outside_the_file_is_found_in_a_constant_too(path):
    def outside(model):
        tensor = onnx.TensorProto(name="t", data_type=1, dims=[2], data_location=onnx.TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value="weights.bin")
        model.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["t"], value=tensor))

    with pytest.raises(DataError, match="keeps data of attributes in other files"):
        open_exported(changed(path, outside))


@pytest.mark.parametrize("key", ["refcnn.classes", "refcnn.preprocessing"])
@pytest.mark.parametrize("value", ["{", "1", '{"scale": 1}', "[1, 2]", '"ab"'])
def test_damaged_metadata(path, key, value):
    def damage(model):
        del model.metadata_props[:]
        model.metadata_props.add(key=key, value=value)

    with pytest.raises(DataError, match="model.onnx is not a whole ONNX file"):
        open_exported(changed(path, damage))


def test_other_metadata_is_left_alone(path):
    changed(path, lambda model: model.metadata_props.add(key="note", value="no JSON"))
    assert open_exported(path).classes == ("a", "b")


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
        lambda model: (
            model.graph.output.add(name="second").CopyFrom(model.graph.value_info[0])
            if model.graph.value_info
            else model.graph.output.pop()
        ),
        lambda model: setattr(batch(model.graph.input), "dim_value", 7),
        lambda model: (setattr(batch(model.graph.input), "dim_value", 7), batch_of_output(model, 7)),
        lambda model: setattr(model.graph.output[0].type.tensor_type, "elem_type", onnx.TensorProto.DOUBLE),
        lambda model: setattr(model.graph.input[0].type.tensor_type.shape.dim[1], "dim_value", 40000),
        lambda model: setattr(model.metadata_props[0], "value", '["a"]'),
        lambda model: setattr(model.metadata_props[0], "value", '["a", "b", "c"]'),
        lambda model: setattr(model.metadata_props[0], "value", "[" * 100_000),
        lambda model: model.metadata_props.add(key="refcnn.preprocessing", value=preprocessing_text(height=40000)),
        lambda model: model.metadata_props.add(key="refcnn.preprocessing", value=preprocessing_text(mean=10**400)),
        lambda model: model.graph.initializer[0].dims.append(2**40),
        lambda model: setattr(model.graph.initializer[0], "data_type", 1000),
        lambda model: setattr(model.graph.initializer[0], "raw_data", np.full(6, np.nan, np.float32).tobytes()),
        lambda model: setattr(model.graph.node[0], "domain", "somebody.else"),
    ],
)
def test_a_damaged_graph(path, change):
    with pytest.raises(DataError, match="model.onnx is not a whole ONNX file"):
        open_exported(changed(path, change))


def batch(values):
    return values[0].type.tensor_type.shape.dim[0]


def batch_of_output(model, size):
    for values in (model.graph.output, *([value] for value in model.graph.value_info)):
        batch(values).dim_value = size


def preprocessing_text(**changes):
    fields = {"scale": 1.0, "channels": 1, "height": 1, "width": 3, "white": 1.0, **changes}
    return json.dumps(fields)


@pytest.fixture
def convolution(tmp_path):
    path, model = (
        tmp_path / "model.onnx",
        rm.Sequential([rm.Conv2d(2, 3, padding=1), rm.MaxPool2d(2), rm.Flatten(), rm.Dense(2)]),
    )
    export(model, path, (1, 6, 6), examples=1, backends=["reference"])
    return path


@pytest.mark.parametrize("name", ["kernel_shape", "pads", "strides", "dilations"])
@pytest.mark.parametrize("size", [10**6, 2**31, 2**62, -1, 0])
@pytest.mark.parametrize("is_said", [True, False])
def test_attributes_of_absurd_size_are_refused(convolution, name, size, is_said):
    """Also where the file does not say which sizes it expects: nothing is allocated for them."""

    def enlarge(model):
        for node in model.graph.node:
            for attribute in node.attribute:
                if attribute.name == name:
                    attribute.ints[:] = [size] * len(attribute.ints)
        if not is_said:
            del model.graph.value_info[:]

    with pytest.raises(DataError, match="model.onnx is not a whole ONNX file"):
        open_exported(changed(convolution, enlarge)).predict(np.zeros((1, 1, 6, 6)))


def _added(*inputs, outputs, **attributes):
    """Return a change that puts a node in front of the graph's, and says an array of integers of absurd size."""

    def change(model):
        node = onnx.helper.make_node(attributes["op_type"], [model.graph.input[0].name, *inputs], outputs)
        node.attribute.extend(onnx.helper.make_attribute(*one) for one in attributes.items() if one[0] != "op_type")
        model.graph.node.insert(0, node)
        model.graph.value_info.append(onnx.helper.make_tensor_value_info("many", onnx.TensorProto.INT64, [2**31]))
        model.opset_import[0].version = 18

    return change


@pytest.mark.parametrize(
    "change",
    [
        _added("0.w", outputs=["z", "mean"], op_type="LayerNormalization", axis=2**31),
        _added(outputs=["z", "v"], op_type="Split", axis=1, num_outputs=1),
        _added(outputs=["z"], op_type="Split", axis=1, num_outputs=2**31 - 1),
        _added("many", "many", outputs=["z"], op_type="Slice"),
    ],
)
def test_what_onnx_s_inference_does_not_survive_is_refused(path, change):
    changed(path, change)
    with pytest.raises(DataError, match=r"model\.onnx"):
        open_exported(path)


def test_what_onnxruntime_cannot_compute_is_an_error_of_refcnn(convolution, monkeypatch):
    def fails(*_):
        raise RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION")

    model = open_exported(convolution)
    monkeypatch.setattr(runtime.Session, "run", fails)
    with pytest.raises(DataError, match="RUNTIME_EXCEPTION"):
        model.predict(np.zeros((1, 1, 6, 6)))


def test_onnxruntime_is_quiet(path, capfd):
    unused = onnx.numpy_helper.from_array(np.zeros(3, np.float32), "unused")
    open_exported(changed(path, lambda model: model.graph.initializer.append(unused))).predict(np.ones((1, 3)))
    assert capfd.readouterr() == ("", "")

"""ONNX files of others at the command line: their classes and what they see, from image files."""

import json
import re

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import refcnn as rm
from refcnn.cli import main
from refcnn.data import Preprocessing
from refcnn.errors import RefcnnError
from refcnn.onnx import metadata
from refcnn.onnx.reading.image_model import open_image_model
from refcnn.runs import drawing, prediction
from refcnn.runs.classifier import FileClassifier
from refcnn.runs.image_options import ImageOptions
from refcnn.runs.prediction import Predictor

from .test_cases import CAUSES, VARIANTS
from .test_networks import LIGHT, PACKAGED, with_random_weights

#: What leads out of a model's folder, whoever computes.
OUTSIDE = ("parent_folder", "absolute_path", "symlink_out")
_TYPES = {"float32": TensorProto.FLOAT, "uint8": TensorProto.UINT8}


def network(sizes, dtype="float32", layout="NCHW", batch="N", end="Softmax", classes=3, channels=None, declared=None):
    """Return a small network as other tools write it, a ModelProto: (C, H, W) are its image's sizes."""
    rng = np.random.default_rng(0)
    channels = channels or sizes[0]
    constants = {
        "w": rng.standard_normal((4, channels, 2, 2)).astype(np.float32) / (1 if dtype == "float32" else 255),
        "b": rng.standard_normal(4).astype(np.float32),
        "k": rng.standard_normal((4, classes)).astype(np.float32),
    }
    nodes, name = [], "photo"
    steps = [("Cast", {"to": TensorProto.FLOAT})] if dtype == "uint8" else []
    steps += [("Transpose", {"perm": [0, 3, 1, 2]})] if layout == "NHWC" else []
    for number, (operator, attributes) in enumerate(steps):
        nodes.append(helper.make_node(operator, [name], [f"t{number}"], **attributes))
        name = f"t{number}"
    nodes += [
        helper.make_node("Conv", [name, "w", "b"], ["c"]),
        helper.make_node("GlobalAveragePool", ["c"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("MatMul", ["f", "k"], ["m"]),
        *([helper.make_node(end, ["m"], ["scores"])] if end else [helper.make_node("Identity", ["m"], ["scores"])]),
    ]
    shape = declared or (sizes if layout == "NCHW" else (*sizes[1:], sizes[0]))
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("photo", _TYPES[dtype], [batch, *shape])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, classes])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="other")


def save_images(folder, count, size=(9, 7)):
    paths = []
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8)
        paths.append(folder / f"{number}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def call(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="refcnn")
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def refused(result, *parts, status=1):
    assert result.exit_code == status and "Error: " in result.stderr, result.output
    for part in parts:
        assert str(part) in result.stderr, result.stderr


@st.composite
def networks(draw):
    channels, dtype = draw(st.sampled_from([1, 3])), draw(st.sampled_from(["float32", "uint8"]))
    # Sizes that are no numbers of channels, so that the layout can be told.
    sizes = channels, draw(st.integers(4, 9)), draw(st.integers(4, 9))
    layout, batch = draw(st.sampled_from(["NCHW", "NHWC"])), draw(st.sampled_from(["N", -1, 1, 2]))
    end = draw(st.sampled_from([None, "Softmax", "Sigmoid", "LogSoftmax"]))
    return sizes, dtype, layout, batch, end


@given(networks(), st.integers(1, 5), st.sampled_from(["RGB", "BGR"]), st.booleans())
def test_every_executor_finds_what_the_network_gives_for_the_pixels(
    tmp_path_factory, page_backend, drawn, count, order, is_standardised
):
    sizes, dtype, layout, batch, end = drawn
    folder = tmp_path_factory.mktemp("files")
    onnx.save(network(sizes, dtype, layout, batch, end), folder / "other.onnx")
    paths, given_options = save_images(folder, count, sizes[1:]), {}
    mean, deviation = np.float32([0.4, 0.5, 0.6]), np.float32([0.2, 0.3, 0.4])
    if dtype == "float32":
        given_options["pixel_range"] = (0, 1)
        if is_standardised:
            numbers = {"mean": mean, "deviation": deviation}
            given_options |= {name: tuple(map(float, values[: sizes[0]])) for name, values in numbers.items()}
    if sizes[0] == 3:
        given_options["colour"] = order
    session = onnxruntime.InferenceSession(network(sizes, dtype, layout, "N", end).SerializeToString())
    for backend in (None, page_backend.name):
        predictor = Predictor(folder / "other.onnx", images=ImageOptions(**given_options), backend=backend)
        assert predictor.classes == ("0", "1", "2") and predictor.preprocessing.layout == layout
        found = [dict(entry.classes) for entry in predictor.predictions(paths, 3)]
        assert len(found) == count
        for path, entry in zip(paths, found, strict=True):
            image = Image.open(path).convert("L" if sizes[0] == 1 else "RGB")
            x = np.asarray(image).reshape(*sizes[1:], sizes[0])
            x = x[..., ::-1] if sizes[0] == 3 and order == "BGR" else x
            if dtype == "float32":
                x = x / np.float32(255)
                x = (x - mean[: sizes[0]]) / deviation[: sizes[0]] if is_standardised else x
            x = np.ascontiguousarray(x if layout == "NHWC" else x.transpose(2, 0, 1))
            (scores,) = session.run(None, {"photo": x[None].astype(dtype)})[0].astype(np.float64)
            powers = scores if end in ("Softmax", "Sigmoid") else np.exp(scores)
            expected = powers / (1 if end == "Sigmoid" else powers.sum())
            assert [entry[name] for name in "012"] == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(("operator", "shape"), [("Flatten", [1, 4]), ("Softmax", [1, -1])])
def test_a_batch_that_is_free_in_name_alone_is_computed_one_by_one(tmp_path, operator, shape):
    """Of several images the first of these cannot be computed, and the second gives one row."""
    model = network((3, 5, 5))
    (node,) = (node for node in model.graph.node if node.op_type == operator)
    node.op_type = "Reshape"
    node.input.append("one")
    model.graph.initializer.append(numpy_helper.from_array(np.int64(shape), "one"))
    onnx.save(model, tmp_path / "one.onnx")
    onnx.save(network((3, 5, 5), end="Softmax" if operator == "Flatten" else None), tmp_path / "other.onnx")
    paths = save_images(tmp_path, 5)
    found = [
        [entry.classes for entry in Predictor(file, images=ImageOptions(pixel_range=(0, 1))).predictions(paths, 3)]
        for file in (tmp_path / "one.onnx", tmp_path / "other.onnx")
    ]
    for first, second in zip(*found, strict=True):
        assert dict(first) == pytest.approx(dict(second), rel=1e-5)


def test_of_large_images_fewer_are_computed_at_once(tmp_path, monkeypatch):
    onnx.save(network((3, 5, 5)), tmp_path / "other.onnx")
    predictor = Predictor(tmp_path / "other.onnx", images=ImageOptions(pixel_range=(0, 1)))
    paths, counts = save_images(tmp_path, 7), []
    scores = FileClassifier.scores
    monkeypatch.setattr(FileClassifier, "scores", lambda self, x: counts.append(len(x)) or scores(self, x))
    found = [list(predictor.predictions(paths, 3))]
    for most in (60, 7):
        monkeypatch.setattr(prediction, "MOST_PIXELS", most)
        found.append(list(predictor.predictions(paths, 3)))
    assert counts == [7, 2, 2, 2, 1, *[1] * 7]
    for other in found[1:]:
        for first, second in zip(found[0], other, strict=True):
            assert dict(first.classes) == pytest.approx(dict(second.classes), rel=1e-6)


IMAGES = [variant for variant in VARIANTS if [x.ndim for x in variant.values[0].feeds.values()] == [4]]


@pytest.mark.parametrize("variant", IMAGES)
def test_models_that_other_importers_read_wrongly(variant, page_backend, tmp_path):
    (x,) = variant.feeds.values()
    path = tmp_path / "model.onnx"
    if variant.folder is not None:
        path = type(path)(variant.folder) / "model.onnx"
    path.write_bytes(variant.model.SerializeToString())
    outputs = []
    for backend in (None, page_backend.name):
        try:
            outputs.append(open_image_model(path, backend).run(x[:1]))
        except RefcnnError as error:
            # Whatever one does not know, it names the file.
            assert "model.onnx" in str(error)
            assert backend is None or CAUSES.get(variant.name, "") in str(error)
    assert variant.name not in OUTSIDE or not outputs
    if variant.expect == "match":
        assert len(outputs) == 2
        for name, array in outputs[0].items():
            limit = 1e-4 * np.abs(array).max(initial=1e-30)
            np.testing.assert_allclose(outputs[1][name], array, rtol=1e-4, atol=limit)


def test_it_is_said_what_to_pass_and_that_suffices(tmp_path):
    onnx.save(network((3, 5, 5), declared=("C", "H", "W")), tmp_path / "other.onnx")
    (path,) = save_images(tmp_path, 1)
    (tmp_path / "names.txt").write_text("cat\nsmall dog\némeu\n\n", encoding="utf-8")
    result = call("predict", tmp_path / "other.onnx", path)
    refused(result, "does not say how image files become its input 'photo' (float32, ?x?x?x?)")
    values = {
        "--pixel-range": ["0", "1"],
        "--image-size": ["5x5"],
        "--colour": ["rgb"],
        "--mean": ["0.5"],
        "--deviation": ["0.2,0.2,0.3"],
        "--classes": [str(tmp_path / "names.txt")],
    }
    assert set(re.findall(r"--[a-z-]+", result.stderr)) == set(values)
    options = [word for option, words in values.items() for word in (option, *words)]
    found = call("predict", tmp_path / "other.onnx", path, *options, "--top", "3", "--format", "json")
    assert found.exit_code == 0, found.output
    (entry,) = json.loads(found.stdout)
    assert {one["class"] for one in entry["classes"]} == {"cat", "small dog", "émeu"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--image-size", "6"], "--image-size is 6x6, but"),
        (["--image-size", "999999"], "--image-size is 999999x999999, but"),
        (["--colour", "grey"], "--colour is grey, but"),
        (["--layout", "NHWC"], "takes images of 5 channels (NHWC)"),
        (["--mean", "1,2"], "one for each of 3 channels"),
        (["--deviation", "0"], "deviation is 0.0"),
        (["--pixel-range", "1", "1"], "which black is too"),
        (["--output", "other"], "--output is 'other', but"),
        (["--classes", "two.txt"], "two.txt names 2 classes, but the output 'scores' of other.onnx has 3 scores"),
        (["--classes", "absent.txt"], "absent.txt does not exist"),
        (["--classes", "gap.txt"], "line 2 is empty"),
        (["--classes", "empty.txt"], "it is empty"),
        (["--backend", "nothing"], "nothing"),
        (["--backend", "opencl:99:0"], "there is no OpenCL device opencl:99:0"),
    ],
)
def test_what_does_not_fit_a_file_is_refused(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    onnx.save(network((3, 5, 5)), "other.onnx")
    for name, text in (("two", "a\nb\n"), ("gap", "a\n\nb\n"), ("empty", "\n")):
        (tmp_path / f"{name}.txt").write_text(text)
    (path,) = save_images(tmp_path, 1)
    refused(call("predict", "other.onnx", path, "--pixel-range", "0", "1", *options), message)


@pytest.mark.parametrize(
    ("declared", "channels", "height", "message"),
    [
        ((3, 5, 5), 3, 6, "its metadata's size is 6x5, but"),
        ((3, 5, 5), 1, 5, "are for 1 channels, but it takes 3"),
        ((3, "H", "W"), 3, 10**8, "images of 67,108,864 pixels at most"),
    ],
)
def test_metadata_that_contradict_the_input_or_are_absurd(tmp_path, declared, channels, height, message):
    model = network(declared, channels=3)
    preprocessing = Preprocessing(1 / 255, channels, height, 5).to_json()
    helper.set_model_props(model, {metadata.PREPROCESSING_KEY: json.dumps(preprocessing)})
    onnx.save(model, tmp_path / "o.onnx")
    refused(call("predict", tmp_path / "o.onnx", "x.png"), message)
    refused(call("show", "kernels", tmp_path / "o.onnx"), message)


def tensors(*shapes, dtype=TensorProto.FLOAT):
    return [helper.make_tensor_value_info(f"in{number}", dtype, shape) for number, shape in enumerate(shapes)]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (tensors((1, 3, 4, 4), (1, 3, 4, 4)), "has 2 inputs ('in0', 'in1'), but one input of images"),
        (tensors((1, 3, 4)), "takes 'in0' (float, 1x3x4), but one input of images"),
        (tensors((1, 3, 4, 4), dtype=TensorProto.INT64), "takes 'in0' (int64, 1x3x4x4)"),
        (tensors((1, 4, 8, 8)), "takes images of 4 channels (NCHW)"),
        ([], "has 0 inputs (none)"),
    ],
)
def test_inputs_that_are_no_images(tmp_path, inputs, message):
    graph = helper.make_graph(
        [helper.make_node("Identity", [inputs[0].name if inputs else "constant"], ["y"])],
        "graph",
        inputs,
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(np.float32([1]), "constant")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "o.onnx")
    for command in (["predict", tmp_path / "o.onnx", "x.png"], ["show", "kernels", tmp_path / "o.onnx"]):
        refused(call(*command, "--pixel-range", "0", "1"), message)


def test_outputs_that_are_no_scores_and_several_that_are(tmp_path):
    model = network((3, 5, 5))
    for name in ("c", "f"):
        model.graph.output.append(helper.make_empty_tensor_value_info(name))
    path, (image,) = tmp_path / "o.onnx", save_images(tmp_path, 1)
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    (tmp_path / "names.txt").write_text("a\nb\nc\nd")
    given_options = ["predict", path, image, "--pixel-range", 0, 1]
    refused(
        call(*given_options), "'scores' (float32, 1x3), 'c' (float32, 1x4x4x4), 'f' (float32, 1x4)", "--output NAME"
    )
    assert call(*given_options, "--output", "f").exit_code == 0
    # The number of names tells too.
    assert re.search(r"png: [abcd] \(", call(*given_options, "--classes", tmp_path / "names.txt").stdout)
    refused(call(*given_options, "--output", "c"), "but scores of classes are expected")
    del model.graph.output[:]
    model.graph.output.append(helper.make_empty_tensor_value_info("c"))
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    refused(call(*given_options), "gives 'c' (float32, 1x4x4x4) for one image, but scores of classes are expected")


def test_what_the_scores_are_can_be_said(tmp_path):
    onnx.save(network((3, 5, 5), end="Sigmoid"), tmp_path / "o.onnx")
    (image,) = save_images(tmp_path, 1)
    sums = []
    for options in ([], *(["--scores", kind] for kind in metadata.SCORES)):
        given_options = [image, "--pixel-range", "0", "1", "--top", 3, "--format", "json", *options]
        (entry,) = json.loads(call("predict", tmp_path / "o.onnx", *given_options).stdout)
        sums.append(sum(one["probability"] for one in entry["classes"]))
    assert sums[1:3] == pytest.approx([1, 1]) and sums[0] == sums[3] != pytest.approx(1)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: b"no model at all",
        lambda content: content.replace(b"GlobalAveragePool", b"GlobalAveragePoo1"),
        lambda content: content.replace(b"\x0a\x01w", b"\x0a\x01v"),
    ],
    ids=["empty", "half", "text", "operator", "name"],
)
def test_broken_files_are_refused_by_every_executor(tmp_path, damage):
    path, (image,) = tmp_path / "broken.onnx", save_images(tmp_path, 1)
    path.write_bytes(damage(network((3, 5, 5)).SerializeToString()))
    given_options = ["--pixel-range", "0", "1"]
    for backend in ([], ["--backend", "reference"]):
        refused(call("predict", path, image, *given_options, *backend), "broken.onnx")
    refused(call("show", "kernels", path), "broken.onnx")
    refused(call("show", "features", path, "--image", image, *given_options), "broken.onnx")


@pytest.mark.parametrize("name", ["predict", "show"])
def test_options_for_files_are_refused_for_runs(tmp_path, name):
    words = ["predict", tmp_path, "x.png"] if name == "predict" else ["show", "kernels", tmp_path]
    refused(call(*words, "--image-fit", "pad"), "--image-fit is for .onnx files", status=2)
    if name == "predict":
        refused(call(*words, "--classes", "x"), "--classes is for .onnx files", status=2)
    words[words.index(tmp_path)] = "x.onnx"
    (tmp_path / "x.onnx").write_bytes(b"")
    refused(call(*words, "--model", "a:b"), "--model is for the folder of a run", status=2)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_pictures_show_what_the_convolution_of_a_file_makes_of_an_image(tmp_path, layout, dtype):
    path, (image,) = tmp_path / "o.onnx", save_images(tmp_path, 1, (6, 5))
    model = network((3, 6, 5), dtype, layout)
    onnx.save(model, path)
    options = ImageOptions(pixel_range=(0, 1) if dtype == "float32" else None, colour="BGR")
    with rm.use_backend("reference"):
        file = open_image_model(path, "reference")
        preprocessing = options.preprocessing(file)
        seen = drawing.look(file.network, preprocessing, preprocessing.load_image(image), dtype)
    pixels = np.asarray(Image.open(image)).transpose(2, 0, 1)
    np.testing.assert_allclose(seen.image, pixels * np.float32(1 / 255 if dtype == "float32" else 1), rtol=1e-6)
    ((weights, maps),) = seen.convolutions
    stored = {entry.name: numpy_helper.to_array(entry) for entry in model.graph.initializer}
    np.testing.assert_array_equal(weights, stored["w"][:, ::-1])
    blue_first = pixels[::-1] / (255.0 if dtype == "float32" else 1.0)
    expected = [
        [[np.sum(kernel * blue_first[:, i : i + 2, j : j + 2]) + b for j in range(4)] for i in range(5)]
        for kernel, b in zip(stored["w"], stored["b"], strict=True)
    ]
    np.testing.assert_allclose(maps[0], expected, rtol=1e-4, atol=1e-5)


def test_show_writes_beside_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    path, (image,) = tmp_path / "net.onnx", save_images(tmp_path, 1)
    onnx.save(network((3, "H", "W"), channels=3), path)
    refused(call("show", "kernels", path), "--image-size HEIGHTxWIDTH")
    result = call("show", "kernels", path, "--image-size", "8")
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path}/net_kernels.png\n")
    refused(call("show", "features", path, "--image-size", "8"), "holds no image", "--image IMAGE")
    refused(call("show", "features", path, "--image-size", "8", "--image", image), "--pixel-range BLACK WHITE")
    result = call("show", "features", path, "--image-size", "8", "--image", image, "--pixel-range", "0", "1")
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path}/net_features_0_1.png\n")
    for name in ("net_kernels", "net_features_0_1"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert min(picture.size) > 200
    refused(call("show", "curves", path), "curves are of a run's epochs")
    refused(call("show", "kernels", tmp_path / "absent.onnx"), "absent.onnx does not exist")


def test_a_file_without_convolutions_shows_none(tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 1, 2, 2))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 4))],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "o.onnx")
    refused(call("show", "kernels", tmp_path / "o.onnx"), "no convolution of images")


def test_data_beside_a_file_is_found_from_any_folder(tmp_path, monkeypatch):
    (image,) = save_images(tmp_path, 1)
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / "large.onnx"
    onnx.save(network((3, 5, 5)), path, save_as_external_data=True, size_threshold=0, location="large.data")
    monkeypatch.chdir(tmp_path)
    lines = [
        call("predict", "models/large.onnx", image, "--pixel-range", "0", "1", *backend).stdout
        for backend in ([], ["--backend", "reference"])
    ]
    assert lines[0] == lines[1] and "%" in lines[0]
    (tmp_path / "models" / "large.data").rename(tmp_path / "elsewhere.data")
    (tmp_path / "models" / "large.data").symlink_to(tmp_path / "elsewhere.data")
    refused(call("predict", "models/large.onnx", image, "--pixel-range", "0", "1"), "large.onnx", "which is a link")


def test_a_light_network_at_the_command_line(tmp_path, page_backend):
    model = with_random_weights(onnx.load(LIGHT / "light_squeezenet.onnx"), np.random.default_rng(0))
    onnx.save(model, tmp_path / "squeezenet.onnx")
    paths = save_images(tmp_path, 2, (300, 240))
    options = ["--pixel-range", 0, 255, "--mean", "103.939,116.779,123.68", "--deviation", "57,57,58"]
    options += ["--colour", "BGR", "--image-filter", "bilinear", "--top", 5, "--format", "json"]
    found = []
    for backend in ([], ["--backend", page_backend.name]):
        result = call("predict", tmp_path / "squeezenet.onnx", *paths, *options, *backend)
        assert result.exit_code == 0, result.output
        found.append(json.loads(result.stdout))
    for first, second in zip(*found, strict=True):
        numbers = [{one["class"]: one["probability"] for one in entry["classes"]} for entry in (first, second)]
        assert numbers[0] == pytest.approx(numbers[1], rel=1e-3, abs=1e-6)


@pytest.mark.skipif(not PACKAGED.is_dir(), reason="REFCNN_TEST_MODELS names no folder of tools/package_models")
@pytest.mark.parametrize(
    ("name", "size", "options", "output"),
    [
        ("ch_ppocr_mobile_v2.0_cls_infer.onnx", (48, 192), {"image_size": (48, 192), "colour": "BGR"}, None),
        ("onet.onnx", (48, 48), {}, "softmax_2"),
        ("rnet.onnx", (24, 24), {"layout": "NHWC"}, "softmax_1"),
    ],
)
def test_trained_network(name, size, options, output, page_backend, tmp_path):
    paths, path = save_images(tmp_path, 3, size), PACKAGED / name
    pixels = np.stack([np.asarray(Image.open(image)) for image in paths])
    x = pixels.astype(np.float32) / np.float32(127.5) - 1
    x = x[..., ::-1].transpose(0, 3, 1, 2) if output is None else x
    session = onnxruntime.InferenceSession(path)
    expected = session.run([output] if output else None, {session.get_inputs()[0].name: np.ascontiguousarray(x)})[0]
    for backend in (None, page_backend.name):
        images = ImageOptions(pixel_range=(-1, 1), **options)
        predictor = Predictor(path, images=images, backend=backend, output=output)
        found = [dict(entry.classes) for entry in predictor.predictions(paths, 2)]
        np.testing.assert_allclose([[entry["0"], entry["1"]] for entry in found], expected, rtol=0, atol=2e-3)

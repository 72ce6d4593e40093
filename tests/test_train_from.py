"""Training that starts from an ONNX file, or from another run: ``train --from``."""

import json
import signal
import subprocess
import sys

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

import refcnn as rm
from refcnn.cli import main
from refcnn.errors import ArgumentError, CheckpointError, DataError, RefcnnError, ShapeError, UnsupportedError
from refcnn.onnx import open_exported
from refcnn.runs import imported, report, training
from refcnn.runs.prediction import Predictor
from refcnn.runs.run_folder import RunFolder

from . import small_run

pytestmark = pytest.mark.usefixtures("inside")

RENEWED = ("fc.weight", "fc.bias")
OPTIONS = {"epochs": 3, "batch_size": 8, "lr": 0.02, "seed": 3}

#: Trains, and is killed after so many batches.
KILLED = """
import os, signal, sys
import refcnn
from refcnn.runs import training
from tests.small_run import At
batches = iter(range(1, 99))
def kill(loop):
    if next(batches) == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
with refcnn.use_backend("reference"):
    session = training.start({options}, "killed")
    session.loop.callbacks.append(At("on_batch_end", kill))
    session.finish(lambda line: None)
"""


def write_network(path, classes=5, channels=1, size=(6, 6), softmax=True, beside=False):
    """Write a network as exporters do, with batch normalisation, Dropout and a softmax."""
    rng = np.random.default_rng(1)
    constants = {
        "conv.weight": rng.standard_normal((4, channels, 3, 3)) / 3,
        "bn.weight": rng.random(4) + 0.5,
        "bn.bias": rng.standard_normal(4),
        "bn.running_mean": rng.standard_normal(4),
        "bn.running_var": rng.random(4) + 0.5,
        "fc.weight": rng.standard_normal((classes, 16)) / 4,
        "fc.bias": rng.standard_normal(classes),
    }
    statistics = ["bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"]
    nodes = [
        helper.make_node("Conv", ["input", "conv.weight"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c", *statistics], ["n"]),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["p"], kernel_shape=[3, 3], strides=[3, 3]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Dropout", ["f"], ["d"]),
        helper.make_node("Gemm", ["d", "fc.weight", "fc.bias"], ["logits"], transB=1),
        *([helper.make_node("Softmax", ["logits"], ["output"], axis=1)] if softmax else []),
    ]
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, channels, *size])
    output = helper.make_tensor_value_info("output" if softmax else "logits", TensorProto.FLOAT, [1, classes])
    initializers = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "network", [given], [output], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save_model(model, path, save_as_external_data=beside, location="network.data", size_threshold=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with images of three classes, and networks."""
    path = tmp_path_factory.mktemp("from")
    small_run.write_inputs(path)
    write_network(path / "network.onnx", beside=True)
    return path


def begin(path, weights="network.onnx", **options):
    return training.start({"data": "data.npz", "weights": str(weights), **OPTIONS, **options}, path)


def finish(session):
    session.finish(lambda line: None)
    return session


@pytest.fixture(scope="module")
def whole(folder):
    """A run from the network that nothing interrupted, with all that it leaves."""
    with rm.use_backend("reference"), pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        session = begin(folder / "whole")
        text = session.description()
        finish(session)
        report.write(session.run, session.validation, examples=2, backends=["reference"])
    return session, text


def test_a_run_says_what_it_made_of_the_file(whole):
    _, text = whole
    assert "network.onnx on reference" in text
    assert f"a new last layer ({', '.join(RENEWED)}) for 3 classes in place of its 5" in text
    assert "Softmax at its end left out" in text


def test_it_learns_is_exported_and_predicts(whole, folder):
    session, _ = whole
    assert session.history[-1]["train_loss"] < session.history[0]["train_loss"]
    run = RunFolder.open(folder / "whole")
    assert not run.has_own_model and "start.onnx" in "\n".join(report.summary(run))
    images = [folder / f"class{number}.png" for number in range(3)]
    found = [list(Predictor(path).predictions(images)) for path in (run.path, run.model_file)]
    for one, other in zip(*found, strict=True):
        assert one.classes[0][0] == other.classes[0][0]
        assert one.classes[0][1] == pytest.approx(other.classes[0][1], abs=1e-5)


def test_its_model_has_a_summary(whole, capsys):
    session, _ = whole
    session.run.best_model().summary((1, 6, 6))
    assert "(N, 3)" in capsys.readouterr().out


def test_the_running_statistics_are_learned(whole, folder):
    session, _ = whole
    former = {
        entry.name: numpy_helper.to_array(entry) for entry in onnx.load(folder / "network.onnx").graph.initializer
    }
    state = session.model.state()
    for name, array in former.items():
        assert name in RENEWED or np.abs(state[name] - array.reshape(state[name].shape)).max() > 1e-4


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="a process cannot be killed so")
@pytest.mark.parametrize("batches", [3, 14])
def test_a_killed_run_goes_on_to_the_same_bits_without_the_file(whole, tmp_path, monkeypatch, batches):
    session, _ = whole
    monkeypatch.chdir(tmp_path)
    small_run.write_inputs(tmp_path)
    write_network(tmp_path / "network.onnx", beside=True)
    options = {"data": "data.npz", "weights": "network.onnx", **OPTIONS}
    program = KILLED.replace("{options}", repr(options))
    command = [sys.executable, "-c", program, str(batches)]
    process = subprocess.run(command, env=small_run.environment(), capture_output=True, text=True, timeout=120)
    assert process.returncode == -signal.SIGKILL, process.stderr
    (tmp_path / "network.onnx").unlink()
    (tmp_path / "network.data").unlink()
    run = RunFolder.open(tmp_path / "killed")
    # Ten batches are an epoch.
    assert run.last.exists() == (batches > 10)
    again = training.resume(run, {"weights": "network.onnx"})
    assert ("started from" in again.description()) == (batches <= 10)
    finish(again)
    small_run.assert_same(session.run.last, run.last)
    small_run.assert_same(session.run.best, run.best)


def test_what_is_frozen_stays_and_the_rest_learns(tmp_path):
    session = begin(tmp_path / "run", freeze=("conv", "bn.*"))
    former = session.model.state()
    finish(session)
    changed = {name for name, array in session.model.state().items() if not np.array_equal(array, former[name])}
    assert changed == {*RENEWED, "bn.running_mean", "bn.running_var"}
    with pytest.raises(ArgumentError, match=r"'layer9\*' names no parameter. There are conv.weight, bn.weight"):
        begin(tmp_path / "other", freeze=("layer9*",))
    assert not (tmp_path / "other").exists()


def test_a_file_of_refcnn_goes_on_as_it_was(whole, folder, tmp_path):
    former, _ = whole
    session = begin(tmp_path / "run", folder / "whole" / "model.onnx")
    assert session.description().count("new last layer") == 0
    assert "images normalised as it says" in session.description()
    assert session.train.preprocessing.mean == former.train.preprocessing.mean
    best = open_exported(folder / "whole" / "model.onnx")
    x = session.validation.preprocessing.apply(session.validation.x[:5])
    np.testing.assert_allclose(session.model(x).as_ndarray(), best.predict(x), rtol=0, atol=1e-5)
    # By other images it is normalised as the file says, too, after it was killed.
    with np.load("data.npz") as file:
        np.savez(tmp_path / "dark.npz", x=file["x"] // 2, y=file["y"] % 2)
    other = begin(tmp_path / "other", folder / "whole" / "model.onnx", data=str(tmp_path / "dark.npz"))
    assert "for 2 classes in place of its 3" in other.description()
    again = training.resume(RunFolder.open(other.run.path), {})
    for one in (other, again):
        assert one.train.preprocessing.mean == former.train.preprocessing.mean
        assert one.train.preprocessing.deviation == former.train.preprocessing.deviation
    # So are images whose white is another number.
    with np.load("data.npz") as file:
        np.savez(tmp_path / "floats.npz", x=file["x"] / np.float32(255), y=file["y"])
    floats = begin(tmp_path / "floats", folder / "whole" / "model.onnx", data=str(tmp_path / "floats.npz"))
    with np.load("data.npz") as file:
        np.savez(tmp_path / "scaled.npz", x=file["x"] * np.float32(4) + 8, y=file["y"])
    scaled = begin(
        tmp_path / "scaled",
        folder / "whole" / "model.onnx",
        data=str(tmp_path / "scaled.npz"),
        pixel_range=(8, 8 + 4 * 255),
    )
    inputs = [one.train.preprocessing.apply(one.train.x) for one in (former, floats, scaled)]
    for found in inputs[1:]:
        np.testing.assert_allclose(found, inputs[0], rtol=0, atol=1e-5)
    with np.load("data.npz") as file:
        np.savez(tmp_path / "named.npz", x=file["x"], y=np.array(["a", "b", "c"])[file["y"]])
    renamed = begin(tmp_path / "renamed", folder / "whole" / "model.onnx", data=str(tmp_path / "named.npz"))
    assert "for 3 classes in place of its 3" in renamed.description()


def test_images_get_the_size_that_the_file_declares(tmp_path):
    write_network(tmp_path / "wide.onnx", classes=3, size=(7, 8))
    session = begin(tmp_path / "run", tmp_path / "wide.onnx")
    assert session.train.preprocessing.shape == (1, 7, 8) and "brought to 7x8" in session.description()
    assert training.resume(RunFolder.open(session.run.path), {}).train.preprocessing.shape == (1, 7, 8)
    write_network(tmp_path / "free.onnx", classes=3, size=("height", None))
    assert begin(tmp_path / "free", tmp_path / "free.onnx").train.preprocessing.shape == (1, 6, 6)
    # What is computed counts, and not what is declared.
    assert begin(tmp_path / "own", tmp_path / "wide.onnx", image_size=(6, 7)).train.preprocessing.shape == (1, 6, 7)


def test_what_is_tied_is_said(tmp_path):
    path = tmp_path / "tied.onnx"
    write_network(path, classes=3)
    model = onnx.load(path)
    model.graph.node.insert(0, helper.make_node("Identity", ["bn.weight"], ["second.weight"]))
    model.graph.node[2].output[0] = "first"
    names = ["first", "second.weight", "bn.bias", "bn.running_mean", "bn.running_var"]
    model.graph.node.insert(3, helper.make_node("BatchNormalization", names, ["n"]))
    onnx.save(model, path)
    session = begin(tmp_path / "run", path)
    assert "bn.weight and second.weight tied, one parameter" in session.description()
    assert "tied in the file, one parameter: bn.weight, second.weight" in repr(session.run.build_model())


def broken(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def two_inputs(path):
    model = onnx.load(path)
    model.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, [1]))
    model.graph.node[-1].input[0] = "sum"
    model.graph.node.insert(len(model.graph.node) - 1, helper.make_node("Add", ["logits", "other"], ["sum"]))
    onnx.save(model, path)


def no_classifier(path):
    model = onnx.load(path)
    model.graph.output[0].name = "r"
    onnx.save(model, path)


def channels_last(path):
    model = onnx.load(path)
    for size, value in zip(model.graph.input[0].type.tensor_type.shape.dim, (1, 6, 6, 1), strict=True):
        size.dim_value = value
    onnx.save(model, path)


@pytest.mark.parametrize(
    ("change", "network", "error", "message"),
    [
        (broken, {}, DataError, "is not an ONNX file that can be read"),
        (two_inputs, {}, UnsupportedError, "2 inputs: input, other"),
        (no_classifier, {}, UnsupportedError, r"it is no classifier: .*'r' has shape \(1, 4, 6, 6\)"),
        (channels_last, {}, ArgumentError, "Its channels come last"),
        (None, {"channels": 3}, ArgumentError, r"the images have 1 channel, but .* takes 3 .*\(3, 6, 6\)"),
        (None, {"size": (20, 20)}, ShapeError, "Gemm"),
    ],
)
def test_files_that_cannot_be_trained_leave_no_folder(tmp_path, change, network, error, message):
    path = tmp_path / "unfit.onnx"
    write_network(path, **{"softmax": True, **network})
    if change is not None:
        change(path)
    with pytest.raises(error, match=message) as found:
        begin(tmp_path / "run", path)
    assert "unfit.onnx" in str(found.value) and not (tmp_path / "run").exists()


def test_a_copy_that_is_gone_or_another_is_refused(tmp_path):
    session = begin(tmp_path / "run")
    copy = session.run.path / imported.COPY
    content = copy.read_bytes()
    write_network(copy, classes=6)
    with pytest.raises(CheckpointError, match="is not the ONNX file that the run started from"):
        training.resume(RunFolder.open(session.run.path), {})
    copy.unlink()
    with pytest.raises(CheckpointError, match=r"start\.onnx does not exist"):
        training.resume(RunFolder.open(session.run.path), {})
    copy.write_bytes(content)
    training.resume(RunFolder.open(session.run.path), {})


def test_a_configuration_cannot_make_code_of_a_file(tmp_path):
    session = begin(tmp_path / "run")
    file = session.run.path / "config.json"
    fields = json.loads(file.read_text())
    for changes in ({"weights": None}, {"weights": "run"}, {"weights_digest": None}, {"weights_digest": "0" * 64}):
        file.write_text(json.dumps(fields | changes | {"model": "small_models:small"}))
        with pytest.raises(RefcnnError):
            training.resume(RunFolder.open(session.run.path), {})
    # The model is the file's, whatever it is called.
    file.write_text(json.dumps(fields | {"model": "small_models:fails"}))
    assert training.resume(RunFolder.open(session.run.path), {}).model.input_names == ("input",)


def test_a_run_is_resumed_with_its_own_file_alone(tmp_path):
    session = begin(tmp_path / "run")
    write_network(tmp_path / "other.onnx")
    with pytest.raises(ArgumentError, match=r"--from is .*other\.onnx, but the run"):
        training.resume(RunFolder.open(session.run.path), {"weights": str(tmp_path / "other.onnx")})


def test_a_model_beside_a_file_and_runs_without_a_model(whole, folder, tmp_path):
    with pytest.raises(ArgumentError, match="--model is lenet5, but --from network.onnx is a whole model"):
        begin(tmp_path / "run", model="lenet5")
    with pytest.raises(ArgumentError, match=r"started from an ONNX file itself.*--from .*whole.model\.onnx"):
        begin(tmp_path / "run", "whole")
    finish(begin_of(tmp_path / "own", model="small_models:small"))
    with pytest.raises(ArgumentError, match="name it: --model small_models:small"):
        begin(tmp_path / "run", tmp_path / "own")
    ready = finish(begin_of(tmp_path / "ready", model="chapter", epochs=1))
    session = begin(tmp_path / "run", tmp_path / "ready")
    assert session.run.configuration.model == "chapter"
    best = RunFolder.open(ready.run.path).best_model().state()
    for name, array in session.model.state().items():
        np.testing.assert_array_equal(array, best[name])


def begin_of(path, **options):
    return training.start({"data": "data.npz", **OPTIONS, **options}, path)


def command(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)
    return result.exit_code, result.output


def test_the_command_line(tmp_path):
    options = ("--data", "data.npz", "--backend", "reference", "--seed", "1", "--batch-size", "20")
    given = ("train", "--from", "network.onnx", *options)
    status, output = command(
        *given, "--epochs", "1", "--out", tmp_path / "run", "--proof-time", "5", "--freeze", "conv"
    )
    assert status == 0, output
    assert "a new last layer" in output and "freeze conv" in output and "start.onnx" in output
    status, output = command("train", "--resume", tmp_path / "run", "--epochs", "2", "--no-proof")
    assert status == 0, output
    assert "epoch 2/2" in output
    status, output = command("predict", tmp_path / "run", "class0.png", "--backend", "reference")
    assert status == 0 and "class0.png" in output
    status, output = command("show", "kernels", tmp_path / "run", "--out", tmp_path / "kernels.png")
    assert status == 0 and (tmp_path / "kernels.png").exists()
    status, output = command("export", tmp_path / "run", "--out", tmp_path / "again.onnx", "--no-proof")
    assert status == 0 and (tmp_path / "again.onnx").exists()
    status, output = command(*given, "--dry-run")
    assert status == 0 and "Dry run: network.onnx" in output
    status, output = command(*given, "--lr-find", tmp_path / "rates.png")
    assert status == 0 and (tmp_path / "rates.png").exists() and "--from network.onnx" in output

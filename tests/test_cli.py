"""The command line from training to prediction, and what it says to bad input: no traceback, ever."""

import csv
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner
from PIL import Image

import refcnn as rm
import refcnn.onnx.proof.proving
import refcnn.runs.drawing
from refcnn.cli import main
from refcnn.cli.prediction_formats import FORMATS
from refcnn.opencl.runtime import finding
from refcnn.runs.checkpoint import Checkpoint
from refcnn.runs.run_folder import RunFolder

from . import small_run

#: What names the model of the run anew, where its code is needed.
NAMED = ["--model", "small_models:small"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the inputs and a whole run, made by the command in a process of its own."""
    path = tmp_path_factory.mktemp("cli")
    small_run.write_inputs(path)
    command = [sys.executable, "-m", "refcnn", *small_run.TRAIN, "--epochs", "3", "--out", "run"]
    done = subprocess.run(command, cwd=path, env=small_run.environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path / "output.txt").write_text(done.stdout)
    (path / "errors.txt").write_text(done.stderr)
    return path


@pytest.fixture
def call(folder, monkeypatch):
    """Call the command in the folder; the result's ``output`` holds both streams."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delenv("REFCNN_BACKEND", raising=False)
    monkeypatch.delenv("REFCNN_DATA", raising=False)

    def run(*arguments):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="refcnn")
        assert "Traceback" not in result.output
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    with rm.use_backend("reference"):
        yield run


def assert_refused(result, *parts, status=1):
    """Assert that a result is an error whose message has all of the parts."""
    assert result.exit_code == status, result.output
    assert "Error: " in result.stderr
    for part in parts:
        assert str(part) in result.stderr, result.stderr


def test_the_run_folder_and_the_last_lines(folder):
    run = folder / "run"
    names = {
        "config.json",
        "metrics.csv",
        "classes.csv",
        "kernels",
        "last.npz",
        "best.npz",
        "model.onnx",
        "curves.png",
        "kernels.png",
        "features_1.png",
        "confusion.png",
        "classes.png",
        "most_wrong.png",
        "report.html",
        "proof.json",
    }
    assert set(os.listdir(run)) == names
    for name in names:
        if name.endswith(".png"):
            with Image.open(run / name) as image:
                assert min(image.size) > 200 and len(np.unique(np.asarray(image.convert("L")))) > 10
    output = (folder / "output.txt").read_text()
    history = Checkpoint.load(run / "last.npz").history
    assert [f"epoch {row['epoch']}/3: train loss {row['train_loss']:.4f}" in output for row in history] == [True] * 3
    best = max(row["validation_accuracy"] for row in history)
    assert best > 0.9
    assert f"Validation accuracy {best:.2%}" in output and "proved on" in output
    for line in ("predict run/model.onnx", "show features run", "export run", "train --resume run"):
        assert f"refcnn {line}" in output
    # The output was no terminal: no progress bar.
    assert (folder / "errors.txt").read_text() == ""


def test_the_exported_model_is_the_best_checkpoint(folder):
    run = RunFolder.open(folder / "run")
    x = np.random.default_rng(1).random((4, 1, 6, 6), dtype=np.float32)
    session = onnxruntime.InferenceSession(run.model_file, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: x})
    state = Checkpoint.load(run.best).parameters
    with rm.use_backend("reference"):
        layers = [rm.Conv2d(4, 3, padding=1), rm.Relu(), rm.MaxPool2d(2, stride=2), rm.Flatten(), rm.Dense(3)]
        model = rm.Sequential(layers)
        layers[0].set_parameters({key[2:]: array for key, array in state.items() if key.startswith("0.")})
        layers[4].set_parameters({key[2:]: array for key, array in state.items() if key.startswith("5.")})
        np.testing.assert_allclose(found, model(x).as_ndarray(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", ["run", "run/model.onnx"])
def test_predict(call, model):
    named = NAMED if model == "run" else []
    result = call("predict", model, "class0.png", "class1.png", "class2.png", "--backend", "reference", *named)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    for index, line in enumerate(lines):
        assert line.startswith(f"class{index}.png: {index} (") and line.endswith("%)")
    assert len(lines) == 3


@pytest.mark.parametrize("place", ["file", "nowhere", "folder"])
def test_a_file_that_cannot_be_written_is_found_out_before_the_work(call, monkeypatch, tmp_path, place):
    def works(*_, **__):
        pytest.fail("work was begun")

    (tmp_path / "file").write_text("")
    for ending in ("onnx", "png"):
        (tmp_path / "folder" / f"x.{ending}").mkdir(parents=True)
    model, picture = tmp_path / place / "x.onnx", tmp_path / place / "x.png"
    monkeypatch.setattr(rm.onnx.proof.proving, "prove", works)
    assert_refused(call("export", "run", *NAMED, "--out", model), model, "be written")
    monkeypatch.setattr(rm.runs.drawing, "of_run", works)
    assert_refused(call("show", "features", "run", "--out", picture), picture, "be written")
    assert_refused(call("show", "features", "run", "--out", tmp_path / "x.doc"), "x.doc", "png")


@pytest.mark.parametrize(
    "stored, pixel_range",
    [(lambda x: x.astype(float), None), (lambda x: x / 127.5 - 1, ("-1", "1"))],
    ids=["0 to 255", "-1 to 1"],
)
def test_image_files_are_recognised_as_well_as_the_floating_point_images_of_the_data_set(
    call, folder, tmp_path, stored, pixel_range
):
    with np.load(folder / "data.npz") as data:
        x, y = data["x"], data["y"]
    # Labels that are no indices: what is printed is the label.
    np.savez(tmp_path / "data.npz", x=stored(x), y=5 * y)
    run, files = tmp_path / "run", [tmp_path / f"{index}.png" for index in range(30)]
    for file, pixels in zip(files, x, strict=False):
        Image.fromarray(pixels).save(file)
    trained = call(*small_run.TRAIN, "--data", tmp_path / "data.npz", "--epochs", "4", "--out", run)
    assert trained.exit_code == 0, trained.output
    opened = RunFolder.open(run, "small_models:small")
    model = opened.best_model()
    inputs = opened.configuration.preprocessing.apply(stored(x[:30])[:, None])
    expected = model(inputs).as_ndarray().argmax(axis=1)
    assert np.mean(expected == y[:30]) > 0.9
    if pixel_range:
        for where in (run, run / "model.onnx"):
            refused = call("predict", where, *files, "--backend", "reference")
            assert_refused(refused, "--pixel-range BLACK WHITE")
            assert len(refused.stderr.splitlines()) == 1
        shown = (
            "show",
            "features",
            run,
            "--image",
            files[0],
            "--out",
            tmp_path / "features.png",
            "--model",
            "small_models:small",
        )
        assert_refused(call(*shown), "--pixel-range BLACK WHITE")
        assert call(*shown, "--pixel-range", *pixel_range).exit_code == 0
    for where in (run, run / "model.onnx"):
        more = ("--pixel-range", *pixel_range) if pixel_range else ()
        result = call("predict", where, *files, "--backend", "reference", *more)
        assert [line.split(": ")[1].split()[0] for line in result.stdout.splitlines()] == [str(5 * k) for k in expected]


def test_the_case_of_a_choice_does_not_matter(call, tmp_path):
    assert_refused(call("train", "--optimizer", "Adam", "--data", "absent", "--out", tmp_path / "run"), "'absent'")
    assert call("show", "Curves", "run", "--out", tmp_path / "curves.png").exit_code == 0


def test_predict_names_the_most_probable_classes_of_either_kind_of_file(call, folder, tmp_path):
    assert call("export", "run", "--out", tmp_path / "soft.onnx", "--softmax", *NAMED).exit_code == 0
    outputs = [
        call("predict", *model, "class1.png", "--top", 9, "--backend", "reference").stdout
        for model in (["run", *NAMED], ["run"], ["run/model.onnx"], [tmp_path / "soft.onnx"])
    ]
    shares = [[float(part.split("(")[1].rstrip("%)\n,")) for part in output.split(", ")] for output in outputs]
    for row in shares:
        assert len(row) == 3 and row == sorted(row, reverse=True) and sum(row) == pytest.approx(100, abs=0.02)
        assert row == pytest.approx(shares[0], abs=0.02)


def test_export_to_half_the_bytes_and_beside_the_file(call, tmp_path):
    out = tmp_path / "model.onnx"
    sizes = []
    for options in ([], ["--float16"], ["--float16", "--fold", "--external-data"]):
        result = call("export", "run", "--out", out, *options, *NAMED)
        assert result.exit_code == 0, result.output
        assert ("rounded to float16: the outputs are off from the model's by" in result.stdout) == bool(options)
        sizes.append(out.stat().st_size)
        assert "%" in call("predict", out, "class1.png").stdout
    assert sizes[0] > sizes[1] >= sizes[2]


def test_export_options(call, tmp_path):
    out = tmp_path / "model.onnx"
    result = call("export", "run", "--out", out, "--opset", 15, "--softmax", *NAMED)
    assert result.exit_code == 0, result.output
    assert "proved on" in result.stdout and f"refcnn predict {out}" in result.stdout
    model = onnx.load(out)
    assert model.opset_import[0].version == 15 and model.graph.node[-1].op_type == "Softmax"
    metadata = " ".join(entry.value for entry in model.metadata_props)
    assert '["0", "1", "2"]' in metadata


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["kernels"], ["kernels.png"]),
        (["curves"], ["curves.png"]),
        (["features"], ["features_1.png"]),
        (["features", "--image", "class2.png"], ["features_class2_1.png"]),
    ],
)
def test_show_without_a_screen_writes_files(call, folder, monkeypatch, arguments, names):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("MPLBACKEND", "agg")
    result = call("show", arguments[0], "run", *arguments[1:], *NAMED)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [f"run/{name}" for name in names]
    for name in names:
        assert (folder / "run" / name).read_bytes().startswith(b"\x89PNG")
    (folder / "run" / "features_class2_1.png").unlink(missing_ok=True)


def test_show_to_a_named_file(call, tmp_path):
    result = call("show", "curves", "run", "--out", tmp_path / "c.svg")
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path}/c.svg\n")
    assert b"<svg" in (tmp_path / "c.svg").read_bytes()
    assert_refused(call("show", "curves", "run", "--out", tmp_path / "c.doc"), "c.doc", "png")
    assert_refused(call("show", "curves", "run", "--image", "class0.png"), "--image is for features", status=2)


def test_devices(call):
    result = call("devices")
    assert result.exit_code == 0, result.output
    usable = finding.usable()
    for device in finding.available():
        row = next(line for line in result.stdout.splitlines() if f" {device.name} " in line)
        kind = device.kind if device in usable else "unusable"
        for value in (kind, device.device_name, device.platform_name, device.driver_version, "GiB"):
            assert value in row
    assert sum(line.startswith("*  ") for line in result.stdout.splitlines()) == 1
    assert "reference" in result.stdout


def test_devices_without_any(call, monkeypatch):
    monkeypatch.setattr(finding, "available", list)
    result = call("devices")
    assert result.exit_code == 0 and "*  reference" in result.stdout
    assert "no OpenCL device was found" in result.stdout and "pip install" in result.stdout


def test_a_complete_run_says_so_and_more_epochs_go_on(call, folder, tmp_path):
    import shutil

    before = {name: os.stat(folder / "run" / name).st_mtime_ns for name in os.listdir(folder / "run")}
    result = call("train", "--resume", "run", "--backend", "reference", *NAMED)
    assert result.exit_code == 0 and "complete already; --epochs N" in result.stdout
    assert before == {name: os.stat(folder / "run" / name).st_mtime_ns for name in os.listdir(folder / "run")}
    shutil.copytree(folder / "run", tmp_path / "more")
    (tmp_path / "more" / "model.onnx").unlink()
    result = call("train", "--resume", tmp_path / "more", "--epochs", 4, "--backend", "reference", *NAMED)
    assert result.exit_code == 0, result.output
    assert "epoch 4/4" in result.stdout and "epoch 3/4" not in result.stdout
    assert RunFolder.open(tmp_path / "more").configuration.completed_epochs == 4
    assert (tmp_path / "more" / "model.onnx").exists()


def test_ctrl_c_says_how_to_resume(folder, tmp_path):
    out = tmp_path / "run"
    arguments = [argument.replace(":small", ":slow") for argument in small_run.TRAIN]
    command = [sys.executable, "-m", "refcnn", *arguments, "--epochs", "99", "--out", str(out)]
    process = subprocess.Popen(
        command, cwd=folder, env=small_run.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while not process.stdout.readline().startswith("epoch 1/"):
        assert process.poll() is None
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "writing the checkpoint" in stderr and "Traceback" not in stderr
    assert f"refcnn train --resume {out} --model small_models:slow" in stdout
    assert Checkpoint.load(out / "last.npz").epoch >= 1


def test_ctrl_c_while_the_model_is_proved_says_how_to_go_on(call, tmp_path, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr("refcnn.runs.report.write", interrupted)
        result = call(*small_run.TRAIN, "--epochs", "1", "--out", tmp_path / "run")
    assert result.exit_code == 130
    assert f"Go on with: refcnn train --resume {tmp_path / 'run'} --model small_models:small" in result.stdout
    result = call("train", "--resume", tmp_path / "run", *NAMED)
    assert result.exit_code == 0 and "no epoch left" in result.stdout
    assert (tmp_path / "run" / "model.onnx").exists()


def test_help_is_there_fast(call):
    for arguments in ([], ["train"], ["predict"], ["show"], ["export"], ["devices"]):
        assert call(*arguments, "--help").exit_code == 0
    result = call("--version")
    assert result.stdout == f"refcnn, version {rm.__version__}\n"
    program = (
        "import sys; from refcnn.cli import main; main(['train', '--help'], standalone_mode=False);"
        "print([name for name in sys.modules if name in ('matplotlib', 'sklearn', 'onnx', 'PIL', 'pyopencl', 'tqdm')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=small_run.environment())
    assert done.stdout.splitlines()[-1] == "[]", done.stdout


# From here on: bad input.


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        ("vgg", ["'vgg'", "chapter, lenet5", "MODULE:FUNCTION"]),
        ("no_such_module:net", ["no module 'no_such_module'", "folder"]),
        ("small_models:missing", ["no function", "'missing'", "small_models.py"]),
        ("small_models:other", ["int", "no function"]),
        ("small_models:fails", ["ValueError: no such size", "small_models.py, line"]),
        ("small_models:number", ["returned int", "Model is expected"]),
        ("small_models:wide", ["(1, 4)", "(1, 3)", "Dense(3)"]),
        ("small_models:demanding", ["Conv2d", "99"]),
    ],
)
def test_models_that_are_none(call, tmp_path, model, parts):
    result = call("train", "--data", "data.npz", "--backend", "reference", "--model", model, "--out", tmp_path / "run")
    assert_refused(result, *parts)
    assert not (tmp_path / "run").exists()


def test_a_run_folder_that_holds_something(call, tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    assert_refused(call(*small_run.TRAIN, "--out", tmp_path), tmp_path, "not empty", "thesis.tex")
    assert_refused(call(*small_run.TRAIN, "--out", "run"), "run holds a training run already", "--resume run")
    assert_refused(call(*small_run.TRAIN, "--out", tmp_path / "thesis.tex"), "is a file")
    assert_refused(call("train", "--resume", tmp_path), "holds no training run", tmp_path)
    assert_refused(call("train", "--resume", "run", "--out", "x"), "--out", status=2)
    assert os.listdir(tmp_path) == ["thesis.tex"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_parameters_that_are_none_are_not_predicted_with(call, folder, tmp_path, value):
    shutil.copytree(folder / "run", tmp_path / "run")
    best = RunFolder.open(tmp_path / "run").best
    checkpoint = Checkpoint.load(best)
    checkpoint.parameters["0.w"].flat[3] = value
    checkpoint.save(best)
    assert_refused(call("predict", tmp_path / "run", "class0.png", *NAMED), "best.npz", "0.w")
    model = onnx.load(folder / "run" / "model.onnx")
    weights = onnx.numpy_helper.to_array(model.graph.initializer[0]).copy()
    weights.flat[0] = value
    model.graph.initializer[0].raw_data = weights.tobytes()
    onnx.save(model, tmp_path / "odd.onnx")
    assert_refused(call("predict", tmp_path / "odd.onnx", "class0.png"), "odd.onnx")


def test_a_model_whose_numbers_overflow_gives_no_probabilities(call, folder, tmp_path):
    model = onnx.load(folder / "run" / "model.onnx")
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            weights = onnx.numpy_helper.to_array(tensor)
            tensor.raw_data = np.full_like(weights, 1e38).tobytes()
    onnx.save(model, tmp_path / "large.onnx")
    result = call("predict", tmp_path / "large.onnx", "class0.png")
    assert_refused(result, "large.onnx", "no probabilities")
    assert "%" not in result.stdout


def test_a_resume_that_contradicts(call):
    result = call("train", "--resume", "run", "--backend", "reference", "--lr", "0.5")
    assert_refused(result, "--lr is 0.5", "started with 0.02")


def test_a_loss_that_is_not_finite(call, tmp_path):
    result = call(
        *small_run.TRAIN[:-4], "--lr", "1e38", "--optimizer", "sgd", "--epochs", "2", "--out", tmp_path / "run"
    )
    assert_refused(result, "epoch 1, batch", "lr 1e+38", "finite", "smaller --lr")
    assert sorted(os.listdir(tmp_path / "run")) == ["config.json", "kernels"]


def test_labels_outside_the_classes(call, tmp_path):
    with np.load("data.npz") as file:
        x, y = file["x"], file["y"].copy()
    y[41] = -1
    np.savez(tmp_path / "bad.npz", x=x, y=y)
    result = call("train", "--data", tmp_path / "bad.npz", "--backend", "reference", "--out", tmp_path / "run")
    assert_refused(result, "bad.npz", "-1", "41")


@pytest.mark.parametrize("kind", ["truncated", "magic", "corrupt"])
def test_broken_idx_files(call, tmp_path, kind):
    images = b"\0\0\x08\x03" + np.array([4, 6, 6], ">u4").tobytes() + bytes(range(144))
    labels = b"\0\0\x08\x01" + np.array([4], ">u4").tobytes() + bytes([0, 1, 2, 0])
    zipped = gzip.compress(images)
    content = {"truncated": images[:-9], "magic": b"\x7fELF" + images[4:], "corrupt": zipped[:-12] + b"x" * 12}[kind]
    message = {"truncated": "truncated", "magic": "7f 45 4c 46", "corrupt": "could not be read"}[kind]
    name = "train-images-idx3-ubyte" + (".gz" if kind == "corrupt" else "")
    (tmp_path / name).write_bytes(content)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(labels)
    result = call("train", "--data", tmp_path, "--backend", "reference", "--out", tmp_path / "run")
    assert_refused(result, name, message)


def test_an_unreadable_image_among_many(call, folder, tmp_path):
    for label in "ab":
        (tmp_path / "images" / label).mkdir(parents=True)
        for index in range(30):
            Image.fromarray(np.zeros((6, 6), np.uint8)).save(tmp_path / "images" / label / f"{index}.png")
    broken = tmp_path / "images" / "b" / "17.png"
    broken.write_bytes(broken.read_bytes()[:40])
    result = call("train", "--data", tmp_path / "images", "--backend", "reference", "--out", tmp_path / "run")
    assert_refused(result, broken)
    result = call("predict", "run/model.onnx", "class0.png", broken, "missing.png", "class1.png")
    assert_refused(result, broken, "missing.png", "2 of 4 images could not be read")
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == ["class0.png", "class1.png"]


def test_the_formats_of_predictions(call, folder, tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    shutil.copy(folder / "class0.png", tmp_path / "in" / "a,b.png")
    shutil.copy(folder / "class2.png", tmp_path / "in" / "deep" / "c.PNG")
    (tmp_path / "in" / "deep" / ".hidden.png").write_bytes(b"none")
    (tmp_path / "in" / "notes.txt").write_text("none")
    (tmp_path / "empty").mkdir()
    Image.fromarray(255 - np.asarray(Image.open(folder / "class1.png"))).save(tmp_path / "inverted.png")
    given = [tmp_path / "in", tmp_path / "inverted.png", tmp_path / "missing.png", tmp_path / "empty"]
    results = {form: call("predict", "run/model.onnx", *given, "--top", 2, "--format", form) for form in FORMATS}
    for result in results.values():
        assert_refused(result, "missing.png", "empty is a folder without images", "2 of 5 images could not be read")
        assert "Warning: " in result.stderr and "inverted.png is far from the images" in result.stderr
    lines = results["text"].stdout.splitlines()
    assert [line.rpartition(".png: ")[2][0] for line in lines if ".png: " in line][0] == "0" and len(lines) == 3
    rows = list(csv.DictReader(results["csv"].stdout.splitlines()))
    entries = json.loads(results["json"].stdout)
    assert [row["image"] for row in rows] == [entry["image"] for entry in entries]
    assert [os.path.basename(row["image"]) for row in rows[:2]] == ["a,b.png", "c.PNG"]
    assert [row["class"] for row in rows[:2]] == ["0", "2"]
    for row, entry in zip(rows, entries, strict=True):
        assert (row["error"] == "") == (entry["error"] is None) == bool(entry["classes"])
        assert (row["warning"] == "") == (entry["warnings"] == [])
        if entry["error"] is None:
            names = [(found["class"], found["probability"]) for found in entry["classes"]]
            columns = [("class", "probability"), ("class_2", "probability_2")]
            assert names == [(row[name], float(row[number])) for name, number in columns]
    assert [bool(entry["warnings"]) for entry in entries] == [False, False, True, False, False]


def test_an_array_of_predictions_is_whole_where_nothing_could_be_read(call, tmp_path):
    result = call("predict", "run/model.onnx", tmp_path / "missing.png", "--format", "json")
    assert result.exit_code == 1 and len(json.loads(result.stdout)) == 1


def test_images_of_another_proportion_are_said_to_be_stretched(call, tmp_path):
    Image.fromarray(np.full((6, 12), 90, np.uint8)).save(tmp_path / "wide.png")
    result = call("predict", "run/model.onnx", tmp_path / "wide.png")
    assert result.exit_code == 0 and "stretched" in result.stderr


def test_a_folder_of_images_of_many_sizes_from_training_to_prediction(call, tmp_path):
    rng = np.random.default_rng(0)
    for part, count in (("train", 12), ("val", 6), ("test", 2)):
        for number in range(count):
            path = tmp_path / "set" / part / ("cat", "dog")[number % 2] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 100, (8 + number % 3, 7), np.uint8) + np.uint8(100 * (number % 2))
            Image.fromarray(pixels).save(path)
    (tmp_path / "set" / "train" / "emu").mkdir()
    options = ["--image-size", "6x8", "--image-fit", "pad", "--augment", "shift=1,color", "--no-in-memory"]
    options += ["--data", tmp_path / "set", "--epochs", 1, "--batch-size", 5, "--no-proof", *NAMED]
    result = call("train", *options, "--backend", "reference", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    for said in ("12 training and 6 validation images of shape (1, 6, 8)", "3 sizes, from 8x7 to 10x7", "padded"):
        assert said in result.stdout
    for said in ("'emu'", "kept apart", "augment shift=1,colour=0.2"):
        assert said in result.stdout
    again = ["--resume", tmp_path / "run", "--epochs", 2, "--augment", "shift=1,color=0.2", "--in-memory", *NAMED]
    result = call("train", *again, "--backend", "reference")
    assert result.exit_code == 0, result.output
    assert_refused(call("train", *again[:4], "--augment", "shift=2", *NAMED), "was started with shift=1,colour=0.2")
    result = call("predict", tmp_path / "run" / "model.onnx", tmp_path / "set" / "test")
    assert result.exit_code == 0 and len(result.stdout.splitlines()) == 2 and not result.stderr


@pytest.mark.parametrize(
    "options, said, status",
    [
        (["--image-size", "0"], "HEIGHTxWIDTH", 2),
        (["--image-size", "8x"], "HEIGHTxWIDTH", 2),
        (["--image-fit", "squash"], "crop", 2),
        (["--augment", "shift=9"], "nothing of an image", 1),
        (["--augment", "flp"], "Did you mean 'flip'", 1),
    ],
)
def test_options_of_images_that_are_none(call, tmp_path, options, said, status):
    result = call("train", *options, "--backend", "reference", "--out", tmp_path / "run")
    assert_refused(result, said, status=status)
    assert not (tmp_path / "run").exists()


def test_data_that_are_none(call, tmp_path):
    assert_refused(call("train", "--data", "nowhere", "--out", tmp_path / "run"), "'nowhere'", "digits, mnist")


def test_an_unknown_device_lists_those_present(call, tmp_path):
    result = call("train", "--backend", "opencl:no such platform:0", "--out", tmp_path / "run")
    assert_refused(result, "no such platform")
    for device in finding.available():
        assert device.name in result.stderr and device.device_name in result.stderr
    assert_refused(call("train", "--backend", "cuda", "--out", tmp_path / "run"), "'cuda'", "refcnn devices")


def test_no_opencl_at_all(call, monkeypatch, tmp_path):
    from refcnn import backend

    monkeypatch.setattr(finding, "available", list)
    backend._best.cache_clear()
    try:
        result = call("train", "--backend", "opencl", "--out", tmp_path / "run")
        assert_refused(result, "no OpenCL device was found", "pip install")
        result = call("predict", "run", "class0.png", "--backend", "auto", *NAMED)
        assert result.exit_code == 0
        assert "computing on the reference backend, since no OpenCL device was found" in result.stderr
    finally:
        backend._best.cache_clear()


def test_a_full_disk(folder, tmp_path):
    """The operating system refuses files above a size: the checkpoint does not fit, the error names it."""
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000));"
        "from refcnn.cli import main; main()"
    )
    command = [sys.executable, "-c", program, *small_run.TRAIN, "--epochs", "2", "--out", str(tmp_path / "run")]
    done = subprocess.run(command, cwd=folder, env=small_run.environment(), capture_output=True, text=True)
    assert done.returncode == 1
    assert "Error: " in done.stderr and "best.npz could not be written: File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(os.listdir(tmp_path / "run")) == ["config.json", "kernels"]
    assert json.loads((tmp_path / "run" / "config.json").read_text())["seed"] == 3


def test_a_full_disk_at_the_export_leaves_the_former_file(call, tmp_path, monkeypatch):
    out = tmp_path / "model.onnx"
    out.write_bytes(b"former")
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    assert_refused(call("export", "run", "--out", out, *NAMED), out, "No space left on device", "unchanged")
    assert out.read_bytes() == b"former" and os.listdir(tmp_path) == ["model.onnx"]


def test_a_folder_that_cannot_be_made(call, folder):
    assert_refused(call(*small_run.TRAIN, "--out", "data.npz/run"), "data.npz/run")
    assert_refused(call(*small_run.TRAIN, "--out", "x" * 300), "File name too long", "another folder")


def test_a_broken_checkpoint(call, folder, tmp_path):
    import shutil

    shutil.copytree(folder / "run", tmp_path / "run")
    for name in ("best.npz", "last.npz"):
        content = (tmp_path / "run" / name).read_bytes()
        (tmp_path / "run" / name).write_bytes(content[: len(content) // 2])
    result = call("predict", tmp_path / "run", "class0.png", "--backend", "reference", *NAMED)
    assert_refused(result, "best.npz", "refcnn checkpoint")
    assert_refused(call("train", "--resume", tmp_path / "run", "--backend", "reference", *NAMED), "last.npz")
    (tmp_path / "run" / "best.npz").unlink()
    assert_refused(call("show", "kernels", tmp_path / "run"), "no trained model yet", "--resume")


def test_models_for_prediction_that_are_none(call, tmp_path):
    (tmp_path / "text.onnx").write_text("hello")
    assert_refused(call("predict", tmp_path / "missing.onnx", "class0.png"), "missing.onnx does not exist")
    assert_refused(call("predict", tmp_path / "text.onnx", "class0.png"), "text.onnx")
    assert_refused(call("predict", "x" * 300, "class0.png"), "does not exist")
    assert_refused(call("predict", tmp_path, "class0.png", "--backend", "reference"), "holds no training run")
    assert_refused(call("export", tmp_path, "--out", "x.onnx"), "holds no training run")
    assert_refused(call("show", "curves", tmp_path), "holds no training run")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--epochs", "0"],
        ["--batch-size", "-3"],
        ["--validation-split", "1"],
        ["--seed", "-1"],
        ["--optimizer", "newton"],
        ["--lr", "fast"],
    ],
)
def test_options_out_of_range_are_usage_errors(call, arguments):
    assert_refused(call("train", *arguments), arguments[0], status=2)

"""What exported files tell other programs: the README's lines without refcnn find what ``refcnn predict`` does."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image, ImageOps

import refcnn as rm
from refcnn.cli import main
from refcnn.data import Preprocessing
from refcnn.data.preprocessing import COLOURS, FACTS, LAYOUTS
from refcnn.data.sizing import FILTERS, FITS, fitted
from refcnn.onnx import export, metadata, open_exported
from refcnn.runs.prediction import Predictor

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
(LINES,) = (
    block for block in re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL) if "Session(" in block
)
CLASSES = ("a", "größer", "c")


def write_model(path, preprocessing, last=(), seed=0):
    rm.set_seed(seed)
    model = rm.Sequential([rm.Flatten(), rm.Dense(len(CLASSES)), *last])
    with rm.use_backend("reference"):
        export(model, path, preprocessing.shape, classes=CLASSES, preprocessing=preprocessing, proof=False)


def without_refcnn(folder):
    """Return what the README's lines print in a folder."""
    output = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(output):
        exec(LINES, {})
    return json.loads(output.getvalue())


def by_refcnn(folder):
    (found,) = Predictor(folder / "digits.onnx").predictions([folder / "digit.png"], len(CLASSES))
    assert found.error is None
    return dict(found.classes)


@st.composite
def preprocessings(draw):
    channels = draw(st.sampled_from(sorted(COLOURS)))

    def numbers(low, high):
        number = st.floats(low, high, width=32)
        return st.one_of(number, st.lists(number, min_size=channels, max_size=channels).map(tuple))

    black, white = draw(st.sampled_from([(0, 255), (0, 1), (-1, 1), (255, 0), (0, 16)]))
    return Preprocessing(
        draw(st.sampled_from([1.0, 1 / 255, 0.5])),
        channels,
        draw(st.integers(1, 12)),
        draw(st.integers(1, 12)),
        black=black,
        white=white,
        mean=draw(numbers(-2, 2)),
        deviation=draw(numbers(0.125, 4)),
        fit=draw(st.sampled_from(FITS)),
        colour=draw(st.sampled_from(COLOURS[channels])),
        filter=draw(st.sampled_from(FILTERS)),
        layout=draw(st.sampled_from(LAYOUTS)),
    )


@st.composite
def images(draw):
    """Draw an image and the options with which it is saved as PNG."""
    height, width = draw(st.integers(8, 20)), draw(st.integers(8, 20))
    mode = draw(st.sampled_from(["L", "LA", "RGB", "RGBA", "1", "P"]))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    image = Image.fromarray(rng.integers(0, 256, (height, width, 4), np.uint8))
    image, options = image.convert("RGB" if mode == "P" else mode), {}
    if mode == "P":
        image = image.quantize(7)
        options["transparency"] = 3
    elif mode == "L" and draw(st.booleans()):
        options["transparency"] = int(np.asarray(image)[0, 0])
    exif = Image.Exif()
    exif[0x0112] = draw(st.integers(1, 8))
    return image, options | {"exif": exif}


def vanishes(size, preprocessing):
    """Tell whether an image becomes so narrow within its padding that Pillow would leave nothing of it."""
    scale = min(preprocessing.width / size[0], preprocessing.height / size[1])
    return min(scale * size[0], scale * size[1]) < 0.6


@given(preprocessings(), images())
def test_the_lines_of_the_readme_find_what_refcnn_finds_to_the_digit(tmp_path_factory, preprocessing, image):
    image, options = image
    if preprocessing.fit == "pad":
        assume(not any(vanishes(size, preprocessing) for size in (image.size, image.size[::-1])))
    folder = tmp_path_factory.mktemp("deployment")
    write_model(folder / "digits.onnx", preprocessing)
    image.save(folder / "digit.png", **options)
    assert without_refcnn(folder) == by_refcnn(folder)


@pytest.mark.parametrize(
    ("last", "scores"),
    [((), "logits"), ((rm.Softmax(),), "probabilities"), ((rm.Sigmoid(),), "independent")],
    ids=lambda entry: entry if isinstance(entry, str) else "",
)
def test_scores_are_what_the_last_operation_gives(tmp_path, last, scores):
    write_model(tmp_path / "digits.onnx", Preprocessing(1 / 255, 1, 4, 4), last)
    Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4) * 16).save(tmp_path / "digit.png")
    (said,) = (e.value for e in onnx.load(tmp_path / "digits.onnx").metadata_props if e.key == metadata.SCORES_KEY)
    assert json.loads(said) == scores
    found = by_refcnn(tmp_path)
    assert found == without_refcnn(tmp_path)
    assert (sum(found.values()) == pytest.approx(1)) == (scores != "independent")


def test_the_lines_need_no_refcnn_and_find_what_the_command_prints(tmp_path):
    write_model(tmp_path / "digits.onnx", Preprocessing(1 / 255, 3, 6, 5, mean=0.4, deviation=0.3))
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "digit.png")
    program = "import sys; sys.modules['refcnn'] = None\n" + LINES
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr
    command = ["predict", str(tmp_path / "digits.onnx"), str(tmp_path / "digit.png"), "--top", "9", "--format", "json"]
    printed = CliRunner().invoke(main, command)
    assert printed.exit_code == 0, printed.output
    (entry,) = json.loads(printed.stdout)
    assert json.loads(done.stdout) == {found["class"]: found["probability"] for found in entry["classes"]}


@given(*[st.integers(1, 40)] * 4, st.sampled_from(["crop", "pad"]))
def test_images_are_fitted_as_pillow_does_where_no_side_vanishes(height, width, wanted_height, wanted_width, fit):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))
    size, filter = (wanted_width, wanted_height), Image.Resampling.LANCZOS
    if fit == "crop":
        expected = ImageOps.fit(image, size, filter)
    else:
        assume(not vanishes(image.size, Preprocessing(1.0, 3, wanted_height, wanted_width)))
        expected = ImageOps.pad(image, size, filter, centering=(0.4999, 0.4999))
    np.testing.assert_array_equal(np.asarray(fitted(image, wanted_height, wanted_width, fit)), np.asarray(expected))


def test_files_of_earlier_versions_are_read(tmp_path):
    """They said less, and meant what is the default today."""
    path, preprocessing = tmp_path / "model.onnx", Preprocessing(1 / 255, 3, 4, 5, mean=0.5, usual=())
    write_model(path, preprocessing)
    model = onnx.load(path)
    entries = {entry.key: entry.value for entry in model.metadata_props}
    fields = json.loads(entries[metadata.PREPROCESSING_KEY])
    for name in (*FACTS, "colour", "filter", "layout"):
        del fields[name]
    entries[metadata.PREPROCESSING_KEY] = json.dumps(fields)
    del entries[metadata.SCORES_KEY]
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, entries)
    path.write_bytes(model.SerializeToString())
    assert open_exported(path).preprocessing == preprocessing
    Image.new("RGB", (5, 4), "red").save(tmp_path / "red.png")
    (found,) = Predictor(path).predictions([tmp_path / "red.png"], 3)
    assert sum(dict(found.classes).values()) == pytest.approx(1)

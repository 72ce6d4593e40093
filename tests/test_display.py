"""Names and paths may hold any character: nothing of them acts on a terminal, a picture, a file or a shell."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import unicodedata
import warnings

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

import refcnn as rm
import refcnn.onnx
from refcnn import display
from refcnn.cli import main
from refcnn.data import Preprocessing, load
from refcnn.data.image_folder import _class_names
from refcnn.errors import ArgumentError, DataError
from refcnn.runs import plotting, report, run_folder
from refcnn.runs.prediction import Predictor

from . import small_run

#: What a folder's name can hold, bytes that are no UTF-8 included, as Python gives it.
file_names = st.binary(min_size=1, max_size=20).map(os.fsdecode).filter(lambda name: not {"\0", "/"} & set(name))
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
HOSTILE = [
    "$\\frac$",
    "cheap $$",
    "$x$",
    "\x1b[31mred\x07",
    "two\nlines",
    "caf\udce9",
    "\u202egnp.exe",
    "_hidden",
    "a\\b",
    "猫",
    "\N{DOG FACE}",
    "%s {x}",
    "tab\there",
    "\x9b1m",
    "\u2028",
    "back`id`",
]

NAMED = ["--model", "small_models:small"]


def acts(text):
    """Whether a text has characters that do something to a terminal, by Unicode's own classes."""
    turning = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    return any(
        unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(c) in turning for c in text
    )


@given(st.one_of(file_names, st.text()))
@example("\udce9\x9b\n\x1b\u202e")
def test_what_is_shown_acts_on_nothing_and_plain_text_stays(text):
    found = display.shown(text)
    assert not acts(found)
    found.encode("utf-8")
    if not acts(text):
        assert found == text


def test_what_is_shown_looks_as_in_python():
    assert display.shown("a\nb\x1b\x9b\u202e\udce9\ud800 \\ é猫") == r"a\nb\x1b\x9b\u202e\xe9\ud800 \ é猫"
    assert display.shown("a\nb\x07", keep="\n") == "a\nb\\x07"


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs Bash")
@settings(max_examples=30, deadline=None)
@given(st.lists(file_names, min_size=1, max_size=4))
@example(["my runs/first try".replace("/", " "), "it's", "$HOME", "a\nb", "caf\udce9", "\x9b", "\\", "-x", "~", "*"])
def test_a_printed_command_gives_the_shell_those_very_words(words):
    line = display.command(*words)
    assert not acts(line)
    done = subprocess.run(
        ["bash", "--norc", "-c", f"refcnn() {{ printf '%s\\0' \"$@\"; }}\n{line}"],
        capture_output=True,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    assert list(map(os.fsdecode, done.stdout.split(b"\0")[:-1])) == words, line


def test_a_path_that_looks_like_an_option_is_none(tmp_path):
    assert display.quoted(run_folder.Path("-run")) == "./-run"


@pytest.mark.parametrize(
    "variable, argv, expected",
    [
        ("tools/refcnn", ["x"], "tools/refcnn devices"),
        ("/my checkout/tools/refcnn", ["x"], "'/my checkout/tools/refcnn' devices"),
        (None, ["pytest"], "refcnn devices"),
        (None, [os.path.join(os.path.dirname(rm.__file__), "__main__.py")], f"{sys.executable} -m refcnn devices"),
    ],
)
def test_a_command_begins_as_refcnn_was_called(monkeypatch, variable, argv, expected):
    monkeypatch.delenv("REFCNN_COMMAND", raising=False)
    if variable is not None:
        monkeypatch.setenv("REFCNN_COMMAND", variable)
    monkeypatch.setattr(sys, "argv", argv)
    assert display.command("devices") == expected


def test_a_program_that_is_not_on_the_path_is_named_by_its_own(monkeypatch, tmp_path):
    monkeypatch.delenv("REFCNN_COMMAND", raising=False)
    program = tmp_path / "bin" / "refcnn"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(program)])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert display.command("devices") == f"{program} devices"
    monkeypatch.setenv("PATH", str(program.parent))
    assert display.command("devices") == "refcnn devices"


@given(st.lists(file_names, unique=True, min_size=1, max_size=5))
@example(["caf\udce9", "caf\\xe9"])
@example(["a\\b", "c"])
def test_names_of_folders_become_text_and_stay_distinct(names):
    found = _class_names(names)
    assert len(set(found)) == len(names) and all(map(display.is_text, found))
    if all(map(display.is_text, names)):
        assert found == tuple(names)


# The proof of an export draws its inputs with Hypothesis, too.
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(texts, min_size=2, max_size=4, unique=True))
@example(HOSTILE[:4])
@example([name for name in HOSTILE if display.is_text(name)])
def test_any_names_are_drawn_and_exported(tmp_path_factory, classes):
    folder = tmp_path_factory.mktemp("names")
    counts = np.eye(len(classes), dtype=np.int64) * 3
    with warnings.catch_warnings():
        # Matplotlib warns of what its font lacks.
        warnings.simplefilter("error")
        figure = plotting.confusion(counts, classes)
        plotting.save(figure, folder / "confusion.png")
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert len(labels) == len(classes) and not any(map(acts, labels))
    with rm.use_backend("reference"):
        model = rm.Sequential([rm.Flatten(), rm.Dense(len(classes))])
        preprocessing = Preprocessing(1 / 255, 1, 2, 2)
        refcnn.onnx.export(
            model,
            folder / "model.onnx",
            (1, 2, 2),
            classes=classes,
            preprocessing=preprocessing,
            examples=1,
            backends=["reference"],
        )
    (stored,) = (entry.value for entry in onnx.load(folder / "model.onnx").metadata_props if "classes" in entry.key)
    assert json.loads(stored) == classes
    Image.fromarray(np.full((2, 2), 90, np.uint8)).save(folder / "a.png")
    (prediction,) = Predictor(folder / "model.onnx").predictions([folder / "a.png"], 99)
    assert {name for name, _ in prediction.classes} == set(classes)
    lines = (
        CliRunner().invoke(main, ["predict", str(folder / "model.onnx"), str(folder / "a.png"), "--top", "9"]).output
    )
    assert lines.count("\n") == 1 and not acts(lines[:-1])


def test_labels_are_drawn_as_they_are(monkeypatch):
    figure = plotting.confusion(np.eye(3, dtype=int), ["$x$", "cheap $$", "$\\frac$"])
    axes = figure.axes[0]
    for text in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        assert not text.get_parse_math() and not text.get_usetex()
    assert [text.get_text() for text in axes.get_yticklabels()] == ["$x$", "cheap $$", "$\\frac$"]


def test_what_no_font_has_is_escaped_in_a_picture():
    figure = plotting.confusion(np.eye(2, dtype=int), ["\U00100001", "\U00100002" * 9])
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels[0] == "\\U00100001" and labels[1] == "\\U00100002…" and len(labels[1]) <= 20


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder whose sub-folders have hostile names, and in "my runs/first try" a run trained on it to its end."""
    folder = tmp_path_factory.mktemp("hostile")
    rng = np.random.default_rng(0)
    for index, name in enumerate(HOSTILE):
        (folder / "data" / name).mkdir(parents=True)
        for number in range(3):
            pixels = rng.integers(0, 90, (8, 8), np.uint8)
            pixels[index % 8] += 150
            Image.fromarray(pixels).save(folder / "data" / name / f"{number}\x1b\n.png")
    with pytest.MonkeyPatch.context() as context, rm.use_backend("reference"):
        context.chdir(folder)
        context.syspath_prepend(str(folder))
        (folder / "small_models.py").write_text(small_run.MODELS)
        arguments = [
            "train",
            "--data",
            "data",
            *NAMED,
            "--backend",
            "reference",
            "--epochs",
            "1",
            "--seed",
            "1",
            "--validation-split",
            "0.34",
            "--out",
            "my runs/first try",
        ]
        result = CliRunner().invoke(main, arguments, prog_name="refcnn")
        assert result.exit_code == 0, result.output
    (folder / "output.txt").write_text(result.output)
    return folder


def call(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)), prog_name="refcnn")


def test_a_run_of_hostile_names_ends_with_its_pictures_and_its_model(trained):
    run = trained / "my runs" / "first try"
    assert {"confusion.png", "model.onnx", "metrics.csv"} <= set(os.listdir(run))
    for path in (run / "config.json", run / "metrics.csv"):
        path.read_bytes().decode("utf-8")
    classes = json.loads((run / "config.json").read_bytes())["classes"]
    assert len(set(classes)) == len(HOSTILE) and all(map(display.is_text, classes))
    assert "caf\\xe9" in classes
    assert len(list(csv.DictReader(io.StringIO((run / "metrics.csv").read_text())))) == 1


def test_printed_commands_are_quoted(trained):
    output = (trained / "output.txt").read_text()
    for line in (
        "predict 'my runs/first try/model.onnx'",
        "show features 'my runs/first try'",
        "export 'my runs/first try'",
        "train --resume 'my runs/first try'",
    ):
        assert f"refcnn {line}" in output


def test_names_and_files_reach_the_terminal_escaped(trained, monkeypatch):
    monkeypatch.chdir(trained)
    images = sorted((trained / "data" / "two\nlines").iterdir())
    for model in (["my runs/first try", *NAMED], ["my runs/first try/model.onnx"]):
        with rm.use_backend("reference"):
            result = call("predict", *model, *images, "--top", 99, "--backend", "reference")
        assert result.exit_code == 0, result.output
        lines = result.stdout.splitlines()
        assert len(lines) == len(images) and not any(map(acts, lines))
        assert "\\x1b[31mred\\x07" in lines[0] and "two\\nlines" in lines[0] and "\\u202egnp.exe" in lines[0]


def test_errors_show_names_escaped(trained, monkeypatch, tmp_path):
    monkeypatch.chdir(trained)
    broken = tmp_path / "bro\x1bken\n.png"
    broken.write_text("none")
    result = call("predict", "my runs/first try/model.onnx", broken)
    assert result.exit_code == 1 and "bro\\x1bken\\n.png" in result.stderr
    assert not any(map(acts, result.stderr.splitlines()))
    (tmp_path / "emp\x1bty\n" / "class").mkdir(parents=True)
    result = call("train", "--data", tmp_path / "emp\x1bty\n", "--backend", "reference", "--out", tmp_path / "run")
    assert result.exit_code == 1 and "emp\\x1bty\\n" in result.stderr
    assert len(result.stderr.splitlines()) == 1 and not acts(result.stderr.rstrip("\n"))
    result = call("conform", "--repro", tmp_path / "ca\x1bse\n")
    assert result.exit_code == 2 and "ca\\x1bse\\n" in result.stderr and not acts(result.stderr.rstrip("\n"))


@pytest.mark.parametrize("form", ["text", "csv"])
def test_images_of_a_folder_are_shown_escaped(trained, monkeypatch, form):
    monkeypatch.chdir(trained)
    result = call("predict", "my runs/first try/model.onnx", "data/two\nlines", "--format", form)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert len(lines) == 3 + (form == "csv") and not any(map(acts, lines))
    assert all("two\\nlines" in line for line in lines[-3:])


def test_names_that_are_no_text_are_refused_where_they_enter(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 4, 4), np.uint8), y=[0, 1], classes=np.array(["a", "b\ud800"]))
    with pytest.raises(DataError, match="no Unicode text"):
        load(tmp_path / "a.npz")
    with rm.use_backend("reference"), pytest.raises(ArgumentError, match="no Unicode text"):
        refcnn.onnx.export(
            rm.Sequential([rm.Dense(2)]), tmp_path / "a.onnx", (3,), classes=["a", "\udce9"], backends=["reference"]
        )
    assert not (tmp_path / "a.onnx").exists()


def test_going_on_with_a_run_whose_folder_has_blanks(trained, monkeypatch):
    monkeypatch.chdir(trained)

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as context, rm.use_backend("reference"):
        context.setattr(report, "write", interrupted)
        result = call("train", "--resume", "my runs/first try", "--epochs", 2, "--backend", "reference", *NAMED)
    assert result.exit_code == 130 and "refcnn train --resume 'my runs/first try' --model" in result.stdout
    assert "--resume 'my runs/first try'" in call("train", "--out", "my runs/first try").stderr

"""Folders that hold data run no code: neither what a file in them names, nor what lies in them under a known name."""

import json
import os
import shutil
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import refcnn as rm
from refcnn.bench import measuring
from refcnn.cli import main
from refcnn.conformance.bundles import bundle
from refcnn.conformance.theory.strategies import Case
from refcnn.runs import report, training
from refcnn.runs.run_folder import RunFolder

from . import small_run

CHECKOUT = Path(rm.__file__).parents[1]
#: Modules that refcnn, its libraries or Python itself import sooner or later, and the one that a file names.
PLANTED = (
    "numpy",
    "json",
    "hypothesis",
    "click",
    "tqdm",
    "matplotlib",
    "PIL",
    "pyopencl",
    "onnx",
    "onnxruntime",
    "dataclasses",
    "statistics",
    "venv",
    "ensurepip",
    "pip",
    "payload",
)


def plant(folder, marker, names=PLANTED):
    """Put modules into a folder that write their name to a file when they are imported, and a plug-in of Hypothesis."""
    for name in names:
        (folder / f"{name}.py").write_text(f"open({str(marker)!r}, 'a').write({name!r} + '\\n')\n")
    plugin = folder / "planted-1.0.dist-info"
    plugin.mkdir()
    (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: planted\nVersion: 1.0\n")
    (plugin / "entry_points.txt").write_text(
        "[hypothesis]\nplanted = payload\n[matplotlib.backend]\nplanted = payload\n"
    )


def python(*arguments, cwd):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=small_run.environment() | {"MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with the inputs and a whole run of a model of the user's own."""
    folder = tmp_path_factory.mktemp("trained")
    small_run.write_inputs(folder)
    with pytest.MonkeyPatch.context() as context, rm.use_backend("reference"):
        context.chdir(folder)
        context.syspath_prepend(str(folder))
        options = {"data": "data.npz", "model": "small_models:small", "epochs": 1, "batch_size": 8, "seed": 3}
        session = training.start(options, "run")
        session.finish(lambda line: None)
        report.write(session.run, session.validation)
    return folder


@pytest.fixture
def stranger(trained, tmp_path):
    """A folder from a stranger: its run names a module that lies beside it, among others of known names."""
    folder = tmp_path / "stranger"
    shutil.copytree(trained, folder)
    configuration = json.loads((folder / "run" / "config.json").read_text())
    (folder / "run" / "config.json").write_text(json.dumps(configuration | {"model": "payload:f"}))
    for place in (folder, folder / "run"):
        plant(place, tmp_path / "marker")
    yield folder
    ran = tmp_path / "marker"
    assert not ran.exists(), f"imported: {ran.read_text()}"


@pytest.mark.parametrize("module", ["numpy", "payload"])
def test_what_is_planted_would_tell(stranger, tmp_path, module):
    python("-c", f"import {module}", cwd=stranger)
    assert (tmp_path / "marker").read_text() == f"{module}\n"
    (tmp_path / "marker").unlink()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["predict", "run", "class1.png"], 0, "class1.png: "),
        (["show", "curves", "run"], 0, "curves.png"),
        (["show", "kernels", "run"], 1, "--model payload:f"),
        (["export", "run", "--out", "new.onnx"], 1, "--model payload:f"),
        (["train", "--resume", "run", "--epochs", "2"], 1, "--model payload:f"),
        (["train", "--resume", "run", "--model", "chapter"], 1, "payload:f"),
        (["conform", "--device", "reference", "--operation", "add", "--examples", "1"], 0, "All conform"),
        (["devices"], 0, "reference"),
    ],
)
def test_no_command_imports_what_lies_in_the_current_folder(stranger, arguments, status, words):
    done = python("-m", "refcnn", *arguments, cwd=stranger)
    assert done.returncode == status, done.stdout + done.stderr
    assert words in done.stdout + done.stderr and "Traceback" not in done.stderr
    assert not (stranger / "new.onnx").exists()


def test_inside_the_folder_of_a_run_it_is_the_same(stranger):
    done = python("-m", "refcnn", "predict", ".", "../class1.png", cwd=stranger / "run")
    assert done.returncode == 0, done.stderr


@pytest.fixture
def call(trained, monkeypatch):
    monkeypatch.chdir(trained)
    monkeypatch.syspath_prepend(str(trained))
    with rm.use_backend("reference"):
        yield lambda *arguments: CliRunner().invoke(main, list(map(str, arguments)), prog_name="refcnn")


def test_a_run_whose_model_is_not_exported_yet_asks_for_it(call, trained, tmp_path):
    shutil.copytree(trained / "run", tmp_path / "run")
    configuration = json.loads((trained / "run" / "config.json").read_text())
    (tmp_path / "run" / "config.json").write_text(json.dumps(configuration | {"completed_epochs": 0}))
    result = call("predict", tmp_path / "run", "class1.png", "--backend", "reference")
    assert result.exit_code == 1 and "--model small_models:small" in result.stderr
    named = ["--backend", "reference", "--model", "small_models:small"]
    result = call("predict", tmp_path / "run", "class1.png", *named)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "run", "class1.png"],
        ["show", "kernels", "run"],
        ["export", "run", "--out", "x.onnx"],
        ["train", "--resume", "run"],
    ],
)
def test_another_model_than_that_of_the_run_is_refused(call, arguments):
    result = call(*arguments, "--model", "small_models:slow")
    assert result.exit_code == 1
    assert "--model is small_models:slow" in result.stderr and "small_models:small" in result.stderr


def test_a_named_model_and_device_are_found_in_the_current_folder_last(trained, tmp_path):
    folder = tmp_path / "own"
    shutil.copytree(trained, folder)
    plant(folder, tmp_path / "marker")
    (folder / "mine.py").write_text("def add(a, b):\n    return a + b\n")
    for arguments in (
        ["show", "kernels", "run", "--model", "small_models:small"],
        ["conform", "--device", "mine:", "--operation", "add", "--examples", "2"],
    ):
        done = python("-m", "refcnn", *arguments, cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr
    # Whoever names a module of the current folder takes what lies there for code; a plug-in of it is such.
    ran = (tmp_path / "marker").read_text().split() if (tmp_path / "marker").exists() else []
    assert set(ran) <= {"payload"}


@pytest.mark.parametrize("arguments", [["train", "--model", "html:small"], ["conform", "--device", "html:small"]])
def test_a_module_that_an_installed_one_hides_is_told_of(call, monkeypatch, tmp_path, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "html.py").write_text("small = None\n")
    result = call(*arguments)
    assert result.exit_code in (1, 2) and f"{tmp_path / 'html.py'} is not looked at" in result.output


def test_contestants_of_the_bench_import_nothing_from_the_current_folder(stranger, monkeypatch):
    monkeypatch.chdir(stranger)
    for contestant in (measuring.refcnn("reference"), measuring.onnxruntime("cpu")):
        contestant.stop()


def test_reports_from_strangers_are_merged_without_what_they_name(stranger):
    arguments = ["conform", "--device", "reference", "--operation", "add", "--examples", "1", "--report", "report"]
    assert python("-P", "-m", "refcnn", *arguments, cwd=stranger).returncode == 0
    report_file = stranger / "report" / "report.json"
    content = json.loads(report_file.read_text())
    content["devices"][0]["specification"] = "payload:f"
    report_file.write_text(json.dumps(content))
    done = python("-m", "refcnn", "conform", "--merge", "report", "--report", "page", cwd=stranger)
    assert done.returncode == 0, done.stderr
    assert "payload:f" in (stranger / "page" / "merged.html").read_text()


CASE = Case((np.ones((2, 3), np.float32), np.ones((2, 3), np.float32)), {}, None)


@pytest.fixture
def planted_bundle(tmp_path):
    """A bundle into which a stranger put modules."""
    folder = tmp_path / "bundle"
    expected = bundle.expected("add", "forward", CASE)
    bundle.write_bundle(
        folder,
        operation="add",
        direction="forward",
        variant=None,
        case=CASE,
        results={name: (None, *entry) for name, entry in expected.items()},
        device={"specification": "payload:implementation", "name": "payload"},
        message="found",
    )
    plant(folder, tmp_path / "marker")
    yield folder
    assert not (tmp_path / "marker").exists(), (tmp_path / "marker").read_text()


def test_a_bundle_is_run_again_without_what_lies_in_it(planted_bundle):
    done = python("-m", "refcnn", "conform", "--repro", ".", "--device", "reference", cwd=planted_bundle)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All conform" in done.stdout


@pytest.mark.parametrize(("script", "cwd"), [("repro.py", "."), ("./repro.py", "."), ("bundle/repro.py", "..")])
def test_the_script_of_a_bundle_imports_nothing_that_lies_in_it(planted_bundle, script, cwd):
    done = python(script, cwd=planted_bundle / cwd)
    # There are no kernels in this one.
    assert done.returncode == 2 and "There are no kernels to run" in done.stdout, done.stderr


def test_settings_of_pictures_are_not_taken_from_the_current_folder(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "own")
    # LaTeX would be started for each text.
    (tmp_path / "own" / "matplotlibrc").write_text("text.usetex: True\nbackend: module://payload\n")
    done = python("-m", "refcnn", "show", "curves", "run", "--out", "c.png", cwd=tmp_path / "own")
    assert done.returncode == 0, done.stderr
    theirs = (tmp_path / "own" / "c.png").read_bytes()
    assert python("-m", "refcnn", "show", "curves", "run", "--out", "c.png", cwd=trained).returncode == 0
    assert (trained / "c.png").read_bytes() == theirs


def test_another_program_that_imports_refcnn_keeps_its_current_folder(tmp_path):
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "__init__.py").write_text("import refcnn\n")
    (tmp_path / "program" / "__main__.py").write_text("import neighbour\nprint(neighbour.answer)\n")
    (tmp_path / "neighbour.py").write_text("answer = 42\n")
    done = python("-m", "program", cwd=tmp_path)
    assert done.stdout == "42\n", done.stderr


PYTHON = """\
#!/bin/sh
# In the place of Python: says what it was asked, and makes the environment.
echo "$REFCNN_COMMAND: $*" >> {log}
while [ $# -gt 0 ]; do
    case $1 in venv) mkdir -p "$2/bin" && cp "$0" "$2/bin/python" ;; esac
    shift
done
"""


@pytest.mark.skipif(os.name != "posix", reason="a shell script")
@pytest.mark.parametrize(
    ("cwd", "script"),
    [(".", "tools/refcnn"), ("tools", "./refcnn"), ("other", "../tools/refcnn"), ("/", "{checkout}/tools/refcnn")],
)
def test_the_script_of_a_checkout_leaves_the_current_folder_out_and_names_itself(tmp_path, cwd, script):
    checkout = tmp_path / "a checkout"
    shutil.copytree(CHECKOUT / "tools", checkout / "tools")
    (checkout / "other").mkdir()
    for name in ("setup.cfg", "pyproject.toml"):
        shutil.copy(CHECKOUT / name, checkout)
    stub, log = tmp_path / "python", tmp_path / "log"
    stub.write_text(textwrap.dedent(PYTHON).format(log=log))
    stub.chmod(stub.stat().st_mode | stat.S_IXUSR)
    script = script.format(checkout=checkout)
    done = subprocess.run(
        [script, "devices"], cwd=checkout / cwd, env={**os.environ, "PYTHON": str(stub)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    *before, last = log.read_text().splitlines()
    assert last == f"{script}: -P -m refcnn devices"
    assert before and all(line.split(": ")[1].startswith(("-I ", "-P ")) for line in before), before


def test_a_run_without_its_exported_model_asks_for_the_code(call, trained, tmp_path):
    shutil.copytree(trained / "run", tmp_path / "run")
    (tmp_path / "run" / "model.onnx").unlink()
    result = call("predict", tmp_path / "run", "class1.png", "--backend", "reference")
    assert result.exit_code == 1 and "--model small_models:small" in result.stderr


def test_only_the_user_names_a_model(trained):
    """The interface in Python: a run that was opened without its model's name builds none."""
    run = RunFolder.open(trained / "run")
    with pytest.raises(rm.errors.ArgumentError, match="--model small_models:small"):
        run.build_model()
    with pytest.raises(rm.errors.ArgumentError, match="--model is other:f"):
        RunFolder.open(trained / "run", "other:f")

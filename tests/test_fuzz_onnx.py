"""The tool that gives mutants of ONNX models to the reader, and what it finds."""

import importlib.util
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from . import onnx_fuzz, onnx_mutants
from .onnx.test_imported import model_of

if not sys.platform.startswith("linux"):
    pytest.skip("memory is limited and times are taken as Linux does", allow_module_level=True)

TOOL = Path(__file__).parents[1] / "tools" / "fuzz_onnx.py"


@pytest.fixture(scope="module")
def tool():
    specification = importlib.util.spec_from_file_location("fuzz_onnx", TOOL)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_it_counts_what_becomes_of_mutants(tmp_path):
    command = [sys.executable, TOOL, tmp_path, "--count", "6", "--device", "reference", "--seconds", "600"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.startswith("6 mutants"), done.stderr
    assert "found" not in done.stdout


def test_it_keeps_the_smallest_mutant_of_each_kind(tool, tmp_path):
    error = 'Traceback\n  File "/x/refcnn/onnx/reading/nodes.py", line {}, in walk\n{}: {!r} is none'
    for number, (size, line, kind, name) in enumerate(
        [(9, 3, "KeyError", "a"), (5, 3, "KeyError", "b"), (7, 3, "KeyError", "c"), (8, 3, "TypeError", "d")]
    ):
        path = onnx_fuzz.place(tmp_path / "scratch" if number else _folder(tmp_path), "model", bytes(size), [])
        tool.keep(tmp_path, path, error.format(line, kind, name), [number])
    assert sorted(path.stat().st_size for path in (tmp_path / "found").glob("*.onnx")) == [5, 8]
    assert sorted(path.read_text() for path in (tmp_path / "found").glob("*.count")) == ["1", "3"]


def _folder(path):
    (path / "scratch").mkdir()
    return path / "scratch"


def test_what_a_model_declares_is_what_it_may_take(tool):
    model = model_of(
        [helper.make_node("ConstantOfShape", ["sizes"], ["y"])], constants={"sizes": np.int64([1000, 1000])}
    )
    model.graph.value_info.append(helper.make_tensor_value_info("v", TensorProto.FLOAT, [300]))
    content = model.SerializeToString()
    assert 8 * 10**6 <= tool.declared_bytes(content) < 8 * 10**6 + 8 * 310
    assert tool.declared_bytes(b"no model") == 0


def test_files_outside_of_the_folder_are_seen(tmp_path):
    folder, watch = tmp_path / "inside", onnx_fuzz.watch()
    folder.mkdir()
    (folder / "own").write_text("own")
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    with watch.on(folder):
        (folder / "own").read_text()
    for deed in (
        lambda: (tmp_path / "secret").read_text(),
        lambda: (folder / "link").read_text(),
        lambda: (folder / "new").write_text("new"),
        lambda: os.remove(folder / "own"),
        lambda: subprocess.run(["true"]),
    ):
        with pytest.raises(AssertionError, match="happened"), watch.on(folder):
            deed()


def test_mutants_of_graphs_are_other_graphs():
    content = model_of(
        [helper.make_node("Softmax", ["x"], ["z"], axis=1), helper.make_node("Mul", ["z", "w"], ["y"])],
        constants={"w": np.float32([1, 2])},
    ).SerializeToString()
    mutants = [onnx_mutants.of_graph(content, random.Random(number)) for number in range(200)]
    assert len(set(mutants)) > 100
    # They are models still.
    assert all(onnx.load_model_from_string(entry).graph.name == "graph" for entry in mutants)
    assert mutants == [onnx_mutants.of_graph(content, random.Random(number)) for number in range(200)]

"""What ``refcnn report`` tells of a file's executors: the judge's verdicts, and why there are none where there are."""

import numpy as np
import onnx
import pytest

import refcnn as rm
from refcnn.onnx.proof import clock, verifying
from refcnn.onnx.proof.judging import Bounds
from refcnn.runs.pages import verified, writing

from .conftest import NAMED, overflow
from .test_report import Page, written

REFERENCE = "--device", "reference"


@pytest.fixture
def changed(folder, tmp_path):
    """Write the file of a run changed, and return where."""

    def write(change):
        model = onnx.load(folder / "run" / "model.onnx")
        change(model)
        onnx.save(model, tmp_path / "changed.onnx")
        return tmp_path / "changed.onnx"

    return write


def verdicts(data):
    return {one["name"].split()[0]: one["verdict"] for one in data["verification"]["executors"]}


def test_a_right_file_conforms(folder, call, tmp_path):
    page = written(call, tmp_path, "run/model.onnx")
    found = page.data["verification"]
    assert verdicts(page.data) == {"reference": "conforms", "onnxruntime": "conforms"}
    assert found["examples"] == 5 and found["seconds"] > 0 and not found["is_cut"] and page.data["unverified"] is None
    assert all(shape[1:] == [1, 6, 6] for (shape,) in found["shapes"])
    for one in found["executors"]:
        assert one["examples"] == 5 and 0 < one["ratio"] <= 1 and one["nearest"] and one["parts_at"] is None
        assert one["difference"] <= found["bounds"]["probable"] <= found["bounds"]["proved"]
    for text in ("5 drawn inputs", "It took", "✓ conforms", "nowhere", "End to end: outputs up to", "2 of 2"):
        assert text in page.text


def test_it_is_what_verify_finds(folder, call, tmp_path):
    options = "--device", "reference", "--device", "onnxruntime", "--examples", 8
    told = written(call, tmp_path, "run/model.onnx", *options).data["verification"]
    # The file leaves the number of examples open, and nothing else.
    found = verifying.verify(folder / "run" / "model.onnx", ["reference", "onnxruntime"], examples=8)
    assert told["examples"] == found.examples == 8
    assert [one["ratio"] for one in told["executors"]] == [one.ratio for one in found.results]
    assert told["bounds"]["proved"] == found.bounds.proved and told["bounds"]["largest_output"] == found.bounds.size


def test_a_planted_fault_is_told_with_its_operator(call, tmp_path, opencl_backend, wrong_relu):
    device = opencl_backend.name
    page = written(call, tmp_path, "run/model.onnx", "--device", device, *REFERENCE)
    assert verdicts(page.data) == {device: "wrong", "reference": "conforms"}
    wrong, right = page.data["verification"]["executors"]
    assert wrong["parts_at"].startswith("Relu") and "error bound" in wrong["parts_by"]
    assert all(sizes[1:] == [1, 6, 6] for sizes in wrong["parts_on"]) and right["parts_at"] is None
    for text in ("✗ wrong", f"{device} parts from the exact answer first at Relu", "1 of 2"):
        assert text in page.text


def test_why_one_executor_was_not_judged_is_told(call, tmp_path, changed):
    """A version of the format that onnxruntime does not know yet."""
    page = written(call, tmp_path, changed(lambda model: setattr(model, "ir_version", 99)))
    assert verdicts(page.data) == {"reference": "conforms", "onnxruntime": "not judged"}
    assert page.data["verification"]["executors"][1]["ratio"] is None
    assert "onnxruntime" in page.data["verification"]["executors"][1]["unusable"] and "was not judged: " in page.text


def test_a_file_with_what_refcnn_lacks_is_told_nevertheless(call, tmp_path, changed):
    page = written(call, tmp_path, changed(lambda model: setattr(model.graph.node[1], "op_type", "NonMaxSuppression")))
    assert page.data["model"] is page.data["kernels"] is page.data["verification"] is None
    assert "NonMaxSuppression" in page.data["unverified"] and "was not looked at" in page.text
    assert page.data["file"]["inputs"][0]["sizes"] == [None, 1, 6, 6]
    assert "NonMaxSuppression" in page.data["left_out"][0]


def test_what_is_too_large_is_not_judged(call, tmp_path, monkeypatch):
    """Where there is room for one example alone, inputs have one."""
    shapes = {}
    for room in (2**10, 2**17, 2**20):
        monkeypatch.setattr(verified, "memory", lambda room=room: room)
        page = written(call, tmp_path, "run/model.onnx", *REFERENCE)
        found = page.data["verification"]
        shapes[room] = found and {shape[0] for (shape,) in found["shapes"]}
        if found is None:
            assert "It is too large" in page.text and page.data["kernels"]["count"] == 4
    assert shapes[2**10] is None and shapes[2**17] == {1} and len(shapes[2**20]) > 1


def test_nothing_is_judged_where_nothing_is_asked_for(call, tmp_path):
    page = written(call, tmp_path, "run/model.onnx", "--examples", 0)
    assert page.data["verification"] is None and "--examples was 0" in page.text
    assert page.data["model"]["has_costs"] and page.data["kernels"]["count"] == 4


def test_the_time_that_is_over_is_told(call, tmp_path, a_second_each_look):
    """A clock passes a second whenever a step begins: five for each of an input's executors, and for the exact one."""
    a_second_each_look(clock)
    none = written(call, tmp_path, "run/model.onnx", *REFERENCE, "--proof-time", "3s").data
    assert none["verification"] is None and "no input was judged within 3 s" in none["unverified"]
    page = written(call, tmp_path, "run/model.onnx", *REFERENCE, "--proof-time", "40s")
    found = page.data["verification"]
    assert 0 < found["examples"] < 5 and found["is_cut"] and found["bounds"] is None
    assert "The time was over before everything was judged" in page.text
    assert written(call, tmp_path, "run/model.onnx", *REFERENCE, "--proof-time", "1h").data["verification"]["bounds"]


def test_options_of_files_are_none_of_runs(call):
    for option in (["--examples", "0"], ["--device", "reference"], ["--proof-time", "5s"]):
        result = call("report", "run", *NAMED, *option)
        assert result.exit_code == 2 and f"{option[0]} is for an ONNX file" in result.stderr
    result = call("report", "run/model.onnx", "--device", "nothing")
    assert result.exit_code == 1 and "nothing" in result.stderr


@pytest.fixture
def hostile(folder, tmp_path, monkeypatch):
    """The page of a file of which each executor has another verdict, with long words and foreign text."""
    word = "/a/path/that/has/no/break" * 8
    wrong = verifying.Parting(f"Relu ({word})", "</script> \u202e element (0, 0) is 1", ((1, 1, 6, 6),), ())
    results = [
        verifying.Result("reference", 3, 0.4, "Conv (first)", 1e-7),
        verifying.Result("opencl:0:0", 3, np.inf, f"Relu ({word})", None, parting=wrong),
        verifying.Result("opencl:1:0", 3, 0.2, "Gemm", np.inf, {("conv2d", word)}, f"an output is off {word}"),
        verifying.Result("onnxruntime 1", unusable=f"it does not load {word}"),
    ]
    found = verifying.Verification("x", ("x",), results, 3, 2, {((1, 1, 6, 6),)}, True, 4, Bounds(3.0, np.inf, 1e-6, 0))
    monkeypatch.setattr(verifying, "verify", lambda *_, **__: found)
    with rm.use_backend("reference"):
        wanted = verified.Wanted(3, ("reference",))
        writing.write_file(folder / "run" / "model.onnx", tmp_path / "hostile.html", wanted)
    return tmp_path / "hostile.html"


def test_all_verdicts_are_told(hostile):
    page = Page(hostile)
    found = page.data["verification"]
    assert list(verdicts(page.data).values()) == ["conforms", "wrong", "suspect", "not judged"]
    assert found["executors"][1]["ratio"] is found["executors"][2]["difference"] is found["bounds"]["proved"] is None
    for text in ("✓ conforms", "✗ wrong", "! suspect", "– not judged", "∞", "is known to compute conv2d wrongly"):
        assert text in page.text
    for text in ("2 inputs on which values leave float32's range", "The time was over", "</script> \\u202e element"):
        assert text in page.text


@pytest.mark.parametrize("dark", [False, True])
def test_in_a_browser(hostile, open_page, accessible, dark):
    for width in (420, 1400):
        page = open_page(hostile, width, dark)
        assert overflow(page) == 0
        # A name of one word may be broken anywhere; others stand in columns that hold a word.
        assert page.locator("#proof ~ .wide td.name").first.bounding_box()["width"] > 90
        accessible(page)

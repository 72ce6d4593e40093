"""The pages of runs and ONNX files: true to the run, whole without anything else, and small whatever the run."""

import csv
import json
import os
import re
import shlex
import shutil
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import numpy as np
import onnx
import pytest

import refcnn as rm
import refcnn.onnx
import refcnn.runs.pages
from refcnn.data import DataSet, Preprocessing
from refcnn.errors import CheckpointError
from refcnn.runs import proofs
from refcnn.runs.checkpoint import Checkpoint
from refcnn.runs.configuration import Configuration
from refcnn.runs.drawing import Seen
from refcnn.runs.judgement import Judgement
from refcnn.runs.pages import gathering, writing
from refcnn.runs.run_folder import RunFolder

from .. import small_run
from .conftest import NAMED

SCHEMA = json.loads((Path(refcnn.runs.pages.__file__).parent / "report.schema.json").read_text())
VOID = {"meta", "br", "hr", "img", "input", "link", "wbr"}


class Page(HTMLParser):
    """A page's elements, visible texts and data; fails on tags that do not match and names that stand twice."""

    def __init__(self, path):
        super().__init__()
        self.open, self.elements, self.texts, self.scripts = [], [], [], []
        content = path.read_text(encoding="utf-8")
        self.size = len(content.encode())
        self.feed(content)
        assert self.open == []
        names = [attributes["id"] for _, attributes in self.elements if "id" in attributes]
        assert len(set(names)) == len(names)
        links = [attributes["href"] for tag, attributes in self.elements if tag == "a"]
        assert all(link.startswith("#") and link[1:] in names for link in links)
        self.data = json.loads(self.scripts[0])
        jsonschema.Draft202012Validator(SCHEMA).validate(self.data)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif not self.open or self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


def written(call, tmp_path, *arguments):
    path = tmp_path / "page.html"
    result = call("report", *arguments, "--out", path)
    assert result.exit_code == 0, result.output
    return Page(path)


def copied(folder, tmp_path, name="run"):
    shutil.copytree(folder / name, tmp_path / name)
    return tmp_path / name


def test_a_run_is_told_as_it_was(folder, call, tmp_path):
    page = written(call, tmp_path, "run", *NAMED)
    data = page.data
    with open(folder / "run" / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in data["history"]] == [1, 2, 3]
    for row, told in zip(rows, data["history"], strict=True):
        assert all(told[name] is None or told[name] == float(row[name]) for name in told)
    best = max(data["history"], key=lambda row: (row["validation_accuracy"], -row["validation_loss"]))
    assert data["best"] == best and f"best: {best['epoch']}" in page.text
    run = RunFolder.open(folder / "run", "small_models:small")
    with rm.use_backend("reference"):
        model = run.best_model()
    assert data["model"]["total"]["parameters"] == sum(entry.as_ndarray().size for _, entry in model.parameters())
    # A convolution of 4 kernels of 3x3, a bias each, on 6x6; a dense layer of 3 classes on 4x3x3.
    assert data["model"]["total"]["flop"] == 2 * 4 * 9 * 36 + 2 * 36 * 3
    counts = np.array(data["confusion"]["counts"])
    assert counts.sum() == sum(row["images"] for row in data["classes"]) == 20
    assert np.trace(counts) == round(20 * data["best"]["validation_accuracy"])
    assert data["wrong_images"] == counts.sum() - np.trace(counts) == len(data["wrong"])
    assert [row["recall"] for row in data["classes"]] == pytest.approx(np.diag(counts) / counts.sum(axis=1))
    assert data["kernels"]["count"] == data["maps"][0]["maps"] == 4
    assert {one["name"] for one in data["proof"]["implementations"]} >= {"reference"}
    assert data["run"]["device"]["versions"] == run.configuration.versions
    assert data["run"]["device"]["versions"]["numpy"] == np.__version__
    for text in (data["run"]["command"], run.configuration.device, "Sort by confusion", "seed", "Precision"):
        assert text.lower() in page.text.lower()
    assert data["left_out"] == []
    with np.load(folder / "data.npz") as stored:
        names = set(map(str, stored["y"]))
    assert data["first_image"]["true"] in names and set(data["first_image"].values()) <= names


def test_training_writes_the_same(folder, call, tmp_path):
    """But for the device, on which results may be otherwise, and when it was written."""
    trained, again = Page(folder / "run" / "report.html").data, written(call, tmp_path, "run", *NAMED).data
    for data in (trained, again):
        del data["written"], data["run"]["command"]
    assert trained == again


def test_pages_ask_for_nothing_else(folder, call, tmp_path):
    for arguments in (["run", *NAMED], ["run/model.onnx"], ["run", "other"]):
        page = written(call, tmp_path, *arguments)
        content = (tmp_path / "page.html").read_text()
        assert not re.search(r"https?:|\burl\((?!data:)|@import", content)
        assert not {tag for tag, _ in page.elements} & {"link", "iframe", "object", "embed", "base"}
        sources = [attributes[key] for _, attributes in page.elements for key in ("src", "href") if key in attributes]
        assert all(source.startswith(("data:image/png;base64,", "#")) for source in sources)
        assert all(attributes["alt"] for tag, attributes in page.elements if tag == "img")
        assert page.size < 500_000


# What makes other bits must stand in the command.
OPTIONS = {
    "plain": [],
    "all": [
        *("--schedule", "one-cycle", "--warm-up", "0.5", "--label-smoothing", "0.1", "--class-weights", "1,2.5,1"),
        *("--weight-decay", "0.001", "--clip-norm", "1", "--accumulation-steps", "2", "--average-decay", "0.8"),
        *("--freeze", "0.b", "--freeze", "5.b", "--augment", "shift=1,rotate=10", "--image-size", "8x7"),
        *("--image-fit", "pad", "--pixel-range", "10", "200", "--validation-split", "0.3", "--monitor"),
        *("validation_loss", "--patience", "9", "--top-k", "2", "--no-proof", "--no-in-memory"),
    ],
    "batch": ["--overfit-batch", "--reproducible", "4", "--clip-value", "0.5"],
    "start": ["--from", "run/model.onnx"],
}


@pytest.mark.parametrize("name", OPTIONS)
def test_the_command_does_it_again(call, folder, tmp_path, name):
    train = small_run.TRAIN if name != "start" else [word for word in small_run.TRAIN if word not in NAMED]
    assert call(*train, "--epochs", "2", *OPTIONS[name], "--out", tmp_path / "first").exit_code == 0
    command = Page(tmp_path / "first" / "report.html").data["run"]["command"]
    refcnn, *arguments = shlex.split(command)
    assert arguments[0] == "train"
    result = call(*arguments, "--out", tmp_path / "again")
    assert result.exit_code == 0, result.output
    first, again = (RunFolder.open(tmp_path / name).configuration for name in ("first", "again"))
    assert first == again
    small_run.assert_same(tmp_path / "first" / "best.npz", tmp_path / "again" / "best.npz")


def test_runs_are_compared(folder, call, tmp_path):
    page = written(call, tmp_path, "run", "other")
    differing = {one["name"]: one["values"] for one in page.data["differences"]}
    assert differing == {"epochs": [3, 2], "weight_decay": [0.0, 0.01]}
    assert [len(run["history"]) for run in page.data["runs"]] == [3, 2]
    assert [run["name"] for run in page.data["runs"]] == ["run", "other"]
    # Of one name they are told apart, and nothing differs.
    alike = written(call, tmp_path, "run", "run").data
    assert [run["name"] for run in alike["runs"]] == ["run (1)", "run (2)"] and alike["differences"] == []


def test_a_file_is_told(folder, call, tmp_path):
    page = written(call, tmp_path, "run/model.onnx")
    data = page.data
    assert data["file"]["inputs"] == [{"name": "image", "dtype": "float32", "sizes": [None, 1, 6, 6]}]
    assert [row["layer"] for row in data["model"]["layers"]] == ["Conv", "Relu", "MaxPool", "Flatten", "Gemm"]
    # A bias is a parameter of the operator.
    assert [row["parameters"] for row in data["model"]["layers"]] == [40, 0, 0, 0, 111]
    assert data["model"]["total"]["flop"] == sum(row["flop"] for row in data["model"]["layers"])
    assert data["model"]["total"]["flop"] == Page(folder / "run" / "report.html").data["model"]["total"]["flop"]
    assert data["certificate"]["images"] == 20
    assert data["kernels"]["count"] == 4
    # Without refcnn's metadata the same, but for what they say.
    model = onnx.load(folder / "run" / "model.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    bare = written(call, tmp_path, tmp_path / "bare.onnx").data
    assert (bare["certificate"], bare["file"]["classes"]) == (None, None)
    assert bare["model"] == data["model"]


def test_a_file_that_leaves_sizes_open_is_told_as_far_as_it_goes(call, tmp_path):
    nodes = [onnx.helper.make_node("Conv", ["x", "w"], ["y"]), onnx.helper.make_node("Relu", ["y"], ["z"])]
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 3, "h", "w"]) for name in ("x", "z")
    ]
    weights = onnx.numpy_helper.from_array(np.ones((3, 3, 2, 2), np.float32), "w")
    graph = onnx.helper.make_graph(nodes, "open", values[:1], values[1:], [weights])
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "open.onnx")
    data = written(call, tmp_path, tmp_path / "open.onnx").data
    assert [(row["layer"], row["parameters"]) for row in data["model"]["layers"]] == [("Conv", 36), ("Relu", 0)]
    assert not data["model"]["has_costs"] and data["kernels"] is None and len(data["left_out"]) == 2


def test_pages_have_places_of_their_own(folder, call, tmp_path):
    copied(folder, tmp_path)
    shutil.copy(folder / "run" / "model.onnx", tmp_path / "net.onnx")
    (tmp_path / "run" / "report.html").unlink()
    assert call("report", tmp_path / "run", *NAMED).output.strip() == str(tmp_path / "run" / "report.html")
    assert call("report", tmp_path / "net.onnx").output.strip() == str(tmp_path / "net.html")
    os.chdir(tmp_path)
    assert call("report", folder / "run", folder / "other").output.strip() == "comparison.html"
    for path in ("run/report.html", "net.html", "comparison.html"):
        Page(tmp_path / path)


def test_code_that_was_not_named_is_not_imported(folder, call, tmp_path):
    exported = written(call, tmp_path, "run").data
    named = written(call, tmp_path, "run", *NAMED).data
    assert exported["confusion"] == named["confusion"] and exported["kernels"] == named["kernels"]
    run = copied(folder, tmp_path)
    (run / "model.onnx").unlink()
    bare = written(call, tmp_path, run).data
    assert bare["model"] is bare["confusion"] is bare["proof"] is None
    assert "--model small_models:small" in bare["left_out"][0]
    # The metrics tell of each class, though.
    assert bare["classes"] == named["classes"]


def test_a_page_does_without_the_data(folder, call, tmp_path):
    run = copied(folder, tmp_path)
    fields = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(fields | {"data": str(tmp_path / "gone.npz")}))
    data = written(call, tmp_path, run, *NAMED).data
    assert data["confusion"] is None and data["wrong"] == data["maps"] == []
    assert data["kernels"]["count"] == 4 and len(data["classes"]) == 3
    assert "gone.npz" in data["left_out"][0]


def test_a_proof_is_that_of_the_file(folder, tmp_path):
    run = RunFolder.open(copied(folder, tmp_path))
    assert proofs.load(run)["examples"] > 0
    model = onnx.load(run.model_file)
    model.doc_string = "changed"
    onnx.save(model, run.model_file)
    assert proofs.load(run) is None
    (run.path / "proof.json").write_text('{"format": "refcnn proof 1"}')
    with pytest.raises(CheckpointError, match=r"proof\.json"):
        proofs.load(run)


def spoil(run, name, content=None):
    if content is None:
        (run / name).unlink()
    else:
        (run / name).write_bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("config.json", None, "holds no training run"),
        ("config.json", b"{", "config.json"),
        ("last.npz", b"PK\x03\x04 half", "last.npz"),
        ("last.npz", None, "last.npz"),
        ("best.npz", b"", "best.npz"),
        # Interrupted before the first epoch was over.
        ("best.npz", None, "no epoch was finished"),
        ("proof.json", b"[]", "proof.json"),
    ],
)
def test_broken_runs_are_said(folder, call, tmp_path, name, content, told):
    run = copied(folder, tmp_path)
    (run / "report.html").write_text("former")
    spoil(run, name, content)
    result = call("report", run, *NAMED)
    assert result.exit_code == 1 and "Error: " in result.stderr and told in result.stderr
    assert (run / "report.html").read_text() == "former"
    if name != "proof.json":
        assert call("report", folder / "run", run, "--out", tmp_path / "both.html").exit_code == (
            name != "best.npz" or content is None
        )


def test_other_mistakes_are_said(folder, call, tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    for arguments, status, told in (
        (["missing"], 1, "missing holds no training run"),
        (["missing.onnx"], 1, "missing.onnx"),
        ([tmp_path / "broken.onnx"], 1, "broken.onnx"),
        (["run", "run/model.onnx"], 2, "is no run"),
        (["run/model.onnx", *NAMED], 2, "leave it out"),
        (["run", "--model", "other:model"], 1, "other:model"),
        (["run", *NAMED, "--out", tmp_path / "no" / "page.html"], 1, "page.html"),
        (["run", *NAMED, "--out", tmp_path], 1, str(tmp_path)),
        (["run"] * 25, 1, "24 curves"),
        ([], 2, "Missing argument"),
    ):
        result = call("report", *arguments)
        assert result.exit_code == status and told in result.stderr, result.output


def made_up(tmp_path, classes, epochs, images=200, shape=(3, 300, 260)):
    """Return a run that never was, and what was found of it: noise, in which nothing can be packed."""
    rng = np.random.default_rng(0)
    preprocessing = Preprocessing(1 / 255, *shape)
    configuration = Configuration(
        data=f"/{'long folder/' * 300}",
        data_dir=None,
        data_digest="0" * 64,
        classes=classes,
        preprocessing=preprocessing,
        model="lenet5",
        backend="reference",
        device="NumPy",
        epochs=epochs,
        batch_size=32,
        lr=0.1,
        optimizer="sgd",
        validation_split=0.1,
        seed=1,
        class_weights=tuple(rng.random(len(classes)).tolist()),
        freeze=tuple(f"layer{index}*" for index in range(5000)),
    )
    run = RunFolder(tmp_path, configuration)
    run.update()
    rate = {"seconds": 1.0, "iterations_per_second": 1.0, "learning_rate": 0.1}
    losses = zip(rng.random(epochs).tolist(), rng.random(epochs).tolist(), rng.random(epochs).tolist(), strict=True)
    history = [
        {"epoch": epoch, "train_loss": one, "validation_loss": other, "validation_accuracy": share, **rate}
        for epoch, (one, other, share) in enumerate(losses, 1)
    ]
    arrays = {"0.w": np.ones(3, np.float32)}
    checkpoint = Checkpoint(arrays, {}, epochs, None, np.zeros(0), 0.0, 1, 1, history, shape)
    checkpoint.save(run.last)
    checkpoint.save(run.best)
    labels = rng.integers(0, len(classes), images)
    x = rng.integers(0, 256, (images, *shape), dtype=np.uint8)
    logits = rng.normal(0, 3, (images, len(classes))) + 6 * np.eye(len(classes))[labels]
    weights = rng.normal(0, 1, (400, 3, 64, 64))
    seen = Seen(x[0], [(weights, rng.normal(0, 1, (1, 300, 90, 90)))] * 40)
    model = rm.Sequential([rm.Dense(10) for _ in range(2000)])
    validation = DataSet(x, labels, classes, preprocessing)
    return run, gathering.Found(model, validation, Judgement(logits, labels), seen, [])


@pytest.mark.parametrize("count", [2, 100, 3000])
def test_pages_are_small_whatever_the_run(tmp_path, count):
    classes = tuple(f"a class with a name that goes on and on {'and on ' * 40} {index}" for index in range(count))
    run, found = made_up(tmp_path, classes, 3000)
    writing.write_run(run, tmp_path / "page.html", found)
    page = Page(tmp_path / "page.html")
    assert page.size < 3_000_000
    assert 1000 <= len(page.data["history"]) <= 1002
    assert page.data["best"] in page.data["history"] and page.data["history"][-1]["epoch"] == 3000
    assert (page.data["confusion"] is None) == (count > 100)
    assert len(page.data["classes"]) == min(count, 1000)
    assert len({row["name"] for row in page.data["classes"]}) == min(count, 1000)
    told = " ".join(page.data["left_out"])
    for text in (
        "epochs",
        "kernels",
        "convolutions",
        "maps",
        *["lowest F1 score", "confusion matrix"][: 2 * (count > 100)],
    ):
        assert text in told


def test_comparisons_are_small_whatever_the_runs(tmp_path):
    run, _ = made_up(tmp_path, ("a", "b"), 500)
    writing.write_comparison([run] * 24, tmp_path / "page.html")
    page = Page(tmp_path / "page.html")
    assert page.size < 3_000_000
    assert all(125 <= len(one["history"]) <= 127 for one in page.data["runs"])


def test_foreign_text_stays_text(tmp_path):
    hostile = "</script><script>alert('x')</script>\"&amp; </title></style> \u202e {{ 7 * 7 }}"
    run, found = made_up(tmp_path, (hostile, "b", f"{hostile}2"), 3, shape=(1, 8, 8))
    run.configuration = Configuration(**{**vars(run.configuration), "device": hostile, "model": hostile})
    writing.write_run(run, tmp_path / "page.html", found)
    page = Page(tmp_path / "page.html")
    scripts = [attributes for tag, attributes in page.elements if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "data"}, {}, {}]
    assert "alert('x')" in page.text and "49" not in page.data["confusion"]["names"][0]


def test_a_class_without_images_is_grey(tmp_path):
    run, found = made_up(tmp_path, ("a", "b", "c"), 3, shape=(1, 8, 8))
    labels = found.validation.y % 2
    judgement = Judgement(np.eye(3)[labels], labels)
    writing.write_run(run, tmp_path / "page.html", found._replace(judgement=judgement))
    page = Page(tmp_path / "page.html")
    assert [attributes for tag, attributes in page.elements if tag == "tr" and attributes] == [{"class": "empty"}]
    assert "No image was taken for another class." in page.text and page.data["confused"] == []


def test_maps_of_one_pixel_are_bars(tmp_path):
    run, found = made_up(tmp_path, ("a", "b"), 3, shape=(1, 8, 8))
    values = np.array([0.5, -2.0, np.nan, 0.0])
    seen = Seen(found.seen.image, [(np.ones((4, 1, 3, 3)), values.reshape(1, 4, 1, 1))])
    writing.write_run(run, tmp_path / "page.html", found._replace(seen=seen))
    page = Page(tmp_path / "page.html")
    (told,) = page.data["maps"]
    assert (told["values"], told["limit"], told["element"]) == ([0.5, -2.0, None, 0.0], 2.0, None)
    assert sum(tag == "rect" for tag, _ in page.elements) == 4

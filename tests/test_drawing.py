"""What a network sees, as it is drawn: its convolutions, what it takes the image for, and what the titles say."""

import numpy as np
import pytest
from click.testing import CliRunner

import refcnn as rm
from refcnn.cli import main
from refcnn.errors import ArgumentError
from refcnn.fitting.metrics import best_row
from refcnn.mode import recording
from refcnn.runs import drawing
from refcnn.runs.run_data import validation_set
from refcnn.runs.run_folder import RunFolder

RNG = np.random.default_rng(0)


def network(*, outputs=3):
    rm.set_seed(1)
    return rm.Sequential([rm.Conv2d(3), rm.Relu(), rm.MaxPool2d(2), rm.Conv2d(2), rm.Flatten(), rm.Dense(outputs)])


def test_convolutions_are_what_the_layers_compute(backend):
    with rm.use_backend(backend):
        model = network()
        x = RNG.random((1, 2, 9, 9)).astype(np.float32)
        model(x)
        first = model[0](x)
        expected = first.as_ndarray(), model[3](model[2](model[1](first))).as_ndarray()
        with recording():
            found = drawing.convolutions([model(x)])
    assert len(found) == 2
    for (weights, maps), layer, one in zip(found, (model[0], model[3]), expected, strict=True):
        np.testing.assert_array_equal(weights, layer.params["w"].as_ndarray())
        np.testing.assert_array_equal(maps, one)


def test_a_model_without_convolution():
    with rm.use_backend("reference"), pytest.raises(ArgumentError, match="no convolution"):
        model = rm.Sequential([rm.Flatten(), rm.Dense(2)])
        drawing.look(model, rm.data.Preprocessing(1, 1, 2, 2))


@pytest.mark.parametrize("classes", [None, ("cat", "dog", "bird")])
def test_the_class_is_that_of_the_largest_score(classes):
    with rm.use_backend("reference"):
        model = network()
        stored = RNG.random((1, 9, 9)).astype(np.float32)
        seen = drawing.look(model, rm.data.Preprocessing(1, 1, 9, 9), stored, classes=classes, label="dog")
        best = int(model(stored[None]).as_ndarray().argmax())
        assert seen.predicted == (str(best) if classes is None else classes[best])
        assert seen.caption == f"true class: dog\npredicted: {seen.predicted}"
        # Other numbers than there are classes are no scores of theirs.
        assert drawing.look(model, rm.data.Preprocessing(1, 1, 9, 9), stored, classes=("a", "b")).caption == ""
        model[5].params["b"] = np.full((1, 3), np.nan, np.float32)
        assert drawing.look(model, rm.data.Preprocessing(1, 1, 9, 9), stored).predicted is None


def test_a_long_name_of_a_class_has_a_line_of_its_own():
    seen = drawing.Seen(np.zeros((1, 2, 2)), [], "a long-haired dachshund", "cat")
    assert seen.caption == "true class: cat\npredicted:\na long-hai…dachshund"


def test_titles_name_run_model_data_and_epoch(tmp_path):
    images, labels = RNG.integers(0, 255, (24, 1, 6, 6), np.uint8), np.arange(24) % 2
    np.savez(tmp_path / "data.npz", x=images, y=np.array(["cat", "dog"])[labels])
    options = ["--data", tmp_path / "data.npz", "--epochs", "2", "--no-proof", "--backend", "reference"]
    trained = CliRunner().invoke(main, ["train", *map(str, options), "--out", str(tmp_path / "my run")])
    assert trained.exit_code == 0, trained.output
    run = RunFolder.open(tmp_path / "my run")
    best = run.best_epoch()
    assert best == best_row(run.history())["epoch"]
    with rm.use_backend("reference"):
        figures = {kind: list(drawing.of_run(run, kind)) for kind in drawing.KINDS}
        (of_file,) = drawing.of_file(run.model_file, "kernels")
        shown = drawing.look_at_first(run.best_model(), validation_set(run.configuration))
    titles = {kind: [figure.get_suptitle() for figure in some] for kind, some in figures.items()}
    of = f"my run: chapter on data.npz, epoch {best}"
    assert titles["kernels"] == [f"32 kernels of 3x3\n{of}"]
    assert [title.splitlines()[1] for title in titles["features"]] == [of, of]
    assert titles["features"][1].startswith("After convolution 2: 64 feature maps of 6x6\n")
    assert titles["curves"] == [f"my run: chapter on data.npz, best epoch {best} of 2"]
    assert of_file.get_suptitle() == "32 kernels of 3x3\nmodel.onnx"
    captions = {figure.axes[0].texts[0].get_text() for figure in figures["features"]}
    assert captions == {shown.caption} and shown.label in ("cat", "dog") and shown.predicted in ("cat", "dog")

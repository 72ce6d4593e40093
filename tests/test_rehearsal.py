"""What comes before a training: the search for its learning rate, and a dry run."""

import os

import numpy as np
import pytest
from click.testing import CliRunner

import refcnn as rm
from refcnn.cli import main
from refcnn.errors import ArgumentError
from refcnn.fitting.rate_finder import MARGIN
from refcnn.philox import current
from refcnn.runs import metric_plots
from refcnn.runs.run_folder import RunFolder

from . import small_run
from .test_plotting import texts_overlap

RNG = np.random.default_rng(0)
LABELS = np.arange(60) % 3
DATA = ((np.eye(3)[LABELS] * 3 + RNG.normal(size=(60, 3))).astype(np.float32), LABELS)
#: The small run, with no place of its own.
ARGUMENTS = [*small_run.TRAIN, "--epochs", "3"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("rehearsal")
    small_run.write_inputs(path)
    return path


@pytest.fixture
def call(folder, monkeypatch):
    """Call the command in the folder."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    with rm.use_backend("reference"):
        yield lambda *arguments: CliRunner().invoke(main, list(map(str, arguments)), prog_name="refcnn")


@pytest.fixture
def model():
    with rm.use_backend("reference"):
        rm.set_seed(1)
        yield rm.Sequential([rm.Dense(3, input_size=3)])


def test_the_search_rises_from_rate_to_rate_and_suggests_a_tenth_of_the_best(model):
    found = rm.find_learning_rate(model, DATA, optimizer="sgd", lowest=1e-4, highest=1.0, steps=41, batch_size=20)
    np.testing.assert_allclose(found.rates, np.geomspace(1e-4, 1, 41)[: len(found.rates)])
    assert len(found.losses) == len(found.smoothed) == len(found.rates) <= 41
    best = found.rates[int(np.argmin(found.smoothed))]
    assert found.suggestion == pytest.approx(best / MARGIN, rel=0.06)
    # A descent from there converges.
    history = rm.fit(model, DATA, optimizer=rm.Sgd(lr=found.suggestion), epochs=5, verbose=False)
    assert history[-1]["train_loss"] < history[0]["train_loss"]


def test_the_search_leaves_all_as_it_was(model):
    before, stream, optimizer = model.state()["0.w"], current().state, rm.Adam(lr=0.3)
    rm.find_learning_rate(model, DATA, optimizer=optimizer, steps=10)
    np.testing.assert_array_equal(model.state()["0.w"], before)
    assert current().state == stream and optimizer.lr == 0.3


def test_the_smoothed_losses_are_running_means_of_the_losses(model):
    found = rm.find_learning_rate(model, DATA, steps=12)
    mean = 0.0
    for index, loss in enumerate(found.losses, 1):
        mean = 0.9 * mean + 0.1 * loss
        assert found.smoothed[index - 1] == pytest.approx(mean / (1 - 0.9**index))


def test_the_search_ends_where_the_loss_has_grown_too_large(model):
    found = rm.find_learning_rate(model, DATA, optimizer="sgd", lowest=1e-3, highest=1e6, steps=100)
    assert len(found.rates) < 100 and found.smoothed[-1] > 4 * min(found.smoothed)
    assert all(smoothed <= 4 * min(found.smoothed[: n + 1]) for n, smoothed in enumerate(found.smoothed[:-1]))


def test_a_loss_that_is_never_finite_is_an_error(model):
    with pytest.raises(ArgumentError, match="not finite at the lowest rate"):
        rm.find_learning_rate(model, (DATA[0] * np.float32(np.inf), LABELS))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 9}, "steps is 9"),
        ({"lowest": 0}, "lowest is 0"),
        ({"lowest": 1, "highest": 1}, "highest is 1"),
        ({"optimizer": "newton"}, "'newton'"),
    ],
)
def test_arguments_out_of_range(model, options, message):
    with pytest.raises(ArgumentError, match=message):
        rm.find_learning_rate(model, DATA, **options)


def test_the_search_is_drawn(model):
    found = rm.find_learning_rate(model, DATA)
    figure = metric_plots.learning_rates(found)
    (axes,) = figure.axes
    raw, smoothed, suggestion = axes.lines
    np.testing.assert_array_equal(raw.get_ydata(), found.losses)
    np.testing.assert_array_equal(smoothed.get_xdata(), found.rates)
    assert set(suggestion.get_xdata()) == {found.suggestion}
    assert axes.get_xscale() == "log" and texts_overlap(figure) == []


@pytest.mark.parametrize("picture", [None, "rates.svg"])
def test_the_command_searches_draws_and_says_how_to_train(call, tmp_path, monkeypatch, folder, picture):
    where = folder / (picture or "learning_rates.png")
    result = call(*ARGUMENTS, "--lr-find", *([picture] if picture else []), "--out", "unused")
    assert result.exit_code == 0, result.output
    assert f"{where.name} shows the search" in result.output
    assert "refcnn train --data data.npz --model small_models:small --lr " in result.output
    assert where.stat().st_size > 1000 and not (folder / "unused").exists()
    where.unlink()


def test_a_picture_of_an_unknown_kind_is_refused_before_the_search(call, folder):
    result = call(*ARGUMENTS, "--lr-find", "rates.doc")
    assert result.exit_code == 1 and "rates.doc" in result.output


def test_a_dry_run_does_all_and_keeps_nothing(call, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    before = set(os.listdir(folder))
    done = []
    for name in ("refcnn.runs.report.export", "refcnn.runs.plotting.save"):
        module, _, function = name.rpartition(".")
        original = getattr(__import__(module, fromlist=[function]), function)
        monkeypatch.setattr(name, lambda *a, _f=original, _n=function, **k: (done.append(_n), _f(*a, **k))[1])
    result = call(*ARGUMENTS, "--dry-run", "--schedule", "one-cycle")
    assert result.exit_code == 0, result.output
    assert "nothing was kept" in result.output and "proved on 1 drawn input" in result.output
    assert "export" in done and done.count("save") >= 5
    assert set(os.listdir(folder)) - {"__pycache__"} == before - {"__pycache__"}
    # OpenCL drivers leave files of their own.
    assert not list(tmp_path.glob("*refcnn*"))


def test_a_dry_run_finds_what_a_long_one_would_find_at_its_end(call):
    """The schedule is that of the whole training, and so are the checks."""
    result = call(*ARGUMENTS, "--dry-run", "--schedule", "step:every=9")
    assert result.exit_code == 1 and "needs 10 epochs, but the training has 3" in result.output
    result = call(*ARGUMENTS, "--dry-run", "--out", "data.npz")
    assert result.exit_code == 1 and "data.npz is a file" in result.output


def test_every_option_reaches_the_run(call, folder, monkeypatch):
    monkeypatch.setattr("refcnn.runs.plotting.save", lambda *_: None)
    result = call(
        *ARGUMENTS,
        "--out",
        "all",
        "--no-proof",
        *(
            "--schedule",
            "restarts:every=2",
            "--warm-up",
            "0.5",
            "--weight-decay",
            "0.01",
            "--clip-norm",
            "2",
            "--clip-value",
            "0.5",
        ),
        *("--accumulation-steps", "2", "--average-decay", "0.5", "--label-smoothing", "0.1"),
        *("--class-weights", "1,2,0.5", "--freeze", "0.w", "--freeze", "0.b", "--monitor", "validation_loss"),
        *("--patience", "2", "--time", "1h", "--top-k", "2", "--proof-time", "10s"),
    )
    assert result.exit_code == 0, result.output
    assert "not proved" in result.output and (folder / "all" / "model.onnx").exists()
    configuration = RunFolder.open(folder / "all").configuration
    expected = {
        "schedule": "restarts:every=2",
        "warm_up": 0.5,
        "weight_decay": 0.01,
        "clip_norm": 2,
        "clip_value": 0.5,
        "accumulation_steps": 2,
        "average_decay": 0.5,
        "label_smoothing": 0.1,
        "class_weights": (1, 2, 0.5),
        "freeze": ("0.w", "0.b"),
        "monitor": "validation_loss",
        "patience": 2,
        "top_k": 2,
        "proof": False,
        "proof_time": 10,
    }
    assert {name: getattr(configuration, name) for name in expected} == expected
    result = call("train", "--resume", "all", "--epochs", "4", "--proof", "--model", "small_models:small")
    assert result.exit_code == 0 and "proved on" in result.output
    result = call("train", "--resume", "all", "--weight-decay", "0.1", "--model", "small_models:small")
    assert result.exit_code == 1 and "--weight-decay is 0.1" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--time", "soon"], "'soon' is no time"),
        (["--class-weights", "1,x"], "'1,x' is neither balanced nor numbers"),
        (["--monitor", "accuracy"], "accuracy"),
        (["--resume", "all", "--dry-run"], "leave --dry-run and --lr-find out"),
        (["--average-decay", "1"], "average-decay"),
    ],
)
def test_options_that_are_none(call, arguments, message):
    result = call("train", *arguments)
    assert result.exit_code == 2 and message in result.output


def test_an_export_without_a_proof_or_with_little_time_for_it(call, folder, monkeypatch):
    monkeypatch.setattr("refcnn.runs.plotting.save", lambda *_: None)
    assert call(*ARGUMENTS, "--out", "exported", "--no-proof").exit_code == 0
    arguments = ("export", "exported", "--model", "small_models:small", "--out", "again.onnx")
    result = call(*arguments, "--no-proof")
    assert result.exit_code == 0 and "not proved" in result.output and (folder / "again.onnx").exists()
    result = call(*arguments, "--proof-time", "0.001s")
    assert result.exit_code == 0 and "20 of 20 inputs were not judged" in result.output

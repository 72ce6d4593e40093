"""The options of a training run: what each does, and that a run with it resumes to the same bits."""

import csv
import json
import random
import signal
import struct
import time

import numpy as np
import pytest

import refcnn as rm
from refcnn.errors import ArgumentError, CheckpointError
from refcnn.fitting import callbacks
from refcnn.fitting.metrics import MONITORED, best_row
from refcnn.interruption import Interrupted
from refcnn.runs import options, report, training
from refcnn.runs.checkpoint import Checkpoint
from refcnn.runs.run_folder import RunFolder

from . import small_run
from .small_run import At

pytestmark = pytest.mark.usefixtures("inside")

MODEL = "small_models:small"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the inputs, and in ``plain`` a run with no option."""
    path = tmp_path_factory.mktemp("options")
    small_run.write_inputs(path)
    status, _, err = small_run.train(path, "plain", epochs=3)
    assert status == 0, err
    return path


@pytest.fixture
def without_pictures(monkeypatch):
    """Let no picture be written, which takes the most of a report's time."""
    monkeypatch.setattr("refcnn.runs.plotting.save", lambda *_: None)


def begin(path, **options):
    defaults = {"data": "data.npz", "model": MODEL, "epochs": 3, "batch_size": 8, "lr": 0.02, "seed": 3}
    return training.start({**defaults, **options}, path)


def resumed(session, **options):
    return training.resume(RunFolder.open(session.run.path, MODEL), options)


def finish(session, **keywords):
    session.finish(lambda line: None, **keywords)
    return session


def interrupt_at(session, call):
    """Press Ctrl-C after the ``call``-th batch of training or of validation."""
    count = iter(range(1, 999))

    def press(loop):
        if next(count) == call:
            signal.raise_signal(signal.SIGINT)

    session.loop.callbacks += [At("on_batch_end", press), At("on_validation_batch_end", press)]


#: For each option a value, and which arrays it must change.
OPTIONS = {
    "restarts": {"schedule": "restarts:every=2"},
    "constant": {"schedule": "constant"},
    "step": {"schedule": "step:every=1,by=0.3"},
    "cosine": {"schedule": "cosine"},
    "one-cycle": {"schedule": "one-cycle"},
    "warm-up": {"warm_up": 1.5},
    "label smoothing": {"label_smoothing": 0.2},
    "class weights": {"class_weights": (1.0, 0.5, 3.0)},
    "weight decay": {"weight_decay": 0.01},
    "clipping": {"clip_norm": 0.1},
    "clipping by value": {"clip_value": 0.001},
    "accumulation": {"accumulation_steps": 3},
    "average": {"average_decay": 0.9},
    "average of one": {"average_decay": 0.0, "monitor": "validation_loss", "patience": 9, "warm_up": 0.5},
    "freezing": {"freeze": ("0",)},
    "augmentation": {"augment": "shift=1,flip,flip-vertical,crop=0.6,rotate=20,colour=0.3,cutout=2,mixup=0.3"},
    "image size": {"image_size": (8, 7), "image_fit": "pad", "pixel_range": (200.0, 0.0), "augment": "shift=2"},
    "all": {
        "schedule": "cosine",
        "warm_up": 0.5,
        "label_smoothing": 0.1,
        "class_weights": "balanced",
        "weight_decay": 0.001,
        "clip_norm": 1.0,
        "accumulation_steps": 4,
        "average_decay": 0.8,
        "freeze": ("0.b",),
        "optimizer": "adamw",
        "augment": "shift=1,rotate=10,mixup",
    },
}


# An epoch has 10 batches of training and 3 of validation: within the first epoch, in its validation, where averages are
# in the weights' place, and within the second, between two gradients of a step where these are accumulated.
@pytest.mark.parametrize("name", OPTIONS)
def test_each_option_changes_the_run_and_resumes_to_the_same_bits(folder, tmp_path, name):
    whole = finish(begin(tmp_path / "whole", **OPTIONS[name]))
    plain, best = (Checkpoint.load(path).parameters for path in (folder / "plain" / "best.npz", whole.run.best))
    assert not all(np.array_equal(array, plain.get(key)) for key, array in best.items())
    session = begin(tmp_path / "run", **OPTIONS[name])
    for call in (4, 8, 15):
        interrupt_at(session, call)
        with pytest.raises(Interrupted):
            finish(session)
        session = resumed(session)
    finish(session)
    small_run.assert_same(whole.run.last, session.run.last)
    small_run.assert_same(whole.run.best, session.run.best)
    assert [row["learning_rate"] for row in session.history] == [row["learning_rate"] for row in whole.history]


def test_options_as_they_are_by_default_change_nothing(folder, tmp_path):
    session = finish(begin(tmp_path / "run", schedule="restarts", warm_up=0.0, freeze=(), accumulation_steps=1))
    small_run.assert_same(folder / "plain" / "last.npz", session.run.last)


def test_a_run_of_an_earlier_version_goes_on_to_the_same_arrays(folder, tmp_path, without_pictures):
    """Its configuration and its rows of metrics told no more than this."""
    session = begin(tmp_path / "run")
    interrupt_at(session, 16)
    with pytest.raises(Interrupted):
        finish(session)
    file = session.run.path / "config.json"
    fields = json.loads(file.read_text())
    kept = "format data data_dir data_digest classes preprocessing model backend device epochs batch_size lr optimizer"
    kept = [*kept.split(), "validation_split", "seed", "completed_epochs", "stratified"]
    file.write_text(json.dumps({name: fields[name] for name in kept}))
    checkpoint = Checkpoint.load(session.run.last)
    kept = ["epoch", "train_loss", "validation_loss", "validation_accuracy", "seconds", "iterations_per_second"]
    checkpoint.history = [{name: row[name] for name in kept} for row in checkpoint.history]
    checkpoint.save(session.run.last)
    session = finish(resumed(session))
    whole, last = Checkpoint.load(folder / "plain" / "last.npz"), Checkpoint.load(session.run.last)
    for name, array in whole.parameters.items():
        np.testing.assert_array_equal(last.parameters[name], array)
    with open(session.run.path / "metrics.csv", newline="") as table:
        rows = list(csv.DictReader(table))
    assert [row["validation_f1"] == "" for row in rows] == [True, False, False]
    report.write(RunFolder.open(session.run.path, MODEL), session.validation, examples=1, backends=["reference"])


def test_the_best_model_is_the_average_and_training_goes_on_from_the_weights(tmp_path):
    session = finish(begin(tmp_path / "run", average_decay=0.9))
    last, best = Checkpoint.load(session.run.last), Checkpoint.load(session.run.best)
    assert best.epoch == best_row(session.history)["epoch"]
    for name, array in best.parameters.items():
        np.testing.assert_array_equal(array, best.optimizer[name]["average"])
        assert not np.array_equal(last.parameters[name], last.optimizer[name]["average"])
    found = rm.evaluate(RunFolder.open(session.run.path, MODEL).best_model(), session.validation, batch_size=8)
    assert found.loss == best_row(session.history)["validation_loss"]


def test_frozen_parameters_stay(tmp_path):
    session = begin(tmp_path / "run", freeze=("0", "5.b"))
    before = session.model.state()
    finish(session)
    after = session.model.state()
    assert {name for name in before if not np.array_equal(before[name], after[name])} == {"5.w"}
    assert all(parameter.requires_grad for _, parameter in session.model.parameters())


def test_class_weights_and_smoothing_are_for_training_alone(tmp_path):
    """What is judged is comparable: at a rate that changes nothing the validation is the same, the training not."""
    rows = []
    for name, chosen in (("a", {}), ("b", {"class_weights": (1.0, 2.0, 3.0)}), ("c", {"label_smoothing": 0.3})):
        rows += finish(begin(tmp_path / name, epochs=1, lr=1e-30, optimizer="sgd", **chosen)).history
    assert len({row["validation_loss"] for row in rows}) == 1
    assert len({row["train_loss"] for row in rows}) == 3


def test_balanced_weights_make_all_classes_count_alike():
    labels = np.array([0] * 6 + [1] * 2 + [3] * 4)
    weights = options.class_weights("balanced", labels, 4)
    counts = np.bincount(labels, minlength=4)
    assert (weights * counts)[[0, 1, 3]] == pytest.approx([4, 4, 4])
    assert np.mean(weights[labels]) == pytest.approx(1)


@pytest.mark.parametrize("monitor", ["validation_loss", "validation_f1"])
def test_patience_ends_a_run_and_the_best_is_by_the_metric(tmp_path, monitor, without_pictures):
    session = begin(tmp_path / "run", epochs=30, monitor=monitor, patience=2, lr=0.3, optimizer="sgd")
    finish(session)
    best = best_row(session.history, monitor)
    assert len(session.history) == best["epoch"] + 2 < 30
    assert Checkpoint.load(session.run.best).epoch == best["epoch"]
    # Killed before its pictures it trains no further; once it is whole it says so, and trains on with more patience.
    again = resumed(session)
    assert len(finish(again).history) == len(session.history) and not again.is_complete
    report.write(again.run, again.validation, examples=1, backends=["reference"])
    assert resumed(session).is_complete and "--patience" in report.completion(again.run)
    assert again.run.configuration.completed_epochs == len(session.history)
    longer = finish(resumed(session, patience=3))
    assert len(longer.history) > len(session.history) and not longer.is_complete


def test_a_run_with_patience_that_was_interrupted_stops_at_the_same_epoch(tmp_path):
    chosen = {"epochs": 30, "monitor": "validation_loss", "patience": 2, "lr": 0.3, "optimizer": "sgd"}
    whole = finish(begin(tmp_path / "whole", **chosen))
    session = begin(tmp_path / "run", **chosen)
    interrupt_at(session, 30)
    with pytest.raises(Interrupted):
        finish(session)
    session = finish(resumed(session))
    small_run.assert_same(whole.run.last, session.run.last)


def test_the_time_ends_a_run_within_an_epoch_and_more_time_goes_on(tmp_path, a_second_each_look, without_pictures):
    session = begin(tmp_path / "run")
    a_second_each_look(callbacks)
    finish(session, seconds=14)
    # Looked at once before and after each batch, of which an epoch has ten.
    assert len(session.history) == 2 and session.history[1]["train_loss"] < session.history[0]["train_loss"]
    report.write(session.run, session.validation, examples=1, backends=["reference"])
    assert RunFolder.open(session.run.path).is_exported and not session.is_complete
    assert len(finish(resumed(session)).history) == 3


def test_weights_of_another_run_are_taken_as_far_as_they_fit(folder, tmp_path, monkeypatch):
    session = begin(tmp_path / "run", weights="plain", lr=1e-30, optimizer="sgd", epochs=1)
    best = Checkpoint.load(folder / "plain" / "best.npz").parameters
    for name, array in session.model.state().items():
        np.testing.assert_array_equal(array, best[name])
    assert "started from 4 of 4 arrays of plain" in session.description()
    with np.load("data.npz") as file:
        np.savez(tmp_path / "two.npz", x=file["x"], y=file["y"] % 2)
    other = begin(tmp_path / "other", data=str(tmp_path / "two.npz"), weights="plain/last.npz")
    last = Checkpoint.load(folder / "plain" / "last.npz").parameters
    np.testing.assert_array_equal(other.model.state()["0.w"], last["0.w"])
    assert "started from 2 of 4" in other.description() and "5.w, 5.b" in other.description()
    session.model.save(tmp_path / "model.npz")
    third = begin(tmp_path / "third", weights=str(tmp_path / "model.npz"))
    np.testing.assert_array_equal(third.model.state()["0.w"], best["0.w"])


def test_a_run_from_other_weights_resumes_to_the_same_bits_from_before_its_first_checkpoint(folder, tmp_path):
    (tmp_path / "weights.npz").write_bytes((folder / "plain" / "best.npz").read_bytes())
    whole = finish(begin(tmp_path / "whole", weights=str(tmp_path / "weights.npz")))
    session = begin(tmp_path / "run", weights=str(tmp_path / "weights.npz"))
    assert not session.run.last.exists()
    finish(resumed(session, weights=str(tmp_path / "weights.npz")))
    small_run.assert_same(whole.run.last, session.run.last)
    other = begin(tmp_path / "other", weights=str(tmp_path / "weights.npz"))
    whole.model.save(tmp_path / "weights.npz")
    with pytest.raises(CheckpointError, match="weights.npz holds other weights"):
        resumed(other)


def test_a_single_batch_is_learned_and_resumes_to_the_same_bits(tmp_path, without_pictures):
    chosen = {"overfit_batch": True, "epochs": 30, "batch_size": 6}
    whole = finish(begin(tmp_path / "whole", **chosen))
    assert len(whole.train) == 6 and whole.train is whole.validation and not whole.run.configuration.proof
    assert whole.history[-1]["train_loss"] < whole.history[0]["train_loss"] / 4
    report.write(whole.run, whole.validation)
    text = "\n".join(report.summary(whole.run))
    assert "single batch" in text and "every image of it is recognised" in text
    session = begin(tmp_path / "run", **chosen)
    interrupt_at(session, 20)
    with pytest.raises(Interrupted):
        finish(session)
    session = finish(resumed(session))
    small_run.assert_same(whole.run.last, session.run.last)


def test_each_class_has_its_rows(tmp_path):
    session = finish(begin(tmp_path / "run"))
    with open(session.run.path / "classes.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["epoch"], row["class"]) for row in rows] == [(str(e), str(c)) for e in (1, 2, 3) for c in range(3)]
    found = rm.evaluate(session.model, session.validation)
    for row, index in zip(rows[-3:], range(3), strict=True):
        assert int(row["images"]) == found.classes.examples[index] == np.sum(session.validation.y == index)
        for name in ("precision", "recall", "f1"):
            assert float(row[name]) == getattr(found.classes, name)[index]


def events(folder):
    """Return (step, tag, value) of all scalars in event files, read by their format: length, checksum, record."""
    from tensorboardX.proto import event_pb2

    found = []
    for path in sorted(folder.iterdir(), key=lambda one: int(one.suffix[1:])):
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            event = event_pb2.Event.FromString(content[12 : 12 + length])
            found += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
            found += [(event.step, "start", 0)] if event.session_log.status else []
            content = content[16 + length :]
    return found


def test_tensorboard_gets_every_batch_and_every_epoch(tmp_path, monkeypatch):
    pytest.importorskip("tensorboardX")
    # Both files are made in one second, which their names would tell alone.
    monkeypatch.setattr("time.time", lambda: 1.7e9)
    session = begin(tmp_path / "run", tensorboard=True, schedule="cosine")
    rates = []
    session.loop.callbacks.append(At("on_batch_end", lambda loop: rates.append(loop.rate)))
    interrupt_at(session, 17)
    with pytest.raises(Interrupted):
        finish(session)
    session = resumed(session)
    session.loop.callbacks.append(At("on_batch_end", lambda loop: rates.append(loop.rate)))
    finish(session)
    found = events(session.run.path / "tensorboard")
    shown = {tag: [(step, value) for step, name, value in found if name == tag] for _, tag, _ in found}
    assert [step for step, _ in shown["batch/loss"]] == list(range(1, 31))
    assert [value for _, value in shown["batch/learning_rate"]] == pytest.approx(rates)
    for name in (name for name in MONITORED if name != "validation_top_k_accuracy"):
        assert shown[f"epoch/{name}"] == [
            (10 * row["epoch"], pytest.approx(row[name], rel=1e-6)) for row in session.history
        ]
    # From there on TensorBoard hides what an interrupted process wrote.
    assert shown["start"] == [(11, 0)]


def test_without_the_package_tensorboard_is_refused_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorboardX", None)
    with pytest.raises(ArgumentError, match=r"pip install \"refcnn\[tensorboard\]\""):
        begin(tmp_path / "run", tensorboard=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"schedule": "step:every=5"}, "needs 6 epochs, but the training has 3"),
        ({"schedule": "cosin"}, "Did you mean 'cosine'"),
        ({"schedule": "step:after=3"}, "the arguments of step are every=..., by=..."),
        ({"schedule": "step:every=x"}, "'x' is no number"),
        ({"warm_up": 4}, "needs 4 epochs"),
        ({"warm_up": -1}, "warm_up is -1"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1.0"),
        ({"class_weights": (1.0, 2.0)}, "has 2 numbers, but there are 3 classes"),
        ({"class_weights": (1.0, -2.0, 1.0)}, "class_weights is -2.0"),
        ({"class_weights": (0.0, 0.0, 0.0)}, "all 0"),
        ({"class_weights": "even"}, "'even'"),
        ({"weight_decay": -1.0}, "weight_decay is -1.0"),
        ({"clip_norm": 0.0}, "clip_norm is 0.0"),
        ({"clip_value": -1.0}, "clip_value is -1.0"),
        ({"accumulation_steps": 0}, "accumulation_steps is 0"),
        ({"average_decay": 1.0}, "average_decay is 1.0"),
        ({"augment": "shift=6"}, "shift=6 can leave nothing of an image of 6x6 pixels"),
        ({"augment": "shfit"}, "Did you mean 'shift'"),
        ({"image_size": (0, 3)}, "image_size is 0"),
        ({"image_fit": "squash"}, "must be one of crop, pad, stretch"),
        ({"freeze": ("9",)}, "'9' names no parameter. There are 0.w, 0.b, 5.w, 5.b"),
        ({"freeze": ("*",)}, "name every parameter"),
        ({"monitor": "accuracy"}, "monitor is 'accuracy'"),
        ({"patience": 0}, "patience is 0"),
        ({"top_k": 0}, "top_k is 0"),
        ({"weights": "plain", "model": "chapter"}, "holds nothing that fits the model"),
    ],
)
def test_options_out_of_range_leave_no_folder(tmp_path, chosen, message):
    with pytest.raises(ArgumentError, match=message):
        begin(tmp_path / "run", **chosen)
    assert not (tmp_path / "run").exists()


def test_weights_that_are_none(tmp_path):
    for path, message in (("nowhere", "nowhere does not exist"), ("data.npz", "data.npz")):
        with pytest.raises(CheckpointError, match=message):
            begin(tmp_path / "run", weights=path)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "changes", [{"schedule": "none"}, {"average_decay": 2}, {"freeze": [""]}, {"monitor": "x"}, {"class_weights": "x"}]
)
def test_a_configuration_with_options_out_of_range_is_refused(tmp_path, changes):
    session = begin(tmp_path / "run")
    file = session.run.path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    with pytest.raises(CheckpointError):
        resumed(session)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("1.5h", 5400), ("2m5s", 125)]
)
def test_times(text, seconds):
    assert options.seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0m", "m", "10 m", "1m1h", "-5", "nan", "1e3"])
def test_times_that_are_none(text):
    with pytest.raises(ArgumentError, match="no time"):
        options.seconds_of(text)


def test_what_it_was_most_wrong_about_is_drawn_by_the_probability_of_the_true_class(
    tmp_path, monkeypatch, without_pictures
):
    session = finish(begin(tmp_path / "run", epochs=1, lr=1e-6))
    drawn = []
    original = report.metric_plots.most_wrong
    monkeypatch.setattr(
        report.metric_plots, "most_wrong", lambda *given, **of: drawn.append(given) or original(*given, **of)
    )
    report.write(session.run, session.validation, examples=1, backends=["reference"])
    pictures, true, taken, probabilities, names = drawn[0]
    logits = rm.predict(session.run.best_model(), session.validation).astype(np.float64)
    exact = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    wrong = np.flatnonzero(exact.argmax(axis=1) != session.validation.y)
    own = exact[wrong, session.validation.y[wrong]]
    assert len(wrong) > 2
    np.testing.assert_allclose(probabilities, np.sort(own))
    order = wrong[np.argsort(own)]
    np.testing.assert_array_equal(pictures, session.validation.preprocessing.apply(session.validation.x[order]))
    np.testing.assert_array_equal(true, session.validation.y[order])
    np.testing.assert_array_equal(taken, exact.argmax(axis=1)[order])
    assert names == session.validation.classes


def test_all_options_resume_to_the_same_bits_on_a_device(tmp_path, opencl_backend):
    with rm.use_backend(opencl_backend):
        whole = finish(begin(tmp_path / "whole", **OPTIONS["all"]))
        session = begin(tmp_path / "run", **OPTIONS["all"])
        for call in (9, 11):
            interrupt_at(session, call)
            with pytest.raises(Interrupted):
                finish(session)
            session = resumed(session)
        finish(session)
    small_run.assert_same(whole.run.last, session.run.last)
    small_run.assert_same(whole.run.best, session.run.best)


@pytest.mark.parametrize("schedule", ["cosine", "one-cycle", "restarts", "constant"])
def test_more_epochs_are_remarked_where_the_schedule_goes_along_all(tmp_path, schedule):
    """The others give what a run of so many epochs would have given."""
    whole = finish(begin(tmp_path / "whole", schedule=schedule))
    part = finish(begin(tmp_path / "part", schedule=schedule, epochs=2))
    more = resumed(part, epochs=3)
    assert ("rates of 2 epochs" in more.description()) == (schedule in ("cosine", "one-cycle"))
    finish(more)
    same = all(np.array_equal(array, more.model.state()[name]) for name, array in whole.model.state().items())
    assert same == (schedule in ("restarts", "constant"))
    assert "rates of" not in resumed(part).description()


def test_with_all_options_a_run_that_is_killed_at_random_moments_ends_the_same(folder, tmp_path):
    status = small_run.train(folder, tmp_path / "whole", epochs=3, **OPTIONS["all"])[0]
    assert status == 0
    seed = random.randrange(2**32)
    print("random.Random seed", seed)
    moments = random.Random(seed)
    for _ in range(2):
        process = small_run.start(folder, tmp_path / "run", epochs=3, **OPTIONS["all"])
        process.stdout.readline()
        time.sleep(moments.uniform(0, 0.3))
        process.kill()
        process.communicate()
    status, _, err = small_run.train(folder, tmp_path / "run", epochs=3, **OPTIONS["all"])
    assert status == 0, err
    for name in ("last.npz", "best.npz"):
        small_run.assert_same(tmp_path / "whole" / name, tmp_path / "run" / name)

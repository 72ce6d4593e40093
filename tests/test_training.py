"""Training runs: going on after a kill, after Ctrl-C and after a full disk, to exactly the same end."""

import csv
import dataclasses
import json
import os
import random
import re
import signal
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import refcnn as rm
from refcnn import models
from refcnn.errors import ArgumentError, CheckpointError, DataError, FileWriteError, NonFiniteLossError
from refcnn.fitting.callbacks import epoch_line
from refcnn.fitting.metrics import best_row
from refcnn.interruption import Interrupted
from refcnn.mode import is_training
from refcnn.philox import Generator
from refcnn.runs import run_data, training
from refcnn.runs.checkpoint import Checkpoint
from refcnn.runs.run_folder import RunFolder

from . import small_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the inputs and, in ``whole``, a run that nothing interrupted."""
    path = tmp_path_factory.mktemp("training")
    small_run.write_inputs(path)
    status, out, err = small_run.train(path, "whole")
    assert status == 0, err
    assert out.count("epoch") == 4
    return path


def begin(tmp_path, **options):
    defaults = {"data": "data.npz", "model": "small_models:small", "epochs": 4, "batch_size": 8, "lr": 0.02, "seed": 3}
    return training.start({**defaults, **options}, tmp_path / "run")


def reopened(path):
    """Open a run as the command line does where the user names its model."""
    return RunFolder.open(path, "small_models:small")


# Every write makes a file under another name and ends with os.replace: each is a moment to die at. The first two epochs
# make eleven: the kernels before them, then of each epoch kernels, best, last, metrics and classes. Just after one the
# folder is as just before the next, but for the file that the next has begun: so once is enough.
@pytest.mark.parametrize(("number", "is_after"), [*((number, False) for number in range(12)), (3, True)])
def test_killed_at_any_write_and_resumed_it_ends_the_same(folder, tmp_path, number, is_after):
    action = "replace(*paths); kill()" if is_after else "kill()"
    before = (
        "import os, signal; replace = os.replace; count = iter(range(99))\n"
        "    def kill(): os.kill(os.getpid(), signal.SIGKILL)\n"
        "    def dying(*paths):\n"
        f"        if next(count) == {number}: {action}\n"
        "        replace(*paths)\n"
        "    os.replace = dying"
    )
    run = tmp_path / "run"
    status, out, _ = small_run.train(folder, run, before=before)
    assert status == -signal.SIGKILL
    assert "epoch 4/4" not in out
    epoch = Checkpoint.load(run / "last.npz").epoch if (run / "last.npz").exists() else -1
    assert small_run.kernels_of(run).keys() >= set(range(epoch + 1))
    status, _, err = small_run.train(folder, run)
    assert status == 0, err
    small_run.assert_same(folder / "whole" / "last.npz", run / "last.npz")
    small_run.assert_same(folder / "whole" / "best.npz", run / "best.npz")
    small_run.assert_same_kernels(folder / "whole", run)
    assert not [name for place in (run, run / "kernels") for name in os.listdir(place) if name.startswith(".")]


def test_killed_at_random_moments_and_resumed_it_ends_the_same(folder, tmp_path):
    run = tmp_path / "run"
    seed = random.randrange(2**32)
    print("random.Random seed", seed)
    moments = random.Random(seed)
    for _ in range(4):
        process = small_run.start(folder, run)
        process.stdout.readline()
        time.sleep(moments.uniform(0, 0.3))
        process.kill()
        process.communicate()
    status, _, err = small_run.train(folder, run)
    assert status == 0, err
    small_run.assert_same(folder / "whole" / "last.npz", run / "last.npz")
    small_run.assert_same_kernels(folder / "whole", run)


def test_killed_while_augmented_images_are_decoded_ahead_it_ends_the_same(folder, tmp_path):
    images = tmp_path / "images"
    rng = np.random.default_rng(0)
    for number in range(60):
        path = images / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 200, (7 + number % 3, 9), np.uint8) + np.uint8(number % 2 * 50)).save(path)
    options = dict(data=str(images), image_size=(8, 8), image_fit="pad", augment="shift=2,flip,rotate,mixup")
    whole, run = tmp_path / "whole", tmp_path / "run"
    status, _, err = small_run.train(folder, whole, **options)
    assert status == 0, err
    for seconds in (0.05, 0.1):
        process = small_run.start(folder, run, in_memory=False, **options)
        process.stdout.readline()
        time.sleep(seconds)
        process.kill()
        process.communicate()
    # Where the images lie while they are trained on changes nothing.
    status, _, err = small_run.train(folder, run)
    assert status == 0, err
    small_run.assert_same(whole / "last.npz", run / "last.npz")


def test_killed_and_resumed_on_a_device_it_ends_the_same(folder, tmp_path, opencl_backend):
    whole, run = tmp_path / "whole", tmp_path / "run"
    status, _, err = small_run.train(folder, whole, opencl_backend.name)
    assert status == 0, err
    process = small_run.start(folder, run, opencl_backend.name)
    while not process.stdout.readline().startswith("epoch 2"):
        assert process.poll() is None
    process.kill()
    process.communicate()
    status, _, err = small_run.train(folder, run, opencl_backend.name)
    assert status == 0, err
    small_run.assert_same(whole / "last.npz", run / "last.npz")


def interrupt_at(session, call):
    """Press Ctrl-C while the model computes for the ``call``-th time."""
    forward, count = session.model.forward, iter(range(1, 999))

    def pressed(x):
        if next(count) == call:
            signal.raise_signal(signal.SIGINT)
        return forward(x)

    session.model.forward = pressed


# 80 training images are 10 batches, 20 for validation 3: the calls 1, 7, 10 lie in the first epoch's training, 11 and
# 13 in its validation, 14 is the second epoch's first batch.
@pytest.mark.parametrize("call", [1, 7, 10, 11, 13, 14, 30])
def test_ctrl_c_and_resume_end_the_same(inside, tmp_path, call, capfd):
    session = begin(tmp_path)
    interrupt_at(session, call)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted):
        session.finish(lambda line: None)
    assert signal.getsignal(signal.SIGINT) is handler
    assert "writing the checkpoint" in capfd.readouterr().err
    checkpoint = Checkpoint.load(session.run.last)
    assert checkpoint.epoch == (call - 1) // 13
    assert len(checkpoint.losses) == min((call - 1) % 13 + 1, 10)
    training.resume(reopened(session.run.path), {}).finish(lambda line: None)
    small_run.assert_same(inside / "whole" / "last.npz", session.run.last)


def test_ctrl_c_and_resume_end_the_same_on_every_backend(inside, tmp_path, backend):
    with rm.use_backend(backend):
        whole = begin(tmp_path / "whole")
        whole.finish(lambda line: None)
        session = begin(tmp_path / "run")
        interrupt_at(session, 20)
        with pytest.raises(Interrupted):
            session.finish(lambda line: None)
        training.resume(reopened(session.run.path), {}).finish(lambda line: None)
    small_run.assert_same(whole.run.last, session.run.last)


def test_a_second_ctrl_c_stops_at_once(inside, tmp_path):
    session = begin(tmp_path)
    forward = session.model.forward

    def twice(x):
        if len(session.history) == 1:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return forward(x)

    session.model.forward = twice
    with pytest.raises(KeyboardInterrupt):
        session.finish(lambda line: None)
    assert Checkpoint.load(session.run.last).epoch == 1


def test_the_metrics_are_those_of_the_best_model(inside):
    """The recorded figures against the predictions of the stored model, counted and averaged here."""
    run = reopened(inside / "whole")
    validation = run_data.validation_set(run.configuration)
    logits = run.best_model()(validation.preprocessing.apply(validation.x)).as_ndarray().astype(np.float64)
    with open(run.path / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    best = best_row([{key: float(value) for key, value in row.items()} for row in rows])
    assert best["validation_accuracy"] == np.mean(logits.argmax(axis=1) == validation.y) > 0.9
    terms = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(validation)), validation.y]
    # A loss near zero is a small difference of logits about ten, each rounded to one part in ten million.
    assert best["validation_loss"] == pytest.approx(terms.mean(), rel=1e-5, abs=1e-6)
    assert Checkpoint.load(run.best).epoch == best["epoch"]
    assert all(float(row["seconds"]) > 0 and float(row["iterations_per_second"]) > 0 for row in rows)


def test_every_image_is_used_once_in_each_epoch_in_another_order(inside, tmp_path):
    session = begin(tmp_path, epochs=2, batch_size=32)
    seen = []
    forward = session.model.forward

    def watched(x):
        if is_training():
            seen.append(x.as_ndarray().reshape(len(x), -1))
        return forward(x)

    session.model.forward = watched
    session.finish(lambda line: None)
    assert [len(images) for images in seen] == [32, 32, 16] * 2
    first, second = np.concatenate(seen[:3]), np.concatenate(seen[3:])
    whole = session.train.preprocessing.apply(session.train.x).reshape(80, -1)
    for images in (first, second):
        np.testing.assert_array_equal(images[np.lexsort(images.T)], whole[np.lexsort(whole.T)])
    assert not np.array_equal(first, second)


def test_the_rate_falls_along_each_epoch_and_starts_again(inside, tmp_path):
    session = begin(tmp_path, epochs=2, batch_size=32, lr=0.3)
    rates = []
    session.loop.callbacks.append(small_run.At("on_batch_end", lambda loop: rates.append(loop.rate)))
    session.finish(lambda line: None)
    assert rates == pytest.approx([0.3, 0.2, 0.1] * 2)


def test_the_training_loss_is_the_mean_over_the_images(inside, tmp_path):
    # With a rate too small to change anything and no dropout, each batch's loss is that of the first parameters.
    session = begin(tmp_path, epochs=1, batch_size=48, lr=1e-30, optimizer="sgd")
    session.model._layers[3].dropout_ratio = 0.0
    logits = session.model(session.train.preprocessing.apply(session.train.x)).as_ndarray().astype(np.float64)
    session.finish(lambda line: None)
    terms = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(80), session.train.y]
    assert session.history[0]["train_loss"] == pytest.approx(terms.mean(), rel=1e-5)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_more_epochs_after_the_end(inside, tmp_path, optimizer):
    whole = begin(tmp_path / "whole", optimizer=optimizer)
    whole.finish(lambda line: None)
    part = begin(tmp_path / "part", optimizer=optimizer, epochs=2)
    part.finish(lambda line: None)
    resumed = training.resume(reopened(part.run.path), {"epochs": 4})
    assert resumed.run.configuration.epochs == 4
    resumed.finish(lambda line: None)
    small_run.assert_same(whole.run.last, part.run.last)
    small_run.assert_same(whole.run.best, part.run.best)


def test_a_run_moves_to_another_backend(inside, tmp_path, opencl_backend):
    """On OpenCL from the second epoch on, the run ends where the reference ends, but for rounding."""
    session = begin(tmp_path, epochs=1)
    session.finish(lambda line: None)
    with rm.use_backend(opencl_backend):
        resumed = training.resume(reopened(session.run.path), {"epochs": 2})
        assert resumed.run.configuration.backend == opencl_backend.name
        resumed.finish(lambda line: None)
    whole = Checkpoint.load(inside / "whole" / "last.npz")
    assert resumed.history[1]["train_loss"] == pytest.approx(whole.history[1]["train_loss"], rel=1e-3)


def test_a_data_set_with_a_test_part_is_validated_on_it(inside, tmp_path, monkeypatch):
    train, _ = rm.data.load("data.npz")
    parts = train.subset(np.arange(70)), train.subset(np.arange(70, 100))
    monkeypatch.setattr(rm.data, "load", lambda *_, **__: parts)
    session = begin(tmp_path)
    assert session.train.x is parts[0].x and session.validation.x is parts[1].x
    # What the values are centred by comes from the training images alone.
    assert session.train.preprocessing == session.validation.preprocessing
    assert session.train.preprocessing.mean == pytest.approx(parts[0].x.mean() / 255)
    split = begin(tmp_path / "split", validation_split=0.5)
    assert (len(split.train), len(split.validation)) == (35, 35)


def test_each_class_is_in_the_validation_part(inside, tmp_path):
    with np.load("data.npz") as former:
        x, y = former["x"], np.array([0] * 80 + [5] * 18 + [10] * 2)
    np.savez("rare.npz", x=x, y=y)
    session = begin(tmp_path, data="rare.npz")
    assert session.run.configuration.classes == ("0", "5", "10")
    assert [np.bincount(part.y).tolist() for part in (session.train, session.validation)] == [[64, 14, 1], [16, 4, 1]]
    assert "No " not in session.description()
    np.savez("rare.npz", x=x, y=np.minimum(np.arange(100), 4))
    description = begin(tmp_path / "b", data="rare.npz").description()
    assert "No validation image is of the classes '0', '1', '2', '3':" in description


def test_a_run_from_before_there_were_strata_keeps_its_parts(inside, tmp_path):
    session = begin(tmp_path)
    permutation = Generator(session.run.configuration.seed).permutation(100)
    file = session.run.path / "config.json"
    fields = json.loads(file.read_text())
    del fields["stratified"], fields["preprocessing"]["black"]
    file.write_text(json.dumps(fields))
    resumed = training.resume(RunFolder.open(session.run.path, "small_models:small"), {})
    whole, _ = rm.data.load("data.npz")
    np.testing.assert_array_equal(resumed.validation.x, whole.x[permutation[80:]])
    assert not np.array_equal(session.validation.x, resumed.validation.x)
    again = run_data.validation_set(resumed.run.configuration)
    np.testing.assert_array_equal(again.x, resumed.validation.x)


def test_a_single_class_is_refused(inside, tmp_path):
    np.savez("single.npz", x=np.zeros((9, 4, 4), np.uint8), y=np.full(9, 3))
    with pytest.raises(DataError, match="one class, '3'"):
        begin(tmp_path, data="single.npz")
    assert not (tmp_path / "run").exists()


def spoil(model):
    model[0].set_parameters({"w": np.full((4, 1, 3, 3), np.nan, np.float32)})


def test_a_loss_that_is_not_finite_stops_and_leaves_the_checkpoint(inside, tmp_path):
    session = begin(tmp_path)

    def spoil(line):
        session.model[0].set_parameters({"w": np.full((4, 1, 3, 3), 1e38, np.float32)})

    with pytest.raises(NonFiniteLossError, match=r"epoch 2, batch \d+ of 10 .*lr 0.02.*1 epochs.*stands.*smaller --lr"):
        session.finish(spoil)
    assert Checkpoint.load(session.run.last).epoch == 1
    assert all(np.isfinite(array).all() for array in Checkpoint.load(session.run.last).parameters.values())


def test_parameters_that_are_not_finite_are_never_saved(inside, tmp_path):
    """The last step of an epoch may spoil the parameters after the last loss was read as finite."""
    session = begin(tmp_path, epochs=1)
    session.loop.callbacks.append(small_run.At("on_epoch_end", lambda loop: spoil(session.model)))
    with pytest.raises(NonFiniteLossError, match="parameter 0.w holds NaN"):
        session.finish(lambda line: None)
    assert not session.run.last.exists() and not session.run.best.exists()


def test_a_full_disk_leaves_the_former_files_and_the_run_can_go_on(folder, tmp_path):
    run = tmp_path / "run"
    # The limit on the size of files is the operating system's own: the write of the next checkpoint fails half way.
    before = (
        "import resource; limited = lambda line: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "    session.finish(limited)"
    )
    status, out, err = small_run.train(folder, run, before=before)
    assert status == 1
    assert "FileWriteError" in err and "could not be written" in err and "unchanged" in err
    assert Checkpoint.load(run / "last.npz").epoch == 1
    assert sorted(os.listdir(run)) == ["best.npz", "classes.csv", "config.json", "kernels", "last.npz", "metrics.csv"]
    status, _, err = small_run.train(folder, run)
    assert status == 0, err
    small_run.assert_same(folder / "whole" / "last.npz", run / "last.npz")


def test_a_full_disk_at_each_file(inside, tmp_path, monkeypatch):
    session = begin(tmp_path, epochs=2)
    session.finish(lambda line: None)
    before = contents(session.run.path)
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    for write in (
        lambda: session.state().save(session.run.last),
        lambda: session.run.write_metrics(session.history),
        lambda: session.run.update(epochs=9),
        lambda: session.run.kernels.save(2, np.ones((4, 1, 3, 3), np.float32)),
    ):
        with pytest.raises(FileWriteError, match="No space left on device.*unchanged"):
            write()
    assert contents(session.run.path) == before


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_changed_data_are_refused(inside, tmp_path):
    session = begin(tmp_path)
    with np.load("data.npz") as file:
        x, y = file["x"].copy(), file["y"]
    x[17, 0, 0] ^= 1
    np.savez(tmp_path / "changed.npz", x=x, y=y)
    with pytest.raises(DataError, match="changed.npz is not .*data.npz.*SHA-256"):
        training.resume(session.run, {"data": str(tmp_path / "changed.npz")})
    (tmp_path / "moved.npz").write_bytes((inside / "data.npz").read_bytes())
    assert training.resume(session.run, {"data": str(tmp_path / "moved.npz")}).run.configuration.seed == 3


def test_data_that_changed_in_their_place_are_said_to_have_changed(inside, tmp_path):
    (tmp_path / "data.npz").write_bytes((inside / "data.npz").read_bytes())
    session = begin(tmp_path, data=str(tmp_path / "data.npz"))
    with np.load("data.npz") as file:
        np.savez(tmp_path / "data.npz", x=file["x"][::-1], y=file["y"])
    for options in ({}, {"data": str(tmp_path / "data.npz")}):
        with pytest.raises(DataError, match="data.npz is not what it was.*SHA-256"):
            training.resume(session.run, options)


def test_another_data_set_is_refused_before_it_is_read(inside, tmp_path, monkeypatch):
    session = begin(tmp_path, data="digits", model="chapter")
    monkeypatch.setattr(rm.data, "load", None)
    with pytest.raises(ArgumentError, match="--data mnist .*started with, digits"):
        training.resume(session.run, {"data": "mnist"})


def test_another_place_of_the_data_is_kept_as_an_absolute_path(inside, tmp_path, monkeypatch):
    session = begin(tmp_path / "run")
    (tmp_path / "moved.npz").write_bytes((inside / "data.npz").read_bytes())
    with monkeypatch.context() as elsewhere:
        elsewhere.chdir(tmp_path)
        elsewhere.syspath_prepend(inside)
        training.resume(session.run, {"data": "moved.npz"})
    assert RunFolder.open(session.run.path).configuration.data == str(tmp_path / "moved.npz")


def test_metrics_that_a_kill_kept_from_being_written_are_there_after_resuming(inside, tmp_path):
    session = begin(tmp_path, epochs=1)
    session.finish(lambda line: None)
    metrics = session.run.path / "metrics.csv"
    whole = metrics.read_bytes()
    metrics.unlink()
    training.resume(reopened(session.run.path), {}).finish(lambda line: None)
    assert metrics.read_bytes() == whole


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": "sgdd"}, "'sgdd'"),
        ({"classes": ["a", "b"]}, "2 classes"),
        ({"preprocessing": {"height": 40000, "width": 40000}}, r"\(1, 40000, 40000\).* \(1, 6, 6\)"),
    ],
)
def test_a_configuration_that_does_not_fit_the_data_is_refused(inside, tmp_path, changes, message):
    run = begin(tmp_path).run
    fields = json.loads((run.path / "config.json").read_text())
    fields |= {name: value if name != "preprocessing" else fields[name] | value for name, value in changes.items()}
    (run.path / "config.json").write_text(json.dumps(fields))
    with pytest.raises(CheckpointError, match=message):
        training.resume(RunFolder.open(run.path, "small_models:small"), {})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 0.5}, "--lr is 0.5, but the run .* was started with 0.02"),
        ({"seed": 4}, "--seed is 4, .* 3"),
        ({"batch_size": 9}, "--batch-size is 9, .* 8"),
        ({"optimizer": "sgd"}, "--optimizer is sgd, .* adam"),
        ({"model": "chapter"}, "--model is chapter, .* small_models:small"),
        ({"epochs": 3}, "--epochs is 3, .* 4. The number of epochs can only be raised"),
    ],
)
def test_options_that_contradict_the_run(inside, options, message):
    with pytest.raises(ArgumentError, match=message):
        training.resume(reopened(inside / "whole"), options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs is 0. Give an integer of at least 1"),
        ({"batch_size": -1}, "batch_size is -1"),
        ({"lr": 0.0}, "lr is 0.0"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"optimizer": "newton"}, "'newton'. Choose one of .*adam, .*sgd, momentum"),
        ({"optimizer": "Momentun"}, "Did you mean 'momentum'"),
        ({"model": "LeNet-5"}, "Did you mean 'lenet5'"),
        ({"seed": -1}, "seed is -1"),
        ({"validation_split": 1.5}, "1.5"),
        ({"model": "vgg"}, "'vgg', but the models are chapter, lenet5, .*MODULE:FUNCTION"),
    ],
)
def test_options_out_of_range_leave_no_folder(inside, tmp_path, options, message):
    with pytest.raises(ArgumentError, match=message):
        begin(tmp_path, **options)
    assert not (tmp_path / "run").exists()


def test_the_configuration_comes_back_as_it_was_written(inside, tmp_path):
    session = begin(tmp_path, seed=2**64 - 1)
    opened = RunFolder.open(session.run.path).configuration
    assert dataclasses.asdict(opened) == dataclasses.asdict(session.run.configuration)
    assert opened.seed == 2**64 - 1 and opened.data == str(inside / "data.npz")


def test_the_same_seed_gives_the_same_run_and_none_gives_another(inside, tmp_path):
    states = []
    for name, seed in (("a", {}), ("b", {}), ("c", {"seed": None}), ("d", {"seed": None})):
        options = {"data": "data.npz", "model": "small_models:small", "seed": 3, **seed}
        options = {key: value for key, value in options.items() if value is not None}
        states.append(training.start(options, tmp_path / name).model.state()["0.w"])
    assert np.array_equal(states[0], states[1])
    assert not np.array_equal(states[0], states[2]) and not np.array_equal(states[2], states[3])


@pytest.mark.parametrize("name", ["chapter", "lenet5"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (1, 27, 9), (2, 31, 2), (3, 40, 33)])
def test_named_models_take_images_of_any_size(name, shape):
    with rm.use_backend("reference"):
        model = models.build(name, shape, 7)
        assert model(np.zeros((2, *shape))).shape == (2, 7)


def test_lenet5_has_the_sizes_of_the_paper():
    with rm.use_backend("reference"):
        model = models.build("lenet5", (1, 28, 28), 10)
        weights = [layer.params["w"].shape for _, layer in model.layers() if "w" in layer.params]
    assert weights == [(6, 1, 5, 5), (16, 6, 5, 5), (120, 16, 5, 5), (120, 84), (84, 10)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a POSIX system")
def test_the_progress_bar_shows_epoch_loss_speed_and_time_left(folder, tmp_path):
    """On a terminal of its own, the process draws the bar; without one the other tests see none."""
    import pty
    import subprocess
    import sys
    import termios

    main, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 100))
    program = (
        small_run.PROGRAM.replace("{further}", "{}")
        .replace("{before}", "from refcnn.fitting import callbacks; callbacks.LOSS_INTERVAL = 0")
        .replace(":small", ":slow")
    )
    command = [sys.executable, "-c", program, str(tmp_path / "run"), "1", "reference"]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=terminal, env=small_run.environment()
    )
    os.close(terminal)
    shown = b""
    while True:
        try:
            shown += os.read(main, 4096)
        except OSError:
            break
    os.close(main)
    assert process.wait(timeout=60) == 0
    process.stdout.close()
    text = shown.decode()
    assert re.search(r"epoch 1/1:.*[1-9]/10 \[00:00<00:0\d, +[\d.]+it/s, loss \d\.\d{4}\]", text), text


@given(
    epochs=st.integers(1, 999),
    losses=st.tuples(*[st.floats(0, 9999)] * 2),
    accuracy=st.floats(0, 1),
    seconds=st.floats(0, 9999),
)
def test_the_line_of_an_epoch_is_not_wrapped_at_80_columns(epochs, losses, accuracy, seconds):
    row = {
        "epoch": epochs,
        "train_loss": losses[0],
        "validation_loss": losses[1],
        "validation_accuracy": accuracy,
        "seconds": seconds,
    }
    assert len(epoch_line(row, epochs)) < 80

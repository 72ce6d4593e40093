"""The first layer's kernels of each epoch: which are kept, that a crash leaves no gap, and what a broken file is."""

import json
import math
import os
import shutil
import signal

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import refcnn as rm
from refcnn import npz, philox
from refcnn.cli import main
from refcnn.errors import CheckpointError, FileWriteError
from refcnn.interruption import Interrupted
from refcnn.runs import drawing, kept_kernels, training
from refcnn.runs.checkpoint import Checkpoint
from refcnn.runs.kept_kernels import KeptKernels
from refcnn.runs.run_folder import RunFolder

from . import small_run
from .small_run import At, assert_same_kernels, kernels_of

MODEL = "small_models:small"
KERNELS = np.arange(36, dtype=np.float32).reshape(4, 1, 3, 3)


class Remembered(KeptKernels):
    """A folder of kernels in memory, which counts how often each file is written."""

    def __init__(self):
        super().__init__(None)
        self.there, self.written = set(), []

    def epochs(self):
        return sorted(self.there)

    def save(self, epoch, weights):
        self.there.add(epoch)
        self.written.append(epoch)

    def _file(self, epoch):
        class File:
            unlink = staticmethod(lambda: self.there.remove(epoch))

        return File


def trained(epochs, size=1, kept=None, first=0):
    """Return a folder after so many epochs, as a training keeps them."""
    kept = kept or Remembered()
    for epoch in range(first, epochs + 1):
        kept.save(epoch, KERNELS)
        kept.thin(epoch, size)
    return kept


@given(st.integers(0, 400), st.integers(1, 40))
def test_of_many_epochs_some_are_kept_evenly_and_none_is_written_twice(epochs, most):
    with pytest.MonkeyPatch.context() as context:
        context.setattr(kept_kernels, "MOST_EPOCHS", most)
        kept = trained(epochs)
        *others, last = kept.epochs()
        assert last == epochs
        steps = set(np.diff(others).tolist())
        assert len(steps) <= 1 and (not others or others[0] == 0)
        # As many as there may be, but for the power of two.
        assert len(others) <= most + 1
        assert len(others) == epochs if epochs <= most else len(others) > most // 2
        assert kept.written == list(range(epochs + 1))


@given(st.integers(1, 300), st.integers(1, 20), st.data())
def test_a_training_that_crashes_or_goes_back_ends_with_the_same_epochs(epochs, most, data):
    with pytest.MonkeyPatch.context() as context:
        context.setattr(kept_kernels, "MOST_EPOCHS", most)
        whole = trained(epochs)
        kept = Remembered()
        crashes = data.draw(st.lists(st.tuples(st.integers(1, epochs), st.integers(0, 9)), max_size=4))
        for epoch, back in sorted(crashes):
            trained(epoch - 1, kept=kept, first=len(kept.there) and max(kept.there))
            # Written, but its checkpoint was not: the training goes on from one before.
            kept.save(epoch, KERNELS)
            from_epoch = max(0, epoch - 1 - back)
            kept.thin(from_epoch, 1)
            if from_epoch not in kept.there:
                kept.save(from_epoch, KERNELS)
            assert max(kept.there) == from_epoch
        trained(epochs, kept=kept, first=max(kept.there, default=0))
        # Thinned out before it went back, it may lack some in the midst until there are so many epochs again.
        assert kept.there <= whole.there and {0, epochs} <= kept.there
        assert kept.there == whole.there or any(back for _, back in crashes)


@pytest.mark.parametrize("size", [1, 93_000, 10**6, 2**24, 2**30])
def test_large_kernels_are_kept_of_fewer_epochs(size):
    kept = trained(300, size).epochs()
    assert len(kept) * size <= max(kept_kernels.MOST_BYTES + 2 * size, 3 * size)
    assert {0, 300} <= set(kept)
    if size == 93_000:
        assert len(kept) > 64


def test_what_is_kept_comes_back_to_the_bit(tmp_path):
    kept = KeptKernels(tmp_path / "kernels")
    assert kept.epochs() == []
    rng = np.random.default_rng(0)
    for epoch, dtype in ((0, np.float32), (7, np.float64), (1_234_567, np.float16)):
        weights = rng.normal(size=(3, 2, 5, 4)).astype(dtype)
        kept.save(epoch, weights)
        again = kept.load(epoch)
        assert again.dtype == dtype
        np.testing.assert_array_equal(again, weights)
    (kept.path / "notes.txt").write_text("of another")
    assert kept.epochs() == [0, 7, 1_234_567]
    kept.thin(7, 1)
    assert sorted(os.listdir(kept.path)) == ["epoch-000000.npz", "epoch-000007.npz", "notes.txt"]


class Opened:
    """What tells if it is unpickled."""

    is_opened = False

    def __setstate__(self, state):
        Opened.is_opened = True


def write_other(path, epoch=1, format=kept_kernels.FORMAT, **arrays):
    npz.save(path, arrays or {"kernels": KERNELS}, {"format": format, "epoch": epoch})


BROKEN = {
    "missing": lambda path: None,
    "empty": lambda path: path.write_bytes(b""),
    "no archive": lambda path: path.write_bytes(b"kernels"),
    "folder": lambda path: path.mkdir(),
    "pickle": lambda path: np.savez(path, kernels=np.array([Opened()], object), allow_pickle=True),
    "no header": lambda path: np.savez(path, kernels=KERNELS),
    "another epoch": lambda path: write_other(path, epoch=2),
    "no epoch": lambda path: write_other(path, epoch=None),
    "another format": lambda path: write_other(path, format="refcnn checkpoint 1"),
    "other array": lambda path: write_other(path, weights=KERNELS),
    "more arrays": lambda path: write_other(path, kernels=KERNELS, bias=KERNELS),
    "NaN": lambda path: write_other(path, kernels=KERNELS * np.nan),
    "integers": lambda path: write_other(path, kernels=KERNELS.astype(int)),
    "three axes": lambda path: write_other(path, kernels=KERNELS[0]),
    "none": lambda path: write_other(path, kernels=KERNELS[:0]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_one_error_that_names_it(tmp_path, name):
    BROKEN[name](tmp_path / "epoch-000001.npz")
    with pytest.raises(CheckpointError, match="epoch-000001.npz"):
        KeptKernels(tmp_path).load(1)
    assert not Opened.is_opened


@given(st.data())
def test_any_one_byte_changed_is_an_error_or_nothing(tmp_path_factory, data):
    kept = KeptKernels(tmp_path_factory.mktemp("kernels"))
    kept.save(1, KERNELS)
    path = kept.path / "epoch-000001.npz"
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        found = kept.load(1)
    except CheckpointError:
        return
    np.testing.assert_array_equal(found, KERNELS)


def test_what_cannot_be_written_is_said(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileWriteError, match="file could not be written: File exists"):
        KeptKernels(tmp_path / "file").save(0, KERNELS)
    assert KeptKernels(tmp_path / "file").epochs() == []
    kept = KeptKernels(tmp_path / "kernels")
    kept.save(0, KERNELS)
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(FileWriteError, match="No space left on device.*unchanged"):
        kept.save(1, KERNELS)
    assert os.listdir(kept.path) == ["epoch-000000.npz"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the inputs, and in ``whole`` a run of four epochs."""
    path = tmp_path_factory.mktemp("kept")
    small_run.write_inputs(path)
    status, _, err = small_run.train(path, "whole")
    assert status == 0, err
    return path


def begin(path, **options):
    defaults = {"data": "data.npz", "model": MODEL, "epochs": 4, "batch_size": 8, "lr": 0.02, "seed": 3}
    return training.start({**defaults, **options}, path)


def finish(session):
    session.finish(lambda line: None)
    return session


def resumed(session, **options):
    return training.resume(RunFolder.open(session.run.path, MODEL), options)


def stop_at(session, *, batch):
    """Press Ctrl-C after so many batches of training and of validation."""
    count = iter(range(1, 999))

    def press(loop):
        if next(count) == batch:
            signal.raise_signal(signal.SIGINT)

    session.loop.callbacks += [At("on_batch_end", press), At("on_validation_batch_end", press)]
    with pytest.raises(Interrupted):
        finish(session)


def test_a_run_keeps_the_kernels_before_the_first_epoch_and_after_each(inside, tmp_path):
    seen = []
    session = begin(tmp_path / "run")
    weights = session.model[0].params["w"]
    look = At("on_epoch_end", lambda loop: seen.append(weights.as_ndarray().copy()))
    look.on_train_begin = look.on_epoch_end
    session.loop.callbacks.append(look)
    finish(session)
    found = kernels_of(session.run.path)
    assert sorted(found) == [0, 1, 2, 3, 4]
    for epoch, expected in enumerate(seen):
        np.testing.assert_array_equal(found[epoch], expected)
    assert not np.array_equal(found[0], found[1])
    # A checkpoint after each epoch: those of the last and of the best are theirs.
    for path in (session.run.last, session.run.best):
        checkpoint = Checkpoint.load(path)
        np.testing.assert_array_equal(found[checkpoint.epoch], checkpoint.parameters["0.w"])
    small_run.assert_same(inside / "whole" / "last.npz", session.run.last)
    assert_same_kernels(inside / "whole", session.run.path)


def test_they_are_those_by_which_the_model_is_judged(inside, tmp_path):
    session = finish(begin(tmp_path / "run", average_decay=0.8))
    best = Checkpoint.load(session.run.best)
    found = kernels_of(session.run.path)
    np.testing.assert_array_equal(found[best.epoch], best.parameters["0.w"])
    assert not np.array_equal(found[4], Checkpoint.load(session.run.last).parameters["0.w"])


# An epoch has 10 batches of training and 3 of validation.
@pytest.mark.parametrize("options", [{}, {"average_decay": 0.8}, {"freeze": ("0",)}], ids=str)
def test_stopped_and_resumed_a_run_keeps_the_same(inside, tmp_path, options):
    whole = finish(begin(tmp_path / "whole", **options))
    session = begin(tmp_path / "run", **options)
    for batch, epochs in ((4, [0]), (8, [0]), (15, [0, 1])):
        stop_at(session, batch=batch)
        assert session.run.kernels.epochs() == epochs
        session = resumed(session)
    finish(session)
    assert_same_kernels(whole.run.path, session.run.path)


def test_thinned_out_a_run_that_is_stopped_keeps_the_same(inside, tmp_path, monkeypatch):
    monkeypatch.setattr(kept_kernels, "MOST_EPOCHS", 2)
    whole = finish(begin(tmp_path / "whole", epochs=7))
    assert whole.run.kernels.epochs() == [0, 4, 7]
    session = begin(tmp_path / "run", epochs=7)
    for batch in (5, 20, 24, 20):
        stop_at(session, batch=batch)
        session = resumed(session)
    finish(session)
    assert_same_kernels(whole.run.path, session.run.path)


def test_a_run_that_goes_back_to_an_earlier_checkpoint_drops_the_later_ones(inside, tmp_path):
    session = begin(tmp_path / "run")
    last = session.run.last
    copies = At("on_epoch_begin", lambda loop: last.exists() and shutil.copy(last, tmp_path / f"{len(loop.history)}"))
    session.loop.callbacks.append(copies)
    finish(session)
    assert Checkpoint.load(tmp_path / "2").epoch == 2
    shutil.copy(tmp_path / "2", last)
    (session.run.kernels.path / "epoch-000002.npz").unlink()
    session = resumed(session)
    stop_at(session, batch=3)
    assert session.run.kernels.epochs() == [0, 1, 2]
    finish(resumed(session))
    assert_same_kernels(inside / "whole", session.run.path)


def test_a_run_of_an_earlier_version_keeps_them_from_where_it_goes_on(inside, tmp_path):
    session = finish(begin(tmp_path / "run", epochs=2))
    shutil.rmtree(session.run.kernels.path)
    finish(resumed(session))
    assert session.run.kernels.epochs() == []
    finish(resumed(session, epochs=4))
    assert session.run.kernels.epochs() == [2, 3, 4]


def test_more_epochs_after_the_end_leave_no_gap(inside, tmp_path):
    session = finish(begin(tmp_path / "run", epochs=2))
    finish(resumed(session, epochs=4))
    assert_same_kernels(inside / "whole", session.run.path)


def test_a_disk_that_is_full_ends_the_training_and_it_goes_on(inside, tmp_path, monkeypatch):
    session = begin(tmp_path / "run")
    save = KeptKernels.save

    def full(kept, epoch, weights):
        if epoch == 2:
            raise FileWriteError("no space left")
        save(kept, epoch, weights)

    with monkeypatch.context() as context:
        context.setattr(KeptKernels, "save", full)
        with pytest.raises(FileWriteError, match="no space"):
            finish(session)
    assert Checkpoint.load(session.run.last).epoch == 1
    finish(resumed(session))
    assert_same_kernels(inside / "whole", session.run.path)


OTHERS = """
import numpy as np
import refcnn as rm

def dense(image_shape, classes):
    return rm.Sequential([rm.Flatten(), rm.Dense(classes)])

class Computed(rm.Model):
    def __init__(self, classes):
        super().__init__()
        self.kernels = rm.Parameter(np.ones((2, 1, 3, 3), np.float32))
        self.dense = rm.Dense(classes)

    def forward(self, x):
        return self.dense(rm.flatten(rm.conv2d(x, self.kernels * 2)))

def computed(image_shape, classes):
    return Computed(classes)
"""


@pytest.mark.parametrize("name", ["dense", "computed"])
def test_a_model_without_such_a_layer_keeps_nothing(inside, tmp_path, monkeypatch, name):
    (tmp_path / "other_models.py").write_text(OTHERS)
    monkeypatch.syspath_prepend(str(tmp_path))
    session = finish(begin(tmp_path / "run", model=f"other_models:{name}", epochs=2))
    assert not session.run.kernels.path.exists()


def test_to_look_for_the_layer_changes_nothing_that_is_drawn(inside, tmp_path, monkeypatch):
    class Draws(rm.Layer):
        def forward(self, x):
            philox.current().next_stream()
            return x

    model = rm.Sequential([Draws(), rm.Conv2d(3), rm.BatchNormalization(), rm.Conv2d(2)])
    model(np.ones((1, 1, 9, 9), np.float32))
    before, state = philox.current().state, {name: array.copy() for name, array in model.state().items()}
    assert drawing.first_kernels(model, (1, 9, 9)) is model[1].params["w"]
    assert philox.current().state == before
    for name, array in model.state().items():
        np.testing.assert_array_equal(array, state[name])


def call(*arguments):
    result = CliRunner().invoke(main, ["show", *map(str, arguments)], prog_name="refcnn")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_the_command_draws_those_of_an_epoch(inside, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(inside / "whole", run)
    # Neither the model's code nor a checkpoint is needed.
    (run / "best.npz").unlink()
    pictures = []
    for epoch in (0, 4):
        result = call("kernels", run, "--epoch", epoch, "--out", tmp_path / f"{epoch}.png")
        assert result.exit_code == 0, result.output
        with Image.open(tmp_path / f"{epoch}.png") as image:
            pictures.append(np.asarray(image))
    assert not np.array_equal(*pictures)
    opened = RunFolder.open(run)
    with rm.use_backend("reference"):
        (figure,) = drawing.of_run(opened, "kernels", epoch=2)
    assert figure.get_suptitle() == "4 kernels of 3x3\nrun: small_models:small on data.npz, epoch 2"
    assert drawing.default_path(run, "kernels", epoch=2) == run / "kernels_epoch_2.png"


def test_what_the_command_cannot_draw_is_said(inside, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(inside / "whole", run)
    (run / "kernels" / "epoch-000002.npz").write_bytes(b"half")
    (run / "kernels" / "epoch-000003.npz").unlink()
    (tmp_path / "model.onnx").write_bytes(b"")
    for arguments, status, told in (
        (["kernels", run, "--epoch", 2], 1, "epoch-000002.npz"),
        (["kernels", run, "--epoch", 3], 1, "keeps no kernels of epoch 3. The nearest that it has: 2 and 4."),
        (["kernels", run, "--epoch", 9], 1, "The nearest that it has: 4."),
        (["kernels", run, "--epoch", -1], 2, "-1"),
        (["curves", run, "--epoch", 1], 2, "--epoch is for kernels"),
        (["kernels", tmp_path / "model.onnx", "--epoch", 1], 2, "leave it out"),
    ):
        result = call(*arguments, "--out", tmp_path / "picture.png")
        assert result.exit_code == status and told in result.stderr, result.output
    shutil.rmtree(run / "kernels")
    result = call("kernels", run, "--epoch", 1, "--out", tmp_path / "picture.png")
    assert result.exit_code == 1 and "keeps no kernels of its epochs" in result.stderr
    assert not (tmp_path / "picture.png").exists()


def test_channels_are_drawn_as_of_the_best_checkpoint(tmp_path, monkeypatch):
    """Those of images in BGR as RGB."""
    rng = np.random.default_rng(1)
    y = np.arange(40) % 2
    x = rng.integers(0, 90, (40, 3, 6, 6), dtype=np.uint8)
    x[y == 1, 1] += 100
    np.savez(tmp_path / "data.npz", x=x, y=y)
    small_run.write_inputs(tmp_path)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    with rm.use_backend("reference"):
        session = finish(begin(tmp_path / "run", epochs=2))
        fields = json.loads((session.run.path / "config.json").read_text())
        for colour in ("RGB", "BGR"):
            fields["preprocessing"]["colour"] = colour
            (session.run.path / "config.json").write_text(json.dumps(fields))
            run = RunFolder.open(session.run.path, MODEL)
            figures = [next(drawing.of_run(run, "kernels", epoch=epoch)) for epoch in (None, run.best_epoch())]
            images = [figure.axes[0].images[0].get_array() for figure in figures]
            np.testing.assert_array_equal(*images)
            texts = [[text.get_text() for text in figure.axes[0].texts] for figure in figures]
            assert texts[0] == texts[1] and math.prod(images[0].shape) > 0

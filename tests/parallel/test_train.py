"""``refcnn train`` in several processes: the files of one, errors that are shown once, signals, and going on."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from refcnn.errors import ArgumentError
from refcnn.parallel import starting
from refcnn.runs.checkpoint import Checkpoint

from .. import small_run

#: Fails at the seventh step of training in the way that the environment says, on the rank that it names.
FAILING = """
import os, shutil, signal, sys, time
from pathlib import Path
import numpy as np
import refcnn as rm
from refcnn.errors import DeviceMemoryError
from refcnn.parallel.ranks import current
import small_models

class Failing(rm.Model):
    def __init__(self, shape, classes):
        super().__init__()
        self.net, self.steps = small_models.small(shape, classes), 0

    def forward(self, x):
        self.steps += rm.mode.is_training()
        if self.steps >= 7 and rm.mode.is_training():
            Path(f"at-{current().rank}").touch()
            if str(current().rank) in os.environ["FAIL_RANKS"].split(","):
                fail(os.environ["FAIL"])
        return self.net(x)

def fail(how):
    if how == "memory":
        raise DeviceMemoryError("the device has no memory left")
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "fault":
        raise ZeroDivisionError("a fault of the model")
    if how == "disk" and Path("out").is_dir():
        shutil.rmtree("out")
        Path("out").touch()
    if how == "image":
        Path("images/1/0.png").write_bytes(b"no image")
    if how == "wait":
        time.sleep(0.05)

def failing(image_shape, classes):
    if os.environ["FAIL"] == "build":
        Path("building").touch()
        time.sleep(100)
    return Failing(image_shape, classes)
"""

NOISE = re.compile(r"prterun|MPI_ABORT|mpiexec")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("parallel")
    small_run.write_inputs(path)
    (path / "failing_models.py").write_text(FAILING, encoding="utf-8")
    command = arguments("one", "--model", "small_models:small")
    assert run(path, command)[0] == 0
    return path


def arguments(out, *options):
    """Return a command that trains the small model for three epochs, or another that the options name."""
    return [*small_run.TRAIN, "--epochs", "3", "--no-proof", "--out", out, *options]


def start(cwd, command, **environment):
    """Start refcnn in a session of its own, in which no signal is ignored."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "refcnn", *command],
        cwd=cwd,
        env=small_run.environment() | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(cwd, command, **environment):
    process = start(cwd, command, **environment)
    out, err = process.communicate(timeout=200)
    return process.returncode, out, err


def assert_alike(first, second):
    """Assert that two runs ended with the same parameters and metrics, to what rounding can do in three epochs."""
    first, second = (Checkpoint.load(path) for path in (first, second))
    assert (first.epoch, first.seed, first.stream) == (second.epoch, second.seed, second.stream)
    for name, array in first.parameters.items():
        np.testing.assert_allclose(array, second.parameters[name], rtol=1e-3, atol=1e-4, err_msg=name)
    for row, other in zip(first.history, second.history, strict=True):
        for name in ("train_loss", "validation_loss", "learning_rate"):
            assert row[name] == pytest.approx(other[name], rel=1e-4)
        assert row["class_examples"] == other["class_examples"]


def test_the_run_is_that_of_one_process(mpi, folder):
    status, out, err = run(folder, arguments("three", "--processes", "3"))
    assert status == 0, err
    assert_alike(folder / "one" / "last.npz", folder / "three" / "last.npz")
    assert out.count("epoch 2/3") == out.count("3 ranks on 1 machine") == out.count("In three:") == 1
    assert not NOISE.search(err)
    kept = {path: small_run.kernels_of(folder / path) for path in ("one", "three")}
    assert sorted(kept["one"]) == sorted(kept["three"]) == [0, 1, 2, 3]
    for epoch, weights in kept["one"].items():
        np.testing.assert_allclose(weights, kept["three"][epoch], rtol=1e-3, atol=1e-4)
    names = {path: {file.name for file in (folder / path).iterdir()} for path in ("one", "three")}
    assert names["one"] == names["three"] and (folder / "three" / "model.onnx").exists()


@pytest.mark.parametrize("ranks, who", [("1", "rank 1: "), ("0,1", "")])
def test_an_error_is_shown_once_and_ends_all(mpi, folder, ranks, who):
    out = f"memory-{ranks}"
    command = arguments(out, "--processes", "2", "--model", "failing_models:failing")
    status, _, err = run(folder, command, FAIL="memory", FAIL_RANKS=ranks)
    assert status == 1
    assert re.findall("Error.*", err) == [f"Error: {who}the device has no memory left"]
    assert not NOISE.search(err)


def test_a_disk_on_which_rank_0_cannot_write_ends_all(mpi, folder):
    command = arguments("out", "--processes", "2", "--model", "failing_models:failing")
    status, _, err = run(folder, command, FAIL="disk", FAIL_RANKS="0")
    assert status == 1
    assert len(re.findall("Error: rank 0: out.*could not be written", err)) == err.count("Error") == 1


def test_an_unreadable_image_of_one_rank_ends_all(mpi, folder):
    for label in range(3):
        (folder / "images" / str(label)).mkdir(parents=True)
        for number in range(16):
            pixels = np.full((6, 6), 80 * label + number, np.uint8)
            Image.fromarray(pixels).save(folder / "images" / str(label) / f"{number}.png")
    given = ("--data", "images", "--no-in-memory", "--epochs", "9", "--model", "failing_models:failing")
    status, _, err = run(folder, arguments("unreadable", "--processes", "2", *given), FAIL="image", FAIL_RANKS="1")
    assert status == 1
    # In whoever's part it lies, no other reads it.
    assert len(re.findall(r"Error: rank [01]: \S*images/1/0.png", err)) == err.count("Error") == 1, err
    assert not NOISE.search(err)


def test_a_loss_that_is_not_finite_is_no_ranks(mpi, folder):
    status, _, err = run(folder, arguments("nan", "--processes", "2", "--lr", "1e30", "--optimizer", "sgd"))
    assert status == 1
    assert len(re.findall(r"Error: the loss is \S+ at epoch 1, batch", err)) == err.count("Error") == 1


def test_the_others_go_on_without_a_rank_that_was_killed(mpi, ulfm, folder):
    command = arguments("lost", "--processes", "3", "--model", "failing_models:failing")
    status, _, err = run(folder, command, FAIL="kill", FAIL_RANKS="2")
    assert status == 0, err
    assert re.findall(r"Warning: rank (\d) was lost; (\d) go on", err) == [("2", "2")], err
    _assert_as_small(folder, "lost")


def test_without_ulfm_killed_ranks_end_the_others_and_another_number_goes_on(mpi, folder):
    command, _ = starting.launcher(3)
    if "--with-ft" in command:
        place = command.index("--with-ft")
        del command[place : place + 2]
    given = arguments("killed", "--model", "failing_models:failing")
    found = subprocess.run(
        [*command, sys.executable, "-P", "-m", "refcnn", *given],
        cwd=folder,
        env=small_run.environment() | {"FAIL": "kill", "FAIL_RANKS": "2"},
        capture_output=True,
        timeout=100,
        check=False,
    )
    moment = (folder / "at-2").stat().st_mtime
    # How it says so is mpiexec's: of what killed the rank, or of its own.
    assert found.returncode != 0 and time.time() - moment < 10
    resumed = ["train", "--resume", "killed", "--model", "failing_models:failing", "--processes", "2"]
    status, _, err = run(folder, resumed, FAIL="", FAIL_RANKS="")
    assert status == 0, err
    _assert_as_small(folder, "killed")


def _assert_as_small(folder, path):
    """Assert that a run of the failing model, which holds the small one as ``net``, ended as that did."""
    one, other = (Checkpoint.load(folder / run / "last.npz") for run in ("one", path))
    assert {f"net.{name}" for name in one.parameters} == set(other.parameters)
    for name, array in one.parameters.items():
        np.testing.assert_allclose(other.parameters[f"net.{name}"], array, rtol=1e-3, atol=1e-4)
    assert sorted(small_run.kernels_of(folder / path)) == [0, 1, 2, 3]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_ends_all_with_a_checkpoint_from_which_one_process_goes_on(mpi, folder, number):
    out = f"stopped-{number.name}"
    (folder / "at-0").unlink(missing_ok=True)
    command = arguments(out, "--processes", "2", "--model", "failing_models:failing")
    process = start(folder, command, FAIL="wait", FAIL_RANKS="0,1")
    while not (folder / "at-0").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(number)
    text, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert len(re.findall(r"Stopped in epoch \d after batch \d+ of 10; the checkpoint is", text)) == 1
    assert err.count("Finishing the batch") == 1 and not NOISE.search(err)
    assert len(Checkpoint.load(folder / out / "last.npz").losses) > 0
    resumed = ["train", "--resume", out, "--model", "failing_models:failing"]
    status, _, err = run(folder, resumed, FAIL="", FAIL_RANKS="")
    assert status == 0, err
    _assert_as_small(folder, out)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal of a POSIX system")
def test_on_a_terminal_one_bar_shows_the_whole(mpi, folder):
    import pty

    master, slave = pty.openpty()
    process = subprocess.Popen(
        [
            sys.executable,
            "-P",
            "-m",
            "refcnn",
            *arguments("bar", "--processes", "2", "--model", "failing_models:failing"),
        ],
        cwd=folder,
        env=small_run.environment() | {"FAIL": "wait", "FAIL_RANKS": "0,1"},
        stdout=subprocess.DEVNULL,
        stderr=slave,
    )
    os.close(slave)
    shown = b""
    # At the end of a terminal that nobody writes to Linux gives an error.
    with contextlib.suppress(OSError):
        while part := os.read(master, 4096):
            shown += part
    os.close(master)
    assert process.wait(timeout=100) == 0
    assert re.search(rb"epoch 1/3: .*\| [1-9]/10 ", shown) and shown.count(b"epoch 1/3:   0%") == 1


def test_a_signal_before_the_training_ends_all(mpi, folder):
    command = arguments("early", "--processes", "2", "--model", "failing_models:failing")
    process = start(folder, command, FAIL="build", FAIL_RANKS="")
    while not (folder / "building").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    text, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert (text + err).count("Stopped") == 1 and "Traceback" not in err


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(starting.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ArgumentError, match=r'mpi4py is not installed. Install it with pip install "refcnn\[mpi\]"'):
        starting.launcher(2)
    monkeypatch.setattr(starting.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(starting.shutil, "which", lambda name, path=None: None)
    with pytest.raises(ArgumentError, match="mpiexec, which is neither in"):
        starting.launcher(2)


def test_processes_within_processes_are_refused(mpi, folder):
    status, _, err = mpi(2, "-m", "refcnn", "train", "--processes", "2", cwd=folder)
    assert status == 2
    assert "started by MPI already" in err


@pytest.mark.parametrize(
    "given, left",
    [
        (["train", "--processes", "4", "--epochs", "2"], ["train", "--epochs", "2"]),
        (["train", "--epochs", "2", "--processes=4"], ["train", "--epochs", "2"]),
    ],
)
def test_the_ranks_run_the_same_command(monkeypatch, given, left):
    monkeypatch.setattr(sys, "argv", ["refcnn", *given])
    assert starting.same_program("--processes") == [sys.executable, "-P", "-m", "refcnn", *left]

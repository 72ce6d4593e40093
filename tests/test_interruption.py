"""Signals that ask to stop: none is lost, work in hand is saved, and the exit status tells which it was."""

import gc
import os
import pkgutil
import shutil
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

import refcnn as rm
from refcnn.cli import main
from refcnn.interruption import Interrupted, Stopped, interruptible, stop_if_asked, stoppable
from refcnn.onnx.proof.proving import _AT_ONCE
from refcnn.opencl.convolution import tuning
from refcnn.runs import plotting, training
from refcnn.runs.checkpoint import Checkpoint
from refcnn.runs.run_folder import RunFolder

from . import small_run

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
OPTIONS = {"data": "data.npz", "model": "chapter", "epochs": 4, "batch_size": 8, "lr": 0.02, "seed": 3}
# So many that the command line has not trained them all when the signal comes after its first.
MANY_EPOCHS = 10

each_signal = pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the inputs, and runs that nothing interrupted: ``small``, ``whole`` and ``long``."""
    path = tmp_path_factory.mktemp("interruption")
    small_run.write_inputs(path)
    status, _, err = small_run.train(path, "small")
    assert status == 0, err
    with rm.use_backend("reference"):
        for name, epochs in (("whole", OPTIONS["epochs"]), ("long", MANY_EPOCHS)):
            options = OPTIONS | {"data": str(path / "data.npz"), "epochs": epochs}
            training.start(options, path / name).finish(lambda line: None)
    return path


def dropped(number):
    """Send a signal where Python drops what its handler raises: in a callback of the garbage collection."""

    def callback(*_):
        gc.callbacks.remove(callback)
        signal.raise_signal(number)

    gc.callbacks.append(callback)
    gc.collect()


def at_call(number, call, send=signal.raise_signal):
    """Return a decorator that sends a signal at the ``call``-th call of a function."""
    calls = []

    def decorate(function):
        def called(*arguments, **options):
            calls.append(arguments)
            if len(calls) == call:
                send(number)
            return function(*arguments, **options)

        return called

    decorate.calls = calls
    return decorate


@each_signal
def test_a_signal_is_raised_with_its_exit_status(number):
    former = signal.getsignal(number)
    with pytest.raises(Stopped) as caught, stoppable():
        signal.raise_signal(number)
    assert caught.value.status == 128 + number and number.name in str(caught.value)
    assert signal.getsignal(number) is former
    stop_if_asked()


@each_signal
def test_a_signal_whose_exception_python_drops_is_not_lost(number, capsys):
    reached = []
    with pytest.raises(Stopped) as caught, stoppable():
        dropped(number)
        reached.append("after the signal")
        stop_if_asked()
        reached.append("after the question")
    assert reached == ["after the signal"] and caught.value.status == 128 + number
    with pytest.raises(Stopped), stoppable():
        dropped(number)
    assert capsys.readouterr().err == ""


def test_what_others_make_of_a_signal_counts_as_the_signal():
    with pytest.raises(Stopped) as caught, stoppable():
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise ImportError("initialization failed") from None
    assert caught.value.status == 143
    with pytest.raises(ImportError), stoppable():
        raise ImportError("no signal came")


@each_signal
def test_what_the_parent_process_ignores_stays_ignored(number):
    former = signal.signal(number, signal.SIG_IGN)
    try:
        with stoppable(), interruptible() as noted:
            signal.raise_signal(number)
            assert noted() is None
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, former)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs SIGHUP")
def test_a_training_under_nohup_goes_on(folder, tmp_path):
    run = tmp_path / "run"
    before = "import os, signal; os.kill(os.getpid(), signal.SIGHUP); os.kill(os.getpid(), signal.SIGINT)"
    former = {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}
    try:
        status, _, err = small_run.train(folder, run, before=before)
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
    assert status == 0, err
    small_run.assert_same(folder / "small" / "last.npz", run / "last.npz")


def begin(tmp_path):
    return training.start(OPTIONS, tmp_path / "run")


# 80 training images are 10 batches, 20 for validation 3: the call 7 lies in the first epoch's training, 12 in its
# validation, 14 is the second epoch's first batch.
@each_signal
@pytest.mark.parametrize("call", [7, 12, 14])
def test_a_signal_saves_the_batch_and_resuming_ends_the_same(inside, tmp_path, number, call):
    session = begin(tmp_path)
    session.model.forward = at_call(number, call)(session.model.forward)
    with pytest.raises(Interrupted) as caught:
        session.finish(lambda line: None)
    assert caught.value.status == 128 + number
    checkpoint = Checkpoint.load(session.run.last)
    assert (checkpoint.epoch, len(checkpoint.losses)) == {7: (0, 7), 12: (0, 10), 14: (1, 1)}[call]
    training.resume(RunFolder.open(session.run.path), {}).finish(lambda line: None)
    small_run.assert_same(inside / "whole" / "last.npz", session.run.last)


def test_a_signal_after_the_last_batch_is_not_lost(inside, tmp_path):
    session = begin(tmp_path)
    with pytest.raises(Interrupted, match="after epoch 4"):
        session.finish(at_call(signal.SIGINT, 4)(lambda line: None))
    small_run.assert_same(inside / "whole" / "last.npz", session.run.last)


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
@each_signal
def test_a_second_signal_stops_at_once(number, second):
    after = []
    with pytest.raises(Stopped) as caught, stoppable(), interruptible() as noted:
        signal.raise_signal(number)
        assert noted() == number
        signal.raise_signal(second)
        after.append("went on")
    assert caught.value.status == 128 + second and not after


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs SIGHUP")
def test_a_closed_terminal_hangs_up_twice_and_the_batch_is_saved_all_the_same():
    with interruptible() as noted:
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        assert noted() == signal.SIGHUP


@each_signal
def test_the_command_line_saves_the_batch_and_ends_with_the_signals_status(inside, tmp_path, number):
    run = tmp_path / "run"
    options = OPTIONS | {"epochs": MANY_EPOCHS, "backend": "reference", "out": run}
    command = [sys.executable, "-m", "refcnn", "train"]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    process = subprocess.Popen(
        command, cwd=inside, env=small_run.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while not process.stdout.readline().startswith("epoch 1/"):
        assert process.poll() is None
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + number, stderr
    assert "writing the checkpoint" in stderr and "Traceback" not in stderr
    assert f"train --resume {run}" in stdout
    checkpoint = Checkpoint.load(run / "last.npz")
    assert checkpoint.epoch >= 1 and checkpoint.losses.size
    assert sorted(os.listdir(run)) == ["best.npz", "classes.csv", "config.json", "kernels", "last.npz", "metrics.csv"]
    training.resume(RunFolder.open(run), {}).finish(lambda line: None)
    small_run.assert_same(inside / "long" / "last.npz", run / "last.npz")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a POSIX system")
def test_a_training_whose_terminal_is_closed_saves_the_batch(folder, tmp_path):
    import pty

    run = tmp_path / "run"
    arguments = [
        "-m",
        "refcnn",
        "train",
        "--data",
        "data.npz",
        "--model",
        "small_models:slow",
        "--backend",
        "reference",
        "--batch-size",
        "8",
        "--out",
        str(run),
    ]
    # The terminal must be the controlling one of its session, as that of a shell is.
    program = (
        "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    main_end, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=folder,
        env=small_run.environment(),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    shown = b""
    while b"epoch 2/10:" not in shown:
        shown += os.read(main_end, 4096)
    os.close(main_end)
    assert process.wait(timeout=60) == 128 + signal.SIGHUP
    checkpoint = Checkpoint.load(run / "last.npz")
    assert checkpoint.epoch >= 1 and checkpoint.losses.size


@pytest.fixture
def trained(inside, tmp_path):
    """A run whose epochs are done, but not its pictures and its export."""
    shutil.copytree(inside / "whole", tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def small(inside, tmp_path, monkeypatch):
    """The same of a small model, and what goes on with it."""
    monkeypatch.syspath_prepend(str(inside))
    shutil.copytree(inside / "small", tmp_path / "run")
    arguments = ["train", "--resume", str(tmp_path / "run"), "--model", "small_models:small", "--backend", "reference"]
    return tmp_path / "run", lambda: CliRunner().invoke(main, arguments)


@pytest.mark.parametrize("send", [signal.raise_signal, dropped], ids=["raised", "dropped"])
@pytest.mark.parametrize(
    ("function", "call", "pictures"),
    [
        ("refcnn.runs.plotting.save", 1, 0),
        ("refcnn.runs.plotting.save", 3, 2),
        ("refcnn.conformance.judging.comparison.verdict", 1, 6),
        ("refcnn.conformance.judging.comparison.verdict", 8, 6),
    ],
)
def test_a_signal_during_pictures_and_proof_stops_soon_and_tells_how_to_go_on(
    small, monkeypatch, function, call, pictures, send
):
    trained, go_on = small
    wrapped = at_call(signal.SIGTERM, call, send)
    monkeypatch.setattr(function, wrapped(pkgutil.resolve_name(function)))
    result = go_on()
    assert result.exit_code == 143, result.output
    assert f"train --resume {trained}" in result.stdout and "Traceback" not in result.output
    # The rest of the inputs that are judged at the same time, of few operations, may be judged before the thread that
    # gets signals looks for them.
    assert len(wrapped.calls) <= (2 * 9 * _AT_ONCE if "verdict" in function else call)
    left = set(os.listdir(trained)) - {"config.json", "last.npz", "best.npz", "metrics.csv", "classes.csv", "kernels"}
    assert left == set(
        ["curves.png", "confusion.png", "classes.png", "most_wrong.png", "kernels.png", "features_1.png"][:pictures]
    )


def test_pictures_and_proof_that_were_stopped_are_made_when_the_run_goes_on(small, monkeypatch):
    trained, go_on = small
    with monkeypatch.context() as context:
        context.setattr("refcnn.runs.plotting.save", at_call(signal.SIGTERM, 2, dropped)(plotting.save))
        assert go_on().exit_code == 143
    result = go_on()
    assert result.exit_code == 0, result.output
    assert (trained / "model.onnx").exists() and (trained / "features_1.png").exists()


@pytest.mark.parametrize(
    ("arguments", "function"),
    [
        (["export", "RUN", "--out", "RUN/x.onnx"], "refcnn.conformance.judging.comparison.verdict"),
        (
            ["predict", "RUN", "class0.png", "class1.png", "--backend", "reference"],
            "refcnn.runs.prediction.Predictor.predictions",
        ),
        (["show", "curves", "RUN", "--out", "RUN/x.png"], "refcnn.runs.plotting.save"),
        (["conform", "--device", "reference", "--operation", "relu"], "refcnn.conformance.running.runner.plan"),
    ],
    ids=["export", "predict", "show", "conform"],
)
@pytest.mark.parametrize(
    ("number", "send"), [(signal.SIGTERM, signal.raise_signal), (signal.SIGINT, dropped)], ids=["raised", "dropped"]
)
def test_every_command_ends_with_the_signals_status(trained, monkeypatch, number, arguments, function, send):
    before = sorted(os.listdir(trained))
    monkeypatch.setattr(function, at_call(number, 1, send)(pkgutil.resolve_name(function)))
    result = CliRunner().invoke(main, [argument.replace("RUN", str(trained)) for argument in arguments])
    assert result.exit_code == 128 + number, result.output
    assert "Stopped" in result.stderr
    assert "class1.png" not in result.stdout
    assert sorted(os.listdir(trained)) == before


def test_a_conformance_run_is_stopped_with_its_workers(tmp_path):
    command = [sys.executable, "-m", "refcnn", "conform", "--device", "reference", "--operation", "conv2d"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=small_run.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline().startswith("seed")
    process.send_signal(signal.SIGTERM)
    # The pipes are closed when no worker has them any more.
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143 and err == "Stopped.\n"


def test_tune_keeps_what_was_measured_and_stops(opencl_backend, tmp_path, monkeypatch):
    from refcnn.bench import running, variants

    monkeypatch.setenv("REFCNN_TUNING", str(tmp_path / "tuning.json"))
    tuning.forget()
    asked = at_call(signal.SIGTERM, 2)
    name = opencl_backend.name
    monkeypatch.setattr(running, "device_names", lambda wanted: [name, name])
    monkeypatch.setattr(
        variants, "measure_directions", asked(lambda *_: {one: {"plain": 1.0} for one in variants.DIRECTIONS})
    )
    result = CliRunner().invoke(main, ["tune", "--model", "chapter"])
    assert result.exit_code == 143, result.output
    assert len(asked.calls) == 2 and str(tmp_path / "tuning.json") in result.stderr
    assert list(tuning.load(tmp_path / "tuning.json").values()) == [
        dict.fromkeys(tuning.load(tmp_path / "tuning.json")[tuning.identity(opencl_backend.device)], "plain")
    ]
    tuning.forget()

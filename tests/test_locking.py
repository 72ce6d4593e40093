"""One process at a time writes in a run folder, in a report's, and in the tuning database; another is told which."""

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest
from click.testing import CliRunner

import refcnn as rm
from refcnn.cli import main
from refcnn.errors import FileWriteError, LockedError
from refcnn.locking import locked_file, locked_folder
from refcnn.opencl.convolution import tuning
from refcnn.runs import training
from refcnn.runs.run_folder import RunFolder

from . import small_run

OPTIONS = 'dict(data="data.npz", model="chapter", epochs=3, batch_size=8, lr=0.02, seed=3)'


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    path = tmp_path_factory.mktemp("inputs")
    small_run.write_inputs(path)
    return path


@pytest.fixture
def folder(inputs, tmp_path, monkeypatch):
    """The current folder, with data."""
    (tmp_path / "data.npz").write_bytes((inputs / "data.npz").read_bytes())
    monkeypatch.chdir(tmp_path)
    with rm.use_backend("reference"):
        yield tmp_path


def process(program, folder):
    """Start a Python process, which says when it is ready, and goes on when it is sent a line."""
    program = textwrap.dedent(program).replace("PAUSE", 'print("ready", flush=True); sys.stdin.readline()')
    return subprocess.Popen(
        [sys.executable, "-c", f"import sys\n{program}"],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=small_run.environment(),
    )


def at_once(programs, folder):
    """Run processes from the moment at which the last one is ready, and return (status, output, errors) of each."""
    started = [process(program, folder) for program in programs]
    for one in started:
        assert one.stdout.readline() == "ready\n", one.stderr.read()
    for one in started:
        one.stdin.write("go on\n")
        one.stdin.flush()
    return [(one.wait(timeout=60), *one.communicate()) for one in started]


START = """
    import refcnn
    from refcnn.runs import training
    refcnn.use_backend("reference")
    PAUSE
    session = training.start({options} | dict(seed={seed}), {out})
    print(session.run.path)
    session.finish(lambda line: None)
"""


def test_of_trainings_started_at_once_each_has_a_folder_of_its_own(folder):
    found = at_once([START.format(options=OPTIONS, seed=seed, out=None) for seed in range(4)], folder)
    assert [status for status, _, _ in found] == [0] * 4, found
    paths = [out.strip() for _, out, _ in found]
    assert sorted(paths) == [f"runs/data.npz-chapter-{number}" for number in range(1, 5)]
    for seed, path in enumerate(paths):
        assert json.loads((folder / path / "config.json").read_text())["seed"] == seed
        assert not [name for name in os.listdir(folder / path) if name.startswith(".")]


def test_of_trainings_started_at_once_in_one_folder_one_goes_on(folder):
    (folder / "run").mkdir()
    found = at_once([START.format(options=OPTIONS, seed=seed, out="'run'") for seed in range(4)], folder)
    assert sorted(status for status, _, _ in found) == [0, 1, 1, 1], found
    for seed, (status, _, err) in enumerate(found):
        if status == 0:
            assert json.loads((folder / "run" / "config.json").read_text())["seed"] == seed
        else:
            assert "LockedError" in err or "holds a training run already" in err


def test_data_that_cannot_be_loaded_leave_no_folder(folder):
    result = CliRunner().invoke(main, ["train", "--data", "missing.npz", "--backend", "reference"])
    assert result.exit_code == 1
    assert not (folder / "runs").exists()


@pytest.fixture
def training_process(folder):
    """A process that trains in ``run``, and waits after its first epoch."""
    program = f"""
        import refcnn
        from refcnn.runs import training
        refcnn.use_backend("reference")
        def echo(line):
            PAUSE
        training.start({OPTIONS}, "run").finish(echo)
    """
    with process(program, folder) as started:
        assert started.stdout.readline() == "ready\n", started.stderr.read()
        yield started
        started.kill()


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["train", "--resume", "run"], "stop it"),
        (["show", "kernels", "run"], "--out"),
        (["show", "curves", "run", "--out", "run/mine.png"], "--out"),
        (["export", "run", "--out", "run/model.onnx"], "--out"),
    ],
)
def test_a_run_that_another_process_trains_is_left_alone(folder, training_process, arguments, advice, monkeypatch):
    monkeypatch.setattr("refcnn.runs.plotting.has_screen", lambda: False)
    before = {path.name: path.stat().st_mtime_ns for path in (folder / "run").iterdir()}
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert f"run is being written by process {training_process.pid}." in result.stderr and advice in result.stderr
    assert {path.name: path.stat().st_mtime_ns for path in (folder / "run").iterdir()} == before


def test_what_only_reads_a_run_may_do_so_while_it_is_trained(folder, training_process):
    result = CliRunner().invoke(main, ["show", "curves", "run", "--out", "curves.png"])
    assert result.exit_code == 0, result.output
    assert (folder / "curves.png").exists()


def test_the_lock_ends_with_its_process_however_that_ends(folder, training_process):
    training_process.kill()
    training_process.wait(timeout=60)
    training.resume(RunFolder.open("run"), {}).finish(lambda line: None)
    assert RunFolder.open("run").history()[-1]["epoch"] == 3
    assert not [name for name in os.listdir(folder / "run") if name.startswith(".")]


def test_a_run_is_free_again_after_its_training(folder, training_process):
    training_process.communicate("\n" * 3, timeout=60)
    assert training_process.returncode == 0
    assert not (folder / "run" / ".lock").exists()
    with RunFolder.open("run").locked():
        pass


def test_a_resumed_run_goes_on_from_what_another_process_did_meanwhile(folder, training_process):
    run = RunFolder.open("run")
    training_process.communicate("\n" * 3, timeout=60)
    assert training.resume(run, {}).history[-1]["epoch"] == 3


def test_a_process_may_lock_what_it_has_locked(tmp_path):
    with locked_folder(tmp_path, "wait"), locked_folder(tmp_path, "wait"):
        pass
    assert os.listdir(tmp_path) == []
    holder = process(
        f"""
        from refcnn.locking import locked_folder
        with locked_folder({str(tmp_path)!r}, ""):
            with locked_folder({str(tmp_path)!r}, ""):
                pass
            PAUSE
    """,
        tmp_path,
    )
    with holder:
        assert holder.stdout.readline() == "ready\n"
        with pytest.raises(LockedError, match=f"process {holder.pid}.*or wait"), locked_folder(tmp_path, "wait"):
            pass
        holder.communicate("go on\n", timeout=60)


@pytest.mark.parametrize("obstacle", ["missing", "a folder in the way"])
def test_a_folder_in_which_nothing_can_be_written(tmp_path, obstacle):
    if obstacle != "missing":
        (tmp_path / "folder" / ".lock").mkdir(parents=True)
    with pytest.raises(FileWriteError, match="folder"), locked_folder(tmp_path / "folder", "wait"):
        pass


def test_a_file_system_without_locks_is_no_obstacle_but_it_is_said(tmp_path, monkeypatch, capsys):
    def unsupported(*_, **__):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("filelock.lock_descriptor", unsupported)
    with locked_folder(tmp_path, "wait"):
        assert "No locks available" in capsys.readouterr().err


def test_of_tunings_that_end_at_once_none_loses_its_choices(tmp_path):
    database = tmp_path / "tuning.json"
    program = """
        from refcnn.opencl.convolution import tuning
        PAUSE
        for number in range(10):
            tuning.record("device {one}", {{f"conv2d forward {{number}}": "plain"}}, {database!r})
    """
    found = at_once([program.format(one=one, database=str(database)) for one in range(4)], tmp_path)
    assert [status for status, _, _ in found] == [0] * 4, found
    choices = {f"conv2d forward {number}": "plain" for number in range(10)}
    assert tuning.load(database) == {f"device {one}": choices for one in range(4)}
    assert os.listdir(tmp_path) == ["tuning.json"]


def test_a_locked_file_is_waited_for(tmp_path):
    counter = tmp_path / "counter"
    counter.write_text("0")
    program = f"""
        from pathlib import Path
        from refcnn.locking import locked_file
        PAUSE
        for _ in range(10):
            with locked_file({str(counter)!r}):
                Path({str(counter)!r}).write_text(str(int(Path({str(counter)!r}).read_text()) + 1))
    """
    at_once([program] * 3, tmp_path)
    with locked_file(counter):
        assert counter.read_text() == "30"
    assert os.listdir(tmp_path) == ["counter"]


def test_two_conformance_runs_do_not_write_one_report(tmp_path):
    holder = process(
        f"""
        from refcnn.locking import locked_folder
        with locked_folder({str(tmp_path)!r}, ""):
            PAUSE
    """,
        tmp_path,
    )
    arguments = ["conform", "--device", "reference", "--operation", "relu", "--examples", "1", "--report", tmp_path]
    arguments = list(map(str, arguments))
    with holder:
        assert holder.stdout.readline() == "ready\n"
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 2
        assert f"being written by process {holder.pid}." in result.stderr and "--report" in result.stderr
        holder.send_signal(signal.SIGKILL)
    assert CliRunner().invoke(main, arguments).exit_code == 0
    assert sorted(os.listdir(tmp_path)) == ["report.html", "report.json"]

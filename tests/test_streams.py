"""The standard streams: closed, full, or of an encoding that lacks a letter, they stop no training and no message."""

import errno
import io
import os
import subprocess
import sys

import pytest

import refcnn as rm
from refcnn.cli import main

from . import small_run

TRAIN = [*small_run.TRAIN, "--epochs", "1", "--out", "run"]


class Broken(io.StringIO):
    """A stream to which nothing can be written, after some lines perhaps."""

    def __init__(self, number, lines=0):
        super().__init__()
        self.number, self.lines = number, lines

    def write(self, text):
        if self.getvalue().count("\n") >= self.lines:
            raise OSError(self.number, os.strerror(self.number))
        return super().write(text)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    small_run.write_inputs(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("REFCNN_BACKEND", raising=False)
    return tmp_path


def call(monkeypatch, arguments, stdout, stderr):
    """Call the command line in this process with other streams; return its exit status."""
    with monkeypatch.context() as patch, rm.use_backend("reference"), pytest.raises(SystemExit) as end:
        patch.setattr(sys, "stdout", stdout)
        patch.setattr(sys, "stderr", stderr)
        main([str(argument) for argument in arguments], prog_name="refcnn")
    return end.value.code or 0


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EPIPE])
def test_training_goes_on_without_its_output_and_says_so_at_the_end(folder, monkeypatch, number):
    stderr = io.StringIO()
    assert call(monkeypatch, TRAIN, Broken(number, lines=2), stderr) == 2
    assert os.strerror(number) in stderr.getvalue() and "Traceback" not in stderr.getvalue()
    assert {"last.npz", "best.npz", "metrics.csv", "model.onnx", "curves.png"} <= set(os.listdir(folder / "run"))


def test_a_training_that_fails_says_why_whatever_its_output(folder, monkeypatch):
    stderr = io.StringIO()
    assert call(monkeypatch, [*TRAIN, "--model", "nosuch"], Broken(errno.ENOSPC), stderr) == 1
    assert "nosuch" in stderr.getvalue()


def test_standard_error_that_is_full_stops_nothing(folder, monkeypatch):
    stdout = io.StringIO()
    assert call(monkeypatch, TRAIN, stdout, Broken(errno.ENOSPC)) == 0
    assert "Validation accuracy" in stdout.getvalue()
    assert call(monkeypatch, ["show", "curves", "nosuch"], stdout, Broken(errno.ENOSPC)) == 1


def test_what_only_shows_something_ends_where_it_cannot(monkeypatch):
    stderr = io.StringIO()
    assert call(monkeypatch, ["--help"], Broken(errno.ENOSPC), stderr) == 2
    assert os.strerror(errno.ENOSPC) in stderr.getvalue()
    # "refcnn ... | head" is content.
    stderr = io.StringIO()
    assert call(monkeypatch, ["--help"], Broken(errno.EPIPE), stderr) == 2
    assert stderr.getvalue() == ""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_closed_streams_stop_no_training(folder, closed):
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" "$@" {closed}', sys.executable, "-m", "refcnn", *TRAIN],
        cwd=folder,
        env=small_run.environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0
    assert ("Validation accuracy" in done.stdout) is (">&-" not in closed.split())
    assert (folder / "run" / "model.onnx").exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full device")
def test_a_full_device_is_one_line_and_no_success(tmp_path):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "refcnn", "--version"],
            cwd=tmp_path,
            env=small_run.environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.startswith("Error: ") and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_names_that_an_encoding_lacks_are_escaped(folder, monkeypatch, encoding):
    (folder / "class0.png").rename(folder / "字é.png")
    assert call(monkeypatch, TRAIN, io.StringIO(), io.StringIO()) == 0
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2)]
    assert call(monkeypatch, ["predict", "run", "字é.png", "無.png", "--backend", "reference"], *streams) == 1
    found = [stream.buffer.getvalue().decode(encoding) for stream in streams]
    accent = "é" if encoding == "cp1252" else r"\xe9"
    assert rf"\u5b57{accent}.png: 0 (" in found[0]
    assert r"\u7121.png" in found[1]

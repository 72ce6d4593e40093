"""``refcnn conform`` and its processes: what an implementation starts, leaves behind or reads holds nothing up."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from refcnn import processes as child_processes
from refcnn.conformance.running import runner, testing

PROCESSES = """
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np


def child():
    # Has what the process has open, its answers too, and is in no way ended by its end.
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)


def sum_to(dy, shape):
    dy = dy.sum(axis=tuple(range(dy.ndim - len(shape))))
    return dy.sum(axis=tuple(axis for axis, size in enumerate(shape) if dy.shape[axis] != size), keepdims=True)


class Processes:
    def relu(self, x):
        child()
        os.kill(os.getpid(), signal.SIGKILL)

    def dropout(self, x, **attributes):
        child()
        time.sleep(60)

    def softmax(self, x, axis):
        threading.Thread(target=time.sleep, args=(60,)).start()
        sys.exit(7)

    def add(self, a, b):
        # Nobody may read the jobs.
        return a + b + np.float32(len(subprocess.run(["cat"], capture_output=True).stdout))

    def add_backward(self, dy, a, b):
        return tuple(sum_to(dy, entry.shape) for entry in (a, b))

    def dense(self, x, w, b):
        for file in range(3, 30):
            try:
                os.write(file, b"nonsense\\n")
            except OSError:
                pass
        return x

    def max_pool2d(self, x, **attributes):
        if os.fork() == 0:
            os.setsid()
            time.sleep(20)
            os._exit(0)
        time.sleep(60)


processes = Processes()
"""


@pytest.fixture
def processes(own_module, monkeypatch):
    """A module of implementations that are no good to their processes; a case that hangs shows soon."""
    own_module("processes", PROCESSES)
    monkeypatch.setattr(testing, "_SHRINKING_LIMIT", 1)
    monkeypatch.setattr(child_processes, "ENDING", 1)

    def run(operation, case_limit=60):
        options = runner.Options("quick", 3, 1, operations=(operation,), case_limit=case_limit)
        (device,) = runner.run(["processes:processes"], options).devices
        return device.rows

    return run


@pytest.mark.parametrize(
    ("operation", "limit", "verdict", "words"),
    [
        ("relu", 60, "crashed", "SIGKILL"),
        ("softmax", 60, "crashed", "did not end; it was killed"),
        ("dropout", 0.2, "hung", "nothing came for 1 s"),
        ("max_pool2d", 0.2, "hung", "nothing came for 1 s"),
        ("dense", 60, "failed", "answered 'nonsense"),
    ],
)
def test_what_a_process_started_holds_nothing_up(processes, operation, limit, verdict, words):
    start = time.monotonic()
    row = processes(operation, limit)[0]
    assert (row.verdict, words in row.failure.message) == (verdict, True), row.failure.message
    # A child holds its files open for longer, and much longer does the patience with a case last.
    assert time.monotonic() - start < 50


def test_an_implementation_cannot_read_the_jobs(processes):
    rows = processes("add")
    assert [row.verdict for row in rows] == ["conforms", "conforms"], rows


def test_an_interrupted_run_leaves_no_process(tmp_path):
    text = (
        "import os, pathlib, time\n\n\ndef relu(x):\n    os.fork()\n"
        "    pathlib.Path(f'{os.getpid()}.pid').touch()\n    time.sleep(60)\n"
    )
    (tmp_path / "sleeper.py").write_text(text)
    # A shell that runs the tests in the background has signals ignored.
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from refcnn.cli import main; main()"
    )
    command = [sys.executable, "-c", program, "conform", "--device", "sleeper:", "--operation", "relu"]
    folder = str(Path(child_processes.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as conform:
        wait_until(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
        conform.send_signal(signal.SIGINT)
        assert conform.wait(50) != 0
    wait_until(lambda: not any(is_alive(int(path.stem)) for path in tmp_path.glob("*.pid")))


def is_alive(process):
    """Whether a process runs; one that nobody waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(happened):
    deadline = time.monotonic() + 50
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


IMPORTS = {
    "exits": ("import os; os._exit(0)", "the process ended with exit status 0 while it was started"),
    "interrupts": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "hangs": ("import time; time.sleep(60)", "nothing came for 4 s while it was started"),
    "forks": ("import os; os.fork()", "to import forks, or what ran before it, forks"),
    "patches": ("import numpy as np; np.abs = np.sqrt", "has changed numpy.abs, by which it is judged"),
    "unnamed": ("def __getattr__(name): raise ValueError", "name, version or denormals cannot be read: ValueError"),
}
GOOD = """
import numpy as np
import os
np.seterr(all="raise")
os.chdir("/")
def relu(x): return np.maximum(x, 0)
def negative(x):
    np.absolute = np.sqrt
    return -x
"""


def test_what_an_import_does_is_told_of_it_alone(own_module, monkeypatch, tmp_path):
    """It is imported in its own process, which holds up no other device and no other operation."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(testing, "_START_LIMIT", 4)
    for name, (text, _) in IMPORTS.items():
        own_module(name, text + "\n")
    own_module("good", GOOD)
    options = runner.Options("quick", 10, 1, operations=("negative", "relu"), folder=Path("."))
    *devices, good = runner.run([*(f"{name}:" for name in IMPORTS), "good:"], options).devices
    for device, (_, words) in zip(devices, IMPORTS.values(), strict=True):
        assert words in device.error and not device.rows, device
    rows = {row.name: row for row in good.rows}
    assert rows["relu.forward"].verdict == "conforms", rows["relu.forward"]
    assert rows["negative.forward"].verdict == "failed" and "numpy.absolute" in rows["negative.forward"].failure.message
    assert rows["relu.backward"].verdict == "not offered"

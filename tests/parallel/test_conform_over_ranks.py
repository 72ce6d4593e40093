"""Conformance over ranks: the report is that of one process, whoever runs a row and whenever it ends."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcnn import processes as child_processes
from refcnn.conformance.reports.results import Row
from refcnn.conformance.running import runner, testing
from refcnn.opencl.runtime import finding
from refcnn.opencl.runtime.kernels import kernel_folder

FAULTY = '''
import os

import numpy as np


class Faulty:
    """One of each: what is right, wrong, raises an error, both, ends its process, and is left out."""

    name = "Faulty 1.0"

    def add(self, a, b):
        return a + b

    def relu(self, x):
        return np.maximum(x, 0) * np.float32(1 + 2**-12)

    def relu_backward(self, dy, x):
        return (np.where(x > 0, dy, 0).astype(np.float32),)

    def reshape(self, x, **attributes):
        raise ValueError("reshape was left out")

    def subtract(self, a, b):
        if a.ndim > 1:
            raise ValueError("there is more than one axis")
        return a - b + np.ones(1, a.dtype)

    def where(self, *inputs):
        os._exit(3)


faulty = Faulty()
'''

OPERATIONS = [word for name in ("add", "relu", "reshape", "subtract", "where", "sgd") for word in ("--operation", name)]

PROGRAM = """
import os, signal, sys, time
from refcnn.cli import main
from refcnn.conformance.running import testing
from refcnn.errors import BackendError
from refcnn.parallel import ranks

usual, rank = testing.Rows.run, ranks.started_as()


def run(self, task):
    if task.planned[0] == "relu" and rank == 0 or "hurry" in sys.argv[1]:
        time.sleep(1)
    if rank == 1 and "error" in sys.argv[1]:
        raise BackendError("the device has gone")
    if rank == 1 and "fault" in sys.argv[1]:
        raise ZeroDivisionError("there is nothing to divide by")
    if f"kill {rank}" in sys.argv[1]:
        os.kill(os.getpid(), signal.SIGKILL)
    if "signal" in sys.argv[1]:
        signal.raise_signal(signal.SIGTERM)
    tested = usual(self, task)
    if rank == 1 and "other" in sys.argv[1]:
        tested.description["driver"] = "2"
    return tested


testing.Rows.run = run
main(["conform", "--seed", "3", *sys.argv[2:]])
"""


def without_times(content):
    """Return a report as its JSON has it, but for what differs from run to run."""
    if isinstance(content, dict):
        return {key: without_times(value) for key, value in content.items() if key not in ("seconds", "date")}
    return list(map(without_times, content)) if isinstance(content, list) else content


def files(folder):
    """Return the content of a report's files by their paths; of the report itself what does not differ."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix not in (".html", ".lock"):
            content = path.read_bytes()
            found[str(path.relative_to(folder))] = (
                without_times(json.loads(content)) if path.name == "report.json" else content
            )
    return found


@pytest.fixture
def conform(mpi, program, tmp_path):
    """Return a function that runs conform on several ranks, in the folder that has the faulty implementation."""
    (tmp_path / "implementing.py").write_text(FAULTY)
    path = program(PROGRAM)

    def run(size, how, *arguments, **environment):
        return mpi(size, path, how, *arguments, cwd=tmp_path, PYTHONPATH=search_path(tmp_path), **environment)

    return run


def search_path(folder):
    return os.pathsep.join([child_processes.environment()["PYTHONPATH"], str(folder)])


def test_the_report_is_that_of_one_process(conform, tmp_path):
    devices = [device.name for device in finding.usable() if not device.is_simulator][:1]
    kernels = tmp_path / "kernels"
    shutil.copytree(kernel_folder(), kernels)
    text = (kernels / "relu.cl").read_text()
    assert "x[i] <= 0.0f" in text
    (kernels / "relu.cl").write_text(text.replace("x[i] <= 0.0f", "x[i] <= 1.0f"))
    named = [word for name in ("implementing:faulty", *devices, "reference") for word in ("--device", name)]
    found = {}
    for size in (1, 3):
        folder = tmp_path / f"report {size}"
        ended = conform(
            size, "as it is", *named, *OPERATIONS, "--examples", 4, "--report", folder, REFCNN_KERNELS=str(kernels)
        )
        assert ended.status == 1, ended.err
        text = ended.out.replace(str(folder), "")
        found[size] = re.sub(r" +\d+\.\d$", "", text, flags=re.MULTILINE), files(folder)
        assert sum(text.count(word) for word in (" wrong", " failed", " crashed")) > 4, text
    assert found[3][0] == found[1][0]
    assert found[3][1] == found[1][1]
    rows = found[3][1]["report.json"]["devices"][0]["rows"]
    faults = [
        failure for row in rows for failure in (row["failure"], *row["further"]) if row["operation"] == "subtract"
    ]
    assert {failure["verdict"] for failure in faults if failure} == {"wrong", "failed"}
    rows = {row["operation"]: row["verdict"] for row in found[3][1]["report.json"]["devices"][1]["rows"]}
    assert not devices or (rows["relu"], rows["sgd"]) == ("wrong", "conforms")


def test_it_starts_processes_itself(mpi, tmp_path):
    (tmp_path / "implementing.py").write_text(FAULTY)
    given = ["--seed", "3", "--device", "implementing:faulty", *OPERATIONS[:4], "--examples", "4", "--report"]
    for name, processes in (("one", []), ("two", ["--processes", "2"])):
        ended = subprocess.run(
            [sys.executable, "-P", "-m", "refcnn", "conform", *processes, *given, str(tmp_path / name)],
            cwd=tmp_path,
            timeout=240,
            capture_output=True,
            text=True,
            check=False,
            env=child_processes.environment(),
        )
        assert ended.returncode == 1, ended
    assert files(tmp_path / "two") == files(tmp_path / "one")


@pytest.mark.parametrize(
    ("size", "how", "message"),
    [
        (3, "error", "rank 1: the device has gone"),
        (2, "fault", "rank 1: refcnn failed, which says nothing about the devices: ZeroDivisionError"),
        # Whichever of the others had the first row.
        (3, "other", "reference of rank (?:[02] and of rank 1|1 and of rank [02]) are different"),
        (2, "error hurry", "rank 1: the device has gone"),
    ],
)
def test_an_error_of_a_rank_is_no_verdict_and_shown_once(conform, size, how, message):
    ended = conform(size, how, "--device", "reference", *OPERATIONS, "--examples", 2)
    assert ended.status == 2, ended
    assert len(re.findall(message, ended.out + ended.err)) == 1, ended
    assert "onform." not in ended.out


def test_the_others_do_the_rows_of_a_rank_that_is_lost(conform, ulfm, tmp_path):
    given = "--device", "reference", *OPERATIONS, "--examples", 2, "--report"
    assert conform(1, "as it is", *given, tmp_path / "one").status == 0
    ended = conform(3, "kill 1", *given, tmp_path / "lost")
    assert ended.status == 0, ended
    assert ended.err.count("Warning: rank 1 was lost; the others have done that work") == 1
    assert files(tmp_path / "lost") == files(tmp_path / "one")


def test_the_loss_of_the_first_rank_ends_all(conform):
    ended = conform(3, "kill 0", "--device", "reference", *OPERATIONS, "--examples", 2, limit=60)
    assert ended.status != 0
    assert "onform." not in ended.out


def test_a_signal_that_stops_all_is_told_once(conform):
    ended = conform(2, "signal", "--device", "reference", *OPERATIONS)
    assert ended.status == 128 + signal.SIGTERM, ended
    assert (ended.out + ended.err).count("Stopped") == 1, ended


def test_what_cannot_be_run_is_said_once(conform):
    ended = conform(2, "as it is", "--device", "reference", "--operation", "sorting")
    assert ended.status == 2, ended
    assert (ended.out + ended.err).count("there is no operation 'sorting' to test") == 1, ended


class Told(runner.Progress):
    """Keeps what it is told of each device."""

    def __init__(self):
        self.log = []

    def device_begins(self, specification, rows):
        self.log.append([specification, len(rows)])

    def row_ends(self, row):
        self.log[-1].append(row)

    def device_ends(self, device):
        assert device.specification == self.log[-1][0]


def dealing(run, order):
    """Return what stands for deal: as many ranks as ``order`` has run side by side, of which it says who ends next."""

    def deal(ranks, tasks, work, found):
        under_way, more = [], True
        while more or under_way:
            while more and len(under_way) < len(order):
                task = next(tasks, None)
                more = task is not None
                under_way += [task] if more else []
            if under_way:
                order.append(order.pop(0))
                task = under_way.pop(order[0] % len(under_way))
                found(task, run(task))

    return deal


@given(
    order=st.lists(st.integers(0, 9), min_size=2, max_size=10),
    failing=st.dictionaries(st.integers(0, 1), st.integers(0, 9)),
)
def test_the_order_in_which_rows_end_does_not_matter(order, failing):
    options = runner.Options("quick", 2, 1, operations=("add", "relu", "sgd", "where", "dense"))

    def run(task):
        # From one row on the process of a device cannot be started any more.
        if task.number >= failing.get(task.device, 99):
            return testing.Tested(0, error=f"it ended before row {task.number}")
        return testing.Tested(0, Row(*task.planned, cases=task.number), None, {"name": task.specification})

    found = []
    for turns in ([0], order):
        progress = Told()
        with pytest.MonkeyPatch.context() as context:
            context.setattr(runner, "deal", dealing(run, turns))
            report = runner.run(["reference", "onnxruntime:CPUExecutionProvider"], options, progress)
        found.append(report.devices)
        assert [entry[:2] for entry in progress.log] == [["reference", 9], ["onnxruntime:CPUExecutionProvider", 9]]
        told = [len(set(entry[2:])) for entry in progress.log]
        assert all(number in failing or count == 9 for number, count in enumerate(told)), told
    assert found[0] == found[1]
    assert [device.specification for device in found[0]] == ["reference", "onnxruntime:CPUExecutionProvider"]
    assert [len(device.rows) for device in found[0]] == [min(failing.get(number, 99), 9) for number in (0, 1)]

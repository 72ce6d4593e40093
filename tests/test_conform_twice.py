"""What has other bits when it is computed again is told as that: it conforms to nothing, however right it is once."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from refcnn.backend import find
from refcnn.cli import main
from refcnn.conformance.bundles.case_file import read_case
from refcnn.conformance.judging import judge, repetition
from refcnn.conformance.reports.results import Report
from refcnn.conformance.subjects.backends import BackendSubject
from refcnn.conformance.subjects.base import GARBAGE
from refcnn.conformance.theory.strategies import Case
from refcnn.opencl.runtime import finding
from refcnn.opencl.runtime.kernels import kernel_folder

DIFFERING = """
import itertools

import numpy as np

from refcnn.conformance.running import faults
from refcnn.reference import dense as fully_connected, softmax as normalized

# One of each row will do.
faults.MOST = 1
calls = itertools.count()
pool, last = np.zeros(2**24, np.float32), [0]


class Differing:
    # Within its bound, and another number each second time.
    def softmax(self, x, axis):
        y = normalized.forward(x, axis=axis)[0]
        return np.where((y > 0) & (y < 0.5), y * np.float32(1 + next(calls) % 2 * 2**-23), y)

    # All results lie in one buffer.
    def add(self, a, b):
        y = a + b
        found = pool[: y.size].reshape(y.shape)
        found[...] = y
        return found

    # What is 0 is never set, in memory that was new once.
    def relu(self, x):
        y = pool[: x.size].reshape(x.shape)
        np.copyto(y, x, where=~(x <= 0))
        return y.copy()

    # Right but for every second call.
    def dense(self, x, w, b):
        return fully_connected.forward(x, w, b)[0] + np.float32(next(calls) % 2)

    # What NaN it is that a result holds nobody may rely on.
    def multiply(self, a, b):
        y = a * b
        y[np.isnan(y)] = np.array(0x7FC00000 + next(calls) % 1000, np.uint32).view(np.float32)
        return y

    def subtract(self, a, b):
        return a - b


differing = Differing()
"""


def conform(*arguments):
    return CliRunner().invoke(main, ["conform", *map(str, arguments)])


@pytest.fixture(scope="module")
def names():
    return "softmax", "add", "relu", "dense", "multiply", "subtract"


def rows_of(folder):
    (device,) = Report.load(folder / "report.json").devices
    return {(row.operation, row.direction): row for row in device.rows}


def test_what_differs_from_run_to_run_is_said(own_module, tmp_path, names):
    own_module("differing", DIFFERING)
    asked = [word for name in names for word in ("--operation", name)]
    done = conform("--device", "differing:differing", *asked, "--seed", 1, "--examples", 40, "--report", "report")
    assert done.exit_code == 1, done.output
    rows = rows_of(tmp_path / "report")
    verdicts = {name: rows[name, "forward"].verdict for name in names}
    assert verdicts == {
        "softmax": "not deterministic",
        "add": "not deterministic",
        "relu": "not deterministic",
        "dense": "not deterministic",
        "multiply": "conforms",
        "subtract": "conforms",
    }
    row = rows["softmax", "forward"]
    assert "is not the same when it is computed again" in row.failure.message
    assert "lie in one buffer" in rows["add", "forward"].failure.message
    # Both results are there, and the smallest case that shows it.
    bundle = tmp_path / "report" / row.failure.bundle
    assert read_case(bundle)[3].inputs[0].size <= 4
    with np.load(bundle / "arrays.npz") as arrays:
        first, again = arrays["computed_0"], arrays["again_0"]
    assert (first.shape, first.dtype) == (again.shape, again.dtype)
    assert (first != again).any() and np.allclose(first, again)
    alone = subprocess.run([sys.executable, "repro.py"], cwd=bundle, capture_output=True, text=True, timeout=300)
    assert alone.returncode == 2, alone.stdout
    again = conform("--device", "differing:differing", "--device", "reference", "--repro", bundle)
    assert again.exit_code == 1, again.output
    assert again.output.endswith("Not conforming: differing:differing (softmax.forward).\n")


@pytest.fixture
def device():
    devices = [device for device in finding.usable() if not device.is_simulator]
    if not devices:
        pytest.skip("no OpenCL device was found")
    return devices[0].name


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        # What is not above 0 is never set.
        ("y[i] = x[i] <= 0.0f ? 0.0f : x[i];", "if (!(x[i] <= 0.0f)) y[i] = x[i];"),
        # What was there before counts where it is NaN.
        ("y[i] = x[i] <= 0.0f ? 0.0f : x[i];", "y[i] = x[i] <= 0.0f ? 0.0f : isnan(y[i]) ? 1.0f : x[i];"),
    ],
)
def test_a_kernel_that_reads_what_nobody_wrote(device, tmp_path, monkeypatch, right, wrong):
    shutil.copytree(kernel_folder(), tmp_path / "kernels")
    path = tmp_path / "kernels" / "relu.cl"
    text = path.read_text()
    assert right in text
    path.write_text(text.replace(right, wrong, 1))
    monkeypatch.setenv("REFCNN_KERNELS", str(path.parent))
    report = tmp_path / "report"
    done = conform("--device", device, "--operation", "relu", "--seed", 1, "--examples", 20, "--report", report)
    assert done.exit_code == 1, done.output
    row = rows_of(report)["relu", "forward"]
    assert row.verdict == "not deterministic", done.output
    bundle = report / row.failure.bundle
    assert json.loads((bundle / "launches.json").read_text())["launches"]
    alone = subprocess.run([sys.executable, "repro.py"], cwd=bundle, capture_output=True, text=True, timeout=300)
    assert alone.returncode == 1, alone.stdout
    assert "NOT THE SAME" in alone.stdout


def test_memory_that_is_free_holds_what_it_was_filled_with(device):
    backend = find(device)
    kept = backend.array(np.arange(1000, dtype=np.float32))
    del backend.array(np.ones(5000, np.float32)).device
    backend.device.fill_free_memory(GARBAGE)
    found = backend.to_host(backend.device.empty((4000,)))
    assert (found.view(np.uint32) == np.resize(GARBAGE, 4000)).all()
    np.testing.assert_array_equal(backend.to_host(kept), np.arange(1000))


@pytest.mark.parametrize("size", [4, 400, 1000])
def test_the_host_gives_out_memory_that_holds_garbage(size):
    """NumPy keeps small arrays; of larger ones the system may take the memory back."""
    with BackendSubject("reference").other_memory([size]):
        found = np.empty(size // 4, np.uint32)
    np.testing.assert_array_equal(found, np.resize(GARBAGE, found.size))


def test_a_case_is_computed_twice_only_where_it_is_asked_for():
    calls = []

    class Counting:
        def forward(self, x):
            calls.append(x.copy())
            return x.copy(), None

        def backward(self, *_):
            raise AssertionError

    subject = BackendSubject("reference")
    case = Case((np.array([1.0, 2.0], np.float32),), {})
    judge.check_forward("relu", case, subject, implementation=Counting())
    assert len(calls) == 1
    judge.check_forward("relu", case, subject, implementation=Counting(), twice=True)
    first, *others, again = calls[1:]
    np.testing.assert_array_equal(first, again)
    assert others and all((other != first).any() for other in others)


@pytest.mark.parametrize("again", [np.float32(3), np.zeros((2, 2), np.float32), np.zeros(4), None])
def test_another_kind_of_result_is_another(again):
    first = np.zeros(4, np.float32)
    case, subject = Case((first,), {}), BackendSubject("reference")
    with pytest.raises(repetition.NotDeterministic, match="when it is computed again"):
        repetition.check("relu", ["y"], [first], [first], lambda case: [again], case, subject)

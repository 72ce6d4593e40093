"""The kernels inside Oclgrind, which reports races, uninitialised reads and accesses out of bounds: all fail."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from refcnn.conformance.reports.results import Report
from refcnn.conformance.subjects import oclgrind

CHECKOUT = Path(__file__).parents[1]
LIBRARY = oclgrind.library()
pytestmark = pytest.mark.skipif(LIBRARY is None, reason="Oclgrind is not installed (Debian's package: oclgrind)")


@pytest.fixture
def run(tmp_path):
    """Run a command with Oclgrind as an OpenCL platform; return the process and what Oclgrind reported."""
    inside = oclgrind.environment(tmp_path)
    environment = {**os.environ, **inside, "REFCNN_TEST_DEVICES": "oclgrind", "REFCNN_TEST_SIZE": "tiny"}

    def run(*command):
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=1200, cwd=CHECKOUT)
        return done, oclgrind.Reports(inside).following()

    return run


def passes_inside(run, path, selection):
    """Run a selection of tests inside Oclgrind, which must report nothing."""
    options = ["-q", "-p", "no:cacheprovider", "--hypothesis-profile=simulator", "-k", selection]
    done, report = run(sys.executable, "-m", "pytest", path, *options)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
    assert report == ""


def test_operations(tmp_path):
    """Every operation in one small case a direction: what is long takes minutes in the simulator."""
    command = [sys.executable, "-m", "refcnn", "conform", "--device", "oclgrind", "--examples", "1"]
    done = subprocess.run([*command, "--report", tmp_path / "report"], capture_output=True, text=True, cwd=CHECKOUT)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    (found,) = Report.load(tmp_path / "report" / "report.json").devices
    # Long sums are judged by their probable bounds too.
    judged = [row for row in found.rows if row.operation in ("conv2d", "dense") and "+" not in row.variant]
    assert judged and all(row.random_cases and 0 < row.worst_probable <= 1 for row in judged)


PLANTED = {
    "Invalid read": "y[i] = x[i + 1];",
    "Invalid write": "y[i + 1] = x[i];",
    "race": "y[0] = i;",
    "ninitialized": "if (y[15 - i] > 1.0f) x[i] = 0;",
}


@pytest.mark.parametrize("report", PLANTED)
def test_a_planted_fault_is_reported(run, report):
    """Without this a change in how Oclgrind is asked to look would turn the test above into one that cannot fail."""
    program = f"""
        import numpy as np
        import pyopencl as cl
        platform = next(p for p in cl.get_platforms() if "oclgrind" in p.name.lower())
        context = cl.Context(platform.get_devices())
        queue = cl.CommandQueue(context)
        x = cl.Buffer(context, cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR, hostbuf=np.ones(16, np.float32))
        y = cl.Buffer(context, cl.mem_flags.READ_WRITE, 64)
        source = "__kernel void fault(__global float *x, __global float *y) "
        source += "{{ int i = get_global_id(0); {PLANTED[report]} }}"
        cl.Program(context, source).build().fault(queue, (16,), (1,), x, y)
        queue.finish()
    """
    done, log = run(sys.executable, "-c", textwrap.dedent(program))
    assert done.returncode == 0, done.stderr
    assert report in log

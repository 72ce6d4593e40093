"""The pytest plugin, in processes of its own: what conforms passes, what does not fails with the smallest case."""

import os
import subprocess
import sys
import textwrap
from importlib.metadata import entry_points
from pathlib import Path

IMPLEMENTATION = """
import numpy as np
from refcnn.reference import relu as reference


class Right:
    def relu(self, x):
        return reference.forward(x)[0]


class Wrong:
    def relu(self, x):
        return np.abs(x)


right, wrong = Right(), Wrong()
"""


def run(folder, *arguments):
    (folder / "implementation.py").write_text(textwrap.dedent(IMPLEMENTATION))
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    if not entry_points(group="pytest11", name="refcnn"):
        # On the path, but not installed.
        command += ["-p", "refcnn.conformance.running.pytest_plugin"]
    environment = {**os.environ, "PYTHONPATH": f"{folder}:{Path(__file__).parents[1]}"}
    return subprocess.run(
        [*command, *arguments], cwd=folder, capture_output=True, text=True, env=environment, timeout=300
    )


def test_what_conforms_passes(tmp_path):
    done = run(tmp_path, "--refcnn-device", "implementation:right", "-v")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "refcnn::relu-forward[implementation:right] PASSED" in done.stdout and "1 passed" in done.stdout


def test_what_is_wrong_fails_with_its_smallest_case(tmp_path):
    done = run(tmp_path, "--refcnn-device", "implementation:wrong")
    assert done.returncode == 1 and "1 failed" in done.stdout
    assert (
        "relu.forward(np.array([" in done.stdout and "exact      0.0" in done.stdout and "Traceback" not in done.stdout
    )


def test_an_unknown_device_is_a_usage_error(tmp_path):
    done = run(tmp_path, "--refcnn-device", "nothing")
    assert done.returncode == 4 and "nothing" in done.stderr and "Traceback" not in done.stderr


def test_without_the_option_nothing_is_added(tmp_path):
    assert run(tmp_path).returncode == 5


def test_oclgrind_is_sent_to_the_command(tmp_path):
    done = run(tmp_path, "--refcnn-device", "oclgrind")
    assert done.returncode == 4
    assert "Oclgrind" in done.stderr or "refcnn conform --device oclgrind" in done.stderr

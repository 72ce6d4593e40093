"""Faults planted over ranks: what becomes of each is what becomes of it in one process."""

import json
from pathlib import Path

import pytest

from refcnn.opencl.runtime import finding

TOOL = Path(__file__).parents[2] / "tools" / "mutate_kernels.py"


@pytest.fixture
def mutate(mpi):
    """Return a function that runs the tool on several ranks."""
    devices = [device.name for device in finding.usable() if not device.is_simulator]
    if not devices:
        pytest.skip("no OpenCL device was found")

    def run(size, *arguments):
        return mpi(size, TOOL, "--device", devices[0], "--examples", 4, "--no-oclgrind", *arguments)

    return run


def outcomes(path):
    found = [{**row, "seconds": None} for row in json.loads(path.read_text())]
    return sorted(found, key=str)


def test_outcomes_are_those_of_one_process(mutate, tmp_path):
    found = {}
    for size in (1, 3):
        path = tmp_path / f"{size}.json"
        ended = mutate(size, "--file", "relu", "--file", "where", "--limit", 4, "--json", path)
        # The tables, whose last lines are times.
        tables = [line for line in ended.out.partition("\n\n")[2].splitlines() if " s" not in line]
        found[size] = ended.status, outcomes(path), tables
        assert ended.out.count("relu.cl as it is:") == 1 and "[4/4]" in ended.out, ended
    assert found[3] == found[1]
    assert len(found[1][1]) == 4 and any(row["verdict"] == "killed" for row in found[1][1])


def test_what_fails_without_a_fault_is_said_once(mutate):
    ended = mutate(2, "--file", "relu", "--limit", 2, "--time-limit", 0.1)
    assert ended.status == 2
    assert ended.err.count("mutate_kernels: relu.cl as it is: killed, hung") == 1, ended


def test_unknown_files_are_said_once(mutate):
    ended = mutate(2, "--file", "conv3d")
    assert ended.status == 2
    assert ended.err.count("there is no kernel file conv3d.cl") == 1, ended

"""Ranks that end without a word, or that hang: the others go on, or end and say which it was."""

import re
import time

import pytest

from .. import small_run

KILLED = """
import os, signal, sys
import numpy as np
from refcnn.parallel.alone import LostRankError
from refcnn.parallel.ranks import joined, started_as

victims = dict(map(lambda pair: map(int, pair.split(":")), sys.argv[1:]))
steps, lost = 0, []
with joined() as ranks:
    while steps < 30:
        try:
            if victims.get(started_as()) == steps:
                os.kill(os.getpid(), signal.SIGKILL)
            (total,) = ranks.sum(np.full(1000, 2.0**started_as()))
            steps += 1
        except LostRankError:
            lost += ranks.recover()
            # Some may have had the sum that others have not.
            steps = max(ranks.gather(steps))
    assert ranks.gather(steps) == [steps] * ranks.size
    print(f"[{started_as()} is rank {ranks.rank} of {ranks.size}, without {lost}; {total[0]:g}]\\n", end="", flush=True)
"""

HANGING = """
import time
import numpy as np
from refcnn.parallel import communicator as module
from refcnn.parallel.ranks import joined

module.PATIENCE = 1.0
with joined() as ranks:
    ranks.limit = 1.5
    ranks.sum(np.ones(3))
    if ranks.rank == 1:
        time.sleep(100)
    ranks.sum(np.ones(3))
"""

#: MPI fails in a step on the second rank, though no process is lost.
FAILING = """
import sys
from mpi4py import MPI
from refcnn.cli import main
from refcnn.parallel.communicator import Communicator
from refcnn.parallel.ranks import started_as

usual, calls = Communicator._wait, 0


def fails(*arguments):
    raise MPI.Exception(MPI.ERR_OTHER)


def wait(self, begin, *arguments):
    global calls
    calls += 1
    return usual(self, fails if calls == 60 and started_as() == 1 else begin, *arguments)


Communicator._wait = wait
main(sys.argv[1:])
"""


#: The second rank hangs between a step and what the ranks say to each other after it.
HANGING_AFTER_A_STEP = """
import sys, time
from refcnn.cli import main
from refcnn.parallel import communicator
from refcnn.parallel.ranks import Ranks, started_as

communicator.PATIENCE = 1.0
usual, calls = Ranks.largest, 0


def largest(self, *numbers, **options):
    global calls
    calls += 1
    if calls == CALL and started_as() == 1:
        time.sleep(100)
    return usual(self, *numbers, **options)


Ranks.largest = largest
main(sys.argv[1:])
"""


@pytest.mark.parametrize("call", [7, 8])
def test_a_rank_that_hangs_after_a_step_is_named(mpi, ulfm, program, tmp_path, call):
    """It says whether the time is over, and whether a signal came: one after the other."""
    small_run.write_inputs(tmp_path)
    command = *small_run.TRAIN, "--no-proof", "--time", "10m", "--rank-limit", "2s", "--out", "run"
    ended = mpi(3, program(HANGING_AFTER_A_STEP.replace("CALL", str(call))), *command, cwd=tmp_path, limit=60)
    assert re.findall(r"^Warning: rank (\d): it has not come", ended.err, re.MULTILINE) == ["1"], ended.err
    assert (tmp_path / "run" / "last.npz").exists(), ended


def test_a_failure_of_mpi_without_a_loss_ends_all(mpi, program, tmp_path):
    small_run.write_inputs(tmp_path)
    begun = time.monotonic()
    command = *small_run.TRAIN, "--epochs", "500", "--no-proof", "--out", "failed"
    ended = mpi(3, program(FAILING), *command, cwd=tmp_path, limit=100)
    assert ended.status != 0 and time.monotonic() - begun < 60
    assert len(re.findall("^Error: MPI could not end an exchange", ended.err, re.MULTILINE)) == 1, ended.err
    assert "lost; " not in ended.err and "Traceback" not in ended.err


def test_the_others_go_on_with_new_numbers(mpi, ulfm, program):
    for victims, left in (({2: 10}, (0, 1, 3)), ({0: 0}, (1, 2, 3)), ({0: 5, 1: 5, 3: 20}, (2,))):
        ended = mpi(4, program(KILLED), *(f"{rank}:{step}" for rank, step in victims.items()))
        found = re.findall(r"\[(\d) is rank (\d) of (\d), without \[([\d, ]*)\]; (\d+)\]", ended.out)
        assert sorted(int(entry[0]) for entry in found) == list(left), ended.err
        assert [int(rank) for _, rank, *_ in sorted(found)] == list(range(len(left)))
        for _, _, size, lost, total in found:
            assert int(size) == len(left) and int(total) == sum(2**rank for rank in left)
            assert sorted(map(int, lost.split(", "))) == sorted(victims)


def test_a_rank_that_hangs_is_named_and_ends_all(mpi, program):
    begun = time.monotonic()
    ended = mpi(3, program(HANGING), limit=60)
    assert ended.status != 0 and time.monotonic() - begun < 50
    assert re.findall(r"^Warning: rank (\d): it has not come", ended.err, re.MULTILINE) == ["1"], ended.err

"""What ranks say to each other: the same on all, and an error of one ends all; a process by itself needs no MPI."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcnn import processes
from refcnn.parallel import placing
from refcnn.parallel.alone import Alone, RankError
from refcnn.parallel.ranks import current, joined

EXCHANGES = """
import numpy as np
from refcnn.parallel.ranks import current, joined

with joined() as ranks:
    assert current() is ranks
    assert ranks.gather(("x", ranks.rank)) == [("x", rank) for rank in range(ranks.size)]
    assert ranks.broadcast([ranks.rank] * 3) == [0] * 3
    assert ranks.by_first(lambda: ranks.rank) == 0
    assert ranks.largest(ranks.rank, -ranks.rank, 2**40) == (ranks.size - 1, 0, 2**40)
    rng = np.random.default_rng(5)
    for dtype in ("float32", "float64"):
        for size in [0, 1, 2, 3, 5, *rng.integers(6, 3000, 20)]:
            arrays = rng.normal(size=(ranks.size, size)).astype(dtype)
            expected = arrays[0]
            for array in arrays[1:]:
                expected = expected + array
            (found,) = ranks.sum(arrays[ranks.rank])
            assert found.dtype == dtype and np.array_equal(found, expected)
    assert [array.shape for array in ranks.sum(np.ones((2, 3)), np.ones(4))] == [(2, 3), (4,)]
    assert ranks.host_size == ranks.size and ranks.host_rank == ranks.rank and ranks.host == 0
print(f"rank {ranks.rank} of {ranks.size} is through\\n", end="", flush=True)
"""

FAILING = """
import sys, time
import numpy as np
from refcnn.errors import DataError
from refcnn.parallel import communicator as module
from refcnn.parallel.alone import RankError
from refcnn.parallel.ranks import joined

case, who = sys.argv[1], set(map(int, sys.argv[2].split(",")))
module.PATIENCE = 1.0
try:
    with joined() as ranks:
        ranks.meet()
        if ranks.rank in who:
            if case == "fault":
                1 / 0
            raise DataError("the image is unreadable" if case != "differs" else f"image {ranks.rank} is unreadable")
        if case == "slow":
            time.sleep(200)
        if case != "end":
            ranks.sum(np.zeros(5))
except RankError as error:
    print(f"[{ranks.rank} {error.is_told_here} {error}]\\n", end="", flush=True)
    sys.exit(error.status)
"""


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_all_get_the_same_and_sums_are_added_in_the_order_of_the_ranks(mpi, program, size):
    status, out, err = mpi(size, program(EXCHANGES))
    assert status == 0, err
    assert sorted(out.split("\n")) == ["", *(f"rank {rank} of {size} is through" for rank in range(size))]


@pytest.mark.parametrize("case", ["sum", "end"])
def test_an_error_of_one_rank_is_raised_by_all_with_its_number(mpi, program, case):
    status, out, _ = mpi(3, program(FAILING), case, "1", limit=60)
    assert status == 1
    assert sorted(re.findall(r"\[.*\]", out)) == [
        f"[{rank} {rank == 0} rank 1: the image is unreadable]" for rank in range(3)
    ]


def test_an_error_that_all_have_is_no_ranks(mpi, program):
    _, out, _ = mpi(2, program(FAILING), "sum", "0,1", limit=60)
    assert sorted(re.findall(r"\[.*\]", out)) == [f"[{rank} {rank == 0} the image is unreadable]" for rank in range(2)]


def test_of_several_errors_the_first_ranks_is_raised(mpi, program):
    _, out, _ = mpi(3, program(FAILING), "differs", "1,2", limit=60)
    assert len(re.findall(r"\[\d \w+ rank 1: image 1 is unreadable\]", out)) == 3


def test_where_a_fault_of_the_program_came_from_is_shown(mpi, program):
    _, out, err = mpi(2, program(FAILING), "fault", "1", limit=60)
    assert out.count("rank 1: ZeroDivisionError") == 2
    assert "1 / 0" in err


def test_a_rank_that_does_not_come_is_not_waited_for(mpi, program):
    status, out, err = mpi(2, program(FAILING), "slow", "1", limit=60)
    assert status == 1
    assert out == ""
    assert "Error: rank 1: the image is unreadable" in err


def test_a_process_by_itself_is_alone_and_imports_no_mpi():
    text = "import sys, refcnn.cli, refcnn.parallel.ranks as r\nwith r.joined() as ranks: pass\n"
    text += "print(ranks.size, ranks.gather(3), ranks.by_first(int), 'mpi4py' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", text], env=processes.environment(), capture_output=True, text=True, check=True
    )
    assert found.stdout.split("\n")[0] == "1 [3] 0 False"


def test_the_children_of_a_rank_are_no_ranks(mpi, program):
    text = """
import subprocess, sys
from refcnn.parallel.ranks import is_started_by_mpi, joined
if sys.argv[1:] == ["child"]:
    with joined() as ranks:
        print(ranks.size, is_started_by_mpi())
else:
    with joined() as ranks:
        subprocess.run([sys.executable, __file__, "child"], check=True)
"""
    status, out, err = mpi(2, program(text), limit=60)
    assert status == 0, err
    assert out.split() == ["1", "False"] * 2


def test_without_ranks_an_error_is_as_it_was():
    with pytest.raises(ZeroDivisionError), joined() as ranks:
        assert type(ranks) is Alone and current() is ranks
        _ = 1 / 0


def test_an_error_of_a_rank_is_the_same_after_pickling():
    import pickle

    error = pickle.loads(pickle.dumps(RankError("text", 2, 3, False)))
    assert (str(error), error.rank, error.status, error.is_told_here) == ("rank 2: text", 2, 3, False)


@given(cores=st.lists(st.integers(0, 255), min_size=1, max_size=40, unique=True), size=st.integers(1, 50))
def test_cores_are_shared_fairly(cores, size):
    parts = [placing.part_of(sorted(cores), rank, size) for rank in range(size)]
    counts = np.bincount(np.concatenate(parts), minlength=256)[sorted(cores)]
    assert min(map(len, parts)) >= 1 and max(map(len, parts)) - min(map(len, parts)) <= 1
    assert counts.min() >= (size >= len(cores)) and counts.max() - counts.min() <= 1
    if size <= len(cores):
        assert (counts == 1).all()


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="the system does not say on which cores a process runs"
)
def test_ranks_on_the_same_cores_get_their_own(monkeypatch):
    """Of four on two sockets, two of which another machine has: only those with the same cores divide them."""
    found = [(0, [0, 1, 2, 3]), (0, [4, 5]), (0, [0, 1, 2, 3]), (3, [0, 1, 2, 3]), (3, [7])]
    taken = {}
    for rank, (host, cores) in enumerate(found):
        ranks = Host(rank, len(found))
        ranks.host, ranks.gather = host, lambda value, found=found: found
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: set(cores))
        monkeypatch.setattr(os, "sched_setaffinity", lambda _, cores, rank=rank: taken.update({rank: cores}))
        monkeypatch.setattr(os, "environ", {})
        assert placing.share_cores(ranks) == len(taken[rank])
    assert taken == {0: [0, 1], 1: [4, 5], 2: [2, 3], 3: [0, 1, 2, 3], 4: [7]}


class Host(Alone):
    def __init__(self, host_rank, host_size):
        self.host_rank = self.rank = host_rank
        self.host_size = self.size = host_size


def test_ranks_take_the_devices_that_are_named_in_turn():
    text = "opencl:0:0, opencl:1:0"
    assert [placing.device_of(text, Host(rank, 5)) for rank in range(5)] == [
        f"opencl:{device}:0" for device in (0, 1, 0, 1, 0)
    ]
    assert placing.device_of("reference", Host(1, 2)) == "reference"


def test_more_devices_than_processes_are_refused():
    from refcnn.errors import ArgumentError

    with pytest.raises(ArgumentError, match="2 devices, but there is one process"):
        placing.device_of("opencl:0:0,opencl:1:0", Alone())

"""Tasks that are dealt out to ranks: each is done once, and an error of any rank ends all."""

import re
import time

import pytest

from refcnn.parallel.alone import Alone
from refcnn.parallel.dealing import deal

DEALING = """
import sys, time
from pathlib import Path
import numpy as np
from refcnn.errors import DataError
from refcnn.parallel import communicator as module
from refcnn.parallel.dealing import deal
from refcnn.parallel.alone import RankError
from refcnn.parallel.ranks import joined

case, folder, size = sys.argv[1], Path(sys.argv[0]).parent, 12
found, done = [], []


def tasks():
    yield from range(size)
    if case == "tasks":
        raise DataError("there are no more tasks")


def wait_for(pattern, count):
    while len(list(folder.glob(pattern))) < count:
        time.sleep(0.005)


def work(task):
    (folder / f"{task}.begun").touch()
    # Each rank has one of the first tasks, however busy the machine is.
    wait_for("*.begun", ranks.size if task < ranks.size else 0)
    if case == "all" and task == 0 and ranks.size > 1:
        # It takes longer than all others together.
        wait_for("*.ended", size - 1)
    (folder / f"{task}.ended").touch()
    if case == "work" and ranks.rank == 1 or case == "first" and ranks.is_first:
        raise DataError("the task is unreadable")
    done.append(task)
    # Long enough that no transport sends it before it is asked for.
    return task, ranks.rank, np.full(300_000, task)


def hear(task, result):
    assert ranks.is_first and task == result[0] and (result[2] == task).all()
    found.append(result[:2])
    if case == "hearing":
        raise DataError("the result is unreadable")


try:
    with joined() as ranks:
        deal(ranks, tasks(), work, hear)
        # One after the other, also where there is nothing to do.
        deal(ranks, [], work, hear)
        everything = ranks.gather(done)
    expected = [[task for task, rank in found if rank == one] for one in range(ranks.size)]
    assert everything == expected or not ranks.is_first
    text = sorted(found)
except RankError as error:
    text = f"{error.is_told_here} {error}"
print(f"[{ranks.rank}: {text}]\\n", end="", flush=True)
"""


LOSING = """
import os, signal, sys, time
import numpy as np
from refcnn.parallel.dealing import deal
from refcnn.parallel.ranks import joined, started_as

victims, size = dict(map(lambda pair: map(int, pair.split(":")), sys.argv[1:])), 12
found, done = [], 0


def work(task):
    global done
    done += 1
    if victims.get(started_as()) == done:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(30 if started_as() == 3 and victims.get(0) else 0.02)
    return task, np.full(300_000, task)


def hear(task, result):
    assert task == result[0] and (result[1] == task).all()
    found.append(task)


with joined() as ranks:
    deal(ranks, range(size), work, hear)
    deal(ranks, range(3), lambda task: task, lambda task, result: found.append(size + result))
    assert ranks.gather(1) == [1] * (4 - len(victims))
    if ranks.is_first:
        print(sorted(found), flush=True)
"""


@pytest.mark.parametrize("victims", [{1: 1}, {1: 2, 3: 1}, {1: 1, 2: 1, 3: 2}])
def test_others_do_the_tasks_of_those_that_are_lost(mpi, ulfm, program, victims):
    status, out, err = mpi(4, program(LOSING), *(f"{rank}:{call}" for rank, call in victims.items()), limit=60)
    assert status == 0, err
    assert re.findall(r"\[(.*)\]", out) == [", ".join(map(str, range(15)))]
    (lost,) = re.findall(r"Warning: ranks? (.*) (?:was|were) lost; the others have done that work", err)
    assert lost == ", ".join(map(str, victims))


def test_the_loss_of_the_first_ends_all(mpi, program):
    begun = time.monotonic()
    status, out, err = mpi(4, program(LOSING), "0:2", limit=60)
    # MPICH tells there what it has ended.
    assert status != 0 and not re.search(r"^\[", out, re.MULTILINE)
    # The third would have worked for half a minute.
    assert time.monotonic() - begun < 25
    assert len(re.findall("^Error: rank 0 does not answer", err, re.MULTILINE)) <= 1


@pytest.mark.parametrize("size", [1, 2, 4])
def test_each_task_is_done_once_by_whom_is_free(mpi, program, size):
    status, out, err = mpi(size, program(DEALING), "all", limit=60)
    assert status == 0, err
    (text,) = re.findall(r"\[0: \[(.*)\]\]", out)
    pairs = [tuple(map(int, pair)) for pair in re.findall(r"\((\d+), (\d+)\)", text)]
    assert [task for task, _ in pairs] == list(range(12))
    assert {rank for _, rank in pairs} == set(range(size))
    # Whoever has the long one has no other.
    assert size == 1 or [rank for _, rank in pairs].count(dict(pairs)[0]) == 1


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("work", "rank 1: the task is unreadable"),
        ("first", "rank 0: the task is unreadable"),
        ("hearing", "rank 0: the result is unreadable"),
    ],
)
def test_an_error_ends_all(mpi, program, case, message):
    _, out, err = mpi(3, program(DEALING), case, limit=60)
    assert sorted(re.findall(r"\[.*\]", out)) == [f"[{rank}: {rank == 0} {message}]" for rank in range(3)], err


def test_an_error_between_tasks_ends_all(mpi, program):
    status, out, err = mpi(3, program(DEALING), "tasks", limit=60)
    assert status != 0 or out.count("there are no more tasks") == 3
    assert "there are no more tasks" in out + err


def test_tasks_are_taken_one_by_one_where_a_process_is_alone():
    log = []

    def tasks():
        for task in "ab":
            log.append(f"task {task}")
            yield task

    deal(Alone(), tasks(), str.upper, lambda task, result: log.append(task + result))
    assert log == ["task a", "aA", "task b", "bB"]

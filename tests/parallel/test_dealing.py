"""Tasks that are dealt out to ranks: each is done once, and an error of any rank ends all."""

import re

import pytest

from refcnn.parallel.dealing import deal
from refcnn.parallel.ranks import Alone

DEALING = """
import sys, time
import numpy as np
from refcnn.errors import DataError
from refcnn.parallel import ranks as module
from refcnn.parallel.dealing import deal
from refcnn.parallel.ranks import RankError, joined

case, size = sys.argv[1], 12
found, done = [], []


def tasks():
    yield from range(size)
    if case == "tasks":
        raise DataError("there are no more tasks")


def work(task):
    # The first one takes longer than all others together.
    time.sleep(0.3 if task == 0 else 0.01)
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

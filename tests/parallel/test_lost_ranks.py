"""Ranks that end without a word, or that hang: the others go on, or end and say which it was."""

import re
import time

KILLED = """
import os, signal, sys
import numpy as np
from refcnn.parallel.ranks import LostRankError, joined, started_as

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
from refcnn.parallel import ranks as module
from refcnn.parallel.ranks import joined

module.PATIENCE = 1.0
with joined() as ranks:
    ranks.limit = 1.5
    ranks.sum(np.ones(3))
    if ranks.rank == 1:
        time.sleep(100)
    ranks.sum(np.ones(3))
"""


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

"""What the ranks of MPI say to each other.

Every exchange begins with a meeting, in which each rank says whether an error keeps it from going on, so that none
waits for one that has failed: where one has, all raise :class:`RankError` there. A rank that fails between two
exchanges tells it in :meth:`Ranks.leave`, which meets in the place of the next one. All ranks must meet equally often,
so that what decides about an exchange must be the same for all of them. What is summed aside, while a rank computes,
begins without one: :meth:`Ranks.complete` meets in the end.

What they say is pickled. It comes from the processes of this very run alone, which MPI started, and never from a file.
"""

import contextlib
import itertools
import sys
import traceback
from collections.abc import Iterator
from typing import NoReturn

import numpy as np

from ..errors import RefcnnError
from . import communicator
from .alone import RankError
from .aside import Aside
from .tree_sum import TreeSum, places_of

#: How many numbers a meeting can bring at most.
_MOST_NUMBERS = 7


class Ranks(communicator.Communicator):
    """A rank of MPI, and what it says to the others."""

    def meet(self):
        self._meet()

    def broadcast(self, value):
        self._meet()
        return self._all_of(value if self.is_first else None)[0]

    def gather(self, value):
        self._meet()
        return self._all_of(value)

    def largest(self, *numbers, is_limited=False):
        with self._limited() if is_limited else contextlib.nullcontext():
            return self._meet(numbers)

    def sum(self, *arrays):
        with self._limited():
            self._meet()
            return [self._own.sum(np.ascontiguousarray(array), self._wait) for array in arrays]

    @contextlib.contextmanager
    def aside(self) -> Iterator[Aside]:
        """Give what sums over the ranks while this one computes in the block, at whose end :meth:`complete` is due."""
        self._has_aside = True
        try:
            with Aside(self._apart, self._mpi.Query_thread() >= self._mpi.THREAD_SERIALIZED) as sums:
                yield sums
        finally:
            self._has_aside = False

    def complete(self, sums: Aside, *numbers: int) -> tuple[int, ...]:
        """Meet for :meth:`largest`, and wait until all that was put aside is summed."""
        with self._limited(), sums:
            found = self._meet(numbers)
            self._is_waiting = True
            sums.wait(self._look)
            self._is_waiting = False
        sums.check()
        return found

    def sum_terms(self, count, *sums):
        places = [places_of(*self.cut(count, rank)) for rank in range(self.size)]

        def in_tree(rows):
            total = TreeSum(0, rows.shape[1], rows.dtype)
            for place, row in zip(itertools.chain(*places), rows, strict=True):
                total.add_subtree(*place, row)
            return total.total()

        with self._limited():
            self._meet()
            counts = list(map(len, places))
            return [self._own.added_in_pieces(one.rows, counts, in_tree, self._wait) for one in sums]

    def leave(self, error: BaseException) -> NoReturn:
        """Tell the others why this rank cannot go on, in the place of what they wait for, and raise what they do.

        What they all know of already is raised as it is.

        Where they do not come within :data:`refcnn.parallel.communicator.PATIENCE`, as in a step that takes longer, it
        is shown here, and MPI ends all ranks at once.
        """
        if self._has_ended:
            raise error
        if isinstance(error, KeyboardInterrupt) and self._is_waiting:
            # The signal goes to all ranks, and no exchange can follow one that was left.
            raise error if self.is_first else SystemExit(status_of(error))
        if not isinstance(error, (RefcnnError, KeyboardInterrupt, SystemExit)) and not _is_of_click(error):
            # A fault of the program: where it came from is known here alone.
            traceback.print_exception(error)
        with contextlib.suppress(TimeoutError):
            if not self._is_waiting:
                self._patience = communicator.PATIENCE
                self._meet(error=error)
        print(f"Error: {RankError(_text(error), self.rank)}", file=sys.stderr, flush=True)
        self._communicator.Abort(status_of(error))
        raise AssertionError("MPI's Abort ends the process")

    def _meet(self, numbers=(), error=None):
        """Return of each number the largest; RankError where a rank came with an error."""
        given = np.zeros(1 + _MOST_NUMBERS, np.int64)
        given[0], given[1 : 1 + len(numbers)] = error is not None, numbers
        found = np.empty_like(given)
        self._wait(self._communicator.Iallreduce, given, found, self._mpi.MAX)
        if found[0]:
            self._has_ended = True
            told = self._all_of(None if error is None else (_text(error), status_of(error)))
            rank, (text, status) = next((rank, said) for rank, said in enumerate(told) if said is not None)
            if text is None:
                raise SystemExit(status) from error
            is_common = all(said == (text, status) for said in told)
            raise RankError(text, None if is_common else rank, status, self.is_first) from error
        return tuple(map(int, found[1 : 1 + len(numbers)]))

    def _all_of(self, value):
        """Return what each rank gives, after a meeting."""
        content = np.frombuffer(self._mpi.pickle.dumps(value), np.uint8)
        sizes = np.empty(self.size, np.int64)
        self._wait(self._communicator.Iallgather, np.array([content.size], np.int64), sizes)
        ends = np.cumsum(sizes)
        joined = np.empty(ends[-1], np.uint8)
        self._wait(self._communicator.Iallgatherv, content, [joined, (sizes, ends - sizes), self._mpi.BYTE])
        return [self._mpi.pickle.loads(joined[end - size : end]) for size, end in zip(sizes, ends, strict=True)]


def _text(error):
    """Return what to say of an error, in one form for those of refcnn, of click and of Python; None of a mere end."""
    if isinstance(error, SystemExit):
        return None
    if isinstance(error, KeyboardInterrupt):
        return str(error) or "Stopped."
    say = getattr(error, "format_message", error.__str__)
    return say() if isinstance(error, RefcnnError) or _is_of_click(error) else f"{type(error).__name__}: {error}"


def status_of(error):
    """Return the exit status that tells of an error."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    return getattr(error, "status", getattr(error, "exit_code", 1))


def _is_of_click(error):
    return hasattr(error, "format_message")

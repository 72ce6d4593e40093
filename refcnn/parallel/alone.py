"""Who works together: one process by itself, what it would say to others, and the errors of several."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ..errors import RefcnnError
from .tree_sum import TreeSum

Result = TypeVar("Result")


class RankError(RefcnnError, RuntimeError):
    """An error of any rank, as all ranks raise it.

    Attributes
    ----------
    rank : int or None
        Whose it was, of several the first; None where all had the same.
    status : int
        The exit status that tells of it.
    is_told_here : bool
        Whether this rank is the one to show it.
    """

    def __init__(self, message, rank, status=1, is_told_here=True):
        # All, since what is pickled, as between processes, is made again of these.
        super().__init__(message, rank, status, is_told_here)
        self.rank, self.status, self.is_told_here = rank, status, is_told_here

    def __str__(self):
        return self.args[0] if self.rank is None else f"rank {self.rank}: {self.args[0]}"


class LostRankError(RefcnnError, RuntimeError):
    """Another rank has ended without a word, as by SIGKILL: what was being exchanged is not known to all.

    It does not come to an end so where MPI can go on without it (ULFM): see :meth:`Ranks.recover`.
    """


def lost_text(lost):
    """Return that ranks were lost, given their numbers."""
    return f"rank {lost[0]} was lost" if len(lost) == 1 else f"ranks {', '.join(map(str, lost))} were lost"


class Alone:
    """A process that works by itself: all exchanges give what it says, at no cost.

    Attributes
    ----------
    rank, size : int
        The number of this rank, from 0, and how many there are.
    host_rank, host_size : int
        The same among the ranks on this host.
    host : int
        The lowest of the ranks on this host, by which hosts are told apart.
    reserves : refcnn.parallel.reserves.Reserves or None
        The processes that can take the places of ranks that are lost.
    is_first : bool
        Whether it is rank 0, which alone writes, draws and prints.
    """

    rank, size, host_rank, host_size, host = 0, 1, 0, 1, 0
    reserves: Any = None

    @property
    def is_in_reserve(self) -> bool:
        """Whether this process is no rank, but may become one."""
        return False

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def cut(self, count: int, rank: int | None = None) -> tuple[int, int]:
        """Return the first of this rank's part of so many things, and the first after it: lower ranks have one more.

        Or that of another rank.
        """
        rank = self.rank if rank is None else rank
        return -(-rank * count // self.size), -(-(rank + 1) * count // self.size)

    def meet(self) -> None:
        """Wait for all ranks; RankError where one has failed."""

    def broadcast(self, value: Any) -> Any:
        """Return what rank 0 gives; any object that can be pickled."""
        return value

    def gather(self, value: Any) -> list:
        """Return what each rank gives, in their order; any objects that can be pickled."""
        return [value]

    def largest(self, *numbers: int, is_limited: bool = False) -> tuple[int, ...]:
        """Return of each of several whole numbers the largest that a rank gives.

        Where it is limited, a rank that does not come is given up as in a sum.
        """
        return numbers

    def by_first(self, function: Callable[..., Result], *arguments: Any, **keywords: Any) -> Result:
        """Return what a function gives on rank 0, which alone calls it; it can be pickled."""
        return self.broadcast(function(*arguments, **keywords) if self.is_first else None)

    def recover(self) -> list[int]:
        """Go on without the ranks that were lost, and return as which those were started."""
        return []

    def sum(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """Return the sum of each of the ranks' arrays, of one shape and dtype: the same bits on all.

        They are added in the order of the ranks.
        """
        return list(arrays)

    def sum_terms(self, count: int, *sums: TreeSum) -> list[np.ndarray]:
        """Return the sums of so many numbered terms each, to which every rank has added those of its :meth:`cut`.

        They have the same bits on all, and on any number of ranks.
        """
        return [one.total() for one in sums]


ALONE = Alone()

"""Dealing tasks that have nothing to do with each other out to the ranks, on demand."""

import collections
import contextlib
import itertools
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from . import communicator
from .alone import Alone, LostRankError, lost_text

#: Seconds between two looks at what other ranks say: a task takes far longer.
_PAUSE = 0.002
#: Seconds in which a rank can end all others.
_TURN = 0.2
#: What a rank says in place of a result before its first task, and where an error ends its work.
_READY, _FAILED = "ready", "failed"


def deal(
    ranks: Alone,
    tasks: Iterable[Any],
    work: Callable[[Any], Any],
    found: Callable[[Any, Any], None] = lambda task, result: None,
) -> None:
    """Have tasks done, each by the next rank that has nothing to do. All ranks must call it.

    Where MPI goes on without a rank that is lost, another does its task; but where the first is lost, all end.

    Parameters
    ----------
    ranks : Ranks or Alone
    tasks : iterable
        Any objects that can be pickled. Those of the first rank count; each is taken when it is dealt, which may be in
        another thread.
    work : callable
        Is given a task, and returns any object that can be pickled; on every rank in the main thread.
    found : callable, optional
        Is given a task and what came of it, on the first rank alone, in the order in which they come.

    Raises
    ------
    RankError
        If a rank fails, on all of them.
    """
    if ranks.size == 1:
        for task in tasks:
            found(task, work(task))
    elif ranks.is_first:
        _Dealer(ranks, tasks).run(work, found)
    else:
        _serve(ranks, work)
    try:
        ranks.meet()
    except LostRankError:
        lost = ranks.recover()
        if ranks.is_first:
            print(f"Warning: {lost_text(lost)}; the others have done that work.", file=sys.stderr, flush=True)
        ranks.meet()


def _serve(ranks, work):
    """Do what the first rank asks for, until there is no more."""
    said = _READY, None
    try:
        while True:
            ranks.tell(0, said)
            while not (heard := ranks.hear(0)):
                time.sleep(_PAUSE)
            if not heard[0]:
                return
            said = "done", work(*heard[0])
    except LostRankError as error:
        if not ranks.is_lost(0):
            # Others know already that there is no more, and that another rank was lost.
            return
        # Others may be at work for long. One says it: each waits for those before it to do so.
        time.sleep(_TURN * (ranks.rank - 1))
        ranks.end_all(LostRankError(f"rank 0 does not answer, which alone has what was found: {error}"))
    except BaseException:
        ranks.tell(0, (_FAILED, None))
        raise


class _Dealer:
    """The first rank: a thread deals to the others, while the main thread has its own share of the tasks."""

    def __init__(self, ranks, tasks):
        self._ranks, self._tasks, self._lock = ranks, iter(tasks), threading.Lock()
        self._results, self._returned = queue.SimpleQueue(), collections.deque()
        # What each rank works at, and those that have nothing to do.
        self._given, self._idle = {}, set()
        # Since when no more is dealt.
        self._ended = None

    def run(self, work, found):
        # Daemonic, lest a rank that is killed holds up the end of this process.
        thread = threading.Thread(target=self._deal, daemon=True)
        thread.start()
        try:
            while True:
                # Asked first: what it gives back of a rank that was lost comes before its end.
                is_over = not thread.is_alive()
                if task := self._next():
                    found(*task, work(*task))
                    self._tell(found)
                elif is_over:
                    break
                else:
                    self._tell(found, _PAUSE)
                    if self._ended is not None:
                        return
            self._tell(found)
        finally:
            self._end()

    def _tell(self, found, patience=0.0):
        """Tell what the thread has heard; raise what went wrong in it."""
        while True:
            try:
                said = self._results.get(timeout=patience) if patience else self._results.get_nowait()
            except queue.Empty:
                return
            if isinstance(said, BaseException):
                raise said
            found(*said)

    def _end(self):
        with self._lock:
            self._ended = self._ended or time.monotonic()

    def _next(self):
        """Return the next task in a tuple, an empty one where there is none."""
        with self._lock:
            if self._ended is not None:
                return ()
            return self._returned.popleft() if self._returned else tuple(itertools.islice(self._tasks, 1))

    def _deal(self):
        try:
            at_work = list(range(1, self._ranks.size))
            while at_work and (self._ended is None or time.monotonic() - self._ended < communicator.PATIENCE):
                at_work = [rank for rank in at_work if self._goes_on(rank)]
                if self._idle.issuperset(at_work):
                    # Not before: those that know of the end of it let the others know of the loss of a rank.
                    for rank in at_work:
                        with contextlib.suppress(LostRankError):
                            self._ranks.tell(rank, ())
                    return
                time.sleep(_PAUSE)
        except BaseException as error:
            self._results.put(error)

    def _goes_on(self, rank):
        """Answer a rank, if it has said something, and return whether it will say more."""
        try:
            return self._answers(rank)
        except LostRankError:
            if rank in self._given:
                self._returned.append(self._given[rank])
            self._idle.discard(rank)
            return False

    def _answers(self, rank):
        if heard := self._ranks.hear(rank):
            how, result = heard[0]
            if how == _FAILED:
                # It comes to the next meeting with its error: nobody shall keep it waiting.
                self._end()
                return False
            if how != _READY:
                self._results.put((*self._given.pop(rank), result))
            self._idle.add(rank)
        if rank in self._idle and (task := self._next()):
            self._idle.remove(rank)
            self._given[rank] = task
            self._ranks.tell(rank, task)
        return True

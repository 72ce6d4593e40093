"""The processes that MPI started together, the ranks: who they are, and all that they say to each other.

A process is a rank where ``mpiexec`` has set its environment; only then :mod:`mpi4py` is imported. All other code asks
:func:`current`, which is :class:`Alone` but within ``with joined():``.

Every exchange begins with a meeting, in which each rank says whether an error keeps it from going on, so that none
waits for one that has failed: where one has, all raise :class:`RankError` there. A rank that fails between two
exchanges tells it in :func:`joined`, which meets in the place of the next one. All ranks must meet equally often, so
that what decides about an exchange must be the same for all of them.

What they say is pickled. It comes from the processes of this very run alone, which MPI started, and never from a file.
"""

import atexit
import contextlib
import contextvars
import itertools
import math
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeVar

import numpy as np

from ..errors import ArgumentError, RefcnnError
from ..mode import setting
from .tree_sum import TreeSum, places_of

Result = TypeVar("Result")

#: What the starters of MPI programs tell a rank of the number of all: Open MPI, then the others.
_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
#: And of its own.
_RANKS = ("OMPI_COMM_WORLD_RANK", "PMI_RANK")
#: Set by a rank to the number of its process, since its children have its environment and are no ranks.
_OWNER = "REFCNN_RANK_PROCESS"
#: Seconds for which a rank that failed waits for the others to meet, before it ends them all.
PATIENCE = 5.0
#: Seconds after which a rank that has not come to a sum is given up, and for which a rank waits before it looks whether
#: another does so.
LIMIT, _ASK_AFTER = 1800.0, 1.0
#: What tells messages apart: what one rank tells another, and that one waits for too long.
_TOLD, _LATE = 0, 1
#: Seconds for which a rank that waits looks without a pause, and the shortest and the longest pauses after that.
_EAGER, _SHORTEST, _LONGEST = 0.002, 0.0001, 0.01
#: How many numbers a meeting can bring at most.
_MOST_NUMBERS = 7
INSTALL_ADVICE = 'Install it with pip install "refcnn[mpi]".'


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
    is_first : bool
        Whether it is rank 0, which alone writes, draws and prints.
    """

    rank, size, host_rank, host_size, host = 0, 1, 0, 1, 0

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

    def largest(self, *numbers: int) -> tuple[int, ...]:
        """Return of each of several whole numbers the largest that a rank gives."""
        return numbers

    def by_first(self, function: Callable[..., Result], *arguments: Any, **keywords: Any) -> Result:
        """Return what a function gives on rank 0, which alone calls it; it can be pickled."""
        return self.broadcast(function(*arguments, **keywords) if self.is_first else None)

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


class Ranks(Alone):
    """A rank of MPI, and what it says to the others.

    Parameters
    ----------
    communicator : mpi4py.MPI.Comm

    Attributes
    ----------
    limit : float
        Seconds after which a rank that has not come to a sum is ended, and all are where it runs on another machine.
    """

    def __init__(self, communicator):
        from mpi4py import MPI

        self._mpi, self._is_waiting, self._has_ended = MPI, False, False
        self._patience, self.limit, self._told = math.inf, LIMIT, []
        self._join(communicator)

    def _join(self, communicator):
        self._communicator = communicator
        # Told by exceptions: MPI's own way is to end the process.
        communicator.Set_errhandler(self._mpi.ERRORS_RETURN)
        self.rank, self.size = communicator.Get_rank(), communicator.Get_size()
        host = communicator.Split_type(self._mpi.COMM_TYPE_SHARED)
        self.host_rank, self.host_size = host.Get_rank(), host.Get_size()
        self.host = host.allreduce(self.rank, self._mpi.MIN)
        host.Free()
        # Where each runs, and as which process there.
        self._processes = communicator.allgather((self.host, os.getpid()))

    def __repr__(self):
        return f"<rank {self.rank} of {self.size}>"

    def meet(self):
        self._meet()

    def broadcast(self, value):
        self._meet()
        return self._all_of(value if self.is_first else None)[0]

    def gather(self, value):
        self._meet()
        return self._all_of(value)

    def largest(self, *numbers):
        return self._meet(numbers)

    def sum(self, *arrays):
        with self._limited():
            self._meet()
            return [self._sum(np.ascontiguousarray(array)) for array in arrays]

    @contextlib.contextmanager
    def _limited(self):
        """End those that have not come to what is exchanged in the block before the limit."""
        try:
            self._patience = self.limit
            yield
            return
        except TimeoutError:
            missing = self._missing()
        finally:
            self._patience = math.inf
        raise self._ended(missing)

    def _missing(self):
        """Return the ranks that do not answer within :data:`PATIENCE` that they wait as well."""
        ranks = [rank for rank in range(self.size) if rank != self.rank]
        with self._watched():
            said = [self._communicator.Isend([b"", self._mpi.BYTE], rank, _LATE) for rank in ranks]
            awaited = {rank: self._communicator.Irecv([bytearray(1), self._mpi.BYTE], rank, _LATE) for rank in ranks}
            begun = time.monotonic()
            while awaited and time.monotonic() - begun < PATIENCE:
                awaited = {rank: request for rank, request in awaited.items() if not request.Test()}
                time.sleep(_LONGEST)
            self._mpi.Request.Testall(said)
        return sorted(awaited)

    def _ended(self, missing):
        """End the ranks that are missing, and return that they are lost; all are ended where that cannot be done."""
        text = f"it has not come for {self.limit:g} s to a sum of gradients for which the others wait"
        is_here = missing and all(self._processes[rank][0] == self.host for rank in missing)
        if min({*range(self.size)} - {*missing}) == self.rank:
            error, how = RankError(text, missing[0] if missing else None), "Warning" if is_here else "Error"
            print(f"{how}: {error}; --rank-limit gives more time.", file=sys.stderr, flush=True)
        elif not is_here:
            # The first of those that wait ends this one too.
            time.sleep(2 * PATIENCE)
        if not is_here:
            self._communicator.Abort(1)
        for rank in missing:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._processes[rank][1], signal.SIGKILL)
        self._is_waiting = False
        return LostRankError(text)

    def recover(self):
        """Go on without the ranks that were lost, with new numbers in the same order; return as which those started.

        All that are left must call it, after :class:`LostRankError`; what they did before it may not be the same.

        Raises
        ------
        LostRankError
            If MPI cannot go on, or no rank was lost, so that it is MPI that failed; or if another rank is lost
            meanwhile, after which it can be called again.
        """
        former, _exits["are_clean"] = self._communicator, False
        with self._watched():
            former.Revoke()
            communicator = former.Shrink()
            lost = self._started_as(former) - self._started_as(communicator)
            self._is_waiting = False
            self._join(communicator)
        if not lost:
            raise LostRankError("MPI could not end an exchange, though no process was lost")
        return sorted(lost)

    def _started_as(self, communicator):
        """Return as which ranks those of a communicator were started."""
        group, world = communicator.Get_group(), self._mpi.COMM_WORLD.Get_group()
        return set(self._mpi.Group.Translate_ranks(group, range(group.Get_size()), world))

    def sum_terms(self, count, *sums):
        places = [places_of(*self.cut(count, rank)) for rank in range(self.size)]

        def in_tree(rows):
            total = TreeSum(0, rows.shape[1], rows.dtype)
            for place, row in zip(itertools.chain(*places), rows, strict=True):
                total.add_subtree(*place, row)
            return total.total()

        with self._limited():
            self._meet()
            return [self._added_in_pieces(one.rows, list(map(len, places)), in_tree) for one in sums]

    def tell(self, rank: int, value: Any) -> None:
        """Send a rank an object that can be pickled, and do not wait until it hears it."""
        with self._watched():
            self._told = [request for request in self._told if not request.test()[0]]
            self._told.append(self._communicator.isend(value, rank, _TOLD))

    def hear(self, rank: int) -> tuple[Any, ...]:
        """Return in a tuple the next object that a rank has told this one; an empty one if there is none yet."""
        with self._watched():
            message = self._communicator.improbe(rank, _TOLD)
            return () if message is None else (message.recv(),)

    def leave(self, error: BaseException) -> NoReturn:
        """Tell the others why this rank cannot go on, in the place of what they wait for, and raise what they do.

        What they all know of already is raised as it is.

        Where they do not come within :data:`PATIENCE`, as in a step that takes longer, it is shown here, and MPI ends
        all ranks at once.
        """
        if self._has_ended:
            raise error
        if isinstance(error, KeyboardInterrupt) and self._is_waiting:
            # The signal goes to all ranks, and no exchange can follow one that was left.
            raise error if self.is_first else SystemExit(_status(error))
        if not isinstance(error, (RefcnnError, KeyboardInterrupt, SystemExit)) and not _is_of_click(error):
            # A fault of the program: where it came from is known here alone.
            traceback.print_exception(error)
        with contextlib.suppress(TimeoutError):
            if not self._is_waiting:
                self._patience = PATIENCE
                self._meet(error=error)
        print(f"Error: {RankError(_text(error), self.rank)}", file=sys.stderr, flush=True)
        self._communicator.Abort(_status(error))
        raise AssertionError("MPI's Abort ends the process")

    def _meet(self, numbers=(), error=None):
        """Return of each number the largest; RankError where a rank came with an error."""
        given = np.zeros(1 + _MOST_NUMBERS, np.int64)
        given[0], given[1 : 1 + len(numbers)] = error is not None, numbers
        found = np.empty_like(given)
        self._wait(self._communicator.Iallreduce, given, found, self._mpi.MAX)
        if found[0]:
            self._has_ended = True
            told = self._all_of(None if error is None else (_text(error), _status(error)))
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

    def _sum(self, array):
        total = self._added_in_pieces(array.reshape(1, -1), [1] * self.size, _in_their_order)
        return total.reshape(array.shape)

    def _added_in_pieces(self, rows, counts, add):
        """Return what a function makes of all ranks' rows, column by column: no bit depends on MPI.

        Each rank adds one piece of all of them, and all get it from there.

        Parameters
        ----------
        rows : ndarray
            This rank's, (rows, columns).
        counts : list of int
            How many each rank has.
        add : callable
            Returns of all the rows of some columns their sum.
        """
        columns = rows.shape[1]
        ends = np.arange(1, self.size + 1) * columns // self.size
        firsts = np.concatenate([[0], ends[:-1]])
        sizes, own = ends - firsts, int(ends[self.rank] - firsts[self.rank])
        kind = self._mpi.Datatype.fromcode(rows.dtype.char)
        # What goes to a rank lies together.
        flat = np.concatenate([rows[:, first:end].reshape(-1) for first, end in zip(firsts, ends, strict=True)])
        pieces = np.empty((sum(counts), own), rows.dtype)
        sent = [flat, (len(rows) * sizes, len(rows) * firsts), kind]
        received = [pieces, (np.array(counts) * own, (np.cumsum(counts) - counts) * own), kind]
        self._wait(self._communicator.Ialltoallv, sent, received)
        total = np.empty(columns, rows.dtype)
        self._wait(self._communicator.Iallgatherv, [add(pieces), kind], [total, (sizes, firsts), kind])
        return total

    def _wait(self, begin, *arguments):
        """Wait for an exchange, and leave the processor to others meanwhile, which may be what it is waited for."""
        begun, pause, self._is_waiting = time.monotonic(), _SHORTEST, True
        with self._watched():
            request = begin(*arguments)
            while not request.Test():
                waited = time.monotonic() - begun
                if waited > self._patience or (waited > _ASK_AFTER and self._communicator.Iprobe(tag=_LATE)):
                    raise TimeoutError
                if waited < _EAGER:
                    _yield()
                else:
                    time.sleep(pause)
                    pause = min(1.5 * pause, _LONGEST)
        self._is_waiting = False

    @contextlib.contextmanager
    def _watched(self):
        """Raise LostRankError where MPI says that a rank has failed, or that another rank was told so."""
        try:
            yield
        except (self._mpi.Exception, NotImplementedError) as error:
            # A loss may come as MPI_ERR_OTHER, too: recover() finds whether it was one. NotImplementedError is mpi4py's
            # where MPI has nothing of ULFM.
            raise LostRankError(
                f"MPI could not end an exchange, as where a process has ended without a word ({error}). Look for what "
                "has ended it, such as too little memory. Under Open MPI's mpiexec --with-ft ulfm a training goes on "
                "without it once it has begun; else it goes on by --resume."
            ) from error


def _in_their_order(rows):
    total = rows[0]
    with np.errstate(all="ignore"):
        for row in rows[1:]:
            total = total + row
    return total


def _yield():
    # Python's shortest sleep takes 50 us.
    os.sched_yield() if hasattr(os, "sched_yield") else time.sleep(0)


def _text(error):
    """Return what to say of an error, in one form for those of refcnn, of click and of Python; None of a mere end."""
    if isinstance(error, SystemExit):
        return None
    if isinstance(error, KeyboardInterrupt):
        return str(error) or "Stopped."
    say = getattr(error, "format_message", error.__str__)
    return say() if isinstance(error, RefcnnError) or _is_of_click(error) else f"{type(error).__name__}: {error}"


def _status(error):
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    return getattr(error, "status", getattr(error, "exit_code", 1))


def _is_of_click(error):
    return hasattr(error, "format_message")


ALONE = Alone()
_current: contextvars.ContextVar = contextvars.ContextVar("refcnn ranks", default=ALONE)


def current() -> Alone:
    """Return the ranks among which this process works, within :func:`joined`, else that it works alone."""
    return _current.get()


def is_started_by_mpi() -> bool:
    """Return whether a starter of MPI programs, such as mpiexec, started this very process."""
    return any(name in os.environ for name in _SIZES) and os.environ.get(_OWNER, str(os.getpid())) == str(os.getpid())


def started_as() -> int:
    """Return the number of the rank as which this process was started."""
    return next((int(os.environ[name]) for name in _RANKS if name in os.environ), 0)


@contextlib.contextmanager
def joined() -> Iterator[Alone]:
    """Work among the ranks within the block, and give them; alone, where MPI has not started this process.

    At the end of the block each waits for the others. Where one leaves it by SystemExit, all do.

    Raises
    ------
    RankError
        For an error of any rank, on all of them.
    ArgumentError
        If mpi4py cannot be imported.
    """
    if current().size > 1 or not is_started_by_mpi():
        yield current()
        return
    ranks = _world()
    if ranks.size == 1:
        yield current()
        return
    with setting(_current, ranks):
        try:
            yield ranks
            ranks.meet()
        except LostRankError as error:
            raise _as_all(ranks, error) from error
        except BaseException as error:
            ranks.leave(error)


def _as_all(ranks, error):
    """Return a loss after which the ranks do not go on, as all that are left raise it."""
    try:
        lost = ranks.recover()
    except LostRankError:
        return RankError(str(error), None, is_told_here=ranks.is_first)
    return RankError(str(error), lost[0] if lost else None, is_told_here=ranks.is_first)


#: Whether no rank was lost so far: MPI's own end would wait for it, and so for ever. And whether it is called.
_exits = {"are_clean": True, "are_watched": False}


def _finalize():
    from mpi4py import MPI

    if _exits["are_clean"]:
        MPI.Finalize()


def _world():
    try:
        import mpi4py

        mpi4py.rc.finalize = False
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise ArgumentError(
            f"this process was started by MPI, but mpi4py cannot be imported ({error}). {INSTALL_ADVICE}"
        ) from error
    if not _exits["are_watched"]:
        atexit.register(_finalize)
        _exits["are_watched"] = True
    os.environ[_OWNER] = str(os.getpid())
    return Ranks(MPI.COMM_WORLD)

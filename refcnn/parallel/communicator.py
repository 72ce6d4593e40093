"""What a rank waits on: MPI's communicator, on which none waits for ever, and which goes on without those lost."""

import contextlib
import math
import os
import signal
import sys
import threading
import time
from typing import Any

from . import reserves
from .alone import Alone, LostRankError, RankError
from .channel import LONGEST, Channel, watched

#: Seconds for which a rank that failed waits for the others to meet, before it ends them all.
PATIENCE = 5.0
#: Seconds after which a rank that has not come to a sum is given up, and for which a rank waits before it looks whether
#: another does so.
LIMIT, _ASK_AFTER = 1800.0, 1.0
#: What tells messages apart: what one rank tells another, and that one waits for too long.
_TOLD, _LATE = 0, 1


class Communicator(Alone):
    """A rank of MPI: it waits for what is exchanged with the others, and goes on without those that are lost.

    Parameters
    ----------
    communicator : mpi4py.MPI.Comm
    in_reserve : refcnn.parallel.reserves.Reserves, optional

    Attributes
    ----------
    limit : float
        Seconds after which a rank that has not come to a sum is ended, and all are where it runs on another machine.
    is_whole : bool
        Whether this process has lost no rank so far: else MPI's own end would wait for it, and so for ever.
    """

    is_whole = True

    @property
    def is_in_reserve(self):
        return self.reserves is not None and self.reserves.is_own

    def __init__(self, communicator, in_reserve=None):
        from mpi4py import MPI

        self.reserves = in_reserve
        self._mpi, self._is_waiting, self._has_ended = MPI, False, False
        self._lock, self._has_aside = threading.Lock(), False
        self._patience, self.limit, self._told = math.inf, LIMIT, {}
        self._join(communicator)

    def _join(self, communicator):
        self._communicator = communicator
        # Told by exceptions: MPI's own way is to end the process.
        communicator.Set_errhandler(self._mpi.ERRORS_RETURN)
        self._own = Channel(self._mpi, communicator, self._lock)
        self.rank, self.size = communicator.Get_rank(), communicator.Get_size()
        host = communicator.Split_type(self._mpi.COMM_TYPE_SHARED)
        self.host_rank, self.host_size = host.Get_rank(), host.Get_size()
        self.host = host.allreduce(self.rank, self._mpi.MIN)
        host.Free()
        # For what is summed while this rank computes; it has the error handler too.
        apart = communicator.Dup()
        # Where each runs, and as which process there.
        self._processes = communicator.allgather((self.host, os.getpid()))
        # Not before all have made it: Open MPI 5.0 crashes where another revokes what a process is still making.
        self._apart = Channel(self._mpi, apart, self._lock)

    def __repr__(self):
        return f"<rank {self.rank} of {self.size}>"

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
                time.sleep(LONGEST)
            self._mpi.Request.Testall(said)
        return sorted(awaited)

    def _ended(self, missing):
        """End the ranks that are missing, and return that they are lost; all are ended where that cannot be done."""
        text = f"it has not come for {self.limit:g} s to what the others wait for"
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
        former, Communicator.is_whole = self._communicator, False
        if not reserves.are_possible():
            # Others that wait are ended with this one.
            raise LostRankError(
                "MPI could not end an exchange, as where a process has ended without a word, and this MPI cannot go on "
                "after that. Look for what has ended it, such as too little memory; a training goes on by --resume."
            )
        with self._watched():
            self._own.revoke()
            self._apart.revoke()
            communicator = former.Shrink()
            lost = self._started_as(former) - self._started_as(communicator)
            self._is_waiting = False
            self._join(communicator)
        if not lost:
            raise LostRankError("MPI could not end an exchange, though no process was lost")
        return sorted(lost)

    def enlarge(self):
        """Go on together with the processes in reserve that are ready, which get the last numbers; all must call it.

        Raises
        ------
        LostRankError
            If a rank is lost meanwhile. Then all must :meth:`recover`.
        """
        with self._watched():
            # Either all go on from here or none.
            self._communicator.Agree(1)
            Communicator.is_whole = False
            self._join(self.reserves.invite(self.rank))

    def stand_by(self):
        """Return in a tuple what to get ready for as a process in reserve, an empty one if it is a rank from now on.

        It ends the process where the ranks end.
        """
        what, *more = self.reserves.wait()
        if what == reserves.END:
            status, Communicator.is_whole = more
            raise SystemExit(status)
        if what == reserves.LOAD:
            return tuple(more)
        Communicator.is_whole = False
        # Where a rank was lost meanwhile, the next exchange tells it.
        with contextlib.suppress(LostRankError), self._watched():
            self._join(*more)
        return ()

    def _started_as(self, communicator):
        """Return as which ranks those of a communicator were started."""
        group, world = communicator.Get_group(), self._mpi.COMM_WORLD.Get_group()
        return set(self._mpi.Group.Translate_ranks(group, range(group.Get_size()), world))

    def tell(self, rank: int, value: Any) -> None:
        """Send a rank an object that can be pickled, and do not wait until it hears it."""
        with self._watched():
            # What was told to others says nothing about whether this one is there.
            left = [request for request in self._told.get(rank, ()) if not request.test()[0]]
            self._told[rank] = [*left, self._communicator.isend(value, rank, _TOLD)]

    def is_lost(self, rank: int) -> bool:
        """Return whether this rank has found that another is lost."""
        with self._watched():
            failed, own = self._communicator.Get_failed(), self._communicator.Get_group()
            return rank in self._mpi.Group.Translate_ranks(failed, range(failed.Get_size()), own)

    def end_all(self, error: BaseException) -> None:
        """Show an error, and end all ranks at once, whatever they do."""
        print(f"Error: {error}", file=sys.stderr, flush=True)
        self._communicator.Abort(1)

    def hear(self, rank: int) -> tuple[Any, ...]:
        """Return in a tuple the next object that a rank has told this one; an empty one if there is none yet."""
        with self._watched():
            message = self._communicator.improbe(rank, _TOLD)
            return () if message is None else (message.recv(),)

    def _wait(self, begin, *arguments):
        """Wait for an exchange of this rank's own, beside those that a thread may wait for."""
        self._is_waiting = True
        self._own.wait(begin, arguments, self._look, lambda: not self._has_aside)
        self._is_waiting = False

    def _look(self, waited):
        """Raise TimeoutError where this rank has waited for too long, or another has."""
        if waited > self._patience:
            raise TimeoutError
        if waited > _ASK_AFTER:
            with self._lock:
                is_late = self._communicator.Iprobe(tag=_LATE)
            if is_late:
                raise TimeoutError

    def _watched(self):
        return watched(self._mpi)

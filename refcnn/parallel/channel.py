"""A communicator of MPI on which a thread waits for its exchanges, and the sums that are made of these."""

import contextlib
import os
import time

import numpy as np

from .alone import LostRankError

#: Seconds for which a rank that waits looks without a pause, and the shortest and the longest pauses after that, which
#: are a share of what it has waited for: MPI goes on when it is looked at.
_EAGER, _SHORTEST, LONGEST, _SHARE = 0.002, 0.0001, 0.01, 0.02
#: Seconds that are given to what was left, to end once its communicator is revoked.
_AFTER_REVOKING = 1.0


class Channel:
    """A communicator over which one thread at a time exchanges with those of the other ranks.

    Parameters
    ----------
    mpi : module
        ``mpi4py.MPI``.
    communicator : mpi4py.MPI.Comm
    lock : threading.Lock
        Held at each call of MPI, since not every MPI lets several threads in at once.
    """

    #: What was not waited for to its end. It is kept for good, since MPI may still write there.
    _left: list = []

    def __init__(self, mpi, communicator, lock):
        self._mpi, self._communicator, self._lock = mpi, communicator, lock

    def wait(self, begin, arguments, look, is_urgent=lambda: True):
        """Wait for an exchange, and leave the processor to others meanwhile, which may be what it is waited for.

        Parameters
        ----------
        begin : callable
            Returns the request.
        arguments : tuple
            What ``begin`` is called with.
        look : callable
            Called again and again with the seconds that it has waited; to raise is to wait no longer.
        is_urgent : callable
            Returns whether a while without a pause is worth it.
        """
        begun = time.monotonic()
        with watched(self._mpi):
            with self._lock:
                request = begin(*arguments)
            try:
                while not self._is_done(request):
                    waited = time.monotonic() - begun
                    look(waited)
                    if waited < _EAGER and is_urgent():
                        _yield()
                    else:
                        time.sleep(min(max(_SHORTEST, _SHARE * waited), LONGEST))
            except BaseException:
                self._left.append((request, arguments))
                raise

    def _is_done(self, request):
        with self._lock:
            return request.Test()

    def revoke(self):
        """Let all exchanges on it fail, on all ranks, and wait for what was left on this one."""
        with watched(self._mpi):
            self._communicator.Revoke()
        end = time.monotonic() + _AFTER_REVOKING
        for request, _ in self._left:
            with contextlib.suppress(self._mpi.Exception):
                while not self._is_done(request) and time.monotonic() < end:
                    time.sleep(_SHORTEST)

    def sum(self, array, wait):
        """Return the sum of all ranks' arrays, added in the order of the ranks.

        Parameters
        ----------
        array : ndarray
        wait : callable
            As :meth:`wait`, with ``look``: called as ``wait(begin, *arguments)``.
        """
        ones = [1] * self._communicator.Get_size()
        return self.added_in_pieces(array.reshape(1, -1), ones, _in_their_order, wait).reshape(array.shape)

    def added_in_pieces(self, rows, counts, add, wait):
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
        wait : callable
            As of :meth:`sum`.
        """
        columns, rank, size = rows.shape[1], self._communicator.Get_rank(), len(counts)
        ends = np.arange(1, size + 1) * columns // size
        firsts = np.concatenate([[0], ends[:-1]])
        sizes, own = ends - firsts, int(ends[rank] - firsts[rank])
        kind = self._mpi.Datatype.fromcode(rows.dtype.char)
        # What goes to a rank lies together, as a single row does.
        flat = rows.reshape(-1)
        if len(rows) > 1:
            flat = np.concatenate([rows[:, first:end].reshape(-1) for first, end in zip(firsts, ends, strict=True)])
        pieces = np.empty((sum(counts), own), rows.dtype)
        sent = [flat, (len(rows) * sizes, len(rows) * firsts), kind]
        received = [pieces, (np.array(counts) * own, (np.cumsum(counts) - counts) * own), kind]
        wait(self._communicator.Ialltoallv, sent, received)
        total = np.empty(columns, rows.dtype)
        wait(self._communicator.Iallgatherv, [add(pieces), kind], [total, (sizes, firsts), kind])
        return total


def _in_their_order(rows):
    total = rows[0]
    with np.errstate(all="ignore"):
        for row in rows[1:]:
            total = total + row
    return total


def _yield():
    # Python's shortest sleep takes 50 us.
    os.sched_yield() if hasattr(os, "sched_yield") else time.sleep(0)


@contextlib.contextmanager
def watched(mpi):
    """Raise LostRankError where MPI says that a rank has failed, or that another rank was told so."""
    try:
        yield
    except (mpi.Exception, NotImplementedError) as error:
        # A loss may come as MPI_ERR_OTHER, too: Communicator.recover() finds whether it was one. NotImplementedError is
        # mpi4py's where MPI has nothing of ULFM.
        raise LostRankError(
            f"MPI could not end an exchange, as where a process has ended without a word ({error}). Look for what "
            "has ended it, such as too little memory. Under Open MPI's mpiexec --with-ft ulfm a training goes on "
            "without it once it has begun; else it goes on by --resume."
        ) from error

"""The processes that MPI started together, the ranks: which this one is, and working among them.

A process is a rank where ``mpiexec`` has set its environment; only then :mod:`mpi4py` is imported. All other code asks
:func:`current`, which is :class:`Alone` but within ``with joined():``.
"""

import atexit
import contextlib
import contextvars
import os
import sys
from collections.abc import Iterator

from ..errors import ArgumentError
from ..mode import setting
from .alone import ALONE, Alone, LostRankError, RankError
from .mpi_ranks import Ranks, status_of
from .reserves import Reserves, are_possible

#: What the starters of MPI programs tell a rank of the number of all: Open MPI, then the others.
_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
#: And of its own.
_RANKS = ("OMPI_COMM_WORLD_RANK", "PMI_RANK")
#: Set by a rank to the number of its process, since its children have its environment and are no ranks.
_OWNER = "REFCNN_RANK_PROCESS"
INSTALL_ADVICE = 'Install it with pip install "refcnn[mpi]".'

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
def joined(reserves: int = 0) -> Iterator[Alone]:
    """Work among the ranks within the block, and give them; alone, where MPI has not started this process.

    At the end of the block each waits for the others. Where one leaves it by SystemExit, all do.

    Parameters
    ----------
    reserves : int
        How many of the processes are in reserve, where MPI can go on once a rank is lost, and there are more. Such a
        one gets ``is_in_reserve``, and is alone until it is a rank.

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
    ranks = _world(reserves)
    if ranks.size == 1 and ranks.reserves is None:
        yield current()
        return
    with setting(_current, ranks), _dismissing_reserves(ranks):
        try:
            yield ranks
            ranks.meet()
        except LostRankError as error:
            raise _as_all(ranks, error) from error
        except BaseException as error:
            if ranks.is_in_reserve:
                raise
            ranks.leave(error)


@contextlib.contextmanager
def _dismissing_reserves(ranks):
    """Let the processes in reserve end with the ranks, as they end."""
    status = 0
    try:
        yield
    except BaseException as error:
        status = status_of(error)
        raise
    finally:
        if ranks.reserves is not None and not ranks.is_in_reserve:
            ranks.reserves.dismiss(status, Ranks.is_whole)


def _as_all(ranks, error):
    """Return a loss after which the ranks do not go on, as all that are left raise it."""
    try:
        lost = ranks.recover()
    except LostRankError:
        # Without ULFM no other may come to know of it.
        return RankError(str(error), None, is_told_here=ranks.is_first or not are_possible())
    return RankError(str(error), lost[0] if lost else None, is_told_here=ranks.is_first)


def _finalize():
    from mpi4py import MPI

    if Ranks.is_whole:
        MPI.Finalize()
    elif not are_possible():
        # The others wait for this one, which would wait for them where a program has let mpi4py finalize.
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        MPI.COMM_WORLD.Abort(1)


def _world(count):
    try:
        import mpi4py

        mpi4py.rc.finalize = False
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise ArgumentError(
            f"this process was started by MPI, but mpi4py cannot be imported ({error}). {INSTALL_ADVICE}"
        ) from error
    atexit.unregister(_finalize)
    atexit.register(_finalize)
    os.environ[_OWNER] = str(os.getpid())
    if not 0 < count < MPI.COMM_WORLD.Get_size() - 1 or not are_possible():
        return Ranks(MPI.COMM_WORLD)
    reserves = Reserves(MPI.COMM_WORLD, count)
    return Ranks(reserves.split(), reserves)

"""Ctrl-C, SIGTERM and SIGHUP: raised as an exception that is not lost, or noted, so that work in hand can be saved."""

import contextlib
import os
import signal
import sys
import threading

from .parallel import ranks

# SIGHUP comes when the terminal is closed; Windows has none.
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
#: Asks ranks of MPI to stop, beside the others: mpiexec passes it on, and does not kill them soon after.
GENTLE = getattr(signal, "SIGUSR1", signal.SIGTERM)
_FINISHING = b"\nFinishing the batch and writing the checkpoint. A second Ctrl-C or SIGTERM stops at once.\n"

# For each stoppable() that is entered a list, which holds the signals that asked it to stop.
_blocks = []


class Stopped(KeyboardInterrupt):
    """A signal that asks the process to stop.

    Attributes
    ----------
    status : int
        The exit status that tells of it, by the convention of shells.
    """

    def __init__(self, number):
        super().__init__(f"Stopped by {signal.Signals(number).name}.")
        self.status = exit_status(number)


class Interrupted(Exception):
    """Training stopped by a signal, after its checkpoint was written; ``status`` is that of :class:`Stopped`."""

    def __init__(self, message, number=signal.SIGINT):
        super().__init__(message)
        self.status = exit_status(number)


def exit_status(number):
    """Return the exit status of a process that a signal stopped."""
    return 128 + number


def stopping_signals():
    """Return the signals that ask this process to stop."""
    return [*_SIGNALS, GENTLE] if ranks.is_started_by_mpi() and GENTLE not in _SIGNALS else list(_SIGNALS)


@contextlib.contextmanager
def stoppable():
    """Raise Stopped within the block when a signal asks to stop; one that was ignored before stays ignored.

    Python drops what is raised while it runs a callback of its own, such as Hypothesis's at each garbage collection:
    what takes long calls :func:`stop_if_asked` now and then, and the end of the block does. So nothing is lost, and
    Python's traceback of the dropped exception is not shown. Others make an error of their own of it, such as C
    extensions that were being imported: once a signal has asked to stop, what leaves the block is Stopped.
    """

    def stop(number, _):
        _raise(number)

    hook = sys.unraisablehook
    sys.unraisablehook = lambda dropped: None if isinstance(dropped.exc_value, Stopped) else hook(dropped)
    _blocks.append([])
    try:
        with _handled(stop):
            yield
            stop_if_asked()
    except Exception as error:
        if _blocks[-1]:
            raise Stopped(_blocks[-1][0]) from error
        raise
    finally:
        sys.unraisablehook = hook
        _blocks.pop()


def stop_if_asked():
    """Raise Stopped, again, if a signal has asked this process to stop."""
    if _blocks and _blocks[-1]:
        raise Stopped(_blocks[-1][0])


def _raise(number):
    if _blocks:
        _blocks[-1].append(number)
    raise Stopped(number)


@contextlib.contextmanager
def interruptible():
    """Let the first signal of the block only be noted, and give the function that returns its number, or None.

    The second raises Stopped; but not a second SIGHUP, which a shell sends beside the terminal that is closed.
    """
    noted = None

    def note(number, _):
        nonlocal noted
        if noted is None:
            noted = number
            # Past Python's buffer, which the interrupted code may hold.
            if ranks.current().is_first:
                with contextlib.suppress(OSError):
                    os.write(2, _FINISHING)
        elif number != getattr(signal, "SIGHUP", None):
            _raise(number)

    with _handled(note):
        yield lambda: noted


def uninterrupted():
    """Return a context in which no signal asks this process to stop, as one that others will end."""
    return _handled(lambda number, frame: None)


@contextlib.contextmanager
def _handled(handler):
    """Have the signals that stop a process handled, but for those that are ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {number: signal.getsignal(number) for number in stopping_signals()}
    # None: it is handled by something that is not Python's.
    taken = [number for number, action in former.items() if action not in (signal.SIG_IGN, None)]
    try:
        for number in taken:
            signal.signal(number, handler)
        yield
    finally:
        for number in taken:
            signal.signal(number, former[number])

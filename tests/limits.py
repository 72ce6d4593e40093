"""Limits under which a file is read that may hold anything, and what became of it."""

import resource
import signal
import traceback
from pathlib import Path

from refcnn.errors import RefcnnError

SECONDS, MEMORY = 5, 2**30


def outcome(read):
    """Return None if a file is read, "" if it is refused by an error of refcnn's, else what came out."""
    try:
        read()
    except RefcnnError as error:
        kind = _memory_error(error)
        return f"wanted more memory than it may: {error}" if kind else ""
    except BaseException as error:
        frames = "".join(traceback.format_exception(error))
        return frames[-3000:]
    return None


def _memory_error(error):
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return False


def limited(call):
    """Call with the limits of one mutant: beyond its seconds the process ends, beyond its memory nothing is had."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    # What waits takes no time of the processor.
    signal.alarm(20 * SECONDS)
    try:
        return call()
    finally:
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

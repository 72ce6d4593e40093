"""Ctrl-C, noted at first, so that work in hand can be finished and saved."""

import contextlib
import os
import signal
import threading


class Interrupted(Exception):
    """Training stopped by Ctrl-C, after its checkpoint was written."""


@contextlib.contextmanager
def interruptible():
    """Let the first Ctrl-C of the block only be noted, and give the function that tells; the second acts at once."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    noted = threading.Event()
    former = signal.getsignal(signal.SIGINT)

    def note(*_):
        noted.set()
        signal.signal(signal.SIGINT, former)
        # Past Python's buffer, which the interrupted code may hold.
        with contextlib.suppress(OSError):
            os.write(2, b"\nFinishing the batch and writing the checkpoint. Ctrl-C again stops at once.\n")

    signal.signal(signal.SIGINT, note)
    try:
        yield noted.is_set
    finally:
        signal.signal(signal.SIGINT, former)

"""The time that judging may take."""

import time

from ...interruption import stop_if_asked


class OutOfTime(Exception):
    """The time of a proof or a verification is over."""


class Clock:
    """The time that a proof or a verification may take, or None for any."""

    def __init__(self, seconds):
        self.seconds, self._end = seconds, None if seconds is None else time.monotonic() + seconds
        self._is_let_go = False

    @property
    def is_over(self):
        return self._end is not None and not self._is_let_go and time.monotonic() >= self._end

    def check(self):
        """Raise OutOfTime if the time is over, or Stopped if a signal asked for that."""
        # Threads of their own compute, while the one that gets signals waits.
        stop_if_asked()
        if self.is_over:
            raise OutOfTime

    def let_go(self):
        """Give as much time as is needed: what is known to be wrong is told whole."""
        self._is_let_go = True

    def go_on(self):
        """Count the time again, that of :meth:`let_go` too."""
        self._is_let_go = False

"""What is to be computed: one thing at a time, by one thread, in place of what nobody waits for any more."""

import asyncio
import concurrent.futures
import inspect
import threading
from typing import Any, NamedTuple

#: What is answered to a request that waited when a newer one of its kind came from the same page.
SUPERSEDED = object()
#: Requests that wait at most.
MOST_WAITING = 32
#: Seconds after which a thread that has nothing to do looks whether it is to stop.
_PAUSE = 0.5


class Busy(Exception):
    """So many requests wait that no other is taken."""


class _Job(NamedTuple):
    compute: Any
    key: Any
    is_urgent: bool
    future: concurrent.futures.Future
    is_left: threading.Event


class Work:
    """Requests that wait until a thread, that of :meth:`run`, computes them."""

    def __init__(self):
        self._jobs, self._changed = [], threading.Condition()

    async def result(self, compute, *, key=None, is_urgent=False):
        """Return what ``compute()`` returns in the computing thread; it is not called once this was cancelled.

        Parameters
        ----------
        compute : callable
            If it gives a generator, what this returns at its end: between what it yields urgent requests are computed,
            and it is closed if this was cancelled or is superseded.
        key : object, optional
            Of several that wait with the same key only the newest is computed, in the place of the oldest; the others
            are :data:`SUPERSEDED`.
        is_urgent : bool
            Whether it goes before those that are not.

        Raises
        ------
        Busy
            If too many wait.
        """
        job = self._submit(compute, key, is_urgent)
        try:
            return await asyncio.wrap_future(job.future)
        except asyncio.CancelledError:
            job.is_left.set()
            raise

    def _submit(self, compute, key, is_urgent):
        job = _Job(compute, key, is_urgent, concurrent.futures.Future(), threading.Event())
        with self._changed:
            self._jobs = [one for one in self._jobs if not one.future.cancelled()]
            places = [place for place, one in enumerate(self._jobs) if key is not None and one.key == key]
            if places:
                older, self._jobs[places[0]] = self._jobs[places[0]], job
                if older.future.set_running_or_notify_cancel():
                    older.future.set_result(SUPERSEDED)
            elif len(self._jobs) >= MOST_WAITING:
                raise Busy
            else:
                self._jobs.append(job)
            self._changed.notify()
        return job

    def run(self, stop_if_asked=lambda: None):
        """Compute what is asked for, until ``stop_if_asked()`` raises, or a signal does."""
        while True:
            stop_if_asked()
            self._compute(self._next(_PAUSE), stop_if_asked)

    def _compute(self, job, stop_if_asked):
        if job is None or not job.future.set_running_or_notify_cancel():
            return
        try:
            found = job.compute()
            if inspect.isgenerator(found):
                found = self._in_pieces(job, found, stop_if_asked)
        except Exception as error:
            job.future.set_exception(error)
        else:
            job.future.set_result(found)

    def _in_pieces(self, job, pieces, stop_if_asked):
        """Return what a generator returns, or that it was superseded, having computed what is urgent meanwhile."""
        while True:
            try:
                next(pieces)
            except StopIteration as end:
                return end.value
            stop_if_asked()
            while (urgent := self._next(is_urgent_only=True)) is not None:
                self._compute(urgent, stop_if_asked)
            if job.is_left.is_set() or self._is_newer(job.key):
                pieces.close()
                return SUPERSEDED

    def _is_newer(self, key):
        with self._changed:
            return key is not None and any(job.key == key for job in self._jobs)

    def _next(self, pause=0.0, is_urgent_only=False):
        with self._changed:
            if not self._jobs:
                self._changed.wait(pause)
            urgent = [place for place, job in enumerate(self._jobs) if job.is_urgent]
            if urgent or (self._jobs and not is_urgent_only):
                return self._jobs.pop(urgent[0] if urgent else 0)
            return None

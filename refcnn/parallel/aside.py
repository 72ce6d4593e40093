"""Sums over the ranks that go on while a rank computes.

MPI makes no progress by itself, but only where it is called: a thread does that, and reads from the device what is
summed. It has a communicator of its own, so that what the rank itself says to the others meanwhile, such as that an
error keeps it from going on, does not depend on how far these sums are.
"""

import queue
import threading
import time

from .channel import LONGEST


class Aside:
    """What a thread sums while its maker computes, which must end it: by :meth:`wait`, or else by the ``with`` block.

    All ranks must put equally many sums of the same sizes, in one order.

    Parameters
    ----------
    channel : refcnn.parallel.channel.Channel
        For these sums alone.
    is_threaded : bool
        Whether MPI lets a second thread in; else :meth:`wait` does it all.

    Attributes
    ----------
    seconds : list of float
        What each sum took, with what others let this rank wait for theirs.
    """

    def __init__(self, channel, is_threaded=True):
        self._channel, self._jobs, self.seconds = channel, queue.SimpleQueue(), []
        self._is_awaited, self._is_left, self._is_over, self._error = False, False, threading.Event(), None
        self._thread = None
        if is_threaded:
            self._thread = threading.Thread(target=self._run, args=(self._look,), name="refcnn sums", daemon=True)
            self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._is_left = True
        self._jobs.put(None)
        if self._thread is not None:
            # It looks up at once, and does not wait for others.
            self._thread.join()

    def put(self, job):
        """Have a job done after those before it: it is called with what returns the sum of the ranks' arrays.

        Raises
        ------
        Exception
            What a job before it has raised, such as LostRankError.
        """
        self.check()
        self._jobs.put(job)

    def wait(self, look):
        """Wait until all jobs are done, or one has failed, which :meth:`check` tells; no others can follow.

        Parameters
        ----------
        look : callable
            As of :meth:`refcnn.parallel.channel.Channel.wait`.
        """
        self._jobs.put(None)
        self._is_awaited, begun = True, time.monotonic()
        if self._thread is None:
            self._run(look)
        while not self._is_over.wait(LONGEST):
            look(time.monotonic() - begun)

    def check(self):
        """Raise what a job has raised, if one has."""
        if self._error is not None:
            raise self._error

    def _run(self, look):
        def wait(begin, *arguments):
            self._channel.wait(begin, arguments, look, lambda: self._is_awaited)

        def add(array):
            begun = time.perf_counter()
            total = self._channel.sum(array, wait)
            self.seconds.append(time.perf_counter() - begun)
            return total

        try:
            for job in iter(self._jobs.get, None):
                if self._is_left:
                    break
                job(add)
        except _Left:
            pass
        except TimeoutError:
            # Of the maker, whose thread this is then.
            raise
        except BaseException as error:
            self._error = error
        finally:
            self._is_over.set()

    def _look(self, waited):
        if self._is_left:
            raise _Left


class _Left(Exception):
    """The maker of the sums does not wait for them any more."""

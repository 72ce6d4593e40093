"""Work done ahead by threads, in order."""

import collections
import contextvars
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


#: Threads that read images at most: what computes with them needs the processor too.
MOST_THREADS = 4


def reading_threads() -> int:
    """Return how many threads read images on this machine."""
    try:
        available = len(os.sched_getaffinity(0))
    except AttributeError:
        available = os.cpu_count() or 1
    return min(available, MOST_THREADS)


def ahead(function: Callable[[Task], Result], tasks: Iterable[Task], threads: int) -> Iterator[Result]:
    """Yield ``function(task)`` of each task in order, computed by threads before it is asked for.

    At most two results for each thread wait at once. An error is raised in the place of its task's result; where the
    iterator is left, by an error or a signal too, what was not begun is given up.

    Parameters
    ----------
    function : callable
        Called in any of the threads, in a copy of the context in which the iterator is advanced.
    tasks : iterable
        Advanced in the thread that advances the iterator.
    threads : int
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="refcnn-ahead")
    waiting: collections.deque = collections.deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(contextvars.copy_context().run, function, task))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)

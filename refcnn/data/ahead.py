"""Work done ahead by threads, in order."""

import collections
import contextvars
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def available_threads() -> int:
    """Return the number of processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


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

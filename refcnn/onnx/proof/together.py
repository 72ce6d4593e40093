"""Work that is done at the same time in threads of one process."""

import collections
import concurrent.futures
import contextvars

#: Seconds.
_LOOK_EVERY = 0.1


def together(tasks, most=None):
    """Return what tasks give that are done at the same time, in their order.

    NumPy and the runtimes let other threads go on while they compute.

    Parameters
    ----------
    tasks : sequence of callable
        Without parameters. Each sees the context variables of the caller, such as how subnormal numbers are bounded.
    most : int, optional
        How many are done at a time at most.

    Raises
    ------
    Exception
        What the first task raised that failed, once all have ended that had begun; the others do not begin.
    """
    left, most = collections.deque(tasks), min(len(tasks), most or len(tasks)) or 1
    begun, running = [], set()
    with concurrent.futures.ThreadPoolExecutor(most) as pool:
        # A signal may have come to another thread: this one acts on it before the next begins, and looks now and then.
        while left or running:
            while left and len(running) < most:
                begun.append(pool.submit(contextvars.copy_context().run, left.popleft()))
                running.add(begun[-1])
            done, running = concurrent.futures.wait(running, _LOOK_EVERY, concurrent.futures.FIRST_COMPLETED)
            if any(one.exception() is not None for one in done):
                left.clear()
    return [one.result() for one in begun]

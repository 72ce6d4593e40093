"""Work that is done at the same time in threads of one process."""

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
        What the first task raised that failed, once all have ended.
    """
    with concurrent.futures.ThreadPoolExecutor(min(len(tasks), most or len(tasks)) or 1) as pool:
        waiting = [pool.submit(contextvars.copy_context().run, task) for task in tasks]
        # A signal may have come to another thread: this one, which acts on it, looks now and then.
        while concurrent.futures.wait(waiting, _LOOK_EVERY).not_done:
            pass
    return [one.result() for one in waiting]

"""What is switched on: the tape, what belongs to training, what gives the same bits anywhere; and of which batch it is.

All are context variables: what is switched on in one thread or asyncio task is not so in another. A thread that is
started inside a block begins with these switched off, as :mod:`contextvars` has it.
"""

import contextlib
import contextvars
import math

_recording = contextvars.ContextVar("refcnn recording", default=False)
_training = contextvars.ContextVar("refcnn training", default=False)
_reproducible = contextvars.ContextVar("refcnn reproducible", default=False)
_part = contextvars.ContextVar("refcnn part of the batch", default=(0, 1))


@contextlib.contextmanager
def setting(variable, value):
    """Give a context variable a value inside a ``with`` block."""
    # The former value is set again, and no token used, since a generator may be finished in another context.
    former = variable.get()
    variable.set(value)
    try:
        yield
    finally:
        variable.set(former)


def recording():
    """Return a context manager that records the operations of a block for ``grad()`` and for export."""
    return setting(_recording, True)


@contextlib.contextmanager
def training():
    """Record the operations of the block, and let Dropout drop."""
    with setting(_training, True), recording():
        yield


def reproducible():
    """Return a context manager in which results depend neither on how many cores a processor has nor on its tuning.

    Work is cut alike for all processors of one kind, and variants of kernels are chosen without the user's database.
    """
    return setting(_reproducible, True)


def part_of_batch(first, count):
    """Return a context manager in which the computation is that of ``count`` examples after the ``first`` of a batch.

    What is drawn for them there is what would be drawn for them in the whole batch.
    """
    return setting(_part, (first, count))


def place_in_batch(shape):
    """Return how many numbers come before an array's first in that of the whole batch, of which it is a part.

    Parameters
    ----------
    shape : tuple of int
        Of the array, whose first axis is that of the examples, or one into which it was merged.
    """
    first, count = _part.get()
    return 0 if not shape or shape[0] % count else first * (math.prod(shape) // count)


def is_recording():
    """Return whether operations are being recorded."""
    return _recording.get()


def is_reproducible():
    """Return whether results are to be the same on any number of cores."""
    return _reproducible.get()


def is_training():
    """Return whether layers behave as in training."""
    return _training.get()

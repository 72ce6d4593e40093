"""What is switched on: the tape's recording, and the behaviour that belongs to training.

Both are context variables: what is switched on in one thread or asyncio task is not so in another. A thread that is
started inside a block begins with both switched off, as :mod:`contextvars` has it.
"""

import contextlib
import contextvars

_recording = contextvars.ContextVar("refcnn recording", default=False)
_training = contextvars.ContextVar("refcnn training", default=False)


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


def is_recording():
    """Return whether operations are being recorded."""
    return _recording.get()


def is_training():
    """Return whether layers behave as in training."""
    return _training.get()

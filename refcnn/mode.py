"""What is switched on: the tape's recording, and the behaviour that belongs to training."""

import contextlib

_recording = False
_training = False


@contextlib.contextmanager
def recording():
    """Record the operations of the block for ``grad()`` and for export."""
    global _recording
    former, _recording = _recording, True
    try:
        yield
    finally:
        _recording = former


@contextlib.contextmanager
def training():
    """Record the operations of the block, and let Dropout drop."""
    global _training
    former, _training = _training, True
    try:
        with recording():
            yield
    finally:
        _training = former


def is_recording():
    """Return whether operations are being recorded."""
    return _recording


def is_training():
    """Return whether layers behave as in training."""
    return _training

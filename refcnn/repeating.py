"""What a step that may be made anew depends on beside the arrays of a device: those who use it say so here.

What becomes of it is the listener's affair, who records such a step; as a rule there is none.
"""

import contextvars

from .mode import setting

_listener = contextvars.ContextVar("refcnn listener to a step", default=None)


class Drawn(int):
    """A number that is drawn anew in each step.

    Attributes
    ----------
    draw : int
        Which of a step's draws it belongs to.
    part : int
        Which of its two numbers it is: the seed, 0, or the stream, 1.
    """

    draw: int
    part: int

    @classmethod
    def of(cls, number, draw, part):
        """Return a number that knows where it comes from."""
        self = cls(number)
        self.draw, self.part = draw, part
        return self


def listening(listener):
    """Return a context manager inside which a listener is told."""
    return setting(_listener, listener)


def listener():
    """Return who is told, or None."""
    return _listener.get()


def made_of(host, make):
    """Return what a function makes of an array of the host, now and of each that is given in its place later.

    Parameters
    ----------
    host : ndarray
    make : callable
        ``make(host)`` returns an array, or the same if all it does is to check it.
    """
    made, told = make(host), _listener.get()
    if told is not None:
        told.made(host, make, made)
    return made

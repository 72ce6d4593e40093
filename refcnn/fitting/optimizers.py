"""The optimizers by the names under which a training takes them."""

import functools

from .. import rooms
from ..errors import ArgumentError
from ..suggestions import did_you_mean

#: The name of the one that is taken where none is asked for.
DEFAULT = "adam"


@functools.cache
def choices():
    """Return for each name what makes the optimizer from a learning rate, and its default rate."""
    return {
        name: choice
        for operation in rooms.operations()
        for name, choice in rooms.trait(rooms.OPTIMIZERS, operation, "CHOICES").items()
    }


def choice(what, name):
    """Return what makes an optimizer from a learning rate, and its default rate.

    Raises
    ------
    ArgumentError
        If there is none of that name.
    """
    if name not in choices():
        raise ArgumentError(f"{what} is {name!r}. Choose one of {', '.join(choices())}.{did_you_mean(name, choices())}")
    return choices()[name]

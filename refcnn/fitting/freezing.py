"""Freezing: parameters that a training leaves as they are."""

import contextlib
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from ..errors import ArgumentError
from ..model import Model
from ..stored import Parameter


def chosen(model: Model, patterns: Sequence[str]) -> list[Parameter]:
    """Return the parameters that patterns name.

    Parameters
    ----------
    model : Model
        With its parameters made.
    patterns : sequence of str
        Names of parameters, or of layers for all that is inside them, in which ``*`` stands for anything.

    Raises
    ------
    ArgumentError
        If a pattern names none, or all together name every parameter.
    """
    named = dict(model.parameters())
    found = {}
    for pattern in patterns:
        matching = [name for name in named if fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")]
        if not matching:
            raise ArgumentError(
                f"freeze: {pattern!r} names no parameter. There are {', '.join(named) or 'none yet: call the model'}. "
                "Give one of these, or the beginning of its name up to a dot; * stands for anything."
            )
        found |= dict.fromkeys(matching)
    if found and len(found) == len(named):
        raise ArgumentError(f"freeze: {', '.join(patterns)} name every parameter. Leave one that is trained.")
    return [named[name] for name in found]


@contextlib.contextmanager
def frozen(parameters: Sequence[Parameter]) -> Iterator[None]:
    """Compute no gradients for parameters inside a ``with`` block, so that no optimizer changes them."""
    thawed = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in thawed:
        parameter.requires_grad = False
    try:
        yield
    finally:
        for parameter in thawed:
            parameter.requires_grad = True

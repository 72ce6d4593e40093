"""Anyone's own implementation as a subject."""

import contextlib
import mmap
import os
import time

from ...backend import results_of
from ...version import versions
from ..judging.comparison import ConformanceFailure
from ..theory.strategies import describe
from ..theory.winograd import ALGORITHMS
from .base import HostSubject, directions, is_update

_NAME_CHARACTERS = 200


class Implementation(HostSubject):
    """Anyone's own implementation."""

    def __init__(self, specification, functions):
        self.specification = specification
        self.name = str(getattr(functions, "name", specification))[:_NAME_CHARACTERS]
        self.denormals = bool(getattr(functions, "denormals", True))
        self._functions = functions
        self.description = {"name": self.name, "versions": versions("numpy"), "denormals": self.denormals}
        version = getattr(functions, "version", None)
        if version is not None:
            self.description["driver"] = str(version)[:_NAME_CHARACTERS]

    def algorithms(self, stem, inputs, attributes):
        """What the object says of it, if it says anything."""
        find = getattr(self._functions, "algorithms", None)
        found = {} if find is None else find(stem, inputs, attributes)
        is_known = isinstance(found, dict) and set(found) <= {"forward", "backward_x", "backward_w"}
        if not is_known or not set(found.values()) <= set(ALGORITHMS):
            raise ConformanceFailure(
                f"algorithms({stem!r}, ...) returned {found!r}, but a dict of forward, backward_x and backward_w is "
                f"needed, each {' or '.join(ALGORITHMS)}, or left out if it is computed directly."
            )
        return found

    def offers(self, stem, direction):
        """Whether the object has the function."""
        name = stem if direction == "forward" else f"{stem}_backward"
        return direction in directions(stem) and callable(getattr(self._functions, name, None))

    def operation(self, stem):
        """The functions as ``forward`` and ``backward``, each of which can be tested without the other."""
        offered = [direction for direction in directions(stem) if self.offers(stem, direction)]
        if not offered:
            return None
        return (_Update if is_update(stem) else _Functions)(self._functions, stem)


class Unloaded(HostSubject):
    """An implementation that its own process alone imports: what it does there, or to it, is not done here."""

    def __init__(self, specification):
        self.specification = self.name = specification
        self.description = {"name": specification}


class _Update:
    def __init__(self, functions, stem):
        self._function, self._stem = getattr(functions, stem), stem

    def forward(self, *inputs, **attributes):
        # What is updated may be so in place.
        return _tuple(self._stem, _called(self._stem, self._function, (), inputs, attributes))


class _Functions:
    needs_forward = False

    def __init__(self, functions, stem):
        self._stem = stem
        self._forward = getattr(functions, stem, None)
        self._backward = getattr(functions, f"{stem}_backward", None)

    def forward(self, *inputs, **attributes):
        y = _called(self._stem, self._forward, inputs, inputs, attributes)
        return tuple(y) if isinstance(y, list) else y, inputs

    def backward(self, dy, saved, needs, **attributes):
        name, given = f"{self._stem}_backward", (*results_of(dy), *saved)
        gradients = _tuple(name, _called(name, self._backward, given, (dy, *saved), attributes), len(needs))
        return tuple(gradient if need else None for gradient, need in zip(gradients, needs, strict=True))


#: Set by processes that the code of others forked and that came out of it.
_CAME_BACK = mmap.mmap(-1, 1)
_FORKS = [0]
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_parent=lambda: _FORKS.append(_FORKS.pop() + 1))
#: Seconds for a child to come back.
_COMING_BACK = 0.02


@contextlib.contextmanager
def in_one_process(title):
    """Run the code of others; where it forks, the child ends here, and that it came so far is an error.

    Raises
    ------
    ConformanceFailure
    """
    process, forks = os.getpid(), _FORKS[0]
    try:
        yield
    finally:
        if os.getpid() != process:
            # All that follows would be done once more there.
            _CAME_BACK[0] = 1
            os._exit(0)
    if _FORKS[0] != forks:
        time.sleep(_COMING_BACK)
    if _CAME_BACK[0]:
        _CAME_BACK[0] = 0
        raise ConformanceFailure(
            f"{title}, or what ran before it, forks, and comes back in the child as well: end that with os._exit."
        )


def _called(name, function, kept, inputs, attributes):
    """Call a function, and raise if it changes what is to be kept, or comes back in a process that it forked."""
    copies = [None if entry is None else entry.copy() for entry in kept]
    with in_one_process(name):
        result = function(*inputs, **attributes)
    for entry, copy in zip(kept, copies, strict=True):
        if entry is not None and entry.tobytes() != copy.tobytes():
            raise ConformanceFailure(f"{name} changed its argument {describe(copy)}: leave what it is given as it is.")
    return result


def _tuple(name, result, length=None):
    if not isinstance(result, tuple | list) or length not in (None, len(result)):
        wanted = "a tuple of arrays" if length is None else f"a tuple of {length} arrays"
        found = f"{type(result).__name__}" + (f" of {len(result)}" if isinstance(result, tuple | list) else "")
        raise ConformanceFailure(f"{name} returned {found}, but {wanted} is needed.")
    return tuple(result)

"""Anyone's own implementation as a subject."""

from ..judging.comparison import ConformanceFailure
from ..theory.winograd import ALGORITHMS
from .base import HostSubject, directions, is_update, versions


class Implementation(HostSubject):
    """Anyone's own implementation."""

    def __init__(self, specification, functions):
        self.specification = specification
        self.name = str(getattr(functions, "name", specification))
        self.denormals = bool(getattr(functions, "denormals", True))
        self._functions = functions
        self.description = {"name": self.name, "versions": versions("numpy"), "denormals": self.denormals}

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


class _Update:
    def __init__(self, functions, stem):
        self._function, self._stem = getattr(functions, stem), stem

    def forward(self, *inputs, **attributes):
        return _tuple(self._stem, self._function(*inputs, **attributes))


class _Functions:
    needs_forward = False

    def __init__(self, functions, stem):
        self._stem = stem
        self._forward = getattr(functions, stem, None)
        self._backward = getattr(functions, f"{stem}_backward", None)

    def forward(self, *inputs, **attributes):
        y = self._forward(*inputs, **attributes)
        return tuple(y) if isinstance(y, list) else y, inputs

    def backward(self, dy, saved, needs, **attributes):
        gradients = _tuple(f"{self._stem}_backward", self._backward(dy, *saved, **attributes), len(needs))
        return tuple(gradient if need else None for gradient, need in zip(gradients, needs, strict=True))


def _tuple(name, result, length=None):
    if not isinstance(result, tuple | list) or length not in (None, len(result)):
        wanted = "a tuple of arrays" if length is None else f"a tuple of {length} arrays"
        found = f"{type(result).__name__}" + (f" of {len(result)}" if isinstance(result, tuple | list) else "")
        raise ConformanceFailure(f"{name} returned {found}, but {wanted} is needed.")
    return tuple(result)

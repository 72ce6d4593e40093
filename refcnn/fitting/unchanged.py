"""What a training step depends on beside arrays, and whether that is still what it was."""

import enum
import functools
import itertools
import operator
import types
from typing import Any

import numpy as np

from ..layer import Layer
from ..variable import Variable

_PACKAGE = __name__.partition(".")[0]
#: Values that stay what they are.
_CONSTANTS = (type(None), bool, int, float, complex, str, bytes, np.generic, np.dtype, enum.Enum, types.EllipsisType)
#: Numbers of an array that are compared with what they were.
_MOST_COMPARED = 4096


class Unchanged:
    """What objects consist of, down to numbers, so that it can be seen later whether it is the same.

    Parameters
    ----------
    *roots : object
        A model, an optimizer, a loss.
    besides : set of str
        Attributes of the roots that are not looked at.

    Attributes
    ----------
    obstacle : str or None
        What is found that cannot be compared, or whose code may depend on more than what is.
    variables : list of Variable
        Those found, each once.
    """

    def __init__(self, *roots: object, besides: frozenset[str] = frozenset()) -> None:
        self.obstacle: str | None = None
        self.variables: list[Variable] = []
        # Values are compared by identity: one that was replaced by an equal one is looked at anew.
        self._containers: list[tuple[Any, list]] = []
        self._arrays: list[tuple[np.ndarray, np.ndarray]] = []
        self._gradients: list[bool] = []
        self._seen: dict[int, object] = {}
        for root in roots:
            self._add(root, besides)
        self._gradients = self._needs()

    def holds(self) -> bool:
        """Return whether all is what it was."""
        return (
            all(_are_same(_entries(container), entries) for container, entries in self._containers)
            and self._needs() == self._gradients
            and all(np.array_equal(*pair) for pair in self._arrays)
        )

    def _needs(self):
        return [entry.requires_grad for entry in self.variables]

    def _add(self, value, besides=frozenset()):
        if isinstance(value, _CONSTANTS) or id(value) in self._seen:
            return
        self._seen[id(value)] = value
        if isinstance(value, Variable):
            self.variables.append(value)
            if value.node is not None:
                self.obstacle = "a result whose gradient is recorded is kept in the model"
        elif isinstance(value, (list, tuple, dict)) and _is_own_or_builtin(type(value)):
            if not isinstance(value, tuple):
                self._containers.append((value, list(_entries(value))))
            for entry in list(_entries(value)):
                self._add(entry)
        elif isinstance(value, functools.partial):
            self._add((value.func, value.args, value.keywords))
        elif isinstance(value, np.ndarray) and value.dtype.kind in "biuf" and value.size <= _MOST_COMPARED:
            self._arrays.append((value, value.copy()))
        elif isinstance(value, (types.FunctionType, type)):
            if not _is_own(value.__module__):
                self.obstacle = f"{value.__qualname__} is not refcnn's own"
        elif _is_own(type(value).__module__) and hasattr(value, "__dict__"):
            attributes = _Besides(vars(value), besides) if besides else vars(value)
            entries = list(_entries(attributes))
            self._containers.append((attributes, entries))
            for entry in entries:
                self._add(entry)
        else:
            kind = "the layer" if isinstance(value, Layer) else "an object of the class"
            self.obstacle = f"{kind} {type(value).__qualname__} is not refcnn's own"


class _Besides(dict):
    """The attributes of an object without some."""

    def __init__(self, live, besides):
        super().__init__()
        self._live, self._besides = live, besides

    def items(self):
        return [entry for entry in self._live.items() if entry[0] not in self._besides]


def _entries(container):
    if isinstance(container, dict):
        return itertools.chain.from_iterable(container.items())
    return container


def _are_same(entries, former):
    """Return whether two sequences hold the same objects."""
    entries = list(entries)
    return len(entries) == len(former) and all(map(operator.is_, entries, former))


def _is_own(module):
    return module.partition(".")[0] == _PACKAGE


def _is_own_or_builtin(kind):
    return kind.__module__ == "builtins" or _is_own(kind.__module__)

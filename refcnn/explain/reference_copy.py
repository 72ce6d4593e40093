"""The reference's own source, run on arrays that note what becomes of each number.

Arrays that the reference makes itself must be such arrays too, or what is written to them would be lost. So its modules
are run once more, as copies of this recording, for which ``numpy`` makes them; the lines and the file are the same.
"""

import builtins
import functools
import importlib.util
import sys
import types
from pathlib import Path

import numpy as np

from .. import rooms
from .cells import Cells

_PACKAGE = f"{__package__.rpartition('.')[0]}.{rooms.REFERENCE}"


class _Numpy:
    """NumPy, whose new arrays are Cells of a ledger."""

    def __init__(self, ledger):
        self._ledger = ledger

    def __getattr__(self, name):
        return getattr(np, name)

    def _made(self, array):
        return Cells.constant(self._ledger, array)

    def zeros(self, shape, dtype=float):
        return self._made(np.zeros(shape, dtype))

    def ones(self, shape, dtype=float):
        return self._made(np.ones(shape, dtype))

    def full(self, shape, value, dtype=None):
        return self._made(np.full(shape, value, dtype))

    def arange(self, *ends, dtype=None):
        return self._made(np.arange(*ends, dtype=dtype))

    def asarray(self, value, dtype=None):
        if not isinstance(value, Cells):
            return np.asarray(value, dtype)
        return value if dtype is None or value.dtype == dtype else value.astype(dtype)

    def ascontiguousarray(self, value):
        if not isinstance(value, Cells):
            return np.ascontiguousarray(value)
        return Cells(value.ledger, *map(np.ascontiguousarray, (value.values, value.ids)), *_kept(value))


def _kept(value):
    """Return the storage and the places of an array that was copied into rows."""
    return value.storage, np.ascontiguousarray(value.places)


@functools.cache
def _compiled(name):
    """Return the code of a module of the reference, whose file bears its own name."""
    path = importlib.util.find_spec(f"{_PACKAGE}.{name}").origin
    # Not every loader gives a module's code: pytest's does not.
    return compile(Path(path).read_text(encoding="utf-8"), path, "exec")


class Reference:
    """Copies of the reference's modules that enter what they compute in a ledger.

    Parameters
    ----------
    ledger : Ledger
    """

    def __init__(self, ledger):
        self._numpy, self._modules = _Numpy(ledger), {}

    def room(self, operation):
        """Return the room of an operation, as :func:`refcnn.rooms.require` does."""
        module = self._module(Path(rooms.path(rooms.REFERENCE, operation)).stem)
        return getattr(module, "OPERATIONS", {}).get(operation, module)

    def owns(self, code):
        """Return whether the code is of the reference."""
        return code.co_filename in self._files

    @property
    def _files(self):
        return {module.__file__ for module in self._modules.values()}

    def _module(self, name):
        if name not in self._modules:
            code = _compiled(name)
            self._modules[name] = module = types.ModuleType(f"{_PACKAGE}.{name}")
            module.__file__, module.__package__ = code.co_filename, _PACKAGE
            module.__builtins__ = {**vars(builtins), "__import__": self._import}
            exec(code, vars(module))
        return self._modules[name]

    def _import(self, name, globals=None, locals=None, fromlist=(), level=0):
        if name == "numpy":
            return self._numpy
        if level == 1:
            if name:
                return self._module(name)
            return types.SimpleNamespace(**{one: self._module(one) for one in fromlist})
        return __import__(name, globals, locals, fromlist, level)


class LineTrace:
    """Tells, while a block runs, each line of the reference before it runs.

    Parameters
    ----------
    wanted : callable
        Whether lines of a function, given its code object, are told.
    told : callable
        Given the frame of each such line, and of each return.
    """

    def __init__(self, wanted, told):
        self._wanted, self._told = wanted, told

    def __enter__(self):
        self._former = sys.gettrace()
        sys.settrace(self._called)
        return self

    def __exit__(self, *failure):
        sys.settrace(self._former)

    def _called(self, frame, event, argument):
        return self._line if self._wanted(frame.f_code) else None

    def _line(self, frame, event, argument):
        if event in ("line", "return"):
            self._told(frame, event)
        return self._line

"""What every layer is: parameters, the layers inside it, and a call."""

import contextvars
import enum
import numbers
import re
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .arguments import Written
from .errors import ArgumentError, ShapeError
from .mode import setting
from .stored import Buffer, Parameter, Stored
from .typing import Shapes
from .variable import variable_or_none

#: Called with each layer, its inputs and its output where it is set: see :func:`watched`.
_watcher = contextvars.ContextVar("refcnn watcher of layers", default=None)
#: Held while a layer's parameters are made: of two threads with the first input only one makes them.
making = threading.RLock()


class _ByName(dict):
    """What a layer stores by name, also as attributes."""

    _kind: str | None = None

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(
                f"there is no {self._kind} {name!r}; there are {sorted(self) or 'none yet'} (layers without an "
                f"input_size make their {self._kind}s at the first call)"
            ) from None

    def __dir__(self):
        return [*self, *super().__dir__()]


class Parameters(_ByName):
    """A layer's parameters by name, also as attributes: ``layer.params.w``."""

    _kind = "parameter"


class Buffers(_ByName):
    """A layer's buffers by name, also as attributes: ``layer.buffers.mean``."""

    _kind = "buffer"


class Layer(Written):
    """Base class of layers and models.

    Attributes
    ----------
    params : Parameters
        The layer's own parameters, name to :class:`~refcnn.stored.Parameter`.
    buffers : Buffers
        What it stores and no optimizer changes, name to :class:`~refcnn.stored.Buffer`.
    """

    #: The attributes whose entries are named as if they were attributes themselves, as those of ``buffers`` are too.
    _unnamed: tuple[str, ...] = ("params",)

    def __init__(self) -> None:
        self.params, self.buffers = Parameters(), Buffers()

    def __call__(self, *inputs: Any, **keywords: Any) -> Any:
        """Return what ``forward`` makes of the inputs.

        Parameters
        ----------
        *inputs : Variable, array_like or None
            What is no Variable is made one, but for None.
        **keywords
            Given to ``forward`` as they are.

        Returns
        -------
        Variable, as a rule
            What ``forward`` returns, a tuple of Variables of a layer with several results.

        Raises
        ------
        ShapeError
            If an input is no array of numbers.
        """
        inputs = tuple(map(variable_or_none, inputs))
        y = self.forward(*inputs, **keywords)
        watcher = _watcher.get()
        if watcher is not None:
            watcher(self, inputs, y)
        return y

    def forward(self, *inputs: Any, **keywords: Any) -> Any:
        """Compute the layer's output from Variables; each layer defines its own, with the inputs that it takes."""
        raise TypeError(f"{type(self).__name__} must define forward(self, x), or forward(self, a, b) of two inputs")

    def children(self) -> Iterator[tuple[str, "Layer"]]:
        """Yield (name, layer) of the layers in this one's attributes, and in lists, tuples and dicts there.

        A layer in ``self.blocks = [...]`` has the name ``blocks.0``, one in ``self.heads = {"digit": ...}`` the name
        ``heads.digit``.

        Raises
        ------
        ArgumentError
            If a layer has no name that is the same in every process: the key of its dict is no string or number.
        """
        return self._find(Layer)

    def own_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield (name, Parameter) of the parameters that lie in this layer's attributes but in no layer of those.

        They are found where :meth:`children` finds layers; those in ``params`` have the names that they have there.

        Raises
        ------
        ArgumentError
            If two have one name, or one has no name that is the same in every process.
        """
        return self._own(Parameter)

    def own_buffers(self) -> Iterator[tuple[str, Buffer]]:
        """Yield (name, Buffer) of this layer's buffers, as :meth:`own_parameters`, those in ``buffers`` among them.

        Raises
        ------
        ArgumentError
            As :meth:`own_parameters`.
        """
        return self._own(Buffer)

    def own_state(self) -> Iterator[tuple[str, Stored]]:
        """Yield (name, Parameter or Buffer) of all that the layer itself stores.

        Raises
        ------
        ArgumentError
            As :meth:`own_parameters`.
        """
        return self._own(Stored)

    def _own(self, kind):
        found = {}
        for name, entry in self._find(Stored):
            if found.setdefault(name, entry) is not entry:
                raise ArgumentError(
                    f"{type(self).__name__}: two parameters or buffers have the name {name!r}, one in params or "
                    "buffers and one elsewhere. Give one of them another name."
                )
        return ((name, entry) for name, entry in found.items() if isinstance(entry, kind))

    def _find(self, kind):
        entered = set()
        for attribute, value in list(vars(self).items()):
            is_named = attribute not in self._unnamed or not isinstance(value, (dict, list))
            path = (attribute,) if is_named and not isinstance(value, Buffers) else ()
            for keys, entry in _search(value, path, entered):
                if isinstance(entry, kind):
                    yield ".".join(_word(self, key) for key in keys), entry

    def parameter_shapes(self) -> Shapes | None:
        """Return the parameters that the layer has, or will have at its first call, and what is known of their shapes.

        A layer that makes parameters at its first call tells them here, so that it takes those of a file before, and
        no others.

        Returns
        -------
        dict of str to tuple of (int or None), or None
            By their names in ``params``; a size that the first input decides is None. None altogether where the layer
            does not tell, as this base class does not: then it has what it has made.
        """
        return None

    def buffer_shapes(self) -> Shapes | None:
        """Return the buffers that the layer has, or will have at its first call, as :meth:`parameter_shapes` does."""
        return None

    def set_parameters(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Make or replace the layer's own parameters by host arrays, a dict of name to ndarray.

        Raises
        ------
        ShapeError
            If a parameter has another shape, or the layer has no such parameter, or would lack another.
        """
        self._store(Parameter, self.params, self.parameter_shapes(), arrays)

    def set_buffers(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Make or replace the layer's own buffers by host arrays, a dict of name to ndarray.

        A layer with both makes its buffers first: another thread may call it as soon as it has parameters.

        Raises
        ------
        ShapeError
            As :meth:`set_parameters`.
        """
        self._store(Buffer, self.buffers, self.buffer_shapes(), arrays)

    def _store(self, kind, stored, expected, arrays):
        word = kind.__name__.lower()
        shapes = {**(expected or {}), **{name: entry.shape for name, entry in stored.items()}}
        if expected is not None and (set(arrays) - set(shapes) or set(expected) - set(arrays) - set(stored)):
            raise ShapeError(
                f"{type(self).__name__}: values are given for {sorted(arrays)}, but the {word}s are "
                f"{sorted(shapes)}. Give values for these and no others, made by a layer with the same arguments."
            )
        for name, array in arrays.items():
            if name in shapes and not fits(array.shape, shapes[name]):
                raise ShapeError(
                    f"{type(self).__name__}: the {word} {name} has shape {described(shapes[name])}, but the values "
                    f"given have shape {array.shape}. Give values made by a model of the same shape."
                )
        fresh = {name: kind(array) for name, array in arrays.items()}
        for name, entry in fresh.items():
            # What was there stays the same object, for an optimizer keeps its state by it.
            if name in stored:
                stored[name].set(entry)
        # All at once, since another thread may call the layer as soon as it has one.
        stored.update({name: entry for name, entry in fresh.items() if name not in stored})


def watched(watcher):
    """Return a context manager: ``watcher(layer, inputs, output)`` is called after each layer of the block."""
    return setting(_watcher, watcher)


def is_watched():
    """Return whether a watcher is called after each layer."""
    return _watcher.get() is not None


def fits(shape, expected):
    """Return whether a shape is as :meth:`Layer.parameter_shapes` says, where None stands for any size but zero."""
    return len(shape) == len(expected) and all(
        size > 0 if known is None else size == known for size, known in zip(shape, expected, strict=True)
    )


def described(expected):
    """Return a shape of :meth:`Layer.parameter_shapes` as text, such as ``(any, 10)``."""
    return str(tuple(expected)).replace("None", "any")


_CONTAINERS = (dict, list, tuple)


def _search(value, path, entered):
    """Yield (path, entry) of the layers and all that is stored that a value is, or that lie in its containers."""
    if isinstance(value, (Layer, Stored)):
        yield path, value
    elif isinstance(value, _CONTAINERS) and id(value) not in entered:
        # A list may hold itself.
        entered.add(id(value))
        for key, entry in list(value.items()) if isinstance(value, dict) else enumerate(value):
            if isinstance(entry, (Layer, Stored, *_CONTAINERS)):
                yield from _search(entry, (*path, key), entered)


def _word(layer, key):
    """Return a key as a part of a name: letters, digits and dashes stay, all else is quoted as in an address."""
    if not _is_stable(key):
        raise ArgumentError(
            f"{type(layer).__name__}: a dict has a layer, parameter or buffer under the key {key!r}, a "
            f"{type(key).__name__}, from which no name follows that would be the same in every process. Use strings or "
            "numbers as keys."
        )
    return re.sub(r"[^\w-]", _quoted, str(key))


def _quoted(character):
    return urllib.parse.quote(character[0], safe="", errors="surrogatepass").replace(".", "%2E").replace("~", "%7E")


def _is_stable(key):
    if isinstance(key, tuple):
        return all(map(_is_stable, key))
    return key is None or isinstance(key, (str, bytes, numbers.Number, enum.Enum))

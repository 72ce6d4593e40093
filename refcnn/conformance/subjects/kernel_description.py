"""What a file of somebody's own OpenCL kernels says of them, in a comment that begins with ``refcnn``, as TOML.

.. code-block:: c

    /* refcnn
    operation = "dense"
    where = "b is not None"
    options = "-DTILE=8"

    [[forward]]
    kernel = "product"
    arguments = { x = "x", w = "w", bias = "b", result = "y", rows = "x.shape[0]" }
    global = ["round_up(y.shape[1], 8)", "round_up(y.shape[0], 8)"]
    local = [8, 8]
    */

Each ``[[forward]]`` is a launch, one after the other, and each ``[[backward]]``; ``scratch`` has arrays that launches
hand on to each other, by the number of their elements of four bytes.
"""

import dataclasses
import functools
import inspect
import re
import shlex
import tomllib
from pathlib import Path

from ... import backend, rooms
from ...errors import ArgumentError, DataError
from ...reading import read_plain, reading
from ...suggestions import did_you_mean
from ..reports.results import DIRECTIONS
from ..theory.bounds import number_format
from . import base
from .formulas import Formula

_ADVICE = "See the README, 'A kernel of your own'."
_COMMENT = re.compile(r"/\*\s*refcnn\b(.*?)\*/", re.DOTALL)
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"\n]+)"[ \t]*$', re.MULTILINE)
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"[A-Za-z_]\w*")
#: Files that include each other without end are no deeper.
_MOST_INCLUDES = 50
_MOST_DIMENSIONS = 3

#: Bytes of an element of ``scratch``.
SCRATCH_ITEM = number_format().dtype.itemsize


@dataclasses.dataclass(frozen=True)
class Launch:
    """One launch of a kernel: formulas.

    Attributes
    ----------
    kernel : str
    arguments : dict of str to Formula
        By the kernel's own names.
    global_size, local_size : tuple of Formula
    """

    kernel: str
    arguments: dict
    global_size: tuple
    local_size: tuple

    @property
    def names(self):
        """The names of ours that its arguments consist of: arrays, in so far as they are no numbers."""
        return {formula.name for formula in self.arguments.values()} - {None}


@dataclasses.dataclass(frozen=True)
class Options:
    """Build options, in which formulas stand between braces."""

    words: tuple
    formulas: dict

    def __call__(self, value_of):
        """Return them with what ``value_of`` gives for each formula."""

        def text(found):
            value = value_of(self.formulas[found[1]])
            return str(int(value) if isinstance(value, bool) else value)

        return tuple(_PLACEHOLDER.sub(text, word) for word in self.words)


@dataclasses.dataclass(frozen=True)
class Description:
    """What a file says of its kernels.

    Attributes
    ----------
    path : pathlib.Path
    text : str
        The whole file, with what it includes by ``#include "..."`` in its place.
    operation : str
    where : Formula
        True of the cases that the kernels are made for.
    options : Options
    scratch : dict of str to Formula
    launches : dict of str to (list of Launch)
        By direction.
    """

    path: Path
    text: str
    operation: str
    where: Formula
    options: Options
    scratch: dict
    launches: dict

    @property
    def gradients(self):
        """The names of the gradients that the backward launches compute."""
        given = set().union(*(launch.names for launch in self.launches["backward"]))
        return given & set(_gradient_names(_Names(self.operation).inputs))


def load(path):
    """Read a file of kernels and its description.

    Parameters
    ----------
    path : str or os.PathLike

    Returns
    -------
    Description

    Raises
    ------
    DataError
        If there is no such file, or what it says of its kernels is not as it should be.
    """
    path = Path(path)
    with reading(path, "a file of OpenCL kernels with a description that can be used", DataError, _ADVICE):
        text = read_plain(path).decode("utf-8-sig")
        comment = _COMMENT.search(text)
        if comment is None:
            raise ValueError("it has no comment that begins with '/* refcnn', which would describe its kernels")
        # Its lines are counted as they are in the file.
        entries = tomllib.loads("\n" * text.count("\n", 0, comment.start(1)) + comment[1].strip(" \t"))
        text = _with_includes(text, path.parent)
        return _Reader(path, text, entries).description()


def _with_includes(text, folder, depth=0):
    """Return a text with the files that it includes, as far as they lie in its folder, in the place of their names."""

    def content(found):
        path = folder / found[1]
        if not path.is_file():
            return found[0]
        if depth == _MOST_INCLUDES:
            raise ValueError(f'#include "{found[1]}" includes itself')
        return _with_includes(read_plain(path).decode("utf-8-sig"), path.parent, depth + 1)

    return _INCLUDE.sub(content, text)


@functools.cache
class _Names:
    """The names that an operation's formulas may have: those of the reference."""

    def __init__(self, operation):
        parameters = inspect.signature(rooms.require(rooms.REFERENCE, operation).forward).parameters.values()
        self.inputs = [one.name for one in parameters if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
        many = [one.name for one in parameters if one.kind is inspect.Parameter.VAR_POSITIONAL]
        # Of any number of inputs they are numbered.
        self.inputs += [f"{name.removesuffix('s')}{number}" for name in many for number in range(10)]
        of_attributes = [one for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY]
        self.attributes = {one.name for one in of_attributes}
        self.defaults = {one.name: one.default for one in of_attributes if one.default is not one.empty}
        if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters):
            self.attributes |= set(inspect.signature(rooms.function(operation)).parameters) - set(self.inputs)

    def known(self, direction, scratch):
        """Return what is known in a direction's launches; of several results and their gradients the first."""
        names = {*self.inputs, *self.attributes, *scratch, "y"}
        return names | ({"dy", *_gradient_names(self.inputs)} if direction == "backward" else set())


def _gradient_names(inputs):
    return [f"d{name}" for name in inputs]


def input_names(operation, count):
    """Return what the reference calls so many inputs of an operation."""
    return _Names(operation).inputs[:count]


def attributes_of(operation, given):
    """Return an operation's attributes, those that are not given as the reference has them."""
    return _Names(operation).defaults | given


class _Reader:
    """Makes a Description of what TOML had; raises ValueError."""

    def __init__(self, path, text, entries):
        self._path, self._text, self._entries, self._scratch = path, text, entries, {}

    def description(self):
        entries = self._entries
        _require_known("the description", entries, ("operation", "where", "options", "scratch", *DIRECTIONS))
        operation = self._operation()
        self._names = _Names(operation)
        where = self._formula("where", entries.get("where", "True"), "forward")
        options = self._options(entries.get("options", ""))
        scratch = _table("scratch", entries.get("scratch", {}))
        taken = self._names.known("backward", ())
        for name, size in scratch.items():
            if name in taken or not _NAME.fullmatch(name):
                raise ValueError(f"scratch has {name!r}, but it must be a name, and another one than {_listed(taken)}")
            self._scratch[name] = self._formula(f"scratch.{name}", size, "backward")
        # Not before the options, since macros may make the kernels' names.
        self._kernels = backend.kernels_in(self._text, options(lambda formula: 1))
        launches = {direction: self._launches(direction) for direction in DIRECTIONS}
        found = Description(self._path, self._text, operation, where, options, self._scratch, launches)
        self._check_results(found)
        return found

    def _operation(self):
        operation = self._entries.get("operation")
        known = base.operations()
        if operation not in known:
            said = "it says no operation" if operation is None else f"there is no operation {operation!r}"
            hint = did_you_mean(operation, known) if isinstance(operation, str) else ""
            raise ValueError(f"{said}.{hint} There are {', '.join(known)}")
        return operation

    def _check_results(self, found):
        if not any(found.launches.values()):
            raise ValueError("it has neither [[forward]] nor [[backward]]: each is a launch of a kernel")
        writes = set().union(*(launch.names for launch in found.launches["forward"]))
        if found.launches["forward"] and not any(re.fullmatch(r"y\d*", name) for name in writes):
            raise ValueError("no launch of [[forward]] is given y, the result")
        if found.launches["backward"] and "backward" not in base.directions(found.operation):
            raise ValueError(f"it has [[backward]], but {found.operation} has no gradient")
        if found.launches["backward"] and not found.gradients:
            gradients = ", ".join(_gradient_names(self._names.inputs))
            raise ValueError(f"no launch of [[backward]] is given a gradient to compute: {gradients}")

    def _formula(self, place, text, direction):
        names = self._names.known(direction, self._scratch)

        def is_known(name):
            # Of several results, and their gradients, each has a number.
            return name in names or re.sub(r"^(d?y)\d+$", r"\1", name) in names

        try:
            return Formula(text, is_known, names)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None

    def _options(self, text):
        if not isinstance(text, str):
            raise ValueError(f'options is {text!r}, but a text is needed, such as "-DTILE=8"')
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise ValueError(f"options {text!r} cannot be read: {error}") from None
        # As the reader of kernels' texts wants it: -D NAME is -DNAME.
        joined = []
        for word in words:
            joined[-1:] = [joined[-1] + word] if joined[-1:] == ["-D"] else [*joined[-1:], word]
        formulas = {one: self._formula("options", one, "forward") for one in _PLACEHOLDER.findall(text)}
        return Options(tuple(joined), formulas)

    def _launches(self, direction):
        entries = self._entries.get(direction, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise ValueError(f"{direction} is no list of launches: write [[{direction}]] before each")
        return [self._launch(direction, number, entry) for number, entry in enumerate(entries, 1)]

    def _launch(self, direction, number, entry):
        place = f"{direction} {number}"
        keys = ("kernel", "arguments", "global", "local")
        _require_known(place, entry, keys)
        missing = [key for key in keys if key not in entry]
        if missing:
            raise ValueError(f"{place} lacks {', '.join(missing)}")
        kernel = entry["kernel"]
        if kernel not in self._kernels:
            hint = did_you_mean(str(kernel), self._kernels)
            present = ", ".join(self._kernels) or "none"
            raise ValueError(f"{place} names the kernel {kernel!r}, which the file has not.{hint} It has {present}")
        arguments = _table(f"{place}: arguments", entry["arguments"])
        parameters = [one.name for one in self._kernels[kernel]]
        unknown = [name for name in arguments if name not in parameters]
        absent = [name for name in parameters if name not in arguments]
        if unknown or absent:
            faults = (("has no", unknown), ("is not given", absent))
            said = " and ".join(f"{what} {', '.join(names)}" for what, names in faults if names)
            raise ValueError(
                f"{place}: the kernel {kernel} {said}. Give each of its arguments by its name: {', '.join(parameters)}"
            )
        formulas = {name: self._formula(f"{place}: {name}", text, direction) for name, text in arguments.items()}
        sizes = [self._size(place, key, entry[key], direction) for key in ("global", "local")]
        if len(sizes[0]) != len(sizes[1]):
            raise ValueError(f"{place}: global has {len(sizes[0])} dimensions, but local {len(sizes[1])}")
        return Launch(kernel, {name: formulas[name] for name in parameters}, *sizes)

    def _size(self, place, key, texts, direction):
        if not isinstance(texts, list) or not 1 <= len(texts) <= _MOST_DIMENSIONS:
            raise ValueError(f"{place}: {key} is {texts!r}, but a list of 1 to {_MOST_DIMENSIONS} formulas is needed")
        return tuple(self._formula(f"{place}: {key}", text, direction) for text in texts)


def _require_known(place, entries, known):
    for name in entries:
        if name not in known:
            raise ValueError(f"{place} has no {name!r}.{did_you_mean(name, known)} There are {', '.join(known)}")


def _table(place, entry):
    if not isinstance(entry, dict):
        raise ValueError(f'{place} is {entry!r}, but a table is needed: {{ name = "formula" }}')
    return entry


def _listed(names):
    return ", ".join(sorted(names))


def size_of(formula, values, what):
    """Return what a formula comes to as a whole number that is not negative.

    Raises
    ------
    ArgumentError
        If it is none.
    """
    value = formula(values)
    is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if not is_whole or value < 0 or isinstance(value, bool):
        raise ArgumentError(f"{what} is {value!r} by {formula.text!r}, but a whole number of at least 0 is needed.")
    return int(value)

"""One run of the reference, line by line: what each line read and wrote, and of what each number was made."""

import contextvars
import dataclasses
import inspect
import math

import numpy as np

from .. import rooms
from ..backend import results_of
from ..errors import ArgumentError
from ..mode import setting
from .cells import Cells
from .ledger import PADDING, Entry, Ledger, new_storage
from .reference_copy import LineTrace, Reference

#: What the functions of an operation are called, whose lines are told; others are helpers.
_TOLD = ("forward", "backward")
_most_steps = contextvars.ContextVar("refcnn most steps", default=math.inf)


@dataclasses.dataclass(eq=False)
class Step:
    """One line that ran.

    Attributes
    ----------
    function : str
        Whose line it is, as a key of :attr:`Recording.sources`.
    line : int
        Its number in the file.
    variables : dict of str to (int or tuple of int)
        The numbers that changed since the line before, such as the place of a window.
    reads : list of (Storage, ndarray of int)
        Which places of which arrays, counted row by row.
    writes : list of (Storage, ndarray of int, ndarray)
        Which, and the numbers that were written.
    """

    function: str
    line: int
    variables: dict
    reads: list = dataclasses.field(default_factory=list)
    writes: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass(eq=False)
class Source:
    """A function of the reference.

    Attributes
    ----------
    path : str
        Its file, from the package on.
    first : int
        The number of its first line.
    text : str
    """

    path: str
    first: int
    text: str


@dataclasses.dataclass(eq=False)
class Recording:
    """What one run of the reference did.

    Attributes
    ----------
    operation, direction : str
        The direction is ``forward`` or ``backward``.
    ledger : Ledger
    inputs : dict of str to Cells
        What was given, by the reference's names; what forward saved is among those of backward.
    results : dict of str to Cells
        Those of backward are called ``dx`` after the input x. None of an input without a gradient is left out.
    steps : list of Step
    sources : dict of str to Source
    """

    operation: str
    direction: str
    ledger: Ledger
    inputs: dict
    results: dict
    steps: list
    sources: dict

    @property
    def storages(self):
        """The storages that the steps read and write, each once, those of inputs and results first."""
        found = [entry.storage for entry in (*self.inputs.values(), *self.results.values())]
        found += [storage for step in self.steps for storage, *_ in (*step.reads, *step.writes)]
        return list({id(storage): storage for storage in found}.values())


def of_at_most(steps):
    """Return a context manager in which a recording of more steps is given up, with an ArgumentError."""
    return setting(_most_steps, steps)


def record(operation, inputs, attributes, dy=None, needs=None):
    """Run the reference's loops and record them.

    Parameters
    ----------
    operation : str
        Its stem.
    inputs : sequence of (ndarray or None)
    attributes : dict
        As the backends take them.
    dy : ndarray or tuple, optional
        The gradient of the result; without it forward alone is run.
    needs : tuple of bool, optional
        Whose gradients are wanted; all if they are not given.

    Returns
    -------
    (Recording, Recording or None)
        Of forward and of backward.
    """
    forward, saved = _forward(operation, inputs, attributes)
    if dy is None:
        return forward, None
    needs = (True,) * len(inputs) if needs is None else needs
    return forward, _backward(operation, list(forward.inputs), dy, saved, needs, attributes)


def _forward(operation, inputs, attributes):
    ledger = Ledger()
    room = Reference(ledger)
    names = input_names(operation, len(inputs))
    given = [None if one is None else Cells.given(ledger, one, name) for name, one in zip(names, inputs, strict=True)]
    run, forward = _Run(operation, "forward", room), room.room(operation).forward
    with run.traced:
        y, saved = results_and_saved(operation, forward(*given, **attributes))
    present = {name: one for name, one in zip(names, given, strict=True) if one is not None}
    results = dict(zip(_result_names(y), (_apart(ledger, one) for one in results_of(y)), strict=True))
    return run.ended(ledger, present, results), saved


def _backward(operation, names, dy, saved, needs, attributes):
    ledger = Ledger()
    room = Reference(ledger)
    given = {}
    saved = _as_given(ledger, saved, given)
    if isinstance(dy, tuple):
        dy = tuple(one if one is None else Cells.given(ledger, one, f"dy{index}") for index, one in enumerate(dy))
        given = {one.storage.name: one for one in dy if one is not None} | given
    else:
        dy = Cells.given(ledger, dy, "dy")
        given = {"dy": dy} | given
    run, backward = _Run(operation, "backward", room), room.room(operation).backward
    with run.traced:
        gradients = backward(dy, saved, needs, **attributes)
    results = {
        f"d{name}": _apart(ledger, gradient)
        for name, gradient in zip(names, gradients, strict=False)
        if gradient is not None
    }
    return run.ended(ledger, given, results)


def results_and_saved(operation, returned):
    """Return what ``forward`` returned as (y, saved); an update, which has no gradient, saves nothing."""
    return returned if hasattr(rooms.require(rooms.REFERENCE, operation), "backward") else (returned, None)


def input_names(operation, count):
    """Return what the reference calls an operation's inputs; of any number of them they are numbered."""
    parameters = inspect.signature(rooms.require(rooms.REFERENCE, operation).forward).parameters.values()
    names = [one.name for one in parameters if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    many = [one.name for one in parameters if one.kind is inspect.Parameter.VAR_POSITIONAL]
    return [f"{many[0].removesuffix('s')}{number}" for number in range(count)] if many else names[:count]


def _apart(ledger, result):
    """Return a result as Cells that lie apart from what was given: it may be a view of that, or no array of cells."""
    if not isinstance(result, Cells):
        return Cells.constant(ledger, result)
    if result.storage.initial is None:
        return result
    ledger.reads.append((result.storage, result.places))
    return Cells(ledger, result.values, result.ids, *new_storage(result.shape))


def _result_names(y):
    return ["y"] if not isinstance(y, tuple) else [f"y{index}" if index else "y" for index in range(len(y))]


def _as_given(ledger, saved, given):
    """Return what forward saved as numbers that backward is given, and enter them by name in ``given``."""
    if isinstance(saved, tuple):
        return tuple(_as_given(ledger, one, given) for one in saved)
    if not isinstance(saved, Cells):
        return saved
    origin = saved.storage.origin if saved.storage.shape == saved.shape else None
    name = saved.storage.name or f"saved{len(given) or ''}"
    while name in given:
        name += "'"
    given[name] = again = Cells.given(ledger, saved.values, name, origin)
    again.storage.inner = saved.storage.inner if origin else None
    entries = (saved.ledger.look_up(int(number))[0] for number in saved.ids.flat)
    is_padding = np.array([entry.name == PADDING for entry in entries], bool).reshape(saved.shape)
    if is_padding.any():
        padding = Entry("given", PADDING, again.values, (), again.storage, again.places)
        np.copyto(again.ids, ledger.enter(padding), where=is_padding)
    return again


class _Run:
    """Collects the steps while the reference runs."""

    def __init__(self, operation, direction, reference):
        self.operation, self.direction, self._reference = operation, direction, reference
        self._is_page = not inspect.ismodule(rooms.require(rooms.REFERENCE, operation))
        self._steps, self._sources, self._known = [], {}, {}
        self.traced = LineTrace(self._is_told, self._tell)

    def ended(self, ledger, inputs, results):
        """Return the Recording."""
        for name, result in results.items():
            # The reference calls it otherwise on its way, or has it in another shape.
            if result.storage.name not in (None, name) or not _lies_as_it_is(result):
                ledger.reads.append((result.storage, result.places))
                results[name] = Cells(ledger, result.values, result.ids, *new_storage(result.shape))
        self._close(ledger)
        for name, result in results.items():
            self._name(name, result)
        return Recording(self.operation, self.direction, ledger, inputs, results, self._steps, self._sources)

    def _is_told(self, code):
        if not self._reference.owns(code) or code.co_name.startswith("<"):
            return False
        return self._is_page or code.co_name in _TOLD

    def _tell(self, frame, event):
        found = dict(frame.f_locals)
        cells = {name: value for name, value in found.items() if isinstance(value, Cells)}
        self._close(next((value.ledger for value in cells.values()), None))
        for name, value in cells.items():
            self._name(name, value)
        if len(self._steps) >= _most_steps.get():
            raise ArgumentError(
                f"{self.operation}: the reference runs more than {_most_steps.get():,} lines for this, which are not "
                "shown. Choose fewer pixels, a smaller window or a larger stride."
            )
        if event == "line":
            numbers = {name: value for name, value in found.items() if _is_place(value)}
            changed = {name: value for name, value in numbers.items() if self._known.get(name) != value}
            self._known.update(numbers)
            self._steps.append(Step(self._source(frame.f_code), frame.f_lineno, changed))

    def _name(self, name, value):
        """Call the storage of an array as the reference does; what is computed is seen to be written when it is named.

        Of what is cut out of a larger array under the same name coordinates are counted from there.
        """
        storage = value.storage
        if storage.name is None:
            storage.name = name
            if self._steps:
                self._steps[-1].writes.append((storage, value.places.copy(), value.values.copy()))
        if storage.name == name and value.size and value.ndim == len(storage.shape) and value.shape != storage.shape:
            storage.origin = tuple(int(one) for one in np.unravel_index(value.places.flat[0], storage.shape))

    def _close(self, ledger):
        """Give what was read and written since to the last step."""
        if ledger is None or not self._steps:
            return
        step, (reads, writes) = self._steps[-1], ledger.turn_page()
        step.reads += reads
        step.writes += writes

    def _source(self, code):
        key = f"{code.co_filename.rpartition('/')[2]}:{code.co_firstlineno}"
        if key not in self._sources:
            lines, first = inspect.getsourcelines(code)
            path = code.co_filename.replace("\\", "/").rpartition("/refcnn/")[2]
            self._sources[key] = Source(f"refcnn/{path}", first, "".join(lines))
        return key


def _lies_as_it_is(cells):
    """Return whether an array is its storage, or a part that is cut out of it."""
    if len(cells.storage.shape) != cells.ndim:
        return False
    if not cells.size or not cells.ndim:
        return True
    places = np.moveaxis(cells.storage.coordinates(cells.places), -1, 0)
    first = places.reshape(cells.ndim, -1)[:, :1].reshape(-1, *(1,) * cells.ndim)
    return np.array_equal(places - first, np.indices(cells.shape))


def _is_place(value):
    return isinstance(value, (int, np.integer)) or (
        isinstance(value, tuple) and bool(value) and all(isinstance(one, (int, np.integer)) for one in value)
    )

"""What a page plays: a recording as JSON of the schema in ``explain.schema.json``, which computes nothing any more."""

import itertools
import math

import numpy as np

from .walking import PRODUCT, SUM, Formula, Number

#: The digits of numbers that are shown; exact answers and errors have all of theirs.
_DIGITS = 7
#: Of how many numbers of a result it is told where they come from, and of a sum how many terms.
MOST_WALKS, MOST_TERMS = 400, 400
#: Of how many parts the formulas of all numbers of a result have, after which of no further number it is told.
MOST_PARTS = 100_000


class Frame:
    """An array as the page shows it, with what lies around it: all storages that have one name, at one scale.

    Attributes
    ----------
    name : str
    origin : tuple of int
        Where the array's own index 0 lies in the frame, along each axis.
    shape : tuple of int
        Of the frame.
    inner : tuple of int
        Of the array itself.
    """

    def __init__(self, name, storages, inner):
        self.name, axes = name, range(len(inner))
        # Another array may have been called so for a while.
        storages = [one for one in storages if _holds(one, inner)]
        self._storages = set(map(id, storages))
        self.origin = tuple(max([0, *(one.origin[axis] for one in storages)]) for axis in axes)
        ends = [max([inner[axis], *(one.shape[axis] - one.origin[axis] for one in storages)]) for axis in axes]
        self.shape = tuple(before + end for before, end in zip(self.origin, ends, strict=True))
        self.inner = tuple(inner)

    def shows(self, storage):
        """Return whether an array's storage is one of those that are shown here."""
        return id(storage) in self._storages

    def places(self, storage, places):
        """Return where in the frame places of a storage lie, counted row by row."""
        return self.flat(storage.coordinates(places))

    def flat(self, coordinates):
        """Return where in the frame coordinates (..., axes) lie."""
        if not self.shape:
            return np.zeros(np.shape(coordinates)[:-1], int)
        moved = np.moveaxis(np.asarray(coordinates) + self.origin, -1, 0)
        return np.ravel_multi_index(tuple(moved), self.shape)


def _holds(storage, inner):
    return len(storage.shape) == len(inner) and all(size >= own for size, own in zip(storage.shape, inner, strict=True))


def playback(recording, walks):
    """Return what a page plays of a recording, as data that JSON can say.

    Parameters
    ----------
    recording : Recording
    walks : Walks
        Of the same call.
    """
    frames = _frames(recording)
    numbers = {name: number for number, name in enumerate(frames)}
    steps = [_step(step, frames, numbers) for step in recording.steps]
    own = [name for name in recording.results if name in frames]
    return {
        "direction": recording.direction,
        "arrays": [_array(recording, frame) for frame in frames.values()],
        "steps": steps,
        "walks": {str(numbers[name]): list(_walks(recording, walks, name, frames, numbers)) for name in own},
    }


def _frames(recording):
    """Return the frames of inputs, results and what is written in between, by name."""
    given = {**recording.inputs, **recording.results}
    between = {}
    for step in recording.steps:
        for storage, *_ in step.writes:
            if storage.name is not None and storage.name not in given:
                between.setdefault(storage.name, {})[id(storage)] = storage
    frames = {}
    for name, cells in given.items():
        same = [one for one in recording.storages if one.name == name]
        frames[name] = Frame(name, same, cells.storage.inner or cells.shape)
    for name, storages in between.items():
        storages = list(storages.values())
        # What has another value at each place of a loop is not shown, but where it comes from.
        if len(storages) == 1 and storages[0].shape:
            frames[name] = Frame(name, storages, storages[0].inner or storages[0].shape)
    return frames


def _array(recording, frame):
    cells = recording.inputs.get(frame.name)
    role = "given" if cells is not None else "result" if frame.name in recording.results else "between"
    values = np.full(math.prod(frame.shape), np.nan)
    for storage in recording.storages:
        if frame.shows(storage) and storage.initial is not None:
            values[frame.places(storage, np.arange(storage.initial.size)).ravel()] = storage.initial.ravel()
    return {
        "name": frame.name,
        "role": role,
        "shape": list(frame.shape),
        "origin": list(frame.origin),
        "inner": list(frame.inner),
        "values": [number(value) for value in values] if cells is not None else [],
    }


def _step(step, frames, numbers):
    reads = {}
    for storage, places in step.reads:
        frame = frames.get(storage.name)
        if frame is not None and frame.shows(storage) and places.size:
            reads.setdefault(storage.name, []).append(frame.places(storage, places).ravel())
    writes = []
    for storage, places, values in step.writes:
        frame = frames.get(storage.name)
        if frame is not None and frame.shows(storage) and places.size:
            found = frame.places(storage, places).ravel()
            writes.append([numbers[storage.name], region(found, frame.shape), _written(values)])
    told = {"source": step.function, "line": step.line}
    if step.variables:
        told["variables"] = {name: _plain(value) for name, value in step.variables.items()}
    if reads:
        told["reads"] = [
            [numbers[name], region(np.unique(np.concatenate(places)), frames[name].shape)]
            for name, places in reads.items()
        ]
    if writes:
        told["writes"] = writes
    return told


def _written(values):
    values = np.asarray(values)
    if values.size > 1 and (values == values.flat[0]).all():
        return [number(values.flat[0])]
    return [number(value) for value in values.ravel()]


def _plain(value):
    return [int(one) for one in value] if isinstance(value, tuple) else int(value)


def region(places, shape):
    """Return places of a frame as [[first, step, count], ...] for each axis, or else as a list of them.

    The places are counted row by row; those of the former are in that order too.
    """
    if not shape:
        return []
    axes = [sorted(set(axis.tolist())) for axis in np.unravel_index(places, shape)]
    rows = []
    for axis in axes:
        step = axis[1] - axis[0] if len(axis) > 1 else 1
        if axis != list(range(axis[0], axis[0] + step * len(axis), step)):
            return [int(one) for one in places]
        rows.append([axis[0], step, len(axis)])
    grid = np.ix_(*axes)
    whole = np.ravel_multi_index(np.broadcast_arrays(*grid), shape).ravel()
    return rows if np.array_equal(whole, places) else [int(one) for one in places]


def _walks(recording, walks, name, frames, numbers):
    result, left = recording.results[name], MOST_PARTS
    for index in itertools.islice(np.ndindex(result.shape), MOST_WALKS):
        walk = walks.to(index, name, recording)
        yield told(walk, frames, numbers)
        left -= _parts(walk.formula)
        if left < 0:
            return


def _parts(formula):
    """Return how many formulas and numbers a formula is made of, itself among them."""
    return 1 + (sum(map(_parts, formula.parts)) if isinstance(formula, Formula) else 0)


def told(walk, frames, numbers):
    """Return a walk as data: where the number lies, its terms or its formula, and how far it is off."""
    found = {
        "place": int(frames[walk.result].flat(np.array(walk.index, int))),
        "exact": number(walk.exact, 17),
        "computed": number(walk.computed, 9),
        "error": number(walk.error, 3),
        "bound": None if walk.bound is None else number(walk.bound, 3),
    }
    if is_sum_of_products(walk.formula) and set(walk.looked_at) <= set(numbers):
        parts = walk.formula.parts
        count = {"count": len(parts)} if len(parts) > MOST_TERMS else {}
        return found | count | {"terms": [_term(part, frames, numbers) for part in parts[:MOST_TERMS]]}
    return found | {"formula": _formula(walk.formula, frames, numbers)}


def is_sum_of_products(formula):
    """Return whether a formula is a sum of numbers and products of two."""
    return isinstance(formula, Formula) and formula.name == SUM and all(map(_is_term, formula.parts))


def _is_term(part):
    if isinstance(part, Number):
        return part.array is not None
    return part.name == PRODUCT and len(part.parts) == 2 and all(map(_is_read, part.parts))


def _is_read(part):
    return isinstance(part, Number) and part.array is not None


def _term(part, frames, numbers):
    """Return [value, array, place, ...] of a number, or of a product of two."""
    factors = part.parts if isinstance(part, Formula) else (part,)
    return [number(part.value), *(entry for one in factors for entry in _where(one, frames, numbers))]


def _where(read, frames, numbers):
    if read.array not in numbers or len(read.index) != len(frames[read.array].shape):
        return [-1, 0]
    return [numbers[read.array], int(frames[read.array].flat(np.array(read.index, int)))]


def _formula(part, frames, numbers):
    """Return [value] of a constant, [value, array, place] of what is read, or [value, name, parts]."""
    if isinstance(part, Formula):
        return [number(part.value), part.name, [_formula(one, frames, numbers) for one in part.parts[:MOST_TERMS]]]
    if part.array is None:
        return [number(part.value)]
    return [number(part.value), *_where(part, frames, numbers)]


def number(value, digits=_DIGITS):
    """Return a number as JSON can say it: rounded to some digits, whole where it is, a string where it is infinite."""
    value = float(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    short = float(f"{value:.{digits}g}")
    return int(short) if short.is_integer() and abs(short) < 2**53 else short

"""Where one number of a result comes from: what was read for it, the products, their sum, and how far it may be off."""

import dataclasses

import numpy as np

from .. import rooms
from ..backend import results_of
from ..errors import ArgumentError
from . import cutting
from .ledger import PADDING
from .recording import input_names, record, results_and_saved

#: The names of formulas that take any number of parts.
SUM, PRODUCT = "sum", "product"
#: What the reference calls arrays that lie as an operation's result does.
_LIKE_RESULT = ("dy", "y", "winner")
#: How deep a formula is told, and of how many parts; what is below is one number.
_DEPTH, _PARTS = 8, 4000


@dataclasses.dataclass(frozen=True)
class Number:
    """A number in a formula.

    Attributes
    ----------
    value : float
    array : str or None
        What the reference calls the array that it was read from; None of a constant.
    index : tuple of int or None
        Where it lies there; below 0 or beyond the end in padding. None of what a cut out part alone computes.
    is_padding : bool
    """

    value: float
    array: str | None = None
    index: tuple | None = None
    is_padding: bool = False


@dataclasses.dataclass(frozen=True)
class Formula:
    """A function of numbers.

    Attributes
    ----------
    name : str
        :data:`SUM` and :data:`PRODUCT`, ``taken`` or ``chosen``, which give their first part because of the second, or
        what NumPy calls the function.
    value : float
        As the reference computed it.
    parts : tuple of (Number or Formula)
    """

    name: str
    value: float
    parts: tuple


@dataclasses.dataclass(frozen=True)
class Walk:
    """Where one number of a result comes from.

    Attributes
    ----------
    operation, direction : str
    result : str
        What the reference calls the result, such as ``y`` or ``dw``.
    index : tuple of int
    formula : Number or Formula
        Of the reference in float64.
    looked_at : dict of str to list of (tuple of int)
        All that the formula reads, of each array: under a window its pixels, also those that did not win.
    exact : float
        The reference's answer in float64.
    computed : float
        Its answer in float32.
    error : float
        By how much that is off.
    bound : float or None
        How far a correct answer in float32 may be off, whoever computes it; infinite where anything may be, None where
        there is no bound.
    """

    operation: str
    direction: str
    result: str
    index: tuple
    formula: Number | Formula
    looked_at: dict
    exact: float
    computed: float
    error: float
    bound: float | None


def walk(operation, inputs, attributes, index, *, dy=None, result=None):
    """Return where one number of an operation's result, or of a gradient, comes from.

    Parameters
    ----------
    operation : str
        Its stem.
    inputs : sequence of (ndarray or None)
    attributes : dict
        As the backends take them.
    index : tuple of int
        Of the number.
    dy : ndarray or tuple, optional
        The gradient of the result, for a number of a gradient.
    result : str, optional
        ``y``, or of a gradient ``dx`` after an input x: the first if it is not given.

    Returns
    -------
    Walk

    Raises
    ------
    BackendError
        If there is no such operation.
    ArgumentError
        If there is no such result, or no such number in it.
    """
    index = tuple(int(one) for one in index)
    return of_piece(operation, cutting.at(operation, inputs, attributes, index, dy, result), index, result)


def of_piece(operation, piece, index, result=None):
    """Return the :class:`Walk` to a number of a layer by the piece that was cut out of it.

    Parameters
    ----------
    operation : str
    piece : refcnn.explain.cutting.Piece
        Of :func:`~refcnn.explain.cutting.at`.
    index : tuple of int
        Of the number in the layer's own result.
    result : str, optional
        As of :func:`walk`.
    """
    names = input_names(operation, len(piece.inputs))
    own = [f"d{name}" for name in names]
    needs = tuple(name == result for name in own) if result in own else None
    walks = Walks(operation, piece.inputs, piece.attributes, piece.dy, needs)
    recording = walks.backward if piece.dy is not None else walks.forward
    found = walks.to(piece.place, result, recording)
    if not piece.offsets:
        return found
    *of_inputs, of_result = piece.offsets
    # Of what else is saved for the gradients it is not known where in the whole it would lie.
    offsets = dict.fromkeys(_LIKE_RESULT, of_result)
    return _moved(found, index, offsets | dict(zip(names, of_inputs, strict=True)))


def _moved(found, index, offsets):
    """Return a walk of a part with the indices of the whole."""
    formula = _moved_formula(found.formula, offsets)
    return dataclasses.replace(found, index=index, formula=formula, looked_at=_looked_at(formula))


def _moved_formula(part, offsets):
    if isinstance(part, Formula):
        return dataclasses.replace(part, parts=tuple(_moved_formula(one, offsets) for one in part.parts))
    if part.array is None:
        return part
    offset = offsets.get(part.array)
    is_known = offset is not None and len(offset) == len(part.index)
    return dataclasses.replace(part, index=tuple(map(sum, zip(part.index, offset, strict=True))) if is_known else None)


class Walks:
    """The walks to all numbers of one call of an operation, which is recorded once.

    Attributes
    ----------
    forward, backward : Recording
        The latter is None without a gradient of the result.

    Parameters
    ----------
    operation, inputs, attributes, dy
        As of :func:`walk`.
    needs : tuple of bool, optional
        Of which inputs the gradients are wanted; of all if it is not given.
    """

    def __init__(self, operation, inputs, attributes, dy=None, needs=None):
        self.operation, self.attributes = operation, attributes
        self._inputs, self._dy = tuple(inputs), dy
        exact = [_in_dtype(one, np.float64) for one in inputs]
        wanted = needs or (True,) * len(inputs)
        needs = tuple(one is not None and is_wanted for one, is_wanted in zip(inputs, wanted, strict=True))
        self.forward, self.backward = record(operation, exact, attributes, _in_dtype(dy, np.float64), needs)
        computed, gradients = self._in_float32(needs)
        forward_bounds, backward_bounds = self._bounds(needs)
        self._computed = {("forward", name): one for name, one in zip(self.forward.results, computed, strict=True)}
        self._bounds_of = dict(zip(self._computed, forward_bounds, strict=True))
        if self.backward is not None:
            names = [("backward", f"d{name}") for name in self._names()]
            self._computed |= dict(zip(names, gradients, strict=True))
            self._bounds_of |= dict(zip(names, backward_bounds, strict=True))

    def _names(self):
        return input_names(self.operation, len(self._inputs))

    def _in_float32(self, needs):
        """Return the results and the gradients of the reference in float32."""
        room = rooms.require(rooms.REFERENCE, self.operation)
        given = [_in_dtype(one, np.float32) for one in self._inputs]
        with np.errstate(all="ignore"):
            y, saved = results_and_saved(self.operation, room.forward(*given, **self.attributes))
            if self._dy is None:
                return results_of(y), ()
            return results_of(y), room.backward(_in_dtype(self._dy, np.float32), saved, needs, **self.attributes)

    def _bounds(self, needs):
        room = rooms.require(rooms.CONFORMANCE, self.operation)
        given = [_in_dtype(one, np.float32) for one in self._inputs]
        with np.errstate(all="ignore"):
            forward = results_of(room.forward_bound(given, self.attributes))
            if self._dy is None:
                return forward, ()
            dy = _in_dtype(self._dy, np.float32)
            return forward, room.backward_bound(dy, given, self.attributes, needs)

    def to(self, index, result=None, recording=None):
        """Return the :class:`Walk` to one number of a result of a recording, of forward if none is given."""
        recording = recording or self.forward
        result = next(iter(recording.results), None) if result is None else result
        found = recording.results.get(result)
        if found is None:
            there_are = ", ".join(recording.results) or "none"
            raise ArgumentError(f"{self.operation} has no result {result!r} there. There are: {there_are}.")
        index = tuple(int(one) for one in index)
        fits = len(index) == found.ndim and all(0 <= one < size for one, size in zip(index, found.shape, strict=True))
        if not fits:
            raise ArgumentError(f"{result} has the shape {found.shape}, in which there is no element {index}.")
        key = recording.direction, result
        exact, computed = float(found.values[index]), float(np.asarray(self._computed[key])[index])
        formula = _Unfolding(recording.ledger).of(int(found.ids[index]))
        bound = self._bound(key, found.shape, index)
        off = 0.0 if computed == exact or (np.isnan(computed) and np.isnan(exact)) else abs(computed - exact)
        return Walk(
            self.operation,
            recording.direction,
            result,
            index,
            formula,
            _looked_at(formula),
            exact,
            computed,
            off,
            bound,
        )

    def _bound(self, key, shape, index):
        bounds = self._bounds_of.get(key)
        if bounds is None:
            return None
        bound = float(np.broadcast_to(bounds, shape)[index])
        return float("inf") if bound < 0 else bound


def _in_dtype(values, dtype):
    """Return floats of another dtype, rounded to float32 first, and all else as it is."""
    if isinstance(values, tuple):
        return tuple(_in_dtype(one, dtype) for one in values)
    if values is None or values.dtype.kind != "f":
        return values
    return values.astype(np.float32).astype(dtype)


class _Unfolding:
    """Makes a formula of what a ledger has of a number."""

    def __init__(self, ledger):
        self._ledger, self._left = ledger, _PARTS

    def of(self, number, depth=_DEPTH):
        """Return the Number or Formula of an id."""
        entry, place = self._ledger.look_up(number)
        value = float(entry.values.reshape(-1)[place])
        self._left -= 1
        if entry.kind == "given":
            coordinates = entry.storage.coordinates(int(entry.places.reshape(-1)[place]))
            return Number(value, entry.storage.name, tuple(int(one) for one in coordinates), entry.name == PADDING)
        if entry.kind == "constant" or depth == 0 or self._left < 0:
            return Number(value)
        if entry.kind == "products" or _adds(entry):
            terms = self._terms(number, depth)
            return terms[0] if len(terms) == 1 and not _is_sum(terms[0]) else Formula(SUM, value, tuple(terms))
        rows = entry.made_of(place)
        parts = tuple(self.of(one, depth - 1) for row in rows for one in row)
        name = entry.name
        if name == np.multiply.__name__:
            name, parts = PRODUCT, tuple(inner for part in parts for inner in _factors(part))
        return Formula(name, value, parts) if any(map(_depends, parts)) else Number(value)

    def _terms(self, number, depth):
        """Return the terms of a sum, of which sums of sums are one, without zeros that it began with."""
        found, waiting = [], [number]
        while waiting:
            one = waiting.pop()
            entry, place = self._ledger.look_up(one)
            if entry.kind == "products":
                found += [self._product(*pair, depth - 1) for pair in reversed(entry.made_of(place))]
            elif _adds(entry):
                waiting += [inner for row in entry.made_of(place) for inner in row]
            elif entry.kind != "constant" or entry.values.reshape(-1)[place] != 0:
                found.append(self.of(one, depth - 1))
        return found[::-1]

    def _product(self, a, b, depth):
        parts = self.of(a, depth), self.of(b, depth)
        return Formula(PRODUCT, float(self._ledger.value(a) * self._ledger.value(b)), parts)


def _adds(entry):
    return (entry.kind, entry.name) in (("over", SUM), ("each", np.add.__name__))


def _is_sum(part):
    return isinstance(part, Formula) and part.name == SUM


def _depends(part):
    """Return whether a part depends on anything that was given, and not on shapes alone."""
    return isinstance(part, Formula) or (part.array is not None and not part.is_padding)


def _factors(part):
    return part.parts if isinstance(part, Formula) and part.name == PRODUCT else (part,)


def _looked_at(formula):
    """Return all indices that a formula reads, by array, each once."""
    found = {}
    waiting = [formula]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Formula):
            waiting += reversed(part.parts)
        elif part.array is not None and part.index is not None:
            found.setdefault(part.array, {})[part.index] = None
    return {name: list(indices) for name, indices in found.items()}

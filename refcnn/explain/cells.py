"""Arrays that note of what each of their numbers was made, and when it was read and written.

The reference computes with them as with NumPy's own arrays, to the same bits: every operation is NumPy's, on the
values, and is done once more on the ids of :mod:`.ledger`, where it moves numbers, or entered there, where it computes.
"""

import numpy as np

from ..special import ERF, ERFC
from .ledger import PADDING, Entry, new_storage


class Cells(np.lib.mixins.NDArrayOperatorsMixin):
    """An array whose numbers are known to a ledger.

    Attributes
    ----------
    ledger : Ledger
    values : ndarray
    ids : ndarray of int
        In the shape of the values, and views where those are views.
    storage : Storage
    places : ndarray of int
        Where in the storage each number lies, counted row by row.
    """

    def __init__(self, ledger, values, ids, storage, places):
        self.ledger, self.values, self.ids, self.storage, self.places = ledger, values, ids, storage, places

    @classmethod
    def given(cls, ledger, values, name=None, origin=None):
        """Return numbers that nothing was computed from, under a name."""
        values = np.array(values)
        storage, places = new_storage(values.shape, origin, name)
        storage.initial = values.copy()
        return cls(
            ledger, values, ledger.enter(Entry("given", "", values, (), storage, places)), storage, places.copy()
        )

    @classmethod
    def computed(cls, ledger, values, kind, name, *operands):
        """Return numbers that were computed from others, whose ids are the operands."""
        # What they are now: arrays may be written over.
        values, operands = np.asarray(values), tuple(map(np.array, operands))
        storage, places = new_storage(values.shape)
        return cls(ledger, values, ledger.enter(Entry(kind, name, values.copy(), operands)), storage, places)

    @classmethod
    def constant(cls, ledger, values, origin=None):
        """Return numbers that are the same whatever is given, and may be written over."""
        values = np.array(values)
        storage, places = new_storage(values.shape, origin)
        return cls(ledger, values, ledger.enter(Entry("constant", "", values.copy())), storage, places)

    def of(self, value):
        """Return anything as Cells of the same ledger."""
        return value if isinstance(value, Cells) else Cells.constant(self.ledger, value)

    shape = property(lambda self: self.values.shape)
    ndim = property(lambda self: self.values.ndim)
    size = property(lambda self: self.values.size)
    dtype = property(lambda self: self.values.dtype)

    def __len__(self):
        return len(self.values)

    def __iter__(self):
        return (self[index] for index in range(len(self)))

    def __bool__(self):
        return bool(self.values)

    def __int__(self):
        return int(self.values)

    def __float__(self):
        return float(self.values)

    def __index__(self):
        return self.values.__index__()

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)

    def moved(self, move):
        """Return what a function that only moves numbers makes of them; a list, where it makes one."""
        values, ids, places = move(self.values), move(self.ids), move(self.places)
        if isinstance(values, list):
            return [self._part(*one) for one in zip(values, ids, places, strict=True)]
        return self._part(values, ids, places)

    def _part(self, values, ids, places):
        values, ids, places = np.asarray(values), np.asarray(ids), np.asarray(places)
        if np.may_share_memory(values, self.values):
            return Cells(self.ledger, values, ids, self.storage, places)
        return Cells(self.ledger, values, ids, *new_storage(values.shape))

    def __getitem__(self, index):
        place = plain(index)
        self.ledger.reads.append((self.storage, np.array(self.places[place])))
        found = self.moved(lambda array: array[place])
        chosen_by = [one for one in (index if isinstance(index, tuple) else (index,)) if isinstance(one, Cells)]
        if len(chosen_by) == 1 and chosen_by[0].dtype.kind == "i" and chosen_by[0].shape == found.shape:
            return Cells.computed(self.ledger, found.values, "choice", "taken", found.ids, chosen_by[0].ids)
        return found

    def __setitem__(self, index, value):
        place, value = plain(index), self.of(value)
        if value.storage is self.storage and np.array_equal(value.places, self.places[place]):
            # The last step of ``a[i] += b``, which has written already.
            return
        self.values[place] = value.values
        self.ids[place] = value.ids
        self.ledger.writes.append((self.storage, np.array(self.places[place]), np.array(self.values[place])))

    def reshape(self, *shape):
        """As NumPy's."""
        return self.moved(lambda array: array.reshape(*shape))

    def transpose(self, *axes):
        """As NumPy's."""
        return self.moved(lambda array: array.transpose(*axes))

    def astype(self, dtype, **options):
        """As NumPy's: the same numbers, as near as the dtype holds them."""
        return Cells(self.ledger, self.values.astype(dtype), self.ids.copy(), *new_storage(self.shape))

    def __array_ufunc__(self, ufunc, method, *operands, **options):
        return _call_ufunc(self, ufunc, method, operands, options)

    def __array_function__(self, function, types, operands, options):
        return _call_function(function, operands, options)

    def write(self, values, ids, where=True):
        """Write over all numbers, or where it is wanted."""
        np.copyto(self.values, values, where=where, casting="same_kind")
        np.copyto(self.ids, ids, where=where)
        self.ledger.writes.append((self.storage, np.array(self.places), np.array(self.values)))
        return self


def _method(name):
    def method(self, *operands, **options):
        return getattr(np, name)(self, *operands, **options)

    method.__name__, method.__doc__ = name, "As NumPy's."
    return method


for _name in (
    *("sum", "prod", "max", "min", "mean", "any", "all", "argmax", "argmin"),
    *("swapaxes", "ravel", "copy", "take", "squeeze", "repeat"),
):
    setattr(Cells, _name, _method(_name))


def plain(value):
    """Return what NumPy can take: the values of Cells, also in tuples and lists."""
    if isinstance(value, Cells):
        return value.values
    return type(value)(map(plain, value)) if isinstance(value, (tuple, list)) else value


#: Functions of one array that move its numbers.
_MOVING = {
    *(
        np.reshape,
        np.swapaxes,
        np.moveaxis,
        np.transpose,
        np.broadcast_to,
        np.expand_dims,
        np.squeeze,
        np.ravel,
        np.copy,
    ),
    *(np.flip, np.repeat, np.tile, np.take, np.split),
}


def _call_ufunc(cells, ufunc, method, operands, options):
    """Compute a function of NumPy's that is taken of each element, or of a row, and enter what it made."""
    out, where = options.pop("out", (None,))[0], options.pop("where", True)
    if method == "at":
        return _add_at(*operands)
    if method != "__call__":
        return _of_all(cells.ledger, getattr(ufunc, method), operands, options)
    operands = [cells.of(one) for one in operands]
    _read(cells.ledger, operands)
    if ufunc is np.matmul:
        result = _products(cells.ledger, *operands)
    else:
        with np.errstate(all="ignore"):
            values = ufunc(*(one.values for one in operands), **options)
        if ufunc in (ERF, ERFC):
            values = np.asarray(values, operands[0].dtype)
        # What is made of a function of Python's has more behind its name.
        name = ufunc.__name__.partition(" ")[0]
        result = Cells.computed(
            cells.ledger, values, "each", name, *(np.broadcast_to(one.ids, np.shape(values)) for one in operands)
        )
    return result if out is None else out.write(result.values, result.ids, plain(where))


def _call_function(function, operands, options):
    """Call another function of NumPy's."""
    cells = _first((*operands, *options.values()))
    if function in _MOVING:
        source, *rest = operands
        rest, options = plain(tuple(rest)), {name: plain(value) for name, value in options.items()}
        return source.moved(lambda array: function(array, *rest, **options))
    _read(cells.ledger, (*operands, *options.values()))
    if function in _OTHERS:
        return _OTHERS[function](cells, *operands, **options)
    return _of_all(cells.ledger, function, operands, options)


def _read(ledger, operands):
    ledger.reads.extend((one.storage, one.places) for one in operands if isinstance(one, Cells))


def _first(values):
    for value in values:
        if isinstance(value, Cells):
            return value
        found = _first(value) if isinstance(value, (tuple, list)) else None
        if found is not None:
            return found
    return None


def _of_all(ledger, function, operands, options):
    """What no rule is known of: any number of the result may depend on any of the operands."""
    with np.errstate(all="ignore"):
        values = function(*plain(operands), **{name: plain(value) for name, value in options.items()})
    ids = tuple(one.ids for one in operands if isinstance(one, Cells))
    return Cells.computed(ledger, values, "all", function.__name__, *ids)


def _products(ledger, a, b):
    left, right = (one.ids for one in (a, b))
    left, right = left[None] if a.ndim == 1 else left, right[:, None] if b.ndim == 1 else right
    stack = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    left, right = (np.broadcast_to(one, (*stack, *one.shape[-2:])).copy() for one in (left, right))
    with np.errstate(all="ignore"):
        values = a.values @ b.values
    whole = np.reshape(values, (*stack, left.shape[-2], right.shape[-1]))
    ids = ledger.enter(Entry("products", "sum", whole.copy(), (left, right))).reshape(np.shape(values))
    return Cells(ledger, np.asarray(values), ids, *new_storage(np.shape(values)))


def _over(function, name):
    """Return the rule of a function that makes one number of all along some axes."""

    def rule(cells, x, axis=None, **options):
        options.pop("out", None)
        with np.errstate(all="ignore"):
            values = function(x.values, axis=axis, **options)
        axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        axes = tuple(one % x.ndim for one in axes)
        rows = np.moveaxis(x.ids, axes, range(-len(axes), 0)) if axes else x.ids
        rows = rows.reshape(*rows.shape[: x.ndim - len(axes)], -1)
        return Cells.computed(cells.ledger, values, "over", name, rows)

    return rule


def _where(cells, condition, a, b):
    a, b = cells.of(a), cells.of(b)
    values = np.where(plain(condition), a.values, b.values)
    chosen = np.where(plain(condition), a.ids, b.ids)
    if not isinstance(condition, Cells):
        return Cells(cells.ledger, values, chosen, *new_storage(values.shape))
    return Cells.computed(
        cells.ledger, values, "choice", "chosen", chosen, np.broadcast_to(condition.ids, values.shape)
    )


def _pad(cells, x, widths, mode="constant", **options):
    """Constants around x are given too; their coordinates go on from those of x."""
    widths = np.broadcast_to(widths, (x.ndim, 2))
    if mode != "constant":
        return x.moved(lambda array: np.pad(array, widths, mode, **options))
    values = np.pad(x.values, widths, **options)
    # What is part of a larger array begins anew.
    is_whole = x.storage.shape == x.shape
    origin = x.storage.origin if is_whole else (0,) * x.ndim
    before = tuple(int(first + own) for (first, _), own in zip(widths, origin, strict=True))
    storage, places = new_storage(values.shape, before, x.storage.name if is_whole else None)
    storage.initial, storage.inner = values.copy(), (is_whole and x.storage.inner) or x.shape
    ids = cells.ledger.enter(Entry("given", PADDING, values.copy(), (), storage, places))
    ids[tuple(slice(first, first + size) for (first, _), size in zip(widths, x.shape, strict=True))] = x.ids
    return Cells(cells.ledger, values, ids, storage, places.copy())


def _like(value):
    """Return the rule of zeros_like and its kin: the coordinates are those of the array that it is like."""

    def rule(cells, x, dtype=None, **options):
        origin = x.storage.origin if x.storage.shape == x.shape else None
        return Cells.constant(cells.ledger, np.full(x.shape, value, dtype or x.dtype), origin)

    return rule


def _concatenate(cells, parts, axis=0):
    parts = [cells.of(one) for one in parts]
    values, ids = (np.concatenate([getattr(one, name) for one in parts], axis) for name in ("values", "ids"))
    return Cells(cells.ledger, values, ids, *new_storage(values.shape))


def _take_along_axis(cells, x, indices, axis):
    x = cells.of(x)
    values, ids, places = (np.take_along_axis(one, plain(indices), axis) for one in (x.values, x.ids, x.places))
    if not isinstance(indices, Cells):
        return Cells(cells.ledger, values, ids, *new_storage(values.shape))
    return Cells.computed(cells.ledger, values, "choice", "taken", ids, np.broadcast_to(indices.ids, values.shape))


def _put_along_axis(cells, x, indices, values, axis):
    indices, values = plain(indices), cells.of(values)
    np.put_along_axis(x.values, indices, values.values, axis)
    np.put_along_axis(x.ids, indices, values.ids, axis)
    places, written = (np.take_along_axis(one, indices, axis) for one in (x.places, x.values))
    cells.ledger.writes.append((x.storage, places, written))


def _outer(cells, a, b):
    a, b = cells.of(a), cells.of(b)
    return a.moved(lambda array: array[:, None]) * b.moved(lambda array: array[None])


def _add_at(x, index, values):
    """x[index] += values, one after the other where an index comes several times."""
    values = x.of(values)
    places = x.places[plain(index)]
    terms = np.broadcast_to(values.ids, places.shape)
    numbers = np.broadcast_to(values.values, places.shape)
    # An array that is written to is one view of its storage, so that a place is one element.
    where = {int(place): element for element, place in enumerate(x.places.reshape(-1))}
    for place in np.ndindex(places.shape):
        element = np.unravel_index(where[int(places[place])], x.shape)
        total = x.values[element] + numbers[place]
        ids = np.asarray(x.ids[element]), np.asarray(terms[place])
        x.values[element] = total
        x.ids[element] = Cells.computed(x.ledger, total, "each", np.add.__name__, *ids).ids
    x.ledger.writes.append((x.storage, np.array(places), x.values[plain(index)]))


_OTHERS = {
    np.sum: _over(np.sum, "sum"),
    np.prod: _over(np.prod, "product"),
    np.max: _over(np.max, "max"),
    np.min: _over(np.min, "min"),
    np.mean: _over(np.mean, "mean"),
    np.argmax: _over(np.argmax, "arg max"),
    np.argmin: _over(np.argmin, "arg min"),
    np.where: _where,
    np.pad: _pad,
    np.zeros_like: _like(0),
    np.ones_like: _like(1),
    np.concatenate: _concatenate,
    np.take_along_axis: _take_along_axis,
    np.put_along_axis: _put_along_axis,
    np.outer: _outer,
}

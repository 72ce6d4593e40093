"""What every number of a computation was made of: a book in which recorded arrays enter each of their operations.

A number of a :class:`~refcnn.explain.cells.Cells` has an id. The ids that one operation of NumPy made follow each
other, and an :class:`Entry` says of all of them together of which ids they were made, so that a convolution over
thousands of pixels costs an entry for each place of its window, not one for each product.
"""

import bisect
import dataclasses
import math

import numpy as np

#: The name of an entry of numbers that lie around those that were given.
PADDING = "padding"


@dataclasses.dataclass(eq=False)
class Storage:
    """Memory that arrays of the computation are views of.

    Attributes
    ----------
    shape : tuple of int
    origin : tuple of int
        Where along each axis the index 0 of what it pads lies: coordinates are counted from there, so that those of the
        padding before an image are below 0.
    name : str or None
        What the reference calls it.
    initial : ndarray or None
        The numbers that were there from the beginning, where they were given.
    inner : tuple of int or None
        The shape of what it pads.
    """

    shape: tuple
    origin: tuple
    name: str | None = None
    initial: np.ndarray | None = None
    inner: tuple | None = None

    def coordinates(self, places):
        """Return the coordinates of places, which are counted row by row, as an ndarray (..., axes)."""
        index = np.unravel_index(places, self.shape) if self.shape else ()
        rows = [axis - before for axis, before in zip(index, self.origin, strict=True)]
        return np.stack(rows, axis=-1) if rows else np.zeros((*np.shape(places), 0), np.int64)


@dataclasses.dataclass(eq=False)
class Entry:
    """Numbers that one operation made.

    Attributes
    ----------
    kind : str
        ``given`` (numbers of a storage, padding among them), ``constant``, ``each`` (a function of as many operands),
        ``over`` (a function of all elements of a row), ``products`` (sums of products), ``choice`` (one of the operands
        because of another number) or ``all`` (each may depend on all).
    name : str
        Of the function.
    values : ndarray
    operands : tuple of ndarray
        Ids: for ``each`` in the shape of the values, for ``over`` with the row as one axis more, for ``products``
        (..., rows, n) and (..., n, columns), for ``choice`` what was chosen and by what.
    storage : Storage or None
    places : ndarray or None
        Of numbers that are given, where in the storage they lie.
    """

    kind: str
    name: str
    values: np.ndarray
    operands: tuple = ()
    storage: Storage | None = None
    places: np.ndarray | None = None

    def made_of(self, number):
        """Return of which ids a number, counted row by row, was made: a list of tuples, one for each term of a sum."""
        if self.kind == "products":
            index = np.unravel_index(number, self.values.shape)
            left, right = self.operands
            pairs = left[(*index[:-1], slice(None))], right[(*index[:-2], slice(None), index[-1])]
            return [(int(a), int(b)) for a, b in zip(*pairs, strict=True)]
        if self.kind == "over":
            return [(int(one),) for one in self.operands[0].reshape(self.values.size, -1)[number]]
        if self.kind == "all":
            return [(int(one),) for operand in self.operands for one in operand.reshape(-1)]
        return [tuple(int(operand.reshape(-1)[number]) for operand in self.operands)]


class Ledger:
    """The book of one computation: entries of numbers, and what was read and written, in the order of time.

    Attributes
    ----------
    reads : list of (Storage, ndarray)
        What was read since :meth:`turn_page`: the places, counted row by row.
    writes : list of (Storage, ndarray, ndarray)
        What was written, and the numbers.
    """

    def __init__(self):
        self._entries, self._firsts, self._count = [], [], 0
        self.reads, self.writes = [], []

    def enter(self, entry):
        """Enter numbers, and return their ids in the shape of the values."""
        self._entries.append(entry)
        self._firsts.append(self._count)
        ids = np.arange(self._count, self._count + entry.values.size).reshape(entry.values.shape)
        self._count += entry.values.size
        return ids

    def look_up(self, number):
        """Return the entry of an id, and which of its numbers it is."""
        position = bisect.bisect_right(self._firsts, number) - 1
        # Entries without numbers begin where the next one does.
        return self._entries[position], number - self._firsts[position]

    def value(self, number):
        """Return the number that has an id."""
        entry, place = self.look_up(number)
        return entry.values.reshape(-1)[place]

    def turn_page(self):
        """Return what was read and written since the last time."""
        page = self.reads, self.writes
        self.reads, self.writes = [], []
        return page


def new_storage(shape, origin=None, name=None):
    """Return the storage of an array that is made, and the places in it."""
    storage = Storage(tuple(shape), origin or (0,) * len(shape), name)
    return storage, np.arange(math.prod(shape)).reshape(shape)

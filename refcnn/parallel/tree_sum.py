"""Sums of numbered terms whose bits depend on the terms alone, and not on who computes which."""

import numpy as np


class TreeSum:
    """The sum of a run of terms, as far as one process can add it up in the tree in which all of them are added.

    The leaves of the tree are the terms by their numbers; two neighbours of a level, of which the first has an even
    number, are added to one of the next level, and what has no second neighbour moves up as it is. So the tree's shape
    depends on how many terms there are, and a run of them makes few subtrees, each of which is one array here.

    Parameters
    ----------
    first : int
        The number of the run's first term.
    size : int
        Of each term.
    dtype : numpy dtype
    """

    def __init__(self, first, size, dtype):
        self._next, self._size, self._dtype = first, size, dtype
        # The subtrees in their order: their levels, their numbers within these, their sums.
        self._subtrees = []

    def add(self, term):
        """Add the next term, an array of one axis, which is the sum's own from then on."""
        self.add_subtree(0, self._next, np.asarray(term, self._dtype))
        self._next += 1

    def add_subtree(self, level, number, total):
        """Add what follows of the tree: the sum of a subtree, as another process has made it."""
        while self._subtrees and number % 2 and self._subtrees[-1][:2] == (level, number - 1):
            former = self._subtrees.pop()[2]
            level, number, total = level + 1, number // 2, _added(former, total)
        self._subtrees.append((level, number, total))

    @property
    def places(self):
        """Where its subtrees lie in the tree, (level, number) each."""
        return [place for *place, _ in self._subtrees]

    @property
    def rows(self):
        """The sums of its subtrees in their order, (subtrees, size)."""
        return np.array([total for *_, total in self._subtrees], self._dtype).reshape(-1, self._size)

    def total(self):
        """Return the sum of all, where all the terms there are were added; it takes what is there for it."""
        if not self._subtrees:
            return np.zeros(self._size, self._dtype)
        *others, (_, _, total) = self._subtrees
        for *_, former in reversed(others):
            total = _added(former, total)
        return total


def places_of(first, end):
    """Return the :attr:`TreeSum.places` of a run of terms."""
    run = TreeSum(first, 0, np.float32)
    for _ in range(first, end):
        run.add(())
    return run.places


def _added(first, second):
    """Return the sum, in the place of the first: to make large arrays takes longer than to add them."""
    # What overflows is told where it is used.
    with np.errstate(all="ignore"):
        return np.add(first, second, out=first)

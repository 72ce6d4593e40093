"""Which cases an implementation fails in: the shortest description that sets them apart from those that pass.

A description is a conjunction of a few terms, such as ``stride > kernel and padding > 0``, that hold for the smallest
case of a fault. The best one costs least: each term costs what it takes to name it, and so does each case of which it
is not true. Cases that were met while a failure was shrunk lie near the edge of the fault, and show which of the terms
matter; but they are all alike, so that together they count no more than those that were drawn.
"""

import dataclasses

import numpy as np

#: What each passing case costs that a description is true of, and each failing one that it is not true of, which may
#: be another fault's.
_PASSING, _FAILING = 5.0, 2.5
#: What terms cost: comparisons with a usual number, plain terms, other comparisons, edges, and what is not so.
_USUAL, _PLAIN, _COMPARED, _EDGE, _NOT = 7.5, 8.0, 10.0, 10.0, 11.0
#: Numbers that one compares with as a matter of course: what is none, or has no effect.
_USUAL_LIMITS = (0, 1)
#: Terms of a description, descriptions that are kept while longer ones are looked for, and numbers to compare with.
_MOST_TERMS, _KEPT, _NUMBERS = 3, 30, 16
#: What a case counts that was met while a failure was shrunk, at most, and all of them in proportion to those drawn.
_NEAR, _ALL_NEAR = 0.3, 0.5
#: The share of the cases it is true of that must fail for a description to be one.
_LEAST_SHARE = 0.5


@dataclasses.dataclass(frozen=True)
class Term:
    """What holds of a case or not.

    Attributes
    ----------
    text : str
    kind : str
        ``flags``, ``numbers`` or ``edges`` of :class:`~refcnn.conformance.running.features.Features`.
    name : str
        The feature's.
    sign : int
        1 if it must be true, or above ``limit``; -1 if it must not, or be below it.
    limit : float
    cost : float
    """

    text: str
    kind: str
    name: str
    sign: int
    limit: float
    cost: float

    def holds(self, found):
        """Return whether the Features of a case are so; where there is no such thing they are not."""
        value = getattr(found, self.kind).get(self.name)
        return value is not None and self.sign * (float(value) - self.limit) > 0


@dataclasses.dataclass(frozen=True)
class Description:
    """A conjunction of terms; without any it is true of every case."""

    terms: tuple = ()

    def holds(self, found):
        """Return whether it is true of the Features of a case."""
        return all(term.holds(found) for term in self.terms)

    def __str__(self):
        return " and ".join(term.text for term in self.terms) or "whatever was drawn"


@dataclasses.dataclass
class Evidence:
    """A case that was run.

    Attributes
    ----------
    found : Features
    kind : str or None
        How it fails; None if it passes.
    is_drawn : bool
        Whether it was drawn, and not made of another to find a smaller one.
    is_repeated : bool
        Whether it was computed twice.
    origin : Search, optional
        In which it was drawn.
    """

    found: object
    kind: str | None
    is_drawn: bool
    is_repeated: bool = True
    origin: object = None


class Describing:
    """Looks for the description of faults in one row's cases.

    Parameters
    ----------
    evidence : sequence of Evidence
        That counts: those that fail otherwise are left out.
    """

    def __init__(self, evidence):
        self._evidence = list(evidence)
        self._drawn = drawn = np.array([one.is_drawn for one in self._evidence])
        near = np.count_nonzero(~drawn)
        weight = min(_NEAR, _ALL_NEAR * np.count_nonzero(drawn) / near) if near else 0
        self._weights = np.where(drawn, 1.0, weight)
        self._fails = np.array([one.kind is not None for one in self._evidence])

    def best(self, smallest):
        """Return the best description that is true of some cases.

        Parameters
        ----------
        smallest : sequence of Features

        Returns
        -------
        Description or None
            None if most of the cases that it is true of pass.
        """
        terms = _terms(smallest, [one.found for one in self._evidence])
        holds = np.array([[term.holds(one.found) for one in self._evidence] for term in terms], bool)
        holds = holds.reshape(len(terms), len(self._evidence))
        costs = np.array([term.cost for term in terms])
        everywhere = np.ones(len(self._evidence), bool)
        kept = [(self._cost(everywhere[None], np.zeros(1))[0], (), everywhere)]
        best = kept[0]
        for _ in range(_MOST_TERMS if terms else 0):
            longer = {}
            for _, chosen, mask in kept:
                both = holds & mask
                found = self._cost(both, costs + sum(costs[list(chosen)]))
                for place in np.argsort(found, kind="stable")[:_KEPT]:
                    key = tuple(sorted({*chosen, int(place)}))
                    longer.setdefault(key, (found[place], key, both[place]))
            kept = sorted(longer.values(), key=lambda entry: (entry[0], entry[1]))[:_KEPT]
            best = min(best, kept[0], key=lambda entry: entry[0])
        _, chosen, mask = best
        # Of those that were drawn as of all together.
        for weights in (self._weights, self._drawn * 1.0):
            failing, passing = (weights[mask & which].sum() for which in (self._fails, ~self._fails))
            if failing < _LEAST_SHARE * (failing + passing):
                return None
        return Description(tuple(terms[place] for place in chosen))

    def cost(self, descriptions):
        """Return what some descriptions cost together."""
        found = [one.found for one in self._evidence]
        masks = np.array([[one.holds(entry) for entry in found] for one in descriptions], bool)
        terms = sum(term.cost for one in descriptions for term in one.terms)
        return float(self._cost(masks.any(axis=0)[None], np.array([terms]))[0])

    def _cost(self, masks, terms):
        passing = masks @ np.where(self._fails, 0, self._weights)
        failing = ~masks @ np.where(self._fails, self._weights, 0)
        return terms + _PASSING * passing + _FAILING * failing


def _terms(smallest, others):
    """Return the terms that hold for all of some Features, the plainest first."""
    found = []
    for name in dict.fromkeys(name for one in smallest for name in one.flags):
        values = {one.flags.get(name) for one in smallest}
        if values == {True}:
            found.append(Term(name, "flags", name, 1, 0.5, _PLAIN))
        elif values == {False}:
            negated = name.replace(" is ", " is not ", 1) if " is " in name else f"not {name}"
            found.append(Term(negated, "flags", name, -1, 0.5, _NOT))
    for name in smallest[0].numbers:
        found += _comparisons(name, [one.numbers.get(name) for one in smallest], others)
    for name in smallest[0].edges:
        if all(one.edges.get(name) for one in smallest):
            found.append(Term(name, "edges", name, 1, 0.5, _EDGE))
    return found


def _comparisons(name, values, others):
    if None in values:
        return
    # NaN is not equal to itself.
    known = sorted({one.numbers[name] for one in others if one.numbers.get(name, np.nan) == one.numbers.get(name)})
    for limit in [one for one in known if one < min(values)][-_NUMBERS:]:
        cost = _USUAL if limit in _USUAL_LIMITS else _COMPARED
        yield Term(f"{name} > {_short(limit)}", "numbers", name, 1, limit, cost)
    for limit in [one for one in known if one > max(values)][:_NUMBERS]:
        yield Term(f"{name} < {_short(limit)}", "numbers", name, -1, limit, _COMPARED)


def _short(number):
    return f"{number:.4g}" if isinstance(number, float) else str(number)

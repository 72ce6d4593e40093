"""The second verdict: results within the proved bound, but further off than any correct one is as a rule.

It is given on cases that were drawn for it, by :mod:`~refcnn.conformance.theory.probable`. What is fused into kernels
has none.
"""

import dataclasses

import numpy as np

from ... import rooms
from ...backend import algorithms_of
from ..theory.bounds import number_format, subnormals
from ..theory.probable import failure_probability, independent_roundings
from .comparison import ConformanceFailure


class Suspect(ConformanceFailure):
    """A result within its bound that a correct implementation gives with a stated probability at most.

    Attributes
    ----------
    probable : dict of str to ndarray
        By the name of each result its probable bound, infinite where there is none.
    """

    probable = {}


def sums(operation, case, backend):
    """Return the sums of the result and of all gradients as the operation's ``sums`` does; None of none of them."""
    find_sums = rooms.trait(rooms.CONFORMANCE, operation, "sums")
    if find_sums is None or not case.random_signs:
        return None, (None,) * len(case.inputs)
    return find_sums(case, **algorithms_of(backend, operation, case.inputs, case.attributes))


def squared(case):
    """Return a case of the squares of all its floats."""

    def square(entry):
        return None if entry is None else np.square(entry.astype(np.float64))

    return dataclasses.replace(case, inputs=tuple(map(square, case.inputs)), dy=square(case.dy))


def by_running_analysis(operation, case, bound, backend):
    """Return probable bounds of results whose formulas have sums in them, and of how many sums; none where none are.

    Parameters
    ----------
    operation : str
    case : Case
    bound : callable
        Returns the bounds of the results.
    backend : Backend
    """
    random_cases, find_sums = (rooms.trait(rooms.CONFORMANCE, operation, name) for name in ("random_cases", "sums"))
    if not case.random_signs or random_cases is None or find_sums is not None:
        return [], 0
    with subnormals(are_kept=backend.denormals), independent_roundings() as sums:
        return list(bound()), sums.count


def probable(found, squares, backend):
    """Return the probable bounds of results, None of what is no sum.

    Parameters
    ----------
    found : sequence of (Sum or None)
    squares : sequence of ndarray
        What the operation makes of squares.
    backend : Backend
    """
    with subnormals(are_kept=backend.denormals):
        rows = zip(found, squares, strict=True)
        return [None if entry is None else entry.bound(square) for entry, square in rows]


def check(title, computed, expected, statistics=None):
    """Hold results that are within their bounds against their probable bounds, and raise what is suspect.

    Parameters
    ----------
    title : str
        What the message begins with.
    computed : sequence of ndarray
    expected : Expectation
    statistics : Statistics, optional
        Is told of the worst error.

    Raises
    ------
    Suspect
    """
    rows = zip(expected.names, computed, expected.exact, expected.bounds, expected.probable, strict=True)
    judged = [row for row in rows if row[-1] is not None and row[-1].size]
    messages, difference = [], 0.0
    for name, found, exact, proved, bound in judged:
        error = np.abs(found.astype(np.float64) - exact)
        ratio = np.divide(error, bound, out=np.zeros(error.shape), where=error > 0)
        if statistics is not None:
            statistics.add_probable(float(ratio.max()))
        if ratio.max() > 1:
            messages.append(_table(f"{title}: {name}", found, exact, (error, proved, bound)))
            difference = max(difference, float(error[ratio > 1].max()))
    if messages:
        elements = sum(bound.size for *_, bound in judged)
        failure = Suspect("\n".join([*messages, _probability(elements, expected.sums or elements)]))
        failure.difference = difference
        failure.probable = dict(zip(expected.names, expected.probable, strict=True))
        raise failure


def _table(title, found, exact, measured):
    error, proved, bound = measured
    ratio = np.divide(error, bound, out=np.zeros(error.shape), where=error > 0)
    worst = tuple(map(int, np.unravel_index(np.argmax(ratio), ratio.shape)))
    return (
        f"{title}\n  {np.count_nonzero(ratio > 1)} of {ratio.size} elements are within their bound, but beyond the "
        f"probable bound; the worst is {worst}:\n"
        f"  computed       {found[worst]!r}\n  exact          {exact[worst].item()!r}\n"
        f"  difference     {float(error[worst])!r}\n  bound          {float(proved[worst])!r}\n"
        f"  probable bound {float(bound[worst])!r}"
    )


def _probability(elements, sums):
    return (
        f"  A correct {number_format().name} implementation has one of the {elements} elements judged beyond it with a "
        f"probability of {failure_probability(sums):.0e} at most, if roundings are independent."
    )

"""Computing a case again, after other numbers and in memory that holds others: the result must have the same bits.

What an implementation never sets is zero in memory that is new, and passes there.
"""

import contextlib
import dataclasses
import itertools

import numpy as np

from ...backend import results_of
from .comparison import ConformanceFailure, shortly

#: What other numbers are counted from: other ones each time, lest what was left of the last time is there again.
_STARTS = itertools.cycle(range(1, 8))


class NotDeterministic(ConformanceFailure):
    """A result that has other bits when it is computed again.

    Attributes
    ----------
    again : list of ndarray
        The results of the second time.
    """

    again = ()


def copies(computed):
    """Return copies of results, which an implementation may overwrite when it computes others."""
    return [entry.copy() if isinstance(entry, np.ndarray) else entry for entry in computed]


def check(title, names, computed, first, compute, case, subject):
    """Compute a case again, and hold the results against those of the first time.

    Parameters
    ----------
    title : str
        What the message begins with.
    names : list of str
    computed, first : sequence of ndarray
        What ``compute`` gave, and the copies that :func:`copies` made of it at once.
    compute : callable
        Given a case, returns its results.
    case : Case
    subject : Subject
        In whose :meth:`~refcnn.conformance.subjects.base.Subject.other_memory` it is computed.

    Raises
    ------
    NotDeterministic
    """
    sizes = [entry.nbytes for entry in (*case.arrays, *first) if isinstance(entry, np.ndarray)]
    other = _with_other_numbers(case)
    # Once or twice: what takes turns with two buffers, or three, is not always met at the same one.
    for _ in range(1 + sum(sizes) // 4 % 2):
        # Whatever other numbers do is a matter of other cases.
        with contextlib.suppress(Exception):
            compute(other)
    for name, entry, copy in zip(names, computed, first, strict=True):
        if not _is_same(entry, copy):
            _differ(f"{title}\n  {name} changed when the next was computed: both lie in one buffer", first)
    with subject.other_memory(sizes):
        again = copies(compute(case))
    for name, entry, other in zip(names, first, again, strict=True):
        if not _is_same(entry, other):
            _differ(f"{title}\n  {name} {_difference(entry, other)}", again)


def _differ(text, again):
    found = NotDeterministic(text)
    found.again = again
    raise found


def _with_other_numbers(case):
    """Return a case of other floats, in the same shapes and with the same indices."""
    start = next(_STARTS)

    def other(entry):
        if entry is None or entry.dtype.kind != "f":
            return entry
        with np.errstate(all="ignore"):
            return (start - 2 * entry.ravel()[::-1]).reshape(entry.shape).astype(entry.dtype)

    dy = tuple(map(other, results_of(case.dy)))
    return dataclasses.replace(
        case, inputs=tuple(map(other, case.inputs)), dy=dy if isinstance(case.dy, tuple) else dy[0]
    )


def _is_same(one, other):
    """Return whether two results are the same to the bit, of which NaN may be any."""
    if not isinstance(one, np.ndarray) or not isinstance(other, np.ndarray):
        return type(one) is type(other)
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.dtype.kind not in "fiub" or one.dtype.itemsize > 8 or type(one) is not np.ndarray:
        # No result is such, as is told when it is compared.
        return True
    return not _differing(one, other).any()


def _differing(one, other):
    bits = f"u{one.dtype.itemsize}"
    differing = one.copy().view(bits) != other.copy().view(bits)
    return differing & ~(np.isnan(one) & np.isnan(other)) if one.dtype.kind == "f" else differing


def _difference(first, again):
    is_array = isinstance(first, np.ndarray) and isinstance(again, np.ndarray)
    if not is_array or first.shape != again.shape or first.dtype != again.dtype:
        return f"is {shortly(again)} when it is computed again, but was {shortly(first)} at first"
    differing = np.argwhere(_differing(first, again))
    place = tuple(map(int, differing[0]))
    return (
        f"is not the same when it is computed again, in other memory\n"
        f"  {len(differing)} of {first.size} elements differ; the first is {place}:\n"
        f"  first      {first[place]!r}\n  again      {again[place]!r}"
    )

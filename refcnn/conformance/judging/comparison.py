"""The verdict on one result: how it compares with the exact one and its bound, element by element."""

import dataclasses
import reprlib

import numpy as np

from ... import formats
from ..reports.results import BINS
from ..theory.bounds import UNDEFINED, number_format

_REPRESENTATION = reprlib.Repr()
_REPRESENTATION.maxother = _REPRESENTATION.maxstring = 200


class ConformanceFailure(AssertionError):
    """A result further from the exact answer than any correct implementation can be.

    Attributes
    ----------
    results : dict of str to (ndarray, ndarray, ndarray)
        By the name of each result: what was computed, the exact answer, and the bound. Empty where nothing was
        compared.
    difference : float
        The largest absolute difference of an element that is wrong; infinity where nothing was compared.
    """

    results = {}
    difference = np.inf


@dataclasses.dataclass
class Statistics:
    """What comparisons found, element by element; hand one to the checks to have it filled.

    Attributes
    ----------
    worst_ratio : float
        Error divided by its bound.
    worst_ulp : float
        Error in units in the last place of the computed floats at the exact answer, of those elements whose bound
        leaves the leading half of their bits (12 of 24): what cancels further has no digits that could be counted.
    worst_probable : float or None
        Error divided by its probable bound; None where nothing was held against one.
    histogram : list of int
        Elements by error / bound, as in :class:`~refcnn.conformance.reports.results.Row`.
    """

    worst_ratio: float = 0.0
    worst_ulp: float = 0.0
    worst_probable: float | None = None
    histogram: list = dataclasses.field(default_factory=lambda: [0] * (BINS + 1))

    def add(self, ratio, ulp):
        """Count the elements of one result."""
        self.worst_ratio = max(self.worst_ratio, float(ratio.max()))
        self.worst_ulp = max(self.worst_ulp, float(ulp.max()))
        bins = np.where(ratio > 1, BINS, np.minimum(np.minimum(ratio, 1) * BINS, BINS - 1)).astype(int)
        counts = np.bincount(bins.ravel(), minlength=BINS + 1)
        self.histogram = [before + int(now) for before, now in zip(self.histogram, counts, strict=True)]

    def add_probable(self, ratio):
        """Note an error divided by its probable bound."""
        self.worst_probable = max(self.worst_probable or 0.0, ratio)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """How a result compares with the exact one.

    Attributes
    ----------
    ratio : float
        The worst error divided by its bound; it is within if that is 1 at most.
    difference : float
        The largest absolute difference, but where the definition leaves the result open.
    difference_of_wrong : float
        The largest absolute difference of an element that is not within its bound; 0 if there is none.
    worst : tuple of int or None
        The element with that ratio; None if there is none, or nothing that could be compared.
    text : str
        What is worst, for messages.
    table : str
        The same, with the numbers below each other.
    """

    ratio: float
    difference: float
    difference_of_wrong: float
    worst: tuple | None
    text: str
    table: str

    @property
    def within(self):
        """Whether every element is within its bound."""
        return self.ratio <= 1

    @classmethod
    def incomparable(cls, text):
        """The verdict on a result whose elements cannot be held against the exact ones."""
        return cls(np.inf, np.inf, np.inf, None, text, text)


def verdict(computed, expected, bound, *, dtype=None, statistics=None, signed_zeros=False):
    """Hold a result against the exact one and its bound: the only judge of what is right.

    Where the exact answer is NaN or infinite, the same is asked for; where it
    comes so near the largest float that its bound passes that, infinity of
    its sign is taken too. Where it is finite and the bound infinite, or the bound UNDEFINED, anything is taken.

    Integers and truth values are compared as they are: what is not the same is off by at least 1.

    Parameters
    ----------
    computed : ndarray
    expected : ndarray of float64, int64, int32 or bool
    bound : ndarray of float64
        A bound of 0 allows no difference but between the zeros.
    dtype : numpy dtype, optional
        What the result must have; None takes any.
    statistics : Statistics, optional
        Is told of every element.
    signed_zeros : bool
        Allow no difference between the zeros either.

    Returns
    -------
    Verdict
    """
    # Of its subclasses a matrix has no shape but two axes, and a masked array hides elements.
    is_array = type(computed) is np.ndarray
    if not is_array or computed.shape != expected.shape or (dtype is not None and computed.dtype != dtype):
        needed = "an array" if dtype is None else np.dtype(dtype)
        found = f"{computed.dtype} of shape {computed.shape}" if is_array else shortly(computed)
        return Verdict.incomparable(f"the result is {found}, but {needed} of shape {expected.shape} is needed")
    if not expected.size:
        return Verdict(0.0, 0.0, 0.0, None, "there are no elements", "there are no elements")
    bound = np.broadcast_to(bound, expected.shape)
    difference, ratio, told = _errors(computed, expected, bound, signed_zeros)
    if statistics is not None:
        statistics.add(ratio, np.where(ratio > 0, _in_ulp(difference, expected.astype(np.float64), bound), 0))
    worst = tuple(map(int, np.unravel_index(np.argmax(ratio), ratio.shape)))
    # Nearly always there are none, and they need not be looked for.
    of_wrong = np.extract(ratio > 1, told) if ratio[worst] > 1 else np.zeros(0)
    return Verdict(
        float(ratio[worst]),
        float(told.max()),
        float(of_wrong.max(initial=0)),
        worst,
        f"element {worst} is {_short(computed[worst])}, where {_short(expected[worst])} is exact and "
        f"{bound[worst]:.2g} the error bound",
        f"{of_wrong.size} of {ratio.size} elements are wrong; the worst is {worst}:\n"
        f"  computed   {computed[worst]!r}\n  exact      {expected[worst].item()!r}\n"
        f"  difference {float(difference[worst])!r}\n  bound      {float(bound[worst])!r}",
    )


def shortly(value):
    """Return anything with its type as text of some length at most, whatever its own representation does."""
    return f"{_REPRESENTATION.repr(value)} ({type(value).__name__})"


def _errors(computed, expected, bound, signed_zeros):
    """Return for each element its difference, the ratio of that to the bound, and the difference that there is to tell.

    The ratio is 0 of what is accepted, and infinite of what no bound allows.
    """
    least = bound.min()
    if expected.dtype.kind == "f" and not signed_zeros and least >= 0 and bound.max(initial=0) < np.inf:
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            difference = np.abs(np.subtract(computed, expected, dtype=np.float64))
            if np.isfinite(difference.max(initial=0)):
                # As nearly always: all numbers, of which none may be another than its bound allows.
                ratio = difference / bound
                return difference, ratio if least > 0 else np.where(difference == 0, 0, ratio), difference
    same = (computed == expected) | (np.isnan(expected) & np.isnan(computed))
    found, exact = computed.astype(np.float64), expected.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        difference = np.abs(found - exact)
        if expected.dtype.kind != "f":
            # float64 has no digits for the last bits of an int64.
            difference = np.where(same, 0, np.maximum(difference, 1))
        ratio = np.where(difference == 0, 0, difference / bound)
        is_too_large = np.abs(exact) + bound > number_format().largest
    overflows = np.isinf(found) & (np.sign(found) == np.sign(exact)) & is_too_large
    is_open = (bound == UNDEFINED) | (np.isposinf(bound) & np.isfinite(exact))
    accepted = same | overflows | is_open
    if signed_zeros:
        has_other_sign = (exact == 0) & (found == 0) & (np.signbit(exact) != np.signbit(found))
        accepted, ratio = accepted & ~has_other_sign, np.where(has_other_sign, np.inf, ratio)
    told = np.where(same | is_open, 0, np.where(np.isnan(difference), np.inf, difference))
    return difference, np.where(accepted, 0, np.where(np.isnan(ratio), np.inf, ratio)), told


def _short(number):
    return f"{number:.9g}" if isinstance(number, np.floating) else str(number)


def compare(title, computed, expected, bound, to_the_bit=False, statistics=None, signed_zeros=False):
    """Hold a result against the exact one and its bound, as :func:`verdict` does, and raise what it finds.

    It must have the exact one's dtype, if that is no float, or else be of the format that bounds are for.

    Parameters
    ----------
    title : str
        What the message begins with.
    to_the_bit : bool
        Allow no difference but between the zeros.
    computed, expected, bound, statistics, signed_zeros
        As in :func:`verdict`.

    Returns
    -------
    float
        The worst error divided by its bound.

    Raises
    ------
    ConformanceFailure
    """
    bound = np.zeros(expected.shape) if to_the_bit else bound
    dtype = formats.kept(expected.dtype, number_format().dtype)
    found = verdict(computed, expected, bound, dtype=dtype, statistics=statistics, signed_zeros=signed_zeros)
    if found.within:
        return found.ratio
    if found.worst is None:
        raise ConformanceFailure(f"{title}: {found.text}.")
    reason = "  (every partial result is below 2^24 times one power of two: no rounding)"
    failure = ConformanceFailure(f"{title}\n  {found.table}{reason if to_the_bit and dtype.kind == 'f' else ''}")
    failure.difference = found.difference_of_wrong
    raise failure


def _in_ulp(difference, expected, bound):
    """Units in the last place of the exact answer, where its leading half is sure; 0 where terms cancelled further."""
    with np.errstate(invalid="ignore", over="ignore"):
        of = number_format()
        # Beyond the largest power of two the next number may be infinity.
        magnitude = np.minimum(np.abs(expected), of.largest / (1 - of.roundoff) / 2).astype(of.dtype)
        ulp = difference / np.spacing(magnitude).astype(np.float64)
        return np.where((bound <= np.sqrt(of.roundoff) * np.abs(expected)) & ~np.isnan(ulp), ulp, 0)

"""Running one case on a backend and comparing each element with the exact answer and its bound."""

import dataclasses

import numpy as np

from ... import formats, rooms
from ...backend import algorithms_of, find, results_of
from ..reports.results import BINS
from ..theory.bounds import UNDEFINED, number_format, subnormals
from ..theory.strategies import LARGEST_INTEGER, describe
from .composition import Composition, NoSuchResult, masked_bound, routed
from .composition import bound as composed_bound


class ConformanceFailure(AssertionError):
    """A result further from the exact answer than any correct implementation can be.

    Attributes
    ----------
    results : dict of str to (ndarray, ndarray, ndarray)
        By the name of each result: what was computed, the exact answer, and the bound. Empty where nothing was
        compared.
    difference : float
        The largest absolute difference; infinity where nothing was compared.
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
    histogram : list of int
        Elements by error / bound, as in :class:`~refcnn.conformance.reports.results.Row`.
    """

    worst_ratio: float = 0.0
    worst_ulp: float = 0.0
    histogram: list = dataclasses.field(default_factory=lambda: [0] * (BINS + 1))

    def add(self, ratio, ulp):
        """Count the elements of one result."""
        self.worst_ratio = max(self.worst_ratio, float(ratio.max()))
        self.worst_ulp = max(self.worst_ulp, float(ulp.max()))
        bins = np.where(ratio > 1, BINS, np.minimum(np.minimum(ratio, 1) * BINS, BINS - 1)).astype(int)
        counts = np.bincount(bins.ravel(), minlength=BINS + 1)
        self.histogram = [before + int(now) for before, now in zip(self.histogram, counts, strict=True)]


def conformance(operation):
    """Return the module that holds an operation's cases and bounds."""
    return rooms.require(rooms.CONFORMANCE, operation)


def has_exact_cases(operation):
    """Return whether an operation's integer-valued cases must match to the bit."""
    return rooms.trait(rooms.CONFORMANCE, operation, "EXACT_ON_INTEGERS")


def are_copies(operation, direction, case):
    """Return whether results are copies, of which the definition fixes the sign of zeros too."""
    return rooms.trait(rooms.CONFORMANCE, operation, "is_copy")(direction, case)


def is_exact(operation, case):
    """Return whether no correct implementation can round anywhere in a case, whatever its order of summation.

    So it was drawn, or it happens to be so: every partial sum is then a small multiple of a power of two; the sums have
    no more terms than the largest array has elements.
    """
    if case.integers:
        return has_exact_cases(operation)
    is_exact_with = rooms.trait(rooms.CONFORMANCE, operation, "is_exact_with")
    if not has_exact_cases(operation) or not is_exact_with(case.attributes):
        return False
    return max(entry.size for entry in case.arrays) * LARGEST_INTEGER**2 < 2**22 and all(
        # As float64, for the smallest int64 has no magnitude.
        (np.abs(entry.astype(np.float64)) <= LARGEST_INTEGER).all() and (entry == np.rint(entry)).all()
        for entry in case.arrays
    )


def exact(operation, case, needs=None, followers=()):
    """Return the exact answers of a case: the float64 reference's.

    Parameters
    ----------
    operation : str
    case : Case
    needs : tuple of bool, optional
        Whose gradients are wanted; all as a rule.
    followers : sequence of str
        What follows the operation, as in :mod:`~refcnn.conformance.judging.composition`.

    Returns
    -------
    (outputs, gradients) : tuples of (ndarray of float64, or None)
        An optimizer's update has no gradients (None).
    """
    y, gradients = _exact(operation, case, needs, followers)
    return results_of(y), gradients


def _exact(operation, case, needs, followers):
    reference = find("reference:float64")
    return _run(operation, case, reference, Composition.on(reference, reference.operation(operation), followers), needs)


@dataclasses.dataclass(frozen=True)
class Expectation:
    """What the results of a case may be, whoever computes them.

    Attributes
    ----------
    names : list of str
    exact, bounds : list of ndarray of float64
    to_the_bit : list of bool
    signed_zeros : bool
        Whether zeros must have the sign that they have in the exact answer.
    in_tuple : bool
        Whether they are the results of ``forward`` in a tuple, even if there is one alone.
    """

    names: list
    exact: list
    bounds: list
    to_the_bit: list
    signed_zeros: bool = False
    in_tuple: bool = False

    def entries(self):
        """Return (exact answer, bound of each element) by the name of the result."""
        rows = zip(self.names, self.exact, self.bounds, self.to_the_bit, strict=True)
        return {
            name: (exact, np.zeros(exact.shape) if exactly else np.broadcast_to(bound, exact.shape))
            for name, exact, bound, exactly in rows
        }


def expect_forward(operation, case, backend, *, to_the_bit=False, followers=()):
    """Return the :class:`Expectation` of forward on a backend; parameters as in :func:`check_forward`."""
    algorithms = algorithms_of(backend, operation, case.inputs, case.attributes)
    to_the_bit = to_the_bit and not _rounds(operation, algorithms)
    y, _ = _exact(operation, case, _no_gradient(case), followers)
    with np.errstate(all="ignore"), subnormals(are_kept=backend.denormals):
        bounds = results_of(conformance(operation).forward_bound(case.inputs, case.attributes, **algorithms))
        bounds = [composed_bound(bound, followers) for bound in bounds]
    in_tuple = isinstance(y, tuple)
    names = [f"result {index}" for index in range(len(y))] if in_tuple else ["y"]
    signed_zeros = not followers and are_copies(operation, "forward", case)
    return Expectation(names, list(results_of(y)), bounds, [to_the_bit] * len(names), signed_zeros, in_tuple)


def check_forward(
    operation, case, backend, *, implementation=None, to_the_bit=False, statistics=None, followers=(), expected=None
):
    """Run forward on a backend and hold it against the bound.

    Parameters
    ----------
    operation : str
        The operation's stem.
    case : Case
    backend : Backend
        Has ``array``, ``to_host``, ``operation``, ``name``, ``denormals`` and perhaps ``algorithms``, as in
        :mod:`refcnn.backend`.
    implementation : object, optional
        What has ``forward``, in place of ``backend.operation(operation)``.
    to_the_bit : bool
        Allow no difference, whatever the bound: for integer-valued cases.
    statistics : Statistics, optional
        Is told of every element.
    followers : sequence of str
        What follows the operation, as in :mod:`~refcnn.conformance.judging.composition`.
    expected : Expectation, optional
        What :func:`expect_forward` returned for the same, if it is known.

    Returns
    -------
    float
        The worst error divided by its bound, 0 to 1.

    Raises
    ------
    ConformanceFailure
        If an element is further from the exact answer than its bound, or the
        result has not the shape or dtype it should have.
    """
    expected = expected or expect_forward(operation, case, backend, to_the_bit=to_the_bit, followers=followers)
    implementation = Composition.on(backend, implementation or backend.operation(operation), followers)
    y, _ = _run(operation, case, backend, implementation, _no_gradient(case))
    computed = y if expected.in_tuple and isinstance(y, tuple) else (y,)
    return _compare("+".join((f"{operation}.forward", *followers)), case, backend, computed, expected, statistics)


def expect_backward(operation, case, backend, *, needs=None, to_the_bit=False, followers=()):
    """Return the :class:`Expectation` of backward on a backend; parameters and errors as in :func:`check_backward`."""
    needs = all_gradients(case) if needs is None else tuple(needs)
    algorithms = algorithms_of(backend, operation, case.inputs, case.attributes)
    # What follows sends the gradient where the rounded result says.
    exactly = to_the_bit and not _rounds(operation, algorithms)
    to_the_bit = exactly if followers else to_the_bit
    to_the_bit = [to_the_bit and not _rounds(operation, algorithms, gradient) for gradient in range(len(needs))]
    _, gradients = exact(operation, case, needs, followers)
    module, dy, open_dy = conformance(operation), case.dy, None
    with np.errstate(all="ignore"), subnormals(are_kept=backend.denormals):
        if followers:
            (y,), _ = exact(operation, case, _no_gradient(case))
            error = module.forward_bound(case.inputs, case.attributes, **algorithms)
            dy, open_dy = routed(y, np.zeros(y.shape) if exactly else error, dy.astype(np.float64), followers)
            dy = dy.astype(number_format().dtype)
        bounds = list(module.backward_bound(dy, case.inputs, case.attributes, needs, **algorithms))
        if followers:
            bounds = _with_open_gradient(operation, case, needs, bounds, open_dy)
            bounds[:1] = [masked_bound(case.inputs[0], bound, followers) for bound in bounds[:1]]
    names = [f"gradient of input {index}" for index in range(len(needs))]
    signed_zeros = not followers and are_copies(operation, "backward", case)
    return Expectation(*(_wanted(entries, needs) for entries in (names, gradients, bounds, to_the_bit)), signed_zeros)


def _with_open_gradient(operation, case, needs, bounds, open_dy):
    """Return the bounds of gradients where the gradient of the result may be off."""
    magnitudes = tuple(None if entry is None else np.abs(entry) for entry in case.inputs)
    _, errors = exact(operation, dataclasses.replace(case, inputs=magnitudes, dy=open_dy), needs)
    return [
        bound if bound is None else np.where(bound == UNDEFINED, bound, bound + error)
        for bound, error in zip(bounds, errors, strict=True)
    ]


def check_backward(
    operation,
    case,
    backend,
    *,
    needs=None,
    implementation=None,
    to_the_bit=False,
    statistics=None,
    followers=(),
    expected=None,
):
    """Run forward and backward on a backend and hold the gradients against their bounds.

    Parameters
    ----------
    needs : tuple of bool, optional
        Whose gradients to ask for; those of all inputs that have one as a rule.
    operation, case, backend, implementation, to_the_bit, statistics, followers
        As in :func:`check_forward`; the implementation has ``backward`` too.
    expected : Expectation, optional
        What :func:`expect_backward` returned for the same, if it is known.

    Returns
    -------
    float
        The worst error divided by its bound, 0 to 1.

    Raises
    ------
    ConformanceFailure
        As in :func:`check_forward`, or if a gradient is missing.
    NoSuchResult
        If there is no gradient, or there are followers and something is not finite.
    """
    needs = all_gradients(case) if needs is None else tuple(needs)
    if not any(needs):
        raise NoSuchResult
    expected = expected or expect_backward(
        operation, case, backend, needs=needs, to_the_bit=to_the_bit, followers=followers
    )
    implementation = Composition.on(backend, implementation or backend.operation(operation), followers)
    _, gradients = _run(operation, case, backend, implementation, needs)
    call = "+".join((f"{operation}.backward", *followers))
    return _compare(call, case, backend, _wanted(gradients, needs), expected, statistics)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """How a result compares with the exact one.

    Attributes
    ----------
    ratio : float
        The worst error divided by its bound; it is within if that is 1 at most.
    difference : float
        The largest absolute difference, but where the definition leaves the result open.
    worst : tuple of int or None
        The element with that ratio; None if there is none, or nothing that could be compared.
    text : str
        What is worst, for messages.
    table : str
        The same, with the numbers below each other.
    """

    ratio: float
    difference: float
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
        return cls(np.inf, np.inf, None, text, text)


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
    is_array = isinstance(computed, np.ndarray)
    if not is_array or computed.shape != expected.shape or (dtype is not None and computed.dtype != dtype):
        needed = "an array" if dtype is None else np.dtype(dtype)
        found = (
            f"{computed.dtype} of shape {computed.shape}" if is_array else f"{computed!r} ({type(computed).__name__})"
        )
        return Verdict.incomparable(f"the result is {found}, but {needed} of shape {expected.shape} is needed")
    if not expected.size:
        return Verdict(0.0, 0.0, None, "there are no elements", "there are no elements")
    bound = np.broadcast_to(bound, expected.shape)
    difference, ratio, is_counted = _errors(computed, expected, bound, signed_zeros)
    if statistics is not None:
        statistics.add(ratio, np.where(ratio > 0, _in_ulp(difference, expected.astype(np.float64), bound), 0))
    worst = tuple(map(int, np.unravel_index(np.argmax(ratio), ratio.shape)))
    largest = np.where(is_counted, np.where(np.isnan(difference), np.inf, difference), 0).max()
    return Verdict(
        float(ratio[worst]),
        float(largest),
        worst,
        f"element {worst} is {_short(computed[worst])}, where {_short(expected[worst])} is exact and "
        f"{bound[worst]:.2g} the error bound",
        f"{int((ratio > 1).sum())} of {ratio.size} elements are wrong; the worst is {worst}:\n"
        f"  computed   {computed[worst]!r}\n  exact      {expected[worst].item()!r}\n"
        f"  difference {float(difference[worst])!r}\n  bound      {float(bound[worst])!r}",
    )


def _errors(computed, expected, bound, signed_zeros):
    """Return for each element its difference, the ratio of that to the bound, and whether there is one to tell.

    The ratio is 0 of what is accepted, and infinite of what no bound allows.
    """
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
    return difference, np.where(accepted, 0, np.where(np.isnan(ratio), np.inf, ratio)), ~(same | is_open)


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
    failure.difference = found.difference
    raise failure


def _in_ulp(difference, expected, bound):
    """Units in the last place of the exact answer, where its leading half is sure; 0 where terms cancelled further."""
    with np.errstate(invalid="ignore", over="ignore"):
        of = number_format()
        # Beyond the largest power of two the next number may be infinity.
        magnitude = np.minimum(np.abs(expected), of.largest / (1 - of.roundoff) / 2).astype(of.dtype)
        ulp = difference / np.spacing(magnitude).astype(np.float64)
        return np.where((bound <= np.sqrt(of.roundoff) * np.abs(expected)) & ~np.isnan(ulp), ulp, 0)


def _compare(call, case, backend, computed, expected, statistics):
    if len(computed) != len(expected.exact):
        raise ConformanceFailure(
            f"{call} on {backend.name}: {len(computed)} results, but {len(expected.exact)} are needed."
        )
    arguments = list(map(describe, case.inputs))
    arguments += [f"{name}={value!r}" for name, value in case.attributes.items()]
    if ".backward" in call:
        arguments.append(f"dy={describe(case.dy)}")
    title = f"{call}({', '.join(arguments)}) on {backend.name}"
    rows = zip(expected.names, computed, expected.exact, expected.bounds, expected.to_the_bit, strict=True)
    try:
        return max(compare(f"{title}: {name}", *entries, statistics, expected.signed_zeros) for name, *entries in rows)
    except ConformanceFailure as failure:
        answers = zip(expected.entries().items(), computed, strict=True)
        failure.results = {name: (found, *entries) for (name, entries), found in answers}
        raise


def _wanted(entries, needs):
    return [entry for entry, need in zip(entries, needs, strict=True) if need]


def _rounds(operation, algorithms, gradient=None):
    """Whether sums of small integers are rounded, though the operation's cases of integers are exact."""
    rounds = rooms.trait(rooms.CONFORMANCE, operation, "rounds_integers")
    return rounds(algorithms.get("algorithms", {}), gradient)


def _run(operation, case, backend, implementation, needs):
    """Return what forward gave, and the gradients, on the host; None where there is no backward or none is asked for.

    An implementation whose ``needs_forward`` is false has a ``backward`` that
    takes the inputs in the place of what forward saved, and can be run alone.
    """
    arrays = [_or_none(backend.array, entry) for entry in case.inputs]
    with np.errstate(all="ignore"):
        if needs is not None and any(needs) and not getattr(implementation, "needs_forward", True):
            result = None, arrays
        else:
            result = implementation.forward(*arrays, **case.attributes)
        if not hasattr(implementation, "backward"):
            return tuple(map(backend.to_host, result)), None
        y, saved = result
        y = tuple(map(backend.to_host, y)) if isinstance(y, tuple) else backend.to_host(y)
        needs = all_gradients(case) if needs is None else needs
        if not any(needs):
            return y, None
        gradients = implementation.backward(given_gradient(backend, case), saved, needs, **case.attributes)
    rows = zip(gradients, needs, strict=True)
    return y, tuple(_or_none(backend.to_host, array) if need else None for array, need in rows)


def given_gradient(backend, case):
    """Return what ``backward`` is given on a backend: an array, or a tuple of them."""
    given = tuple(_or_none(backend.array, entry) for entry in results_of(case.dy))
    return given if isinstance(case.dy, tuple) else given[0]


def _or_none(function, array):
    return None if array is None else function(array)


def all_gradients(case):
    """Return whose gradients there are, a tuple of bool: of the inputs that are floats, if the result is one."""
    return tuple(case.dy is not None and entry is not None and entry.dtype.kind == "f" for entry in case.inputs)


def _no_gradient(case):
    return (False,) * len(case.inputs)

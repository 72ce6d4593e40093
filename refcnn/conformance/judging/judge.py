"""Running one case on a backend and comparing each element with the exact answer and its bound."""

import dataclasses

import numpy as np

from ... import rooms
from ...backend import algorithms_of, find, results_of
from ..theory.bounds import UNDEFINED, number_format, subnormals
from ..theory.strategies import LARGEST_INTEGER, describe
from . import repetition, suspecting
from .comparison import ConformanceFailure, compare
from .composition import Composition, NoSuchResult, forward_bounds, keeps_exact, masked_bound, routed


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
    return _run(operation, case, reference, Composition.on(reference, _Quick(operation), followers), needs)


class _Quick:
    """An operation's float64 reference, or what takes its place where many exact answers are needed."""

    def __init__(self, operation):
        module = find("reference:float64").operation(operation)
        for direction in ("forward", "backward"):
            quick = rooms.trait(rooms.CONFORMANCE, operation, f"exact_{direction}")
            if hasattr(module, direction):
                setattr(self, direction, quick or getattr(module, direction))


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
    probable : list of (ndarray of float64, or None)
        Probable bounds; empty where there are none.
    sums : int
        How many sums these are of, if several have a part in one result.
    """

    names: list
    exact: list
    bounds: list
    to_the_bit: list
    signed_zeros: bool = False
    in_tuple: bool = False
    probable: list = dataclasses.field(default_factory=list)
    sums: int = 0

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
    to_the_bit = to_the_bit and keeps_exact(followers) and not _rounds(operation, algorithms)
    y, _ = _exact(operation, case, _no_gradient(case), followers)
    alone = results_of(_exact(operation, case, _no_gradient(case), ())[0] if followers else y)[0]
    with np.errstate(all="ignore"), subnormals(are_kept=backend.denormals):
        bounds = list(forward_bounds(operation, case, followers, alone, algorithms))
    in_tuple = isinstance(y, tuple)
    names = [f"result {index}" for index in range(len(y))] if in_tuple else ["y"]
    signed_zeros = not followers and are_copies(operation, "forward", case)
    of_sum, _ = (None, ()) if followers else suspecting.sums(operation, case, backend)
    probable, count = suspecting.by_running_analysis(
        operation, case, lambda: forward_bounds(operation, case, followers, alone, algorithms), backend
    )
    if of_sum is not None:
        squares, _ = exact(operation, suspecting.squared(case), _no_gradient(case))
        probable = suspecting.probable([of_sum], squares, backend)
    bits = [to_the_bit] * len(names)
    return Expectation(names, list(results_of(y)), bounds, bits, signed_zeros, in_tuple, probable, count)


def check_forward(
    operation,
    case,
    backend,
    *,
    implementation=None,
    to_the_bit=False,
    statistics=None,
    followers=(),
    expected=None,
    twice=False,
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
    twice : bool
        Whether to compute it again, in other memory of a backend that is a subject, and ask for the same bits.

    Returns
    -------
    float
        The worst error divided by its bound, 0 to 1.

    Raises
    ------
    ConformanceFailure
        If an element is further from the exact answer than its bound, or the
        result has not the shape or dtype it should have.
    NotDeterministic
        If it has not the same bits twice.
    Suspect
        If it is within its bound, but beyond a probable one.
    """
    expected = expected or expect_forward(operation, case, backend, to_the_bit=to_the_bit, followers=followers)
    implementation = Composition.on(backend, implementation or backend.operation(operation), followers)

    def compute(case):
        y, _ = _run(operation, case, backend, implementation, _no_gradient(case))
        return y if expected.in_tuple and isinstance(y, tuple) else (y,)

    return _check("+".join((f"{operation}.forward", *followers)), case, backend, compute, expected, statistics, twice)


def expect_backward(operation, case, backend, *, needs=None, to_the_bit=False, followers=()):
    """Return the :class:`Expectation` of backward on a backend; parameters and errors as in :func:`check_backward`."""
    needs = asked_gradients(operation, case, backend) if needs is None else tuple(needs)
    algorithms = algorithms_of(backend, operation, case.inputs, case.attributes)
    # What follows sends the gradient where the rounded result says.
    exactly = to_the_bit and not _rounds(operation, algorithms)
    to_the_bit = exactly if followers else to_the_bit
    to_the_bit = [to_the_bit and not _rounds(operation, algorithms, gradient) for gradient in range(len(needs))]
    _, gradients = exact(operation, case, needs, followers)
    module, dy, open_dy = conformance(operation), case.dy, None
    with np.errstate(all="ignore"), subnormals(are_kept=backend.denormals):
        if followers:
            (y, *_), _ = exact(operation, case, _no_gradient(case))
            error, *_ = results_of(module.forward_bound(case.inputs, case.attributes, **algorithms))
            first, *others = results_of(dy)
            first, open_dy = routed(y, np.zeros(y.shape) if exactly else error, first.astype(np.float64), followers)
            first = first.astype(number_format().dtype)
            dy = (first, *others) if isinstance(dy, tuple) else first
        bounds = list(module.backward_bound(dy, case.inputs, case.attributes, needs, **algorithms))
        if followers:
            bounds = _with_open_gradient(operation, case, needs, bounds, open_dy)
            bounds[0] = masked_bound(case.inputs[0], gradients[0], bounds[0], followers)
    names = [f"gradient of input {index}" for index in range(len(needs))]
    signed_zeros = not followers and are_copies(operation, "backward", case)
    _, of_sums = (None, ()) if followers else suspecting.sums(operation, case, backend)
    probable, count = suspecting.by_running_analysis(
        operation,
        case,
        lambda: _wanted(module.backward_bound(case.dy, case.inputs, case.attributes, needs, **algorithms), needs),
        backend,
    )
    if any(of_sums):
        _, squares = exact(operation, suspecting.squared(case), needs)
        probable = suspecting.probable(_wanted(of_sums, needs), _wanted(squares, needs), backend)
    wanted = (_wanted(entries, needs) for entries in (names, gradients, bounds, to_the_bit))
    return Expectation(*wanted, signed_zeros, probable=probable, sums=count)


def _with_open_gradient(operation, case, needs, bounds, open_dy):
    """Return the bounds of gradients where the gradient of the first result may be off by ``open_dy``, not below 0."""
    find_errors = rooms.trait(rooms.CONFORMANCE, operation, "open_gradients")
    if find_errors is None:
        magnitudes = tuple(None if entry is None else np.abs(entry) for entry in case.inputs)
        _, errors = exact(operation, dataclasses.replace(case, inputs=magnitudes, dy=open_dy), needs)
    else:
        errors = find_errors(case.inputs, case.attributes, open_dy)
    return [
        np.where(bound == UNDEFINED, bound, bound + error) if need else None
        for bound, error, need in zip(bounds, errors, needs, strict=True)
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
    twice=False,
):
    """Run forward and backward on a backend and hold the gradients against their bounds.

    Parameters
    ----------
    needs : tuple of bool, optional
        Whose gradients to ask for; those of all inputs that have one as a rule.
    operation, case, backend, implementation, to_the_bit, statistics, followers, twice
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
    needs = asked_gradients(operation, case, backend) if needs is None else tuple(needs)
    if not any(needs):
        raise NoSuchResult
    expected = expected or expect_backward(
        operation, case, backend, needs=needs, to_the_bit=to_the_bit, followers=followers
    )
    implementation = Composition.on(backend, implementation or backend.operation(operation), followers)

    def compute(case):
        _, gradients = _run(operation, case, backend, implementation, needs)
        return _wanted(gradients, needs)

    return _check("+".join((f"{operation}.backward", *followers)), case, backend, compute, expected, statistics, twice)


def _check(call, case, backend, compute, expected, statistics, twice):
    computed = compute(case)
    if len(computed) != len(expected.exact):
        raise ConformanceFailure(
            f"{call} on {backend.name}: {len(computed)} results, but {len(expected.exact)} are needed."
        )
    what = title(call, case, backend.name)
    first = repetition.copies(computed) if twice else computed
    rows = zip(expected.names, first, expected.exact, expected.bounds, expected.to_the_bit, strict=True)
    try:
        if twice:
            repetition.check(what, expected.names, computed, first, compute, case, backend)
        worst = max(compare(f"{what}: {name}", *entries, statistics, expected.signed_zeros) for name, *entries in rows)
        if expected.probable:
            suspecting.check(what, first, expected, statistics)
        return worst
    except ConformanceFailure as failure:
        answers = zip(expected.entries().items(), first, strict=True)
        failure.results = {name: (found, *entries) for (name, entries), found in answers}
        raise


def title(call, case, name):
    """Return what messages about a case begin with: the call, such as ``relu.forward``, and where it was computed."""
    arguments = list(map(describe, case.inputs))
    arguments += [f"{attribute}={value!r}" for attribute, value in case.attributes.items()]
    if ".backward" in call:
        arguments.append(f"dy={describe(case.dy)}")
    return f"{call}({', '.join(arguments)}) on {name}"


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


def asked_gradients(operation, case, backend):
    """Return whose gradients a backend is asked: all, or those that its ``gradients(operation, inputs)`` names."""
    given, offered = all_gradients(case), getattr(backend, "gradients", None)
    if offered is None:
        return given
    return tuple(a and b for a, b in zip(given, offered(operation, len(given)), strict=True))


def _no_gradient(case):
    return (False,) * len(case.inputs)

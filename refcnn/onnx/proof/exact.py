"""The exact answers of a program, how far float32 may be from them, and the verdict on each step."""

import dataclasses
import functools
import json
import threading

import numpy as np

from ... import backend as backends
from ... import rooms
from ...conformance.judging import comparison
from ...conformance.theory.bounds import UNDEFINED, facts, subnormals, widest
from ...conformance.theory.strategies import Case
from ...errors import ExportError
from ...formats import FLOAT32, FLOAT64, kept
from ...program import named


@dataclasses.dataclass(frozen=True)
class Chain:
    """A program computed exactly from its inputs to its outputs.

    Attributes
    ----------
    arrays : dict of str to ndarray of float64, or of integers or truth values
        All that it reads or computes, by name.
    bounds : dict of str to ndarray of float64
        How far each of these may be off by what was rounded before it; of what is not in it nothing is known, since
        something before may overflow, or its definition leaves it open.
    own : mapping of str to ndarray of float64
        How far each result may be off by its own step's roundings alone, on exact inputs; computed when asked for.
    saved : list of (object, list of (tuple, dtype) or None)
        What each step kept for its gradient, and the forms of its results where these are several.
    overflows : bool
        Whether a float among the results is beyond the largest float32, or no number.
    """

    arrays: dict
    bounds: dict
    own: dict
    saved: list
    overflows: bool


class _Own(dict):
    """The bounds of single steps' own roundings, by the names of their results."""

    def __init__(self, steps, bound):
        super().__init__()
        self._steps = {name: step for step in steps for name in step.results if name is not None}
        self._bound = bound

    def __missing__(self, name):
        self.update(self._bound(self._steps[name]))
        return self[name]

    def __contains__(self, name):
        return name in self._steps


class _Widening:
    """Bounds that are widened as far as it takes; ``bounds`` are those of now, which ``are_own`` or the least."""

    def __init__(self, by_width, least):
        self._by_width, self.are_own = by_width, least is None
        self.bounds = next(by_width) if least is None else least

    def widen(self):
        """Return whether there were wider ones, which are those of now."""
        wider = next(self._by_width, None)
        self.bounds = self.bounds if wider is None else wider
        self.are_own = True
        return wider is not None

    def widest(self):
        """Return the widest."""
        while self.widen():
            pass
        return self.bounds


class Least:
    """Bounds of a program's steps on the least magnitudes that several implementations gave them.

    These compute nearly the same, and each is judged on its own inputs. Where a bound grows with the inputs'
    magnitudes, that of the least ones is at most the bound of each, and computed once.

    Parameters
    ----------
    exact : Exact
    inputs : sequence of ndarray
    computed : sequence of dict of str to ndarray
        The results of each implementation by name.
    """

    def __init__(self, exact, inputs, computed):
        self._exact, self._computed = exact, computed
        self._alike = {**exact.constants, **dict(zip(exact.program.inputs, map(exactly, inputs), strict=True))}
        self._found, self._computing = {}, {step.results: threading.Lock() for step in exact.program.steps}

    def bounds(self, step, results):
        """Return a bound of each result that is at most each implementation's, or None where none is known.

        Parameters
        ----------
        step : Step
        results : sequence of ndarray
            Exact ones, whose shapes all have.
        """
        if len(self._computed) < 2 or not rooms.trait(rooms.CONFORMANCE, step.operation, "BOUND_GROWS"):
            return None
        with self._computing[step.results]:
            if step.results not in self._found:
                self._found[step.results] = self._bounds(step, results)
            return self._found[step.results]

    def _bounds(self, step, results):
        given = [self._given(name) for name in step.inputs if name is not None]
        # What is flushed is off by more than what is as large as may be without being flushed.
        with subnormals(True):
            if any(one is None or not facts(one).is_finite for one in given):
                return None
            left = iter(given)
            given = [None if name is None else next(left) for name in step.inputs]
            return self._exact.bound(step, given, _nothing(step), (None,), results)

    def _given(self, name):
        if name in self._alike:
            return self._alike[name]
        arrays = [one.get(name) for one in self._computed]
        if any(array is None or array.shape != arrays[0].shape for array in arrays):
            return None
        return exactly(functools.reduce(np.minimum, map(np.abs, arrays)))


class Exact:
    """A program in the float64 reference.

    Parameters
    ----------
    program : Program
    before_step : callable
        Called before each step is computed; what it raises ends that.

    Raises
    ------
    ExportError
        If an operation has no error bound.
    """

    def __init__(self, program, before_step=lambda: None):
        self.program, self._before_step = program, before_step
        self._backend = backends.find("reference:float64")
        self.constants = {name: _constant(array) for name, array in program.constants.items()}
        self._rooms = {step.operation: _room(step.operation) for step in program.steps}

    def chain(self, inputs, judged=(), off=None):
        """Return the :class:`Chain` of some inputs, with bounds that hold for anyone and for some backends.

        Parameters
        ----------
        inputs : sequence of ndarray
        judged : sequence of backends
            Those whose algorithms have bounds of their own, which are allowed too.
        off : dict of str to ndarray, optional
            How far constants are off from what they stand for, by name.
        """
        program, judged = self.program, (None, *judged)
        arrays = {**self.constants, **dict(zip(program.inputs, map(exactly, inputs), strict=True))}
        bounds, all_saved, overflows = dict.fromkeys(arrays) | (off or {}), [], False
        for step in program.steps:
            given = _inputs(step, arrays)
            results, saved = self._forward(step, given)
            all_saved.append(saved)
            arrays |= named(step, results)
            overflows = overflows or any(map(_overflows, results))
            if not all(name is None or name in bounds for name in step.inputs):
                continue
            errors = tuple(None if name is None else bounds[name] for name in step.inputs)
            found = self.bound(step, given, errors, judged, results)
            bounds |= {name: bound for name, bound in named(step, found).items() if _is_known(bound)}
        own = _Own(program.steps, lambda step: self._own(step, _inputs(step, arrays), arrays, judged))
        return Chain(arrays, bounds, own, all_saved, overflows)

    def _own(self, step, given, arrays, judged):
        """Return how far each result may be off by a step's roundings, by name."""
        results = [None if name is None else arrays[name] for name in step.results]
        found = self.bound(step, given, _nothing(step), judged, results)
        return named(step, [np.where(bound == UNDEFINED, np.inf, bound) for bound in found])

    def widened(self, chain, judged=()):
        """Return the own bounds of a chain's steps on inputs as large as they may be, as :attr:`Chain.own`."""
        own = {}
        for step in self.program.steps:
            given = [
                None if name is None else _widened(chain.arrays[name], chain.bounds.get(name)) for name in step.inputs
            ]
            own |= self._own(step, given, chain.arrays, (None, *judged))
        return own

    def alone(self, step, given, errors):
        """Return a step's results on inputs that may be off, computed exactly, and how far anyone's may be off then."""
        results, _ = self._forward(step, given)
        return results, self.bound(step, given, errors, (None,), results)

    def verdicts(self, inputs, computed, backend=None, least=None):
        """Yield (step, case, verdict) of each result on an implementation's own inputs, the case.

        Results that it does not show are computed exactly on the way to the next that it shows, which may be as much
        further off. Wider bounds, those of its own algorithms, are asked for only of what is outside of narrower ones.
        Of a result that is not the worst so far the ratio may be told larger than it is, but not than the worst one's.

        Parameters
        ----------
        inputs : sequence of ndarray
        computed : dict of str to ndarray
            The implementation's results by name.
        backend : backend, optional
            What computed them, if it is one.
        least : Least, optional
            Bounds that are at most its own, which are asked for first.
        """
        worst = 0.0
        arrays = {**self.constants, **dict(zip(self.program.inputs, map(exactly, inputs), strict=True))}
        arrays |= {name: exactly(array) for name, array in computed.items()}
        bounds = {}
        for step in self.program.steps:
            given = _inputs(step, arrays)
            results, _ = self._forward(step, given)
            case = Case(tuple(given), step.attributes)
            errors = tuple(bounds.get(name) for name in step.inputs)
            first = (
                least.bounds(step, results) if least is not None and not any(e is not None for e in errors) else None
            )
            widening = _Widening(self._bounds_by_width(step, given, errors, backend, results), first)
            for position, name in enumerate(step.results):
                if name is None:
                    continue
                if name not in computed:
                    arrays[name], bounds[name] = results[position], widening.widest()[position]
                    continue
                verdict = comparison.verdict(computed[name], results[position], widening.bounds[position])
                while verdict.ratio > (1 if widening.are_own else worst) and widening.widen():
                    verdict = comparison.verdict(computed[name], results[position], widening.bounds[position])
                if verdict.within:
                    worst = max(worst, verdict.ratio)
                yield step, case, verdict

    def _bounds_by_width(self, step, given, errors, backend, results):
        """Yield bounds of a step's results, anyone's and then wider ones: seldom asked for, those take longer."""
        yield self.bound(step, given, errors, (None,), results)
        if backend is not None:
            yield self.bound(step, given, errors, (None, backend), results)

    def _forward(self, step, given):
        """Return a step's exact results, a tuple, and what its gradient needs, as in :class:`Chain`."""
        self._before_step()
        quick = rooms.trait(rooms.CONFORMANCE, step.operation, "exact_forward")
        forward = self._backend.operation(step.operation).forward if quick is None else quick
        with np.errstate(all="ignore"):
            results, saved = forward(*given, **step.attributes)
        forms = [(array.shape, array.dtype) for array in results] if isinstance(results, tuple) else None
        return tuple(map(exactly, backends.results_of(results))), (saved, forms)

    def bound(self, step, given, errors, judged, results):
        """Return how far each result may be off by any of the backends; None is anyone else."""
        # Most are bounded alike: only some variants of kernels have a bound of their own.
        found = {}
        for backend in judged:
            algorithms = backends.algorithms_of(backend, step.operation, given, step.attributes)
            key = json.dumps(algorithms, sort_keys=True)
            if key not in found:
                with np.errstate(all="ignore"):
                    bound = self._rooms[step.operation].forward_bound(
                        tuple(given), step.attributes, errors, **algorithms
                    )
                found[key] = backends.results_of(bound)
        largest = found.values() if len(found) == 1 else [map(widest, zip(*found.values(), strict=True))]
        (largest,) = largest
        pairs = zip(largest, results, strict=True)
        return [bound if exact is None else np.broadcast_to(bound, exact.shape) for bound, exact in pairs]


def exactly(array):
    """Return the floats of an array in float64, integers and truth values as they are."""
    return array.astype(kept(array.dtype, FLOAT64.dtype), copy=False)


def _constant(array):
    found = exactly(array)
    found = found.copy() if found is array or found.base is not None else found
    # What is known of its magnitudes is kept then.
    found.setflags(write=False)
    return found


def _inputs(step, arrays):
    return [None if name is None else arrays[name] for name in step.inputs]


def _overflows(array):
    # NaN is not between any two numbers.
    is_float = array.dtype.kind == "f" and array.size > 0
    return is_float and not -FLOAT32.largest <= array.min() <= array.max() <= FLOAT32.largest


def _nothing(step):
    """Return that no input is off."""
    return (None,) * len(step.inputs)


def _is_known(bound):
    return bool(np.isfinite(bound).all() and (bound != UNDEFINED).all())


def _widened(array, error):
    """Return an array whose magnitudes are as large as they may be."""
    return array if error is None or array.dtype.kind != "f" else array + np.copysign(error, array)


def _room(operation):
    room = rooms.find(rooms.CONFORMANCE, operation)
    if room is None:
        raise ExportError(
            f"the model uses {operation}, which has no error bound, so that nothing can be proved of it. Define "
            f"forward_bound in {rooms.path(rooms.CONFORMANCE, operation)}."
        )
    return room

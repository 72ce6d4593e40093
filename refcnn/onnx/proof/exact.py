"""The exact answers of a program, how far float32 may be from them, and the verdict on each step."""

import json

import numpy as np

from ... import backend as backends
from ... import rooms
from ...conformance.judging import comparison
from ...conformance.theory.bounds import UNDEFINED, widest
from ...conformance.theory.strategies import Case
from ...errors import ExportError
from ...formats import FLOAT64, kept
from ...program import IMAGE, named


class Exact:
    """A program in the float64 reference.

    Parameters
    ----------
    program : Program
    judged : sequence of backends
        Those whose output may be that far off too.
    before_step : callable
        Called before each step is computed; what it raises ends that.

    Raises
    ------
    ExportError
        If an operation has no error bound.
    """

    def __init__(self, program, judged=(), before_step=lambda: None):
        self._program, self._judged, self._before_step = program, judged, before_step
        self._backend = backends.find("reference:float64")
        self._constants = {name: _exact(array) for name, array in program.constants.items()}
        self._bounds = {step.operation: _forward_bound(step.operation) for step in program.steps}
        self._forwards = {step.operation: self._forward(step.operation) for step in program.steps}

    def output(self, image):
        """Return the exact output and its bound, chained through all steps.

        There is none (None) if float32 may overflow, or the definition of an operation leaves its result open.

        Parameters
        ----------
        image : ndarray of float32

        Returns
        -------
        (ndarray of float64, ndarray of float64) or None
        """
        arrays, errors = {**self._constants, IMAGE: _exact(image)}, {}
        for step in self._program.steps:
            for name, (exact, bound) in self._step(step, arrays, errors, [None, *self._judged]).items():
                if not (np.isfinite(exact).all() and np.isfinite(bound).all()) or (bound == UNDEFINED).any():
                    return None
                arrays[name], errors[name] = exact, bound
        return arrays[self._program.output], errors[self._program.output]

    def verdicts(self, image, computed, backend=None):
        """Yield (step, case, verdict) of each result of each step on an implementation's own inputs, the case.

        Parameters
        ----------
        image : ndarray of float32
        computed : dict of str to ndarray
            The implementation's results by name.
        backend : backend, optional
            What computed them, if it is one.
        """
        arrays = {name: _exact(array) for name, array in computed.items()}
        arrays |= {**self._constants, IMAGE: _exact(image)}
        for step in self._program.steps:
            case = Case(tuple(None if name is None else arrays[name] for name in step.inputs), step.attributes)
            for name, answer in self._step(step, arrays, {}, [backend]).items():
                yield step, case, comparison.verdict(computed[name], *answer)

    def _forward(self, operation):
        quick = rooms.trait(rooms.CONFORMANCE, operation, "exact_forward")
        return self._backend.operation(operation).forward if quick is None else quick

    def _step(self, step, arrays, errors, judged):
        """Return by name a step's exact results, and how far each of the backends may be off; None is any other."""
        self._before_step()
        inputs = tuple(None if name is None else arrays[name] for name in step.inputs)
        errors = tuple(map(errors.get, step.inputs))
        with np.errstate(all="ignore"):
            exact, _ = self._forwards[step.operation](*inputs, **step.attributes)
            # Most are bounded alike: only some variants of kernels have a bound of their own.
            bounds = {}
            for backend in judged:
                algorithms = backends.algorithms_of(backend, step.operation, inputs, step.attributes)
                key = json.dumps(algorithms, sort_keys=True)
                if key not in bounds:
                    bound = self._bounds[step.operation](inputs, step.attributes, errors, **algorithms)
                    bounds[key] = backends.results_of(bound)
        largest = (widest(of_result) for of_result in zip(*bounds.values(), strict=True))
        answers = zip(backends.results_of(exact), largest, strict=True)
        return named(step, [(_exact(exact), np.broadcast_to(bound, exact.shape)) for exact, bound in answers])


def _exact(array):
    """Return the floats of an array in float64, integers and truth values as they are."""
    return array.astype(kept(array.dtype, FLOAT64.dtype))


def _forward_bound(operation):
    room = rooms.find(rooms.CONFORMANCE, operation)
    if room is None:
        raise ExportError(
            f"the model uses {operation}, which has no error bound, so that nothing can be proved of it. Define "
            f"forward_bound in {rooms.path(rooms.CONFORMANCE, operation)}."
        )
    return room.forward_bound

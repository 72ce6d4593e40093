"""The judgement of executors on inputs: every step on its own inputs, and the outputs end to end."""

import dataclasses
import functools
import math

import numpy as np

from ...conformance.judging import comparison
from ...conformance.theory.probable import LAMBDA
from . import carrying
from .exact import Least
from .together import together

#: Elements of an output, of an example, whose bounds are carried along gradients: of those furthest off, and of all.
_FEW, _MANY = 4, 16


@dataclasses.dataclass(frozen=True)
class Bounds:
    """How far the outputs may be off, end to end, where every operation is computed by its definition.

    Attributes
    ----------
    size : float
        The largest magnitude of an output.
    proved, probable : float
        How far an output may be off at most, and but for one case in millions if roundings know nothing of each other;
        infinite where that is not known.
    flips : int or None
        Elements, such as those of rectifiers, whose slope may be another within the errors; None where slopes vary
        anyway. Without any the proved bound is that which is carried along gradients.
    """

    size: float
    proved: float
    probable: float
    flips: int | None

    def __str__(self):
        texts = [f"outputs up to {self.size:.2g}"]
        if math.isfinite(self.probable):
            texts.append(f"off by {self.probable:.1g} at most if roundings are independent")
        texts.append(f"by {self.proved:.1g} proved" if math.isfinite(self.proved) else "with no proved bound")
        return ", ".join(texts)


@dataclasses.dataclass
class Outcome:
    """What was found of one executor on one input.

    Attributes
    ----------
    ratio : float
        The worst error of a step divided by its bound.
    worst : Step or None
        The step with that ratio.
    wrong : (Step, Verdict) or None
        The first step outside of its bound that no known fault explains.
    output : Verdict or None
        Of the outputs end to end, the worst, where that is outside of the proved bound while no step is.
    suspect : (float, float) or None
        Error and bound of an output outside of its probable bound.
    difference : float
        The largest absolute difference of an output from the exact one.
    faults : list of (str, KnownFault)
        Operations that a known fault of the executor explains.
    """

    ratio: float = 0.0
    worst: object = None
    wrong: tuple | None = None
    output: object = None
    suspect: tuple | None = None
    difference: float = 0.0
    faults: list = dataclasses.field(default_factory=list)

    @property
    def is_right(self):
        """Whether nothing is outside of a proved bound."""
        return self.wrong is None and self.output is None


def judge(exact, computed, inputs, *, is_random, chain=None, found_wrong=lambda: None):
    """Judge what executors of a program computed of some inputs.

    Parameters
    ----------
    exact : Exact
    computed : sequence of Computed
    inputs : sequence of ndarray
    is_random : bool
        Whether the numbers have random mantissas and usual sizes, of which alone the probable bound says anything.
    chain : Chain, optional
        The exact answers of these inputs, with bounds that hold for anyone.
    found_wrong : callable
        Called once something is known to be wrong, before it is looked for.

    Returns
    -------
    dict of str to Outcome
        By executor.
    """
    end, outcomes = End(exact, inputs, chain), {entry.name: Outcome() for entry in computed}
    for entry in computed:
        outcome = outcomes[entry.name]
        for name, result in entry.outputs.items():
            verdict = end.verdict(name, result, entry.backend)
            outcome.difference = max(outcome.difference, end.difference(name, result))
            if not verdict.within:
                found_wrong()
                outcome.output = verdict
    least = Least(exact, inputs, [one.steps for one in computed])
    # All executors at the same time.
    judge_steps = functools.partial(_judge_steps, exact, inputs, least, found_wrong)
    together([functools.partial(judge_steps, one, outcomes[one.name]) for one in computed])
    for entry in computed:
        outcome = outcomes[entry.name]
        if outcome.faults or outcome.wrong is not None:
            # Where an operation of its own is wrong, or known to be, the output says nothing.
            outcome.output = None
        elif is_random and outcome.output is None:
            found = (end.suspect(name, result, entry.backend) for name, result in entry.outputs.items())
            outcome.suspect = next(filter(None, found), None)
    return outcomes


def _judge_steps(exact, inputs, least, found_wrong, entry, outcome):
    """Judge every step on an executor's own inputs, up to the first that is outside."""
    for step, case, verdict in exact.verdicts(inputs, entry.steps, entry.backend, least):
        fault = None if verdict.within else entry.known_fault(step.operation, case, verdict)
        if fault is not None:
            outcome.faults.append((step.operation, fault))
            continue
        if verdict.ratio > outcome.ratio or outcome.worst is None:
            outcome.ratio, outcome.worst = verdict.ratio, step
        if not verdict.within:
            found_wrong()
            outcome.wrong = step, verdict
            return


class End:
    """The outputs of a program, end to end: how far off they may be on some inputs.

    Parameters
    ----------
    exact : Exact
    inputs : sequence of ndarray
    chain : Chain, optional
        The exact answers, with bounds that hold for anyone who computes by the definitions.
    """

    def __init__(self, exact, inputs, chain=None):
        self._exact, self._inputs = exact, inputs
        self._chain = exact.chain(inputs) if chain is None else chain
        self._wide = {}

    def _chains(self, backend):
        """Yield the chain that holds for anyone, then that of a backend, whose algorithms may have bounds of their own.

        The second takes longer, and is seldom asked for.
        """
        yield self._chain, ()
        if backend is not None:
            if backend not in self._wide:
                self._wide[backend] = self._exact.chain(self._inputs, [backend])
            yield self._wide[backend], (backend,)

    def verdict(self, name, computed, backend=None):
        """Return the verdict on an output by the proved bound; without one anything is within."""
        for chain, _ in self._chains(backend):
            bound = chain.bounds.get(name, np.inf)
            found = comparison.verdict(computed, chain.arrays[name], 0 if bound is None else bound)
            if found.within or found.worst is None:
                break
        return found

    def difference(self, name, computed):
        """Return the largest absolute difference of an output from the exact one, which is a number."""
        exact = self._chain.arrays[name]
        if computed.shape != exact.shape:
            return np.inf
        difference = np.abs(computed.astype(np.float64) - exact)
        return float(np.where(np.isfinite(exact), np.nan_to_num(difference, nan=np.inf), 0).max(initial=0))

    def suspect(self, name, computed, backend=None):
        """Return the error and the bound of the element furthest outside of its probable bound, or None."""
        found = None
        for chain, judged in self._chains(backend):
            found = self._outside(name, computed, chain, judged)
            if found is None:
                return None
        return found

    def _outside(self, name, computed, chain, judged):
        exact = chain.arrays[name]
        if exact.dtype.kind != "f" or not exact.size:
            return None
        step = next((step for step in self._exact.program.steps if name in step.results), None)
        error = np.abs(computed.astype(np.float64) - exact)
        # Most are within what the last operation alone may be off, so that no gradient needs be known.
        if step is None or not (error > LAMBDA * np.sqrt(carrying.variances(step, chain, not judged)[name])).any():
            return None
        rows = error.reshape(carrying.batch_of(self._exact.program, chain) or 1, -1)
        places = np.argsort(-rows.max(axis=0), kind="stable")[:_FEW].tolist()
        carried = carrying.carried(self._exact, chain, {name: places}, judged)
        if carried is None:
            return None
        probable = carried[name].probable
        excess = np.divide(error, probable, out=np.zeros(error.shape), where=error > probable)
        place = np.unravel_index(excess.argmax(), excess.shape)
        return (float(error[place]), float(probable[place])) if excess[place] > 0 else None

    def bounds(self):
        """Return the :class:`Bounds` of the outputs that are floats; None if there are none."""
        chain, program = self._chain, self._exact.program
        # An input or a constant that is an output too is not computed.
        names = [name for name in dict.fromkeys(program.outputs) if name in chain.own]
        names = [name for name in names if chain.arrays[name].dtype.kind == "f"]
        names = [name for name in names if chain.arrays[name].size]
        if not names:
            return None
        rows = carrying.batch_of(program, chain) or 1
        chosen = {name: range(min(_MANY, chain.arrays[name].size // rows)) for name in names}
        carried = carrying.carried(self._exact, chain, chosen)
        sizes, proved, probable = zip(*(_widest_of(chain, name, carried) for name in names), strict=True)
        return Bounds(max(sizes), max(proved), max(probable), carrying.may_flip(self._exact, chain))


def _widest_of(chain, name, carried):
    """Return the size of an output, and its widest proved and probable bound, of elements to which it was carried."""
    exact, bound = chain.arrays[name], chain.bounds.get(name, np.inf)
    bound = np.broadcast_to(0.0 if bound is None else bound, exact.shape)
    size = float(np.abs(exact).max())
    if carried is None:
        return size, float(bound.max()), np.inf
    looked_at = np.isfinite(carried[name].probable)
    bound = np.minimum(bound, carried[name].proved)[looked_at]
    return size, float(bound.max(initial=0)), float(carried[name].probable[looked_at].max(initial=0))

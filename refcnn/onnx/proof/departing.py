"""How far a program that was changed for a file is from the model's own, on given inputs.

Both are computed in float64. Each step whose constants were changed, computed of what the model gives to it, must give
what the model has there: they differ by no more than what the constants are off brings in, and roundings to float64.
That bound is tight at any depth, and so is a proof of the change. How much of it arrives at the outputs is measured,
and bounded by what each step hands on.
"""

import dataclasses

import numpy as np

from ...conformance.theory.bounds import computed_in
from ...errors import ExportError
from ...formats import FLOAT64
from .exact import Exact, exactly


@dataclasses.dataclass(frozen=True)
class Departure:
    """How far outputs moved, at most, on the inputs that were drawn.

    Attributes
    ----------
    change : str
        What was changed.
    measured, proved : float
        The largest difference of an output, and the largest that is proved of any change by as little, each beside the
        largest magnitude of an output on the same input; infinite where nothing is proved.
    """

    change: str
    measured: float
    proved: float

    def __str__(self):
        # What each step may hand on at most grows from one to the next, beyond all that ever happens.
        proved = f"by {self.proved:.1g} proved" if self.proved < 1 else "proved of each operation alone"
        return f"{self.change}: the outputs are off from the model's by {self.measured:.1g} of the largest, {proved}"


class Departing:
    """A program and what was made of it.

    Parameters
    ----------
    program : Program
    changed : refcnn.onnx.writing.folding.Changed
    """

    def __init__(self, program, changed):
        self._former, self._latter, self._changed = Exact(program), Exact(changed.program), changed
        self._makers = {name: step for step in program.steps for name in step.results if name is not None}
        self._measured = self._proved = 0.0

    def check(self, inputs):
        """Hold both against each other on some inputs.

        Raises
        ------
        ExportError
            If they differ by more than the constants and the roundings account for.
        """
        with computed_in(FLOAT64):
            former, latter = self._former.chain(inputs), self._latter.chain(inputs, off=self._changed.off)
            if former.overflows or latter.overflows:
                return
            for step in self._changed.program.steps:
                if self._changed.off.keys() & set(step.inputs):
                    self._check_step(step, former)
        for name, other in zip(self._former.program.outputs, self._latter.program.outputs, strict=True):
            expected, found = former.arrays[name], latter.arrays[other]
            if expected.dtype.kind == "f" and expected.any():
                size, bound = np.abs(expected).max(), np.max(_bound(former, name) + _bound(latter, other))
                self._measured = max(self._measured, float(np.abs(found - expected).max() / size))
                self._proved = max(self._proved, float(bound / size))

    def found(self):
        """Return the :class:`Departure` of all inputs so far."""
        return Departure(str(self._changed), self._measured, self._proved)

    def _check_step(self, step, former):
        """Compute a changed step of what the model gives to it."""
        constants, folded, off = self._changed.program.constants, self._changed.folded, self._changed.off
        given = [
            None
            if name is None
            else exactly(constants[name])
            if name in constants
            else former.arrays[folded.get(name, name)]
            for name in step.inputs
        ]
        results, bounds = self._latter.alone(step, given, tuple(off.get(name) for name in step.inputs))
        for name, found, bound in zip(step.results, results, bounds, strict=True):
            if name is not None:
                self._compare(step, name, found, bound + self._own_bound(name, former), former)

    def _own_bound(self, name, former):
        """Return how far the model's result is off by roundings to float64 of the steps that now are one."""
        meant = self._changed.folded.get(name, name)
        if meant == name:
            return former.own[name]
        step = self._makers[meant]
        given = [None if entry is None else former.arrays[entry] for entry in step.inputs]
        _, (bound,) = self._former.alone(step, given, (former.own[name], *(None,) * (len(given) - 1)))
        return bound

    def _compare(self, step, name, found, bound, former):
        meant = self._changed.folded.get(name, name)
        difference = np.abs(found - former.arrays[meant])
        excess = np.where(difference > bound, difference - bound, 0)
        if not excess.any():
            return
        place = np.unravel_index(excess.argmax(), excess.shape)
        raise ExportError(
            f"{self._changed}: {name} is off from the model's {meant} by {difference[place]:.2g} at "
            f"{self._changed.program.describe(step)}; the changed constants account for {bound[place]:.2g} at most. "
            "The file was not written. Look at scaled_channels and per_channel in refcnn/layers."
        )


def _bound(chain, name):
    found = chain.bounds.get(name, np.inf)
    return 0.0 if found is None else found

"""A file on one input, on several executors beside each other: how long each takes, and where one parts."""

import dataclasses
import time

import numpy as np

from ... import rooms
from ...errors import RefcnnError
from ..reading.foreign import read_with_graph
from .elsewhere import Elsewhere
from .exact import Exact
from .file_executors import ONNXRUNTIME, FileExecutors
from .judging import judge
from .tracing import traced

#: So often each computes; the shortest time counts.
_REPETITIONS = 3


@dataclasses.dataclass(frozen=True)
class Beside:
    """What one executor made of an input.

    Attributes
    ----------
    name : str
    seconds : float or None
        For the outputs, as the file is deployed there.
    output : ndarray or None
        The first.
    difference : float or None
        The largest absolute difference of an output from the exact one.
    ratio : float or None
        The worst error of an operator divided by its bound.
    node : str
        The operator with that ratio; of one that parts the first at which it does.
    parts : str
        How far it is off there; empty if nothing is outside of its bound.
    unusable : str
        Why it could not run; empty if it could.
    """

    name: str
    seconds: float | None = None
    output: np.ndarray | None = None
    difference: float | None = None
    ratio: float | None = None
    node: str = ""
    parts: str = ""
    unusable: str = ""


class FileBeside:
    """A file that is run on executors beside each other.

    Parameters
    ----------
    path : str or os.PathLike

    Raises
    ------
    DataError
        If it cannot be read.
    """

    def __init__(self, path):
        self._model, self._whole = read_with_graph(path)
        self._executors = FileExecutors(self._model, self._whole)

    def flop(self, x):
        """Return the multiplications and additions for an input."""
        program = traced(self._model, [x])
        return sum(_flop(step, program) for step in program.steps)

    def run(self, x, devices):
        """Run the file on an input.

        Parameters
        ----------
        x : ndarray
        devices : sequence of str
            ``onnxruntime``, ``reference`` and OpenCL devices.

        Returns
        -------
        list of Beside

        Raises
        ------
        DataError
            If the model cannot compute the input.
        """
        program = traced(self._model, [x])
        found, computed = {}, []
        for device in devices:
            try:
                executor = self._executors.executor(device, program)
                seconds = _shortest(executor, [x])
                computed.append(executor.computed([x]))
            except RefcnnError as error:
                found[device] = Beside(device, unusable=str(error))
            else:
                found[executor.name] = Beside(executor.name, seconds)
        return self._judged(program, x, found, computed)

    def elsewhere(self, x):
        """Return the :class:`~refcnn.onnx.proof.elsewhere.Elsewhere` of inputs like this one."""
        return Elsewhere(traced(self._model, [x]), self._whole, self._executors)

    def judged(self, elsewhere, x, computed, seconds):
        """Return a :class:`Beside` of what was computed of an input elsewhere, and took so many seconds."""
        (row,) = self._judged(elsewhere.program, x, {computed.name: Beside(computed.name, seconds)}, [computed])
        return row

    def _judged(self, program, x, rows, computed):
        outcomes = judge(Exact(program), computed, [x], is_random=False)
        for one in computed:
            rows[one.name] = self._entered(rows[one.name], one, outcomes[one.name], program)
        return list(rows.values())

    def _entered(self, row, computed, outcome, program):
        step, parts = outcome.worst, ""
        if outcome.wrong is not None:
            step, verdict = outcome.wrong
            parts = verdict.text
        elif outcome.output is not None:
            parts = outcome.output.text
        output = computed.outputs[program.outputs[0]]
        node = self._executors.node(program, step)
        ratio, difference = float(outcome.ratio), float(outcome.difference)
        return dataclasses.replace(row, output=output, difference=difference, ratio=ratio, node=node, parts=parts)


def _shortest(executor, inputs):
    """Return the shortest time of several for the outputs of an executor; the first, which builds, does not count."""
    times = []
    for _ in range(_REPETITIONS + 1):
        begin = time.perf_counter()
        executor.outputs(inputs)
        times.append(time.perf_counter() - begin)
    return min(times[1:])


def _flop(step, program):
    shapes = [None if name is None else program.variables[name].shape for name in step.inputs]
    return rooms.trait(rooms.LAYERS, step.operation, "flop")(*shapes, **step.attributes)


def usual_devices(backend):
    """Return the devices to run a file on beside each other: the reference, a backend or the best device, onnxruntime.

    Parameters
    ----------
    backend : Backend
    """
    device = backend.name if backend.name.startswith("opencl") else "opencl"
    return ["reference", device, ONNXRUNTIME]

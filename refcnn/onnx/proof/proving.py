"""The proof of an exported file: its answers, and both backends', lie within the error bound of the exact ones."""

import contextlib
import dataclasses
import math
import time

import hypothesis
import numpy as np
from onnx import numpy_helper

from ... import backend as backends
from ... import rooms
from ...conformance.judging import comparison
from ...conformance.running import known_faults
from ...conformance.subjects.onnxruntime import OnnxRuntime
from ...errors import ExportError, NoDeviceError
from .. import operators, runtime
from .drawing import failure, images
from .exact import Exact

#: One drawn input in so many is judged at every operation too, the others at the output alone. The bound of the output
#: grows from layer to layer, far beyond what rounding does, so that a small fault could hide in it; the bound of one
#: operation on its own inputs is narrow, but judging all of them takes several times as long.
STEPWISE_EVERY = 4
#: Elements that a message shows of an array.
_SHORT = 16


@dataclasses.dataclass(frozen=True)
class Proof:
    """What the proof of an export found.

    Attributes
    ----------
    examples : int
        Drawn inputs on which all implementations were judged; 0 if nothing was proved, and the remark says why.
    batch_sizes : tuple of int
        The sizes that were drawn.
    opset : int
    ratios : dict of str to float
        For each implementation the worst error divided by its bound, 0 to 1, of the output and of single operations.
    differences : dict of str to float
        For each implementation the largest absolute difference from the exact output.
    remark : str
        What could not be judged, or was not; empty as a rule.
    """

    examples: int
    batch_sizes: tuple
    opset: int
    ratios: dict
    differences: dict
    remark: str = ""

    def __str__(self):
        if not self.examples:
            return f"not proved{self.remark}"
        found = ", ".join(f"{name} {ratio:.2g}" for name, ratio in self.ratios.items())
        inputs = "input" if self.examples == 1 else "inputs"
        return f"proved on {self.examples} drawn {inputs}, worst error / error bound: {found}{self.remark}"


class _OutOfTime(Exception):
    """The time of a proof is over."""


class _Clock:
    """The time that a proof may take, or None for any."""

    def __init__(self, seconds):
        self.seconds, self._end = seconds, None if seconds is None else time.monotonic() + seconds

    @property
    def is_over(self):
        return self._end is not None and time.monotonic() >= self._end

    def check(self):
        """Raise _OutOfTime if the time is over."""
        if self.is_over:
            raise _OutOfTime

    def let_go(self):
        """Give as much time as is needed: what is known to be wrong is told whole."""
        self._end = None


class _Outside(ExportError):
    """Implementations whose output, or a step of theirs, is outside its bound."""

    def __init__(self, implementations):
        super().__init__()
        self.implementations = implementations


class _OnnxRuntime:
    """The file's own bytes in onnxruntime."""

    backend = None

    def __init__(self, model, outputs, output):
        self.name, self._description = runtime.NAME, OnnxRuntime(runtime.PROVIDER).description
        self._model, self._outputs, self._output, self._stepwise = model, outputs, outputs[output].name, None
        with self._explained("does not load the file"):
            self._session = runtime.Session(model.SerializeToString(deterministic=True))

    def output(self, image):
        with self._explained(f"cannot run the file on a batch of {len(image)}"):
            return self._session.run(image)[self._output]

    def arrays(self, image):
        """Return every step's results by name, from a copy of the file that has all of them as outputs."""
        with self._explained("cannot run the file with every intermediate tensor as an output"):
            if self._stepwise is None:
                model = type(self._model)()
                model.CopyFrom(self._model)
                del model.graph.output[:]
                model.graph.output.extend(self._outputs.values())
                self._stepwise = runtime.Session(model.SerializeToString())
            arrays = self._stepwise.run(image)
        return {name: arrays[value.name] for name, value in self._outputs.items()}

    def written(self, label):
        """Return the ONNX operators that were written for a step, for messages."""
        graph, (version,) = self._model.graph, self._model.opset_import
        # Parameters and tables go by their names.
        small = [one for one in graph.initializer if one.name.startswith(f"{label}.") and math.prod(one.dims) <= _SHORT]
        values = {one.name: numpy_helper.to_array(one).tolist() for one in small}
        texts = []
        for node in graph.node:
            if node.name == label or node.name.startswith(f"{label}."):
                entries = operators.arguments(node, version.version, values).items()
                texts.append(f"{node.op_type}({', '.join(f'{name}={value}' for name, value in entries)})")
        return ", ".join(texts)

    def known_fault(self, operation, case, verdict):
        """Return the fault of onnxruntime's own that explains a wrong result of an operation, or None."""
        watch = known_faults.watch(self._description, operation, "forward", None)
        return watch.explain(case, verdict, verdict.difference_of_wrong)

    @contextlib.contextmanager
    def _explained(self, what):
        try:
            yield
        except Exception as error:
            raise ExportError(
                f"{self.name} {what}: {str(error).strip()} The file was not written. If the model's sizes are usual, "
                "the ONNX mapping of the operator named here is wrong: see to_onnx in refcnn/layers."
            ) from None


class _Backend:
    """The program on a backend."""

    def __init__(self, program, backend):
        self.name, self._program, self.backend = backend.name, program, backend
        self._constants = {name: backend.array(array) for name, array in program.constants.items()}

    def _run(self, image):
        with np.errstate(all="ignore"):
            return self._program.run(self.backend, self._constants, self.backend.array(image))

    def output(self, image):
        return self.backend.to_host(self._run(image)[self._program.output])

    def arrays(self, image):
        arrays = self._run(image)
        results = (name for step in self._program.steps for name in step.results if name is not None)
        return {name: self.backend.to_host(arrays[name]) for name in results}

    def known_fault(self, operation, case, verdict):
        """None: what is wrong here is refcnn's, or makes a device unfit for it."""
        return None


def prove(program, model, outputs, *, input_shape, top, opset, examples, backend_list, same, progress, seconds=None):
    """Judge onnxruntime and the backends on drawn inputs.

    Parameters
    ----------
    program : Program
    model : onnx.ModelProto
    outputs : dict of str to onnx.ValueInfoProto
        For the name of each result its tensor in the model.
    input_shape : tuple of int
        One example's.
    top : float
        The largest value of usual inputs.
    opset, examples : int
    backend_list : list of backends or of their names, or None
        None: the reference and the active OpenCL device, or else the best one.
    same : callable
        Given an input, raises ExportError unless the model still is this program.
    progress : callable or None
        Called with (examples done, examples wanted).
    seconds : float or None
        After which no further operation is judged; that which is being computed is finished.

    Returns
    -------
    Proof

    Raises
    ------
    ExportError
        If an implementation is outside the bound, or the model overflows.
    """
    chosen, remark = _choose(backend_list)
    clock = _Clock(seconds)
    exactly = Exact(program, chosen, before_step=clock.check)
    implementations = [_OnnxRuntime(model, outputs, program.output)]
    implementations += [_Backend(program, backend) for backend in chosen]
    trial = _Trial(exactly, implementations, examples, same, progress, clock)
    found = failure(images(input_shape, top), examples, trial.check)
    if found is not None:
        image, error = found
        if isinstance(error, _Outside):
            raise ExportError(_explain(program, image, error.implementations, exactly))
        # Anew, without Hypothesis's note, which prints the whole input.
        raise type(error)(str(error)) from None
    return trial.proof(opset, top, remark)


class _Trial:
    """Implementations held against the exact answers, input by input, and what was found."""

    def __init__(self, exactly, implementations, examples, same, progress, clock):
        self._exactly, self._implementations, self._same, self._progress = exactly, implementations, same, progress
        self._examples, self._batch_sizes, self._overflowing, self._has_failed = examples, [], 0, False
        self._verdicts, self._faults = {entry.name: [] for entry in implementations}, set()
        self._clock, self._stepwise = clock, 0

    def check(self, image):
        """Judge all implementations on an input, or reject it where float32 may overflow, or the time is over.

        Raises
        ------
        _Outside
            With those that are outside of the bound.
        ExportError
            If the model is no longer the same program, or cannot be run.
        """
        if self._overflowing > self._examples or self._clock.is_over:
            return
        try:
            self._judge(image)
        except _OutOfTime:
            hypothesis.reject()

    def _judge(self, image):
        self._same(image)
        answer = self._exactly.output(image)
        if answer is None:
            self._overflowing += 1
            hypothesis.reject()
        number = len(self._batch_sizes) + 1
        # While a failing input is made simpler, every one is judged at every operation.
        stepwise = self._has_failed or number % STEPWISE_EVERY == 0 or number == self._examples
        outside = [entry for entry in self._implementations if not self._keeps_to(answer, entry, image, stepwise)]
        if outside:
            self._has_failed = True
            raise _Outside(outside)
        self._stepwise += stepwise
        self._batch_sizes.append(len(image))
        if self._progress is not None and not self._has_failed:
            self._progress(number, self._examples)

    def _keeps_to(self, answer, entry, image, stepwise):
        """Return whether an implementation is within its bounds, and note how near them it comes.

        Where a fault of its own is known the output says nothing, but every operation is judged by itself.
        """
        output = comparison.verdict(entry.output(image), *answer)
        found, faults = [output], []
        if not output.within:
            self._clock.let_go()
        if stepwise or not output.within:
            steps, faults = _stepwise(self._exactly, entry, image)
            found = [verdict for _, verdict in steps] if faults else [output, *(verdict for _, verdict in steps)]
        if not all(verdict.within for verdict in found):
            return False
        self._verdicts[entry.name].append((max((one.ratio for one in found), default=0.0), output.difference))
        self._faults |= {(entry.name, operation, fault.link) for operation, fault in faults}
        return True

    def proof(self, opset, top, remark):
        """Return the Proof, all inputs having been judged.

        Raises
        ------
        ExportError
            If the model overflowed on more inputs than were to be judged.
        """
        judged = len(self._batch_sizes)
        if self._overflowing > self._examples:
            raise ExportError(
                f"the model's values leave float32's range on {self._overflowing} of {self._overflowing + judged} "
                f"drawn inputs of usual size (about {top:g}), so that its answers mean nothing there. The file was not "
                "written. Look at the parameters' sizes: training may have diverged."
            )
        if judged < self._examples:
            left = f"{self._examples - judged} of {self._examples} inputs"
            alone = "" if self._stepwise else ", and no operation by itself"
            remark += f" ({left} were not judged{alone}: the proof's {self._clock.seconds:g} s were over)"
        ratios, differences = (
            {name: max((entry[place] for entry in entries), default=0.0) for name, entries in self._verdicts.items()}
            for place in (0, 1)
        )
        for name, operation, link in sorted(self._faults):
            remark += f" (but for {operation}, which {name} is known to compute wrongly: {link})"
        return Proof(judged, tuple(sorted(set(self._batch_sizes))), opset, ratios, differences, remark)


def _stepwise(exactly, entry, image):
    """Judge every operation on an implementation's own inputs, up to the first that is outside.

    Returns
    -------
    verdicts : list of (Step, Verdict)
        Without those that a known fault explains.
    faults : list of (str, KnownFault)
        With the operations that have them.
    """
    verdicts, faults = [], []
    for step, case, verdict in exactly.verdicts(image, entry.arrays(image), entry.backend):
        fault = None if verdict.within else entry.known_fault(step.operation, case, verdict)
        if fault is not None:
            faults.append((step.operation, fault))
            continue
        verdicts.append((step, verdict))
        if not verdict.within:
            break
    return verdicts, faults


def _choose(backend_list):
    """The backends to judge, and what to remark about those that are missing."""
    if backend_list is not None:
        return [backends.find(entry) for entry in backend_list], ""
    chosen = [backends.find("reference")]
    if backends.active().name.startswith("opencl"):
        return [*chosen, backends.active()], ""
    try:
        return [*chosen, backends.find("opencl")], ""
    except NoDeviceError as error:
        return chosen, f" (not compared with OpenCL: {error.cause})"


def _explain(program, image, implementations, exactly):
    """Name the first operation at which an implementation leaves the bound that holds on its own inputs."""
    seen = f"on a batch of {len(image)}, largest magnitude {np.abs(image).max():g}"
    found = []
    for entry in implementations:
        for step, verdict in _stepwise(exactly, entry, image)[0]:
            if not verdict.within:
                found.append((program.steps.index(step), entry, verdict))
    if not found:
        names = " and ".join(entry.name for entry in implementations)
        return (
            f"{names} gave an output outside its error bound {seen}, yet every operation by itself is within its "
            "own: an optimisation over several operations may be at fault, of these: "
            f"{', '.join(step.label for step in program.steps)}. The file was not written."
        )
    number = min(number for number, _, _ in found)
    step, outside = program.steps[number], [entry for place, entry, _ in found if place == number]
    verdict = next(verdict for place, _, verdict in found if place == number)
    who, verb = " and ".join(entry.name for entry in outside), "depart" if len(outside) > 1 else "departs"
    return (
        f"{who} {verb} from the exact answer at {program.describe(step)}: {seen}, {verdict.text}. "
        f"{_advice(step, outside)} The file was not written."
    )


def _advice(step, outside):
    if len(outside) > 1:
        path = rooms.path(rooms.REFERENCE, step.operation)
        return f"More than one being outside, look at {path} too, which is taken as exact."
    (entry,) = outside
    if entry.backend is None:
        path = rooms.path(rooms.LAYERS, step.operation)
        return f"Look at to_onnx in {path}, which wrote {entry.written(step.label)}."
    wing = rooms.OPENCL if entry.name.startswith("opencl") else rooms.REFERENCE
    return f"Look at {rooms.path(wing, step.operation)}."

"""The proof of an exported file: its answers, and both backends', lie within the error bound of the exact ones."""

import contextlib
import dataclasses

import hypothesis
import numpy as np

from ... import backend as backends
from ... import rooms
from ...conformance.judging import judge
from ...errors import ExportError, NoDeviceError
from .. import runtime
from .drawing import failure, images
from .exact import Exact

#: One drawn input in so many is judged at every operation too, the others at the output alone. The bound of the output
#: grows from layer to layer, far beyond what rounding does, so that a small fault could hide in it; the bound of one
#: operation on its own inputs is narrow, but judging all of them takes several times as long.
STEPWISE_EVERY = 4


@dataclasses.dataclass(frozen=True)
class Proof:
    """What the proof of an export found.

    Attributes
    ----------
    examples : int
        Drawn inputs on which all implementations were judged.
    batch_sizes : tuple of int
        The sizes that were drawn.
    opset : int
    ratios : dict of str to float
        For each implementation the worst error divided by its bound, 0 to 1, of the output and of single operations.
    differences : dict of str to float
        For each implementation the largest absolute difference from the exact output.
    remark : str
        What could not be judged; empty as a rule.
    """

    examples: int
    batch_sizes: tuple
    opset: int
    ratios: dict
    differences: dict
    remark: str = ""

    def __str__(self):
        found = ", ".join(f"{name} {ratio:.2g}" for name, ratio in self.ratios.items())
        inputs = "input" if self.examples == 1 else "inputs"
        return f"proved on {self.examples} drawn {inputs}, worst error / error bound: {found}{self.remark}"


class _Outside(ExportError):
    """Implementations whose output, or a step of theirs, is outside its bound."""

    def __init__(self, implementations):
        super().__init__()
        self.implementations = implementations


class _OnnxRuntime:
    """The file's own bytes in onnxruntime."""

    backend = None

    def __init__(self, model, outputs, output):
        self.name = runtime.NAME
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


def prove(program, model, outputs, *, input_shape, top, opset, examples, backend_list, same, progress):
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

    Returns
    -------
    Proof

    Raises
    ------
    ExportError
        If an implementation is outside the bound, or the model overflows.
    """
    chosen, remark = _choose(backend_list)
    exactly = Exact(program, chosen)
    implementations = [_OnnxRuntime(model, outputs, program.output)]
    implementations += [_Backend(program, backend) for backend in chosen]
    verdicts = {entry.name: [] for entry in implementations}
    batch_sizes, overflowing, failed = [], 0, False

    def check(image):
        nonlocal overflowing, failed
        if overflowing > examples:
            return
        same(image)
        answer = exactly.output(image)
        if answer is None:
            overflowing += 1
            hypothesis.reject()
        number = len(batch_sizes) + 1
        # While a failing input is made simpler, every one is judged at every operation.
        stepwise = failed or number % STEPWISE_EVERY == 0 or number == examples
        outside = []
        for entry in implementations:
            found = [judge.verdict(entry.output(image), *answer, dtype=None)]
            if stepwise and found[0].within:
                found += (verdict for _, verdict in exactly.verdicts(image, entry.arrays(image), entry.backend))
            if all(verdict.within for verdict in found):
                verdicts[entry.name].append((max(verdict.ratio for verdict in found), found[0].difference))
            else:
                outside.append(entry)
        if outside:
            failed = True
            raise _Outside(outside)
        batch_sizes.append(len(image))
        if progress is not None and not failed:
            progress(number, examples)

    found = failure(images(input_shape, top), examples, check)
    if found is not None:
        image, error = found
        if isinstance(error, _Outside):
            raise ExportError(_explain(program, image, error.implementations, exactly))
        # Anew, without Hypothesis's note, which prints the whole input.
        raise type(error)(str(error)) from None
    if overflowing > examples:
        raise ExportError(
            f"the model's values leave float32's range on {overflowing} of {overflowing + len(batch_sizes)} drawn "
            f"inputs of usual size (about {top:g}), so that its answers mean nothing there. The file was not written. "
            "Look at the parameters' sizes: training may have diverged."
        )
    ratios, differences = (
        {name: max(entry[place] for entry in entries) for name, entries in verdicts.items()} for place in (0, 1)
    )
    return Proof(len(batch_sizes), tuple(sorted(set(batch_sizes))), opset, ratios, differences, remark)


def _choose(backend_list):
    """The backends to judge, and what to remark about those that are missing."""
    if backend_list is not None:
        return [backends.find(entry) if isinstance(entry, str) else entry for entry in backend_list], ""
    chosen = [backends.find("reference")]
    if backends.active().name.startswith("opencl"):
        return [*chosen, backends.active()], ""
    try:
        return [*chosen, backends.find("opencl")], ""
    except NoDeviceError as error:
        return chosen, f" (not compared with OpenCL: {error.cause})"


def _explain(program, image, implementations, exactly):
    """Name the first operation at which an implementation leaves the bound that holds on its own inputs."""
    names = [entry.name for entry in implementations]
    seen = f"on a batch of {len(image)}, largest magnitude {np.abs(image).max():g}"
    found = []
    for entry in implementations:
        for step, verdict in exactly.verdicts(image, entry.arrays(image), entry.backend):
            if not verdict.within:
                found.append((program.steps.index(step), entry.name, verdict))
    if not found:
        return (
            f"{_and(names)} gave an output outside its error bound {seen}, yet every operation by itself is within its "
            "own: an optimisation over several operations may be at fault, of these: "
            f"{', '.join(step.label for step in program.steps)}. The file was not written."
        )
    number = min(number for number, _, _ in found)
    step, names = program.steps[number], [name for place, name, _ in found if place == number]
    verdict = next(verdict for place, _, verdict in found if place == number)
    verb = "depart" if len(names) > 1 else "departs"
    return (
        f"{_and(names)} {verb} from the exact answer at {program.describe(step)}: {seen}, {verdict.text}. "
        f"{_advice(step.operation, names)} The file was not written."
    )


def _advice(operation, names):
    if len(names) > 1:
        path = rooms.path(rooms.REFERENCE, operation)
        return f"More than one being outside, look at {path} too, which is taken as exact."
    if names[0] == runtime.NAME:
        return f"Look at to_onnx in {rooms.path(rooms.LAYERS, operation)}."
    wing = rooms.OPENCL if names[0].startswith("opencl") else rooms.REFERENCE
    return f"Look at {rooms.path(wing, operation)}."


def _and(names):
    return " and ".join(names)

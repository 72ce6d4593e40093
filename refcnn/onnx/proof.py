"""The proof of an exported file: its answers, and both backends', lie within the error bound of the exact ones."""

import contextlib
import dataclasses
import functools
import importlib
import tempfile
import time

import hypothesis
import numpy as np
from hypothesis import strategies as st

from .. import backend as backends
from ..errors import BackendError, ExportError
from . import runtime
from .program import IMAGE

#: Seconds that a refusal may spend on looking for a simpler input that shows the same fault.
SHRINKING_TIME = 10.0

#: One drawn input in so many is judged at every operation too, the others at the output alone. The bound of the output
#: grows from layer to layer, far beyond what rounding does, so that a small fault could hide in it; the bound of one
#: operation on its own inputs is narrow, but judging all of them takes several times as long.
STEPWISE_EVERY = 4

#: Operations without arithmetic, which therefore have no bound of their own in refcnn.conformance.
_MOVING = ("flatten",)


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


class _Outside(Exception):
    """An implementation's output is outside its bound on an input."""

    def __init__(self, image, implementations):
        super().__init__()
        self.image, self.implementations = image, implementations


@dataclasses.dataclass(frozen=True)
class _Verdict:
    """How an array compares with the exact one.

    Attributes
    ----------
    ratio : float
        The worst error divided by its bound.
    worst : tuple of int or None
        Where it is outside, at its worst; () for another shape; None if it is within everywhere.
    text : str
    """

    ratio: float
    worst: tuple | None
    text: str

    @classmethod
    def of(cls, computed, exact, bound):
        if computed.shape != exact.shape:
            return cls(np.inf, (), f"the result has shape {computed.shape}, but {exact.shape} is right")
        with np.errstate(all="ignore"):
            difference = np.abs(computed.astype(np.float64) - exact)
            ratio = np.where((difference == 0) | np.isposinf(bound), 0, difference / bound)
        ratio = np.where(np.isnan(ratio), np.inf, ratio)
        worst = tuple(map(int, np.unravel_index(np.argmax(ratio), ratio.shape)))
        text = (
            f"element {worst} is {computed[worst]:.9g}, where {exact[worst]:.9g} is exact and {bound[worst]:.2g} the "
            "error bound"
        )
        return cls(float(ratio[worst]), worst if ratio[worst] > 1 else None, text)


class _OnnxRuntime:
    """The file's own bytes in onnxruntime."""

    def __init__(self, model, outputs, output):
        self.name = runtime.NAME
        self._model, self._outputs, self._output, self._stepwise = model, outputs, outputs[output].name, None
        with self._explained("does not load the file"):
            self._session = runtime.Session(model.SerializeToString(deterministic=True))

    def output(self, image):
        with self._explained(f"cannot run the file on a batch of {len(image)}"):
            return self._session.run(image)[self._output]

    def arrays(self, image):
        """Return every step's result by label, from a copy of the file that has all of them as outputs."""
        with self._explained("cannot run the file with every intermediate tensor as an output"):
            if self._stepwise is None:
                model = type(self._model)()
                model.CopyFrom(self._model)
                del model.graph.output[:]
                model.graph.output.extend(self._outputs.values())
                self._stepwise = runtime.Session(model.SerializeToString())
            arrays = self._stepwise.run(image)
        return {label: arrays[value.name] for label, value in self._outputs.items()}

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
        self.name, self._program, self._backend = backend.name, program, backend
        self._constants = {name: backend.array(array) for name, array in program.constants.items()}

    def _run(self, image):
        with np.errstate(all="ignore"):
            return self._program.run(self._backend, self._constants, self._backend.array(image))

    def output(self, image):
        return self._backend.to_host(self._run(image)[self._program.output])

    def arrays(self, image):
        arrays = self._run(image)
        return {step.label: self._backend.to_host(arrays[step.label]) for step in self._program.steps}


def prove(program, model, outputs, *, input_shape, top, opset, examples, backend_list, same, progress):
    """Judge onnxruntime and the backends on drawn inputs.

    Parameters
    ----------
    program : Program
    model : onnx.ModelProto
    outputs : dict of str to onnx.ValueInfoProto
        For each step's label its tensor in the model.
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
    implementations = [_OnnxRuntime(model, outputs, program.output)]
    implementations += [_Backend(program, backend) for backend in chosen]
    exactly = _Exact(program)
    ratios = {entry.name: 0.0 for entry in implementations}
    differences = dict(ratios)
    batch_sizes, failing = [], {}
    overflowing, deadline = 0, None

    def judge(image):
        nonlocal overflowing, deadline
        key = (image.shape, image.tobytes())
        if key in failing:
            raise failing[key]
        if (deadline and time.monotonic() > deadline) or overflowing > 5 * examples:
            return
        same(image)
        exact, bound = exactly.output(image)
        if exact is None:
            overflowing += 1
            hypothesis.reject()
        outside = []
        for entry in implementations:
            output = entry.output(image)
            verdict = _Verdict.of(output, exact, bound)
            if verdict.worst is None and (failing or len(batch_sizes) % STEPWISE_EVERY == STEPWISE_EVERY - 1):
                stepwise = exactly.verdicts(image, entry.arrays(image))
                verdict = max([verdict, *(found for _, found in stepwise)], key=lambda found: found.ratio)
            if verdict.worst is not None:
                outside.append(entry)
            elif not failing:
                ratios[entry.name] = max(ratios[entry.name], verdict.ratio)
                differences[entry.name] = max(differences[entry.name], float(np.abs(output - exact).max()))
        if outside:
            failing[key] = _Outside(image, outside)
            deadline = deadline or time.monotonic() + SHRINKING_TIME
            raise failing[key]
        if not failing:
            batch_sizes.append(len(image))
            if progress is not None:
                progress(len(batch_sizes), examples)

    try:
        _draw(images(input_shape, top), examples, judge)
    except ExportError as error:
        # Anew, without Hypothesis's report of the drawn input, which would print it all.
        raise ExportError(str(error)) from None
    except (_Outside, hypothesis.errors.Flaky):
        least = min(failing.values(), key=lambda fault: (fault.image.size, np.count_nonzero(fault.image)))
        raise ExportError(_explain(program, least, exactly)) from None
    if len(batch_sizes) < examples:
        raise ExportError(
            f"the model's values leave float32's range on {overflowing} of {overflowing + len(batch_sizes)} drawn "
            f"inputs of usual size (about {top:g}), so that its answers mean nothing there. The file was not written. "
            "Look at the parameters' sizes: training may have diverged."
        )
    return Proof(len(batch_sizes), tuple(sorted(set(batch_sizes))), opset, ratios, differences, remark)


@st.composite
def images(draw, input_shape, top):
    """Draw a float32 batch: single pixels, one value, or noise of a usual, a signed, a large or a wide range.

    Parameters
    ----------
    input_shape : tuple of int
    top : float
        The largest value of usual inputs.
    """
    batch = draw(st.integers(1, 6))
    shape = (batch, *input_shape)
    size = int(np.prod(shape))
    values = st.sampled_from([1.0, -1.0]) | st.floats(-1, 1, width=32)
    values = st.builds(lambda value, scale: value * scale * top, values, st.sampled_from([1.0, 1e6]))
    kind = draw(st.sampled_from(["sparse", "constant", "usual", "signed", "large", "wide"]))
    if kind == "sparse":
        image = np.zeros(size)
        for index, value in draw(st.lists(st.tuples(st.integers(0, size - 1), values), max_size=8)):
            image[index] = value
    elif kind == "constant":
        image = np.full(size, draw(values))
    else:
        random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        low, high = {"usual": (0, 1), "large": (-1e6, 1e6)}.get(kind, (-1, 1))
        image = random.uniform(low, high, size) * top
        if kind == "wide":
            image *= 2.0 ** random.integers(-30, 20, size)
    return image.reshape(shape).astype(np.float32)


class _Exact:
    """The program in the float64 reference, with the running bound of what a float32 computation may be off by."""

    def __init__(self, program):
        self._program = program
        self._backend = backends.find("reference:float64")
        self.constants = {name: array.astype(np.float64) for name, array in program.constants.items()}
        self._bounds = {step.operation: _forward_bound(step.operation) for step in program.steps}

    def output(self, image):
        """Return the exact output and its bound, or (None, None) if float32 may overflow on the way."""
        arrays, errors = {**self.constants, IMAGE: image.astype(np.float64)}, {}
        for step in self._program.steps:
            exact, bound = self.step(step, arrays, errors)
            if not (np.isfinite(exact).all() and np.isfinite(bound).all()):
                return None, None
            arrays[step.label], errors[step.label] = exact, bound
        return exact, bound

    def verdicts(self, image, computed):
        """Yield (step, verdict) of each step on an implementation's own inputs, up to the first that is outside.

        Parameters
        ----------
        image : ndarray
        computed : dict of str to ndarray
            The implementation's results by label.
        """
        arrays = {label: array.astype(np.float64) for label, array in computed.items()}
        arrays |= {**self.constants, IMAGE: image.astype(np.float64)}
        for step in self._program.steps:
            verdict = _Verdict.of(computed[step.label], *self.step(step, arrays, {}))
            yield step, verdict
            if verdict.worst is not None:
                return

    def step(self, step, arrays, errors):
        """Return one step's exact result and its bound from the arrays by name and their errors."""
        inputs = tuple(None if name is None else arrays[name] for name in step.inputs)
        with np.errstate(all="ignore"):
            exact, _ = self._backend.operation(step.operation).forward(*inputs, **step.attributes)
            bound = self._bounds[step.operation](inputs, step.attributes, tuple(map(errors.get, step.inputs)))
        return exact, np.broadcast_to(bound, exact.shape)


def _forward_bound(operation):
    if operation in _MOVING:
        return functools.partial(_moved, importlib.import_module(f"refcnn.reference.{operation}").forward)
    try:
        return importlib.import_module(f"refcnn.conformance.{operation}").forward_bound
    except ModuleNotFoundError:
        raise ExportError(
            f"the model uses {operation}, which has no error bound, so that nothing can be proved of it. Define "
            f"forward_bound in refcnn/conformance/{operation}.py."
        ) from None


def _moved(forward, inputs, attributes, errors):
    """The bound of an operation that only moves numbers: their errors go where they go."""
    zero = np.zeros(inputs[0].shape)
    return forward(zero if errors[0] is None else errors[0], **attributes)[0]


def _choose(backend_list):
    """The backends to judge, and what to remark about those that are missing."""
    if backend_list is not None:
        return [backends.find(entry) if isinstance(entry, str) else entry for entry in backend_list], ""
    chosen = [backends.find("reference")]
    if backends.active().name.startswith("opencl"):
        return [*chosen, backends.active()], ""
    try:
        return [*chosen, backends.find("opencl")], ""
    except BackendError:
        return chosen, " (no OpenCL device was found to compare with)"


def _draw(strategy, examples, judge):
    settings = hypothesis.settings(
        max_examples=examples, database=None, deadline=None, derandomize=True, print_blob=False,
        report_multiple_bugs=False, suppress_health_check=list(hypothesis.HealthCheck),
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink), verbosity=hypothesis.Verbosity.quiet,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        # Hypothesis would leave a folder of its own in the current one.
        hypothesis.configuration.set_hypothesis_home_dir(folder)
        try:
            settings(hypothesis.given(strategy)(judge))()
        finally:
            hypothesis.configuration.set_hypothesis_home_dir(None)


def _explain(program, fault, exactly):
    """Name the first operation at which an implementation leaves the bound that holds on its own inputs."""
    names = [entry.name for entry in fault.implementations]
    seen = f"on a batch of {len(fault.image)}, largest magnitude {np.abs(fault.image).max():g}"
    found = []
    for entry in fault.implementations:
        for step, verdict in exactly.verdicts(fault.image, entry.arrays(fault.image)):
            if verdict.worst is not None:
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
        return f"More than one being outside, look at refcnn/reference/{operation}.py too, which is taken as exact."
    room = "layers" if names[0] == runtime.NAME else names[0].partition(":")[0]
    return f"Look at {'to_onnx in ' * (room == 'layers')}refcnn/{room}/{operation}.py."


def _and(names):
    return " and ".join(names)

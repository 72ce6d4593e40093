"""The proof of an exported file: its answers, and both backends', lie within the error bound of the exact ones."""

import contextlib
import dataclasses
import time

import hypothesis
import numpy as np

from ... import backend as backends
from ... import rooms
from ...errors import ExportError, NoDeviceError
from ...interruption import stop_if_asked
from . import carrying
from .certifying import Certificate, certify
from .departing import Departure
from .drawing import drawn_inputs, search
from .exact import Exact
from .executors import BackendExecutor, Computed, OnnxRuntimeExecutor
from .judging import Bounds, End, judge
from .together import together

_ADVICE = (
    "The file was not written. If the model's sizes are usual, the ONNX mapping of the operator named here is wrong: "
    "see to_onnx in refcnn/layers."
)


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
        For each implementation the worst error of an operation divided by its bound, 0 to 1.
    differences : dict of str to float
        For each implementation the largest absolute difference of an output from the exact one.
    remark : str
        What could not be judged, or was not; empty as a rule.
    bounds : Bounds or None
        End to end, on the drawn input where the proved one is widest beside the outputs; None if none was judged, or
        the time was over.
    suspects : tuple of str
        What is within all proved bounds and beyond a probable one, with the operation that is furthest off.
    departure : Departure or None
        How far the file's program is from the model, where it was changed for the file.
    certificate : Certificate or None
        Of how many images no rounding can change the class; None if no images were given, or the time was over.
    """

    examples: int
    batch_sizes: tuple
    opset: int
    ratios: dict
    differences: dict
    remark: str = ""
    bounds: Bounds | None = None
    suspects: tuple = ()
    departure: Departure | None = None
    certificate: Certificate | None = None

    def __str__(self):
        if not self.examples:
            return f"not proved{self.remark}"
        found = ", ".join(f"{name} {ratio:.2g}" for name, ratio in self.ratios.items())
        inputs = "input" if self.examples == 1 else "inputs"
        text = f"proved on {self.examples} drawn {inputs}, worst error / error bound of an operation: {found}"
        end = f"; end to end {self.bounds}" if self.bounds is not None else ""
        end += f"; {self.departure}" if self.departure is not None else ""
        end += f"; {self.certificate}" if self.certificate is not None else ""
        return text + end + self.remark + "".join(f" (suspect: {entry})" for entry in self.suspects)


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
        """Raise _OutOfTime if the time is over, or Stopped if a signal asked for that."""
        # Threads of their own compute, while the one that gets signals waits.
        stop_if_asked()
        if self.is_over:
            raise _OutOfTime

    def let_go(self):
        """Give as much time as is needed: what is known to be wrong is told whole."""
        self._end = None


class _Outside(ExportError):
    """Implementations that are outside of a bound, as a Judgement has them."""

    def __init__(self, outcomes):
        super().__init__()
        self.outcomes = outcomes


def prove(
    program,
    model,
    outputs,
    *,
    input_shapes,
    top,
    opset,
    examples,
    backend_list,
    same,
    progress,
    seconds=None,
    strict=False,
    folder=None,
    images=None,
):
    """Judge onnxruntime and the backends on drawn inputs.

    Parameters
    ----------
    program : Program
    model : onnx.ModelProto
    outputs : dict of str to onnx.ValueInfoProto
        For the name of each result its tensor in the model.
    input_shapes : tuple of tuple of int
        One example's.
    top : float
        The largest value of usual inputs.
    opset, examples : int
    backend_list : list of backends or of their names, or None
        None: the reference and the active OpenCL device, or else the best one.
    same : callable
        Given inputs, raises ExportError unless the model still is this program.
    progress : callable or None
        Called with (examples done, examples wanted).
    seconds : float or None
        After which no further operation is judged; that which is being computed is finished.
    strict : bool
        Whether what is beyond a probable bound is refused too.
    folder : pathlib.Path or None
        Where data lies that the model keeps beside itself.
    images : ndarray, optional
        Inputs of which a certificate is made.

    Returns
    -------
    Proof

    Raises
    ------
    ExportError
        If an implementation is outside the bound, or the model overflows.
    """
    chosen, remark = choose(backend_list)
    clock = _Clock(seconds)
    exact = Exact(program, before_step=clock.check)
    executors = [OnnxRuntimeExecutor(model, outputs, program.outputs, _ADVICE, folder)]
    executors += [BackendExecutor(program, backend) for backend in chosen]
    trial = _Trial(exact, executors, examples, same, progress, clock, strict)
    found = search(lambda patterns: drawn_inputs(input_shapes, top, patterns), examples, trial.check)
    if found is not None:
        drawn, error = found
        if isinstance(error, _Outside):
            raise ExportError(_explain(program, drawn.arrays, error.outcomes, executors))
        # Anew, without Hypothesis's note, which prints the whole input.
        raise type(error)(str(error)) from None
    proof = trial.proof(opset, top, remark)
    if images is None or clock.is_over:
        return proof
    with contextlib.suppress(_OutOfTime):
        proof = dataclasses.replace(proof, certificate=certify(exact, images, stop_if_asked))
    return proof


class _Trial:
    """Executors held against the exact answers, input by input, and what was found."""

    def __init__(self, exact, executors, examples, same, progress, clock, strict):
        self._exact, self._executors, self._same, self._progress = exact, executors, same, progress
        self._examples, self._batch_sizes, self._overflowing, self._has_failed = examples, [], 0, False
        self._outcomes, self._loosest = {entry.name: [] for entry in executors}, (-1, None)
        self._suspects, self._clock, self._strict = {}, clock, strict

    def check(self, drawn):
        """Judge all executors on an input, or reject it where float32 overflows, or the time is over.

        Raises
        ------
        _Outside
            With the outcomes of those that are outside of a bound.
        ExportError
            If the model is no longer the same program, or cannot be run.
        """
        if self._overflowing > self._examples or self._clock.is_over:
            return
        try:
            self._judge(drawn)
        except _OutOfTime:
            hypothesis.reject()

    def _judge(self, drawn):
        _, chain, computed = together(
            (
                lambda: self._same(drawn.arrays),
                lambda: self._exact.chain(drawn.arrays),
                lambda: [Computed(entry, drawn.arrays) for entry in self._executors],
            )
        )
        if chain.overflows:
            self._overflowing += 1
            hypothesis.reject()
        found = judge(
            self._exact, computed, drawn.arrays, is_random=drawn.is_random, chain=chain, found_wrong=self._clock.let_go
        )
        outside = {name: one for name, one in found.items() if not one.is_right}
        if outside:
            self._has_failed = True
            raise _Outside(outside)
        self._enter(found, drawn, chain)

    def _enter(self, found, drawn, chain):
        for name, outcome in found.items():
            self._outcomes[name].append(outcome)
            if outcome.suspect is not None:
                text = _suspicion(self._exact.program, name, outcome)
                if self._strict:
                    self._has_failed = True
                    raise ExportError(f"{text}. The file was not written.")
                self._suspects.setdefault(name, text)
        loose = _looseness(self._exact.program, chain) if drawn.is_usual else -1
        if loose > self._loosest[0]:
            self._loosest = loose, drawn.arrays
        self._batch_sizes.append(len(drawn.arrays[0]))
        if self._progress is not None and not self._has_failed:
            self._progress(len(self._batch_sizes), self._examples)

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
            remark += f" ({left} were not judged: the proof's {self._clock.seconds:g} s were over)"
        ratios = {name: max((one.ratio for one in of), default=0.0) for name, of in self._outcomes.items()}
        differences = {name: max((one.difference for one in of), default=0.0) for name, of in self._outcomes.items()}
        faults = {
            (name, operation, fault.link)
            for name, of in self._outcomes.items()
            for one in of
            for operation, fault in one.faults
        }
        for name, operation, link in sorted(faults):
            remark += f" (but for {operation}, which {name} is known to compute wrongly: {link})"
        sizes, suspects = tuple(sorted(set(self._batch_sizes))), tuple(self._suspects.values())
        return Proof(judged, sizes, opset, ratios, differences, remark, self._end(), suspects)

    def _end(self):
        """Return the bounds end to end of the input on which they are widest."""
        if self._loosest[1] is not None:
            with contextlib.suppress(_OutOfTime):
                return End(self._exact, self._loosest[1]).bounds()
        return None


def _looseness(program, chain):
    """Return how wide the proved bounds of the outputs are beside these."""
    found = []
    for name in program.outputs:
        bound, size = chain.bounds.get(name, np.inf), np.abs(chain.arrays[name]).max(initial=0)
        found.append(0 if bound is None else np.max(bound, initial=0) / (size or 1))
    return max(found)


def choose(backend_list):
    """Return the backends to judge, and what to remark about those that are missing."""
    if backend_list is not None:
        return [backends.find(entry) for entry in backend_list], ""
    chosen = [backends.find("reference")]
    if backends.active().name.startswith("opencl"):
        return [*chosen, backends.active()], ""
    try:
        return [*chosen, backends.find("opencl")], ""
    except NoDeviceError as error:
        return chosen, f" (not compared with OpenCL: {error.cause})"


def _suspicion(program, name, outcome):
    error, bound = outcome.suspect
    return (
        f"{name} is off by {error:.2g}; more than {bound:.2g} has a probability of less than "
        f"{carrying.failure_probability(1):.0e}, if roundings are independent; of all operations "
        f"{program.describe(outcome.worst)} comes nearest to its bound, with {outcome.ratio:.2g} of it"
    )


def _explain(program, inputs, outcomes, executors):
    """Name the first operation at which an executor leaves the bound that holds on its own inputs."""
    largest = max(float(np.abs(array).max(initial=0)) for array in inputs)
    seen = f"on a batch of {len(inputs[0])}, largest magnitude {largest:g}"
    steps = {name: outcome.wrong for name, outcome in outcomes.items() if outcome.wrong is not None}
    if not steps:
        return (
            f"{' and '.join(outcomes)} gave an output outside its error bound {seen}, yet every operation by itself is "
            "within its own: an optimisation over several operations may be at fault, of these: "
            f"{', '.join(step.label for step in program.steps)}. The file was not written."
        )
    first = min((step for step, _ in steps.values()), key=program.steps.index)
    outside = [entry for entry in executors if steps.get(entry.name, (None,))[0] is first]
    verdict = steps[outside[0].name][1]
    who, verb = " and ".join(entry.name for entry in outside), "depart" if len(outside) > 1 else "departs"
    return (
        f"{who} {verb} from the exact answer at {program.describe(first)}: {seen}, {verdict.text}. "
        f"{_advice(first, outside)} The file was not written."
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

"""The proof of an exported file: its answers, and both backends', lie within the error bound of the exact ones."""

import contextlib
import dataclasses
import functools
import threading

import hypothesis
import numpy as np

from ... import backend as backends
from ... import rooms
from ...conformance.theory.probable import failure_probability
from ...errors import ExportError, NoDeviceError
from ...interruption import stop_if_asked
from . import carrying
from .certifying import Certificate, certify
from .clock import Clock, OutOfTime
from .departing import Departure
from .drawing import drawn_inputs, key_of, search
from .exact import Exact
from .executors import BackendExecutor, OnnxRuntimeExecutor
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


#: Inputs that are judged at the same time: each keeps all that it computes, several times.
_AT_ONCE = 2


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
    clock = Clock(seconds)
    exact = Exact(program, before_step=clock.check)
    executors = [OnnxRuntimeExecutor(model, outputs, program.outputs, _ADVICE, folder)]
    executors += [BackendExecutor(program, backend) for backend in chosen]
    trial = _Trial(exact, executors, examples, same, progress, clock, strict)

    def strategy_of(patterns):
        return drawn_inputs(input_shapes, top, patterns)

    # The same are drawn again where all of them pass.
    ahead = []
    search(strategy_of, examples, ahead.append)
    trial.judge_ahead(ahead)
    found = search(strategy_of, examples, trial.check)
    if found is not None:
        drawn, error = found
        if isinstance(error, _Outside):
            raise ExportError(_explain(program, drawn.arrays, error.outcomes, executors))
        # Anew, without Hypothesis's note, which prints the whole input.
        raise type(error)(str(error)) from None
    proof = trial.proof(opset, top, remark)
    if images is None or clock.is_over:
        return proof
    with contextlib.suppress(OutOfTime):
        proof = dataclasses.replace(proof, certificate=certify(exact, images, stop_if_asked))
    return proof


@dataclasses.dataclass(frozen=True)
class _Judgement:
    """What was found on an input.

    Attributes
    ----------
    outcomes : dict of str to Outcome
        By executor; none where float32 overflows, or something failed.
    loosest : (float, tuple of ndarray)
        How wide the proved bounds of the outputs are beside these at most, and the example where they are.
    error : ExportError or None
        What failed.
    """

    outcomes: dict
    loosest: tuple = (-1, None)
    error: ExportError | None = None

    @property
    def is_right(self):
        """Whether all executors were within their bounds."""
        return self.error is None and all(one.is_right for one in self.outcomes.values())


class _Trial:
    """Executors held against the exact answers, input by input, and what was found."""

    def __init__(self, exact, executors, examples, same, progress, clock, strict):
        self._exact, self._executors, self._same, self._progress = exact, executors, same, progress
        self._examples, self._batch_sizes, self._overflowing, self._has_failed = examples, [], 0, False
        self._outcomes, self._loosest = {entry.name: [] for entry in executors}, (-1, None)
        self._suspects, self._clock, self._strict = {}, clock, strict
        self._known, self._done, self._counting = {}, 0, threading.Lock()

    def judge_ahead(self, inputs):
        """Judge inputs of which :meth:`check` is then asked, several at the same time, up to the first that fails."""
        with contextlib.suppress(OutOfTime):
            together([functools.partial(self._judge_one_ahead, drawn) for drawn in inputs], _AT_ONCE)

    def _judge_one_ahead(self, drawn):
        if self._has_failed or self._clock.is_over:
            return
        key = key_of(drawn)
        if key not in self._known:
            self._known[key] = self._judge(drawn)
        self._advance(self._known[key])

    def check(self, drawn):
        """Judge all executors on an input, or reject it where float32 overflows, or the time is over.

        Raises
        ------
        _Outside
            With the outcomes of those that are outside of a bound.
        ExportError
            If the model is no longer the same program, or cannot be run.
        """
        if self._overflowing > self._examples:
            return
        found = self._known.get(key_of(drawn))
        if found is None:
            if self._clock.is_over:
                return
            try:
                found = self._judge(drawn)
            except OutOfTime:
                hypothesis.reject()
            self._advance(found)
        if found.error is not None:
            raise found.error
        if not found.outcomes:
            self._overflowing += 1
            hypothesis.reject()
        outside = {name: one for name, one in found.outcomes.items() if not one.is_right}
        if outside:
            raise _Outside(outside)
        self._enter(found, drawn)

    def _judge(self, drawn):
        """Return the :class:`_Judgement` of an input."""
        try:
            _, chain, computed = together(
                (
                    lambda: self._same(drawn.arrays),
                    lambda: self._exact.chain(drawn.arrays),
                    lambda: [entry.computed(drawn.arrays) for entry in self._executors],
                )
            )
        except ExportError as error:
            return _Judgement({}, error=error)
        if chain.overflows:
            return _Judgement({})
        outcomes = judge(
            self._exact, computed, drawn.arrays, is_random=drawn.is_random, chain=chain, found_wrong=self._clock.let_go
        )
        return _Judgement(outcomes, _loosest(self._exact.program, chain, drawn.arrays))

    def _advance(self, found):
        with self._counting:
            self._has_failed = self._has_failed or not found.is_right
            self._done += bool(found.outcomes)
            if found.outcomes and self._progress is not None and not self._has_failed:
                self._progress(min(self._done, self._examples), self._examples)

    def _enter(self, found, drawn):
        for name, outcome in found.outcomes.items():
            self._outcomes[name].append(outcome)
            if outcome.suspect is not None:
                text = _suspicion(self._exact.program, name, outcome)
                if self._strict:
                    self._has_failed = True
                    raise ExportError(f"{text}. The file was not written.")
                self._suspects.setdefault(name, text)
        if drawn.is_usual:
            self._loosest = max(self._loosest, found.loosest, key=lambda entry: entry[0])
        self._batch_sizes.append(len(drawn.arrays[0]))

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
            with contextlib.suppress(OutOfTime):
                return End(self._exact, self._loosest[1]).bounds()
        return None


def _loosest(program, chain, inputs):
    """Return how wide the proved bounds of the outputs are beside these, at most, and the example where they are."""
    rows = carrying.batch_of(program, chain) or 1
    found = np.zeros(rows)
    for name in set(program.outputs) - set(program.constants):
        exact, bound = chain.arrays[name].reshape(rows, -1), chain.bounds.get(name, np.inf)
        bound = np.broadcast_to(0.0 if bound is None else bound, chain.arrays[name].shape).reshape(rows, -1)
        size = np.abs(exact).max(axis=1, initial=0)
        found = np.maximum(found, bound.max(axis=1, initial=0) / np.where(size > 0, size, 1))
    row = int(found.argmax())
    return float(found[row]), inputs if rows == 1 else tuple(array[row : row + 1] for array in inputs)


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
        f"{failure_probability(1):.0e}, if roundings are independent; of all operations "
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

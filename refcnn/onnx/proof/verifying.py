"""Verification: any ONNX file on the reference, OpenCL and onnxruntime, held against the exact answers."""

import dataclasses

import hypothesis
import numpy as np
import onnx

from ... import backend as backends
from ...errors import DataError, RefcnnError, ShapeError
from ...interruption import stop_if_asked
from .. import runtime
from ..reading.foreign import read_with_graph
from . import carrying
from .drawing import Drawn, search
from .exact import Exact
from .executors import BackendExecutor, Computed, OnnxRuntimeExecutor
from .feeds import Feeds, read
from .judging import Bounds, End, judge
from .together import together
from .tracing import traced

CONFORMS, SUSPECT, WRONG, UNUSABLE = "conforms", "suspect", "wrong", "cannot run"
#: Inputs of which the model could compute none, after which no others are drawn.
_MOST_REFUSED = 50


@dataclasses.dataclass
class Parting:
    """Where an executor leaves the exact answer first.

    Attributes
    ----------
    node : str
        The operator of the file, or what says that none by itself does.
    text : str
        The element that is furthest off.
    shapes : tuple of tuple of int
        Of the inputs.
    inputs : tuple of ndarray
        The simplest that were found.
    """

    node: str
    text: str
    shapes: tuple
    inputs: tuple


@dataclasses.dataclass
class Result:
    """What was found of one executor.

    Attributes
    ----------
    name : str
    examples : int
        Inputs on which it was judged.
    ratio : float
        The worst error of an operation divided by its bound.
    node : str
        The operator with that ratio.
    difference : float
        The largest absolute difference of an output from the exact one, on inputs of usual size.
    faults : set of (str, str)
        Operators that a known fault of its explains, and the link that tells of it.
    suspicion : str
        What is within all proved bounds and beyond a probable one; empty if nothing is.
    parting : Parting or None
    unusable : str
        Why it could not run; empty if it could.
    """

    name: str
    examples: int = 0
    ratio: float = 0.0
    node: str = ""
    difference: float = 0.0
    faults: set = dataclasses.field(default_factory=set)
    suspicion: str = ""
    parting: Parting | None = None
    unusable: str = ""

    @property
    def verdict(self):
        """One of this module's verdicts."""
        if self.unusable:
            return UNUSABLE
        return WRONG if self.parting is not None else SUSPECT if self.suspicion else CONFORMS


@dataclasses.dataclass
class Verification:
    """What was found of a file.

    Attributes
    ----------
    path : str
    input_names : tuple of str
    results : list of Result
    examples : int
        Inputs that were judged.
    overflowing : int
        Inputs on which the exact answer is beyond float32's range, which were not judged.
    shapes : set of tuple of tuple of int
        Of the inputs that were judged.
    operations : int
        Steps of the program.
    bounds : Bounds or None
        End to end, on that of the inputs of usual size whose outputs are largest; None if there was none.
    """

    path: str
    input_names: tuple
    results: list
    examples: int = 0
    overflowing: int = 0
    shapes: set = dataclasses.field(default_factory=set)
    operations: int = 0
    bounds: Bounds | None = None

    @property
    def verdicts(self):
        """The verdicts of all executors, a set."""
        return {result.verdict for result in self.results}


def verify(path, devices, *, examples, shapes=None, data=(), progress=None):
    """Judge a file on executors.

    Parameters
    ----------
    path : str or os.PathLike
    devices : sequence of str
        ``onnxruntime``, ``reference`` and OpenCL devices.
    examples : int
        Inputs to draw.
    shapes : dict of str to tuple, optional
        Of inputs by name, or ``""`` for the first, None for a size that is drawn; as the file declares them, if they
        are not given.
    data : sequence of str
        Files with inputs of the user's own, which are judged too: see :func:`~refcnn.onnx.proof.feeds.read`.
    progress : callable, optional
        Called with (inputs judged, inputs wanted).

    Returns
    -------
    Verification

    Raises
    ------
    DataError
        If the file cannot be read, or the model computes none of the inputs.
    """
    own = [(file, read(file)) for file in data]
    model, whole = read_with_graph(path)
    shapes = {name or model.input_names[0]: shape for name, shape in (shapes or {}).items()}
    feeds = Feeds(model, whole, shapes)
    own = [feeds.arranged(*entry) for entry in own]
    found = Verification(str(path), model.input_names, [Result(_name(entry)) for entry in devices])
    trial = _Trial(model, whole, devices, found)
    wanted = examples + len(data)

    def advance():
        if progress is not None:
            progress(min(trial.verification.examples, wanted), wanted)

    def check(drawn):
        trial.judge_drawn(drawn)
        advance()

    while trial.begin():
        for arrays in own:
            trial.judge_own(arrays)
            advance()
        failing = search(feeds.strategy, examples, check) if examples else None
        if failing is None:
            break
        if not isinstance(failing[1], _Wrong):
            raise type(failing[1])(str(failing[1])) from None
        # The others are judged on as many inputs as was asked for.
        trial.settle()
    if not found.examples:
        raise DataError(trial.why_nothing())
    trial.finish()
    return found


class _Wrong(RefcnnError):
    """An executor is outside of a proved bound."""


def _name(device):
    return runtime.NAME if device == "onnxruntime" else device


class _Trial:
    """Executors of a file, and what was found of them."""

    def __init__(self, model, whole, devices, verification):
        self._model, self._whole, self._devices, self.verification = model, whole, devices, verification
        self._nodes = {name: str(node) for node in model.nodes for name in node.outputs if name}
        self._given, self._refused, self._last_refusal, self._largest = set(self._nodes), 0, "", (-1, None)
        self._runtime, self._settled = None, set()

    def begin(self):
        """Forget what was found of those that are not settled; return whether there are any."""
        found, waiting = self.verification, [one for one in self.verification.results if one.name not in self._settled]
        if waiting:
            found.examples, found.overflowing, found.shapes = 0, 0, set()
            found.results = [Result(one.name) if one in waiting else one for one in found.results]
        return bool(waiting)

    def settle(self):
        """Ask those no further that are outside of a proved bound."""
        self._settled |= {one.name for one in self.verification.results if one.parting is not None}

    def judge_own(self, arrays):
        """Judge inputs of the user's own, whose mantissas may be anything."""
        drawn = Drawn(tuple(arrays), is_random=False, is_usual=True)
        found = self._judge(drawn)
        if found is not None:
            self._enter(drawn, *found)

    def judge_drawn(self, drawn):
        """Judge inputs that were drawn; reject those that the model refuses, or that overflow.

        Raises
        ------
        _Wrong
            If an executor is outside of a proved bound.
        DataError
            If the model refuses one after the other.
        """
        try:
            found = self._judge(drawn)
        except (DataError, ShapeError) as error:
            self._refused, self._last_refusal = self._refused + 1, str(error)
            if self._refused > _MOST_REFUSED and not self.verification.examples:
                raise DataError(self.why_nothing()) from None
            hypothesis.reject()
        if found is None:
            if self.verification.overflowing > _MOST_REFUSED:
                return
            hypothesis.reject()
        self._enter(drawn, *found)
        if any(not outcome.is_right for outcome in found[0].values()):
            raise _Wrong

    def why_nothing(self):
        """Return why no input was judged."""
        if self._refused:
            return (
                f"{self.verification.path}: the model computed none of {self._refused} inputs of the shapes that the "
                f"file declares: {self._last_refusal} Give the inputs' shapes, by --shape or as data of your own."
            )
        return (
            f"{self.verification.path}: its values leave float32's range on all {self.verification.overflowing} "
            "inputs. Give inputs of your own, which are as large as they should be."
        )

    def _judge(self, drawn):
        """Return the outcomes by name, the Exact and the chain; None where float32 overflows."""
        program = traced(self._model, drawn.arrays)
        exact = Exact(program, stop_if_asked)
        chain, (executors, unusable) = together(
            (lambda: exact.chain(drawn.arrays), lambda: self._computed(program, drawn.arrays))
        )
        if chain.overflows:
            self.verification.overflowing += 1
            return None
        for result, reason in unusable:
            result.unusable = reason
        outcomes = judge(exact, executors, drawn.arrays, is_random=drawn.is_random, chain=chain)
        return outcomes, exact, chain

    def _computed(self, program, arrays):
        """Return what those that can run it computed, and of those that cannot the results and why."""
        computed, unusable = [], []
        for device, result in zip(self._devices, self.verification.results, strict=True):
            if result.unusable or result.name in self._settled:
                continue
            try:
                computed.append(Computed(self._executor(device, program), arrays))
            except RefcnnError as error:
                unusable.append((result, str(error)))
        return computed, unusable

    def _executor(self, device, program):
        if device != "onnxruntime":
            return BackendExecutor(program, backends.find(device))
        names = {name for step in program.steps for name in step.results if name in self._given}
        tensors = {name: onnx.ValueInfoProto(name=name) for name in sorted(names)}
        if self._runtime is None:
            self._runtime = OnnxRuntimeExecutor(self._whole, tensors, program.outputs, "")
        return self._runtime.of(tensors)

    def _enter(self, drawn, outcomes, exact, chain):
        found = self.verification
        found.examples += 1
        found.operations = len(exact.program.steps)
        found.shapes.add(tuple(array.shape for array in drawn.arrays))
        for result in found.results:
            outcome = outcomes.get(result.name)
            if outcome is None:
                continue
            result.examples += 1
            result.faults |= {(operation, fault.link) for operation, fault in outcome.faults}
            if outcome.ratio > result.ratio or not result.node:
                result.ratio, result.node = outcome.ratio, self._node(exact.program, outcome.worst)
            if drawn.is_usual:
                result.difference = max(result.difference, outcome.difference)
            if outcome.suspect is not None and not result.suspicion:
                error, bound = outcome.suspect
                result.suspicion = (
                    f"an output is off by {error:.2g}; more than {bound:.2g} has a probability of less than "
                    f"{carrying.failure_probability(1):.0e}, if roundings are independent. Of all operators "
                    f"{self._node(exact.program, outcome.worst)} comes nearest to its bound"
                )
            if not outcome.is_right:
                self._part(result, outcome, exact.program, drawn)
        if drawn.is_usual:
            size = max(np.abs(chain.arrays[name]).max(initial=0) for name in exact.program.outputs)
            self._largest = max(self._largest, (size, drawn.arrays), key=lambda entry: entry[0])

    def _part(self, result, outcome, program, drawn):
        if outcome.wrong is not None:
            step, verdict = outcome.wrong
            node = self._node(program, step)
        else:
            node, verdict = "no operator by itself, but several that are optimised together", outcome.output
        parting = Parting(node, verdict.text, tuple(array.shape for array in drawn.arrays), drawn.arrays)
        # Of several inputs the last is the simplest that fails, but for those that were tried and passed.
        if result.parting is None or _size(drawn) <= _size(result.parting):
            result.parting = parting

    def _node(self, program, step):
        """Return the operator of the file that a step belongs to: that of the first tensor computed from it."""
        if step is None:
            return ""
        names = set(filter(None, step.results))
        for later in program.steps[program.steps.index(step) :]:
            found = [self._nodes[name] for name in later.results if name in self._nodes]
            if (names & set(later.results) or names & set(later.inputs)) and found:
                return found[0]
            if names & set(later.inputs):
                names |= set(filter(None, later.results))
        return step.operation

    def finish(self):
        """Compute the bounds end to end."""
        if self._largest[1] is not None:
            program = traced(self._model, self._largest[1])
            self.verification.bounds = End(Exact(program), self._largest[1]).bounds()


def _size(entry):
    arrays = entry.arrays if isinstance(entry, Drawn) else entry.inputs
    return sum(array.size for array in arrays), sum(int(np.count_nonzero(array)) for array in arrays)

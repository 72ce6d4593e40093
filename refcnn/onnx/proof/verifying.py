"""Verification: any ONNX file on the reference, OpenCL and onnxruntime, held against the exact answers."""

import contextlib
import dataclasses

import hypothesis
import numpy as np

from ...conformance.theory.probable import failure_probability
from ...errors import DataError, RefcnnError, ShapeError
from .. import runtime
from ..reading.foreign import read_with_graph
from .clock import Clock, OutOfTime
from .drawing import Drawn, search
from .exact import Exact
from .feeds import Feeds, read
from .file_executors import ONNXRUNTIME, FileExecutors
from .judging import Bounds, End, judge
from .together import together
from .tracing import traced

CONFORMS, SUSPECT, WRONG, UNUSABLE = "conforms", "suspect", "wrong", "not judged"
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
    difference : float or None
        The largest absolute difference of an output from the exact one, on inputs of usual size; None without such.
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
    difference: float | None = None
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
    is_cut : bool
        Whether the time was over before everything was judged.
    operations : int
        Steps of the program.
    bounds : Bounds or None
        End to end, on that of the inputs of usual size whose outputs are largest; None if there was none, or the time
        was over.
    """

    path: str
    input_names: tuple
    results: list
    examples: int = 0
    overflowing: int = 0
    shapes: set = dataclasses.field(default_factory=set)
    is_cut: bool = False
    operations: int = 0
    bounds: Bounds | None = None

    @property
    def verdicts(self):
        """The verdicts of all executors, a set."""
        return {result.verdict for result in self.results}


def verify(path, devices, *, examples, shapes=None, data=(), progress=None, seconds=None):
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
    seconds : float, optional
        After which no further operation is judged; that which is being computed is finished.

    Returns
    -------
    Verification

    Raises
    ------
    DataError
        If the file cannot be read, the model computes none of the inputs, or none was judged in time.
    """
    own = [(file, read(file)) for file in data]
    model, whole = read_with_graph(path)
    shapes = {name or model.input_names[0]: shape for name, shape in (shapes or {}).items()}
    feeds = Feeds(model, whole, shapes)
    own = [feeds.arranged(*entry) for entry in own]
    found = Verification(str(path), model.input_names, [Result(_name(entry)) for entry in devices])
    clock = Clock(seconds)
    trial = _Trial(model, whole, devices, found, clock)
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
        if clock.is_over:
            found.is_cut = True
            break
    trial.keep_former()
    if not found.examples:
        raise DataError(trial.why_nothing())
    found.is_cut = found.is_cut or (clock.is_over and found.examples < wanted)
    trial.finish()
    return found


class _Wrong(RefcnnError):
    """An executor is outside of a proved bound."""


def _name(device):
    return runtime.NAME if device == ONNXRUNTIME else device


class _Trial:
    """Executors of a file, and what was found of them."""

    def __init__(self, model, whole, devices, verification, clock):
        self._model, self._devices, self.verification, self._clock = model, devices, verification, clock
        self._executors, self._settled, self._former = FileExecutors(model, whole), set(), verification
        self._refused, self._last_refusal, self._largest = 0, "", (-1, None)

    def begin(self):
        """Forget what was found of those that are not settled; return whether there are any."""
        found, waiting = self.verification, [one for one in self.verification.results if one.name not in self._settled]
        if waiting:
            self._former = dataclasses.replace(found)
            found.examples, found.overflowing, found.shapes = 0, 0, set()
            found.results = [Result(one.name) if one in waiting else one for one in found.results]
        return bool(waiting)

    def settle(self):
        """Ask those no further that are outside of a proved bound."""
        self._settled |= {one.name for one in self.verification.results if one.parting is not None}

    def keep_former(self):
        """Let what was found before stand, where the time was over before the others were judged again."""
        found, former = self.verification, self._former
        if not found.examples and former.examples:
            found.is_cut = True
            found.examples, found.overflowing, found.shapes = former.examples, former.overflowing, former.shapes
            pairs = zip(found.results, former.results, strict=True)
            found.results = [now if now.examples or now.unusable else before for now, before in pairs]

    def judge_own(self, arrays):
        """Judge inputs of the user's own, whose mantissas may be anything, unless the time is over."""
        drawn, found = Drawn(tuple(arrays), is_random=False, is_usual=True), None
        with contextlib.suppress(OutOfTime):
            found = self._judge(drawn)
        if found is not None:
            self._enter(drawn, *found)

    def judge_drawn(self, drawn):
        """Judge inputs that were drawn, unless the time is over; reject those that the model refuses, or that overflow.

        Raises
        ------
        _Wrong
            If an executor is outside of a proved bound.
        DataError
            If the model refuses one after the other.
        """
        try:
            found = self._judge(drawn)
        except OutOfTime:
            return
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
        if self._clock.is_over and not self.verification.overflowing:
            return f"{self.verification.path}: no input was judged within {self._clock.seconds:g} s."
        return (
            f"{self.verification.path}: its values leave float32's range on all {self.verification.overflowing} "
            "inputs. Give inputs of your own, which are as large as they should be."
        )

    def _judge(self, drawn):
        """Return the outcomes by name, the Exact and the chain; None where float32 overflows.

        Raises
        ------
        OutOfTime
            If the time is over before something is known to be wrong.
        """
        self._clock.check()
        program = traced(self._model, drawn.arrays)
        exact = Exact(program, self._clock.check)
        chain, (computed, unusable) = together(
            (lambda: exact.chain(drawn.arrays), lambda: self._computed(program, drawn.arrays))
        )
        if chain.overflows:
            self.verification.overflowing += 1
            return None
        for result, reason in unusable:
            result.unusable = reason
        outcomes = judge(
            exact, computed, drawn.arrays, is_random=drawn.is_random, chain=chain, found_wrong=self._clock.let_go
        )
        self._clock.go_on()
        return outcomes, exact, chain

    def _computed(self, program, arrays):
        """Return what those that can run it computed, and of those that cannot the results and why."""
        computed, unusable = [], []
        for device, result in zip(self._devices, self.verification.results, strict=True):
            if result.unusable or result.name in self._settled:
                continue
            try:
                computed.append(self._executors.executor(device, program).computed(arrays))
            except RefcnnError as error:
                unusable.append((result, str(error)))
        return computed, unusable

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
                result.ratio, result.node = outcome.ratio, self._executors.node(exact.program, outcome.worst)
            if drawn.is_usual:
                result.difference = max(result.difference or 0.0, outcome.difference)
            if outcome.suspect is not None and not result.suspicion:
                error, bound = outcome.suspect
                result.suspicion = (
                    f"an output is off by {error:.2g}; more than {bound:.2g} has a probability of less than "
                    f"{failure_probability(1):.0e}, if roundings are independent. Of all operators "
                    f"{self._executors.node(exact.program, outcome.worst)} comes nearest to its bound"
                )
            if not outcome.is_right:
                self._part(result, outcome, exact.program, drawn)
        if drawn.is_usual:
            size = max(np.abs(chain.arrays[name]).max(initial=0) for name in exact.program.outputs)
            self._largest = max(self._largest, (size, drawn.arrays), key=lambda entry: entry[0])

    def _part(self, result, outcome, program, drawn):
        if outcome.wrong is not None:
            step, verdict = outcome.wrong
            node = self._executors.node(program, step)
        else:
            node, verdict = "no operator by itself, but several that are optimised together", outcome.output
        parting = Parting(node, verdict.text, tuple(array.shape for array in drawn.arrays), drawn.arrays)
        # Of several inputs the last is the simplest that fails, but for those that were tried and passed.
        if result.parting is None or _size(drawn) <= _size(result.parting):
            result.parting = parting

    def finish(self):
        """Compute the bounds end to end, as far as there is time."""
        if self._largest[1] is not None:
            program = traced(self._model, self._largest[1])
            try:
                exact = Exact(program, self._clock.check)
                self.verification.bounds = End(exact, self._largest[1]).bounds()
            except OutOfTime:
                self.verification.is_cut = True


def _size(entry):
    arrays = entry.arrays if isinstance(entry, Drawn) else entry.inputs
    return sum(array.size for array in arrays), sum(int(np.count_nonzero(array)) for array in arrays)

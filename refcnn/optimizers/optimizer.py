"""What every optimizer is: one update operation and the state it keeps for each parameter."""

import contextlib
import functools
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .. import attributes as attribute
from .. import repeating
from ..arguments import Written, parameters_of, written
from ..errors import ArgumentError, CheckpointError
from ..formats import FLOAT32
from ..stored import Parameter
from ..variable import Variable

#: Of what :meth:`Optimizer.state` returns, that which counts and is no array of the parameter's shape.
COUNTS = ("step", "gradients")


class Optimizer(Written):
    """Base class of the optimizers.

    What it keeps of a parameter it keeps by that very Parameter: copy or pickle it together with the model,
    ``model, optimizer = copy.deepcopy((model, optimizer))``. A copy of it alone knows copies of the parameters alone.

    A gradient is treated in this order: gradients of several steps become their mean, all of a step are clipped, and
    the weights' share is added; the update follows, and then the average of the weights.

    Parameters
    ----------
    weight_decay : float
        ``weight_decay`` times the weights are added to their gradient, which is the gradient of half as many times the
        sum of their squares (L2 regularisation); 0 at least.
    clip_norm : float, optional
        Largest norm of all gradients of a step together, the root of the sum of their squares: where theirs is larger,
        all are scaled down to it. More than 0. Where it is infinite, finite gradients become 0 and the others NaN;
        where it is NaN, they stay.
    clip_value : float, optional
        Largest magnitude of a number in a gradient, to which others are cut, before the norm is taken. More than 0.
    accumulation_steps : int
        Of so many gradients of a parameter the mean is taken for one step, as if their batches were one; for large
        batches that do not fit into memory. At least 1.
    average_decay : float, optional
        Keep a running average of the weights, ``average = average_decay * average + (1 - average_decay) * weights``
        after each step, which begins with the weights after the first; in [0, 1), 0.999 for example. See
        :meth:`averaged`.

    Attributes
    ----------
    operation : str
        The stem of the update operation: forward(w, g, *slots, **attributes) -> (w, *slots). A backend that can
        update many parameters at once offers forward_all([(w, g, *slots), ...], **attributes) -> [(w, *slots), ...].
    slots : tuple of str
        Names of the arrays that it keeps for each parameter, zero at first.
    decays_weights : bool
        Whether the operation itself makes use of ``weight_decay``, which is not added to the gradient then.

    Raises
    ------
    ArgumentError
        If a value is out of range.
    """

    operation: str | None = None
    #: The learning rate of the next step, which a schedule changes.
    lr: float
    slots: tuple[str, ...] = ()
    decays_weights = False
    _shows_all = True

    def __new__(cls, *arguments, **keywords):
        """Refuse a model or its parameters, which PyTorch's optimizers are given first, beside what all refuse."""
        is_first = any(map(_are_parameters, arguments[:1]))
        if "lr" in parameters_of(cls) and (is_first or "params" in keywords):
            others = {name: value for name, value in keywords.items() if name != "params"}
            raise ArgumentError(
                f"{cls.__name__}: parameters are given, but an optimizer takes none. Make it by "
                f"{written(cls, arguments[is_first:], others)}, and let loss.grad().update(optimizer) train all "
                "parameters from which the loss was computed."
            )
        return super().__new__(cls, *arguments, **keywords)

    def __init__(
        self,
        *,
        weight_decay: float = 0.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        accumulation_steps: int = 1,
        average_decay: float | None = None,
    ) -> None:
        owner = type(self).__name__
        self.weight_decay = attribute.number(owner, "weight_decay", weight_decay, minimum=0)
        self.clip_norm = None if clip_norm is None else attribute.number(owner, "clip_norm", clip_norm, above=0)
        self.clip_value = None if clip_value is None else attribute.number(owner, "clip_value", clip_value, above=0)
        self.accumulation_steps = attribute.integer(owner, "accumulation_steps", accumulation_steps)
        self.average_decay = average_decay
        if average_decay is not None:
            self.average_decay = attribute.number(owner, "average_decay", average_decay, minimum=0, below=1)
        # By the parameters themselves, not by their ids, so that a copy of both together belongs together.
        self._states = {}

    def attributes(self, step: int) -> dict:
        """Return the operation's attributes at a parameter's ``step``-th update, counted from 1."""
        raise TypeError(f"{type(self).__name__} must define attributes(self, step)")

    def update(self, gradients: Iterable[tuple[Parameter, Any]], backend: Any) -> None:
        """Take one step for each of several parameters, those of which there are ``accumulation_steps`` gradients now.

        Parameters
        ----------
        gradients : iterable of (Parameter, array of ``backend``)
            All of a step, since their norm is that of all together.
        backend : Backend
            Where the gradients lie; the parameters and their states move there.
        """
        due = self._accumulated(list(gradients), backend)
        if not due:
            return
        entries, gradients = [entry for *entry, _ in due], [gradient for *_, gradient in due]
        if self.clip_value is not None:
            clip, limits = backend.operation("clip"), {"min": -self.clip_value, "max": self.clip_value}
            gradients = [clip.forward(gradient, **limits)[0] for gradient in gradients]
        if self.clip_norm is not None:
            gradients = _clipped_by_norm(backend, gradients, self.clip_norm)
        weights = [parameter.on(backend) for parameter, _ in entries]
        if self.weight_decay and not self.decays_weights:
            gradients = _weighted_sums(backend, weights, gradients, self.weight_decay, 1.0)
        by_step = {}
        for (parameter, state), w, gradient in zip(entries, weights, gradients, strict=True):
            state.step += 1
            row = (w, gradient, *(slot.on(backend) for slot in state.slots))
            by_step.setdefault(state.step, []).append((parameter, state, row))
        operation, told = backend.operation(self.operation), repeating.listener()
        for step, updated in by_step.items():
            attributes = self.attributes(step)
            with (
                told.updating(operation, attributes, [row[0] for row in updated])
                if told is not None
                else contextlib.nullcontext()
            ):
                results = _run_all(operation, [row for *_, row in updated], attributes)
            for (parameter, state, _), (w, *arrays) in zip(updated, results, strict=True):
                parameter.put(backend, w)
                state.slots = tuple(Variable.of(backend, array) for array in arrays)
        if self.average_decay is not None:
            self._average(entries, backend)

    def kept_of(self, parameters: Sequence[Parameter]) -> tuple[list[int], list[Variable]] | None:
        """Return of each of several parameters how often it was updated, and all that is kept in arrays beside them.

        None if that is not known yet, or depends on more than the step before.
        """
        if self.accumulation_steps > 1 or type(self).update is not Optimizer.update:
            return None
        steps, kept = [], []
        for parameter in parameters:
            state = self._states.get(parameter)
            if state is None:
                return None
            steps.append(state.step)
            kept += state.slots
            if self.average_decay is not None:
                if state.average is None:
                    return None
                kept.append(state.average)
        return steps, kept

    def take_over(
        self, parameters: Sequence[Parameter], kept: Sequence[Variable], updated: Iterable[Parameter]
    ) -> None:
        """Take over what an update that was made elsewhere keeps of several parameters, as of :meth:`kept_of`.

        Parameters
        ----------
        parameters : sequence of Parameter
        kept : sequence of Variable
        updated : iterable of Parameter
            Those of them that it was of.
        """
        for parameter in updated:
            self._states[parameter].step += 1
        entries = iter(kept)
        for parameter in parameters:
            state = self._states[parameter]
            state.slots = tuple(itertools.islice(entries, len(self.slots)))
            if self.average_decay is not None:
                state.average = next(entries)

    def _accumulated(self, gradients, backend):
        """Return (parameter, its state, mean gradient) of those for which a step is due."""
        entries = [(parameter, self._state_of(parameter, backend), gradient) for parameter, gradient in gradients]
        if self.accumulation_steps == 1:
            return entries
        begun = [entry for entry in entries if entry[1].total is not None]
        sums = _weighted_sums(
            backend, [state.total.on(backend) for _, state, _ in begun], [gradient for *_, gradient in begun], 1.0, 1.0
        )
        totals = dict(zip((state for _, state, _ in begun), sums, strict=True))
        due = []
        for parameter, state, gradient in entries:
            total, state.gradients = totals.get(state, gradient), state.gradients + 1
            if state.gradients < self.accumulation_steps:
                state.total = Variable.of(backend, total)
            else:
                state.total, state.gradients = None, 0
                due.append((parameter, state, total))
        means = _scaled(backend, [total for *_, total in due], 1 / self.accumulation_steps)
        return [(*entry, mean) for (*entry, _), mean in zip(due, means, strict=True)]

    def _state_of(self, parameter, backend):
        state = self._states.get(parameter)
        if state is None:
            zeros = np.zeros(parameter.shape)
            state = _State(0, tuple(Variable.of(backend, backend.array(zeros)) for _ in self.slots))
            self._states[parameter] = state
        return state

    def _average(self, entries, backend):
        """Let the averages follow the weights."""
        begun = [(parameter, state) for parameter, state in entries if state.average is not None]
        former = [state.average.on(backend) for _, state in begun]
        weights = [parameter.on(backend) for parameter, _ in begun]
        sums = _weighted_sums(backend, former, weights, self.average_decay, 1 - self.average_decay)
        averages = dict(zip((state for _, state in begun), sums, strict=True))
        for parameter, state in entries:
            state.average = Variable.of(backend, averages.get(state, parameter.on(backend)))

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Give the parameters their averages' values inside a ``with`` block, to evaluate, save or export the model.

        Parameters that were not updated yet keep their own; so do buffers, such as running statistics. At the end of
        the block all have their own values again, and what they were given inside is lost.

        Raises
        ------
        ArgumentError
            If no averages are kept.

        Examples
        --------
        >>> optimizer = rm.Adam(average_decay=0.999)
        >>> with optimizer.averaged():
        ...     y = model(x)
        """
        if self.average_decay is None:
            raise ArgumentError(
                f"{type(self).__name__}.averaged: average_decay is None, so that there are no averages. "
                "Make the optimizer with an average_decay such as 0.999."
            )
        kept = [(parameter, state.average) for parameter, state in self._states.items() if state.average is not None]
        own = [Variable.of(parameter.backend, parameter.on(parameter.backend)) for parameter, _ in kept]
        for parameter, average in kept:
            parameter.set(average)
        try:
            yield
        finally:
            for (parameter, _), weights in zip(kept, own, strict=True):
                parameter.set(weights)

    def state(self, parameter: Parameter) -> dict[str, np.ndarray]:
        """Return what is kept for a parameter, a dict of host arrays; empty before its first gradient.

        They are ``step``, the updates so far, and the slots; with ``average_decay`` the ``average`` after the first
        update; and where a step is not due yet ``gradients``, how many there are of it, and ``gradient``, their sum.
        """
        state = self._states.get(parameter)
        if state is None:
            return {}
        arrays = {name: slot.as_ndarray() for name, slot in zip(self.slots, state.slots, strict=True)}
        arrays["step"] = np.asarray(state.step, dtype=np.int64)
        if state.average is not None:
            arrays["average"] = state.average.as_ndarray()
        if state.total is not None:
            arrays |= {"gradients": np.asarray(state.gradients, dtype=np.int64), "gradient": state.total.as_ndarray()}
        return arrays

    def set_state(self, parameter: Parameter, arrays: Mapping[str, np.ndarray]) -> None:
        """Take over what :meth:`state` returned.

        Raises
        ------
        CheckpointError
            If the arrays are not those of this optimizer and this parameter.
        """
        if not arrays:
            self._states.pop(parameter, None)
            return
        shape = parameter.shape
        expected = {"step": (), **dict.fromkeys(self.slots, shape)}
        if self.average_decay is not None and "average" in arrays:
            expected["average"] = shape
        if self.accumulation_steps > 1 and "gradient" in arrays:
            expected |= {"gradients": (), "gradient": shape}
        found = {name: array.shape for name, array in arrays.items()}
        if found != expected:
            raise CheckpointError(
                f"{type(self).__name__}: the state has {found}, but {expected} is needed. "
                "Resume with the optimizer and the model that the checkpoint was made with."
            )
        kept = {name: Variable(array) for name, array in arrays.items() if name not in COUNTS}
        state = _State(int(arrays["step"]), tuple(kept[name] for name in self.slots))
        state.average, state.total = kept.get("average"), kept.get("gradient")
        state.gradients = int(arrays.get("gradients", 0))
        self._states[parameter] = state


def _are_parameters(value):
    """Return whether this is a model, or what its ``parameters()`` gives, or a list or a dict of that."""
    if hasattr(value, "parameters") or isinstance(value, (Parameter, Iterator)):
        return True
    entries = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return any(map(_are_parameters, entries))


class _State:
    __slots__ = ("step", "slots", "average", "total", "gradients")

    def __init__(self, step, slots):
        self.step, self.slots = step, slots
        # The average of the weights, the sum of the gradients of a step that is not due yet, and their number.
        self.average, self.total, self.gradients = None, None, 0


def _run_all(operation, rows, attributes):
    """Run an update operation on each row, at once where the backend can."""
    if hasattr(operation, "forward_all"):
        return operation.forward_all(rows, **attributes) if rows else []
    return [operation.forward(*row, **attributes) for row in rows]


def _weighted_sums(backend, xs, ys, a, b):
    """Return a x + b y of pairs of arrays: the velocities of descent, with x for the former velocity and y for g."""
    rows = [(y, y, x) for x, y in zip(xs, ys, strict=True)]
    attributes = {"lr": b, "momentum": a, "nesterov": False}
    return [velocity for _, velocity in _run_all(backend.operation("sgd"), rows, attributes)]


def _scaled(backend, arrays, factor):
    factor, multiply = backend.array(np.asarray(factor)), backend.operation("multiply")
    return [multiply.forward(array, factor)[0] for array in arrays]


def _clipped_by_norm(backend, gradients, largest):
    """Return gradients scaled down, if their norm is larger."""
    norm = _norm(backend, gradients)
    return _scaled(backend, gradients, largest / norm) if norm > largest else gradients


def _norm(backend, arrays):
    """Return the root of the sum of the squares of all elements, a float."""
    multiply, add, total = (backend.operation(name).forward for name in ("multiply", "add", "reduce_sum"))
    # Where NumPy's squares overflow the norm does not.
    with np.errstate(over="ignore", under="ignore"):
        squares = [multiply(array, array)[0] for array in arrays]
        sums = [total(square, axes=tuple(range(len(square.shape))), keepdims=False)[0] for square in squares]
        found = float(backend.to_host(functools.reduce(lambda a, b: add(a, b)[0], sums)))
    # Squares may be too large or too small for the backend's floats.
    if math.sqrt(FLOAT32.smallest_normal) < found < math.inf:
        return math.sqrt(found)
    on_host = (np.asarray(backend.to_host(array), dtype=np.float64) for array in arrays)
    return math.sqrt(sum(float(np.sum(array * array)) for array in on_host))

"""What every optimizer is: one update operation and the state it keeps for each parameter."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ..arguments import Written, parameters_of, written
from ..errors import ArgumentError, CheckpointError
from ..variable import Parameter, Variable


class Optimizer(Written):
    """Base class of the optimizers.

    What it keeps of a parameter it keeps by that very Parameter: copy or pickle it together with the model,
    ``model, optimizer = copy.deepcopy((model, optimizer))``. A copy of it alone knows copies of the parameters alone.

    Attributes
    ----------
    operation : str
        The stem of the update operation: forward(w, g, *slots, **attributes) -> (w, *slots). A backend that can
        update many parameters at once offers forward_all([(w, g, *slots), ...], **attributes) -> [(w, *slots), ...].
    slots : tuple of str
        Names of the arrays that it keeps for each parameter, zero at first.
    """

    operation: str | None = None
    slots: tuple[str, ...] = ()
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

    def __init__(self) -> None:
        # By the parameters themselves, not by their ids, so that a copy of both together belongs together.
        self._states = {}

    def attributes(self, step: int) -> dict:
        """Return the operation's attributes at a parameter's ``step``-th update, counted from 1."""
        raise TypeError(f"{type(self).__name__} must define attributes(self, step)")

    def update(self, gradients: Iterable[tuple[Parameter, Any]], backend: Any) -> None:
        """Take one step for each of several parameters.

        Parameters
        ----------
        gradients : iterable of (Parameter, array of ``backend``)
        backend : Backend
            Where the gradients lie; the parameters and their states move there.
        """
        by_step = {}
        for parameter, gradient in gradients:
            state = self._states.get(parameter)
            if state is None:
                zeros = np.zeros(parameter.shape)
                state = _State(0, tuple(Variable.of(backend, backend.array(zeros)) for _ in self.slots))
                self._states[parameter] = state
            state.step += 1
            by_step.setdefault(state.step, []).append((parameter, state, gradient))
        operation = backend.operation(self.operation)
        for step, updated in by_step.items():
            rows = [
                (parameter.on(backend), gradient, *(slot.on(backend) for slot in state.slots))
                for parameter, state, gradient in updated
            ]
            attributes = self.attributes(step)
            if hasattr(operation, "forward_all"):
                results = operation.forward_all(rows, **attributes)
            else:
                results = [operation.forward(*row, **attributes) for row in rows]
            for (parameter, state, _), (w, *arrays) in zip(updated, results, strict=True):
                parameter.put(backend, w)
                state.slots = tuple(Variable.of(backend, array) for array in arrays)

    def state(self, parameter: Parameter) -> dict[str, np.ndarray]:
        """Return what is kept for a parameter: a dict of host arrays, ``step`` among them; empty before its first."""
        state = self._states.get(parameter)
        if state is None:
            return {}
        arrays = {name: slot.as_ndarray() for name, slot in zip(self.slots, state.slots, strict=True)}
        return {"step": np.asarray(state.step, dtype=np.int64), **arrays}

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
        expected = {"step": (), **dict.fromkeys(self.slots, parameter.shape)}
        found = {name: array.shape for name, array in arrays.items()}
        if found != expected:
            raise CheckpointError(
                f"{type(self).__name__}: the state has {found}, but {expected} is needed. "
                "Resume with the optimizer and the model that the checkpoint was made with."
            )
        slots = tuple(Variable(arrays[name]) for name in self.slots)
        self._states[parameter] = _State(int(arrays["step"]), slots)


def _are_parameters(value):
    """Return whether this is a model, or what its ``parameters()`` gives, or a list or a dict of that."""
    if hasattr(value, "parameters") or isinstance(value, (Parameter, Iterator)):
        return True
    entries = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return any(map(_are_parameters, entries))


class _State:
    __slots__ = ("step", "slots")

    def __init__(self, step, slots):
        self.step, self.slots = step, slots

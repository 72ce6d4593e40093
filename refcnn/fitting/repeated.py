"""Training steps that are recorded, and from then on made anew for other batches without what led to them."""

import numpy as np

from .. import backend as backends
from .. import philox, repeating
from ..errors import DeviceMemoryError
from ..layer import is_watched
from ..layers import normalization_over_ranks
from ..mode import is_recording, is_reproducible
from ..variable import Variable
from .listening import Listener
from .unchanged import Unchanged

#: Shapes of batches for which it is kept how a step goes.
_MOST_SHAPES = 8
#: Recordings that are made until two are alike.
_MOST_RECORDINGS = 4
#: What an optimizer has that is taken as it is in each step: the rate, and what it keeps of the parameters.
_TAKEN_EACH_TIME = frozenset({"lr", "_states"})


class Repeated:
    """The steps of one training, each made as the one before with its shapes, while nothing changes but numbers.

    The first step of a shape is made as it is asked for, and others are recorded until two recordings are alike. What
    is recorded depends on nothing but what is looked at anew in each step: the batch, what the model and the optimizer
    keep in arrays, the optimizer's attributes, and draws. All else that may matter is seen to have changed, or not to
    be known; then steps are made as they are asked for.

    Parameters
    ----------
    model : Model
    optimizer : Optimizer
    loss : callable
    """

    def __init__(self, model, optimizer, loss):
        self._roots, self._optimizer = (model, loss), optimizer
        self._kept, self._pools = {}, {}

    def __reduce__(self):
        # A copy begins without recordings, which are of the original's arrays.
        return type(self), (*self._roots[:1], self._optimizer, *self._roots[1:])

    def __call__(self, compute, inputs, target):
        """Return the loss of a step, a Variable.

        Parameters
        ----------
        compute : callable
            ``compute(inputs, target)`` makes the step and returns its loss.
        inputs : tuple of array_like
        target : array_like
        """
        backend = backends.active()
        given = [np.asarray(entry) if isinstance(entry, np.memmap) else entry for entry in (*inputs, target)]
        if not _may_repeat(backend, given):
            return compute(inputs, target)
        key = backend, *((type(entry), entry.shape, entry.dtype) for entry in given), *map(_index_in(given), given)
        kept = self._kept.pop(key, None)
        if kept is None or not kept.is_unchanged():
            loss = compute(inputs, target)
            kept = _Kept(*self._roots, self._optimizer, self._pools)
        else:
            loss = kept.step(backend, lambda: compute(tuple(given[:-1]), given[-1]), given)
        # The latest stands last.
        self._kept[key] = kept
        while len(self._kept) > _MOST_SHAPES:
            self._kept.pop(next(iter(self._kept)))
        return loss

    @property
    def obstacle(self):
        """Why the latest step was not made anew, and following ones of its shapes will not be; None if that is open."""
        return next(reversed(self._kept.values())).obstacle if self._kept else None


def _may_repeat(backend, given):
    return (
        getattr(backend, "records", False)
        and not (is_recording() or is_reproducible() or is_watched() or normalization_over_ranks.sharing())
        and all(type(entry) is np.ndarray or (type(entry) is Variable and _is_plain(entry)) for entry in given)
    )


def _is_plain(variable):
    return variable.node is None and not variable.is_stand_in and not variable.requires_grad


def _index_in(entries):
    return lambda entry: next(index for index, other in enumerate(entries) if other is entry)


class _Kept:
    """What is known of the steps of some shapes.

    Attributes
    ----------
    obstacle : str or None
        Why none of them is replayed.
    replay : Replay or None
    """

    def __init__(self, model, loss, optimizer, pools):
        self._optimizer, self._pools = optimizer, pools
        self._unchanged = Unchanged(model, loss)
        self._of_optimizer = Unchanged(optimizer, besides=_TAKEN_EACH_TIME)
        self.obstacle = self._unchanged.obstacle or self._of_optimizer.obstacle
        self.replay = self._listener = self._form = None
        self._recordings = 0
        # What is looked at anew in each step: the parameters that the optimizer knows, and all variables.
        self._variables = self._unchanged.variables
        self._parameters = [
            entry
            for entry in self._variables
            if entry.is_parameter and entry.requires_grad and optimizer.kept_of([entry]) is not None
        ]

    def is_unchanged(self):
        """Return whether all that is not looked at anew in each step is what it was."""
        return self._unchanged.holds() and self._of_optimizer.holds()

    def step(self, backend, compute, given):
        """Return the loss of a step."""
        found = None if self.obstacle else self._optimizer.kept_of(self._parameters)
        if found is None:
            return compute()
        steps, of_optimizer = found
        arrays = [entry.on(backend) for entry in given if isinstance(entry, Variable)]
        stored = [*self._variables, *of_optimizer]
        arrays += [entry.on(backend) for entry in stored]
        if self.replay is not None and self._listener.lags_of(steps) != self._listener.lags:
            # They are no longer updated together, some in the place of others.
            self.replay, self._recordings = None, 0
        if self.replay is None:
            return self._record(backend, compute, given, steps, arrays)
        state = philox.generator.state
        try:
            loss = self._replayed(backend, given, steps, of_optimizer, arrays)
        except DeviceMemoryError:
            # Nothing has changed yet but draws.
            self.replay.release()
            loss = None
        if loss is None:
            philox.generator.state = state
            return compute()
        return loss

    def _record(self, backend, compute, given, steps, arrays):
        listener, outcome = Listener(given, self._optimizer, self._parameters, steps), {}
        first = sum(isinstance(entry, Variable) for entry in given)

        def computed(recording):
            listener.recording = recording
            with repeating.listening(listener):
                outcome["loss"] = loss = compute()
            kept = self._optimizer.kept_of(self._parameters)
            now = [entry.on(backend) for entry in (*self._variables, *kept[1])]
            self._changed = [
                index for index, (new, old) in enumerate(zip(now, arrays[first:], strict=True)) if new is not old
            ]
            return [loss.on(backend), *(now[index] for index in self._changed)]

        def followed(recording, results):
            problem = listener.problem()
            if problem is not None:
                self.obstacle = problem
                return None
            former, self._form = self._form, (recording.form(results), listener.form(), self._changed)
            if former != self._form:
                return None
            return recording.replay(backend.device, results, self._pools)

        _, self.replay = backend.recorded(computed, arrays, followed)
        listener.end()
        self._listener, self._recordings = listener, self._recordings + 1
        if self.replay is not None:
            self._form = None
        elif self._recordings >= _MOST_RECORDINGS:
            self.obstacle = self.obstacle or "no two steps launch the same"
        return outcome["loss"]

    def _replayed(self, backend, given, steps, of_optimizer, arrays):
        """Return the loss, None if this step is another one."""
        listener = self._listener
        hosts = listener.hosts_of(given)
        if hosts is None:
            return None
        loss, *results = self.replay(arrays, hosts, listener.numbers(steps))
        new, count = list(of_optimizer), len(self._variables)
        for index, array in zip(self._changed, results, strict=True):
            if index < count:
                self._variables[index].put(backend, array)
            else:
                new[index - count] = Variable.of(backend, array)
        self._optimizer.take_over(self._parameters, new, listener.updated)
        return Variable.of(backend, loss)

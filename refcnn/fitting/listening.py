"""What is heard of a training step while it is recorded: where its numbers come from that are others in each step."""

import contextlib

import numpy as np

from .. import backend as backends
from .. import philox
from ..repeating import Drawn


class Listener:
    """Hears of one step; afterwards it tells what a replay is to be given in the place of what it heard of.

    Parameters
    ----------
    given : sequence of (ndarray or Variable)
        The batch.
    optimizer : Optimizer
    parameters : sequence of Parameter
        Those of which the optimizer knows a number of updates.
    steps : sequence of int
        These.

    Attributes
    ----------
    recording : Recording
        Of the device, set before anything is heard.
    updated : list of Parameter
        Those that the step updated.
    """

    recording = None

    def __init__(self, given, optimizer, parameters, steps):
        self._hosts = [_host(entry) for entry in given]
        self._optimizer, self._parameters = optimizer, parameters
        self._index = {parameter: index for index, parameter in enumerate(parameters)}
        self._backend, self._problem = backends.active(), None
        # What was made of an array of the host, and which of these were written to the device.
        self._derived, self._entered = [], []
        self._draws, self._used = 0, set()
        # Of each :meth:`Recording.given` what returns the numbers of a step.
        self._numbers = []
        self.updated, self._steps = [], steps

    def lost(self, why):
        """Hear that something depends on what nobody can tell."""
        self._problem = self._problem or why

    def entered(self, host, array):
        """Hear that an array of the host was copied to the backend."""
        index = self._index_of(host)
        if index is None:
            return
        if backends.active() is not self._backend:
            self.lost("several backends compute")
            return
        self.recording.entered(array)
        self._entered.append((index, array.dtype))

    def made(self, host, make, made):
        """Hear what was made of an array of the host."""
        index = self._index_of(host)
        if index is None:
            self.lost("what the loss makes of its target depends on other numbers than those of the batch")
            return
        self._derived.append((index, make))
        self._hosts.append(made)

    def drawn(self, seed, stream):
        """Return the numbers of a draw as such that know where they come from."""
        self._draws += 1
        return tuple(Drawn.of(number, self._draws - 1, part) for part, number in enumerate((seed, stream)))

    @contextlib.contextmanager
    def calling(self, implementation, arrays, attributes):
        """Hear what an operation launches."""
        if not all(array is None or self.recording.knows(array) for array in arrays):
            self.lost("an array is read that lies in no attribute of the model")
        drawn = {name: value for name, value in attributes.items() if type(value) is Drawn}
        first = self.recording.position
        yield
        if drawn:
            self._used |= {value.draw for value in drawn.values()}

            def numbers(draws, _):
                now = {name: draws[value.draw][value.part] for name, value in drawn.items()}
                return implementation.numbers(**{**attributes, **now})

            self._given(first, implementation, attributes, numbers)

    @contextlib.contextmanager
    def updating(self, implementation, attributes, updated):
        """Hear what the update of some parameters launches, all of which had as many updates before."""
        first = self.recording.position
        yield
        self.updated += updated
        index, optimizer, latest = self._index.get(updated[0]), self._optimizer, {}

        def numbers(_, steps):
            now = optimizer.attributes(steps[index] + 1)
            if now != latest.get("attributes"):
                latest.update(attributes=now, numbers=implementation.numbers(**now))
            return latest["numbers"]

        self._given(first, implementation, attributes, numbers)

    @property
    def lags(self):
        """How many more updates than the first of those that the step updated each of them had."""
        return self.lags_of(self._steps)

    def lags_of(self, steps):
        """Return :attr:`lags` of other numbers of updates."""
        found = [steps[self._index[parameter]] for parameter in self.updated]
        return [step - found[0] for step in found]

    def problem(self):
        """Return why the step cannot be made anew, as far as was heard; None if nothing speaks against it."""
        if self._used != set(range(self._draws)):
            self.lost("numbers are drawn for what is no operation of refcnn")
        if not set(self.updated) <= set(self._parameters):
            self.lost("a parameter is trained that lies in no attribute of the model")
        return self._problem

    def form(self):
        """Return what two recordings have in common whose replays are alike."""
        hosts = [None if host is None else (host.shape, host.dtype) for host in self._hosts]
        updated = [self._index.get(parameter) for parameter in self.updated]
        return hosts, [index for index, _ in self._derived], self._entered, self._draws, updated, self.lags

    def hosts_of(self, given):
        """Return what a replay is to write for another batch, (ndarray, dtype) each; None if it takes another step."""
        hosts = [_host(entry) for entry in given]
        for (index, make), former in zip(self._derived, self._hosts[len(hosts) :], strict=True):
            try:
                made = make(hosts[index])
            except Exception:
                # It is raised again where the step is made as it is asked for.
                return None
            if (made.shape, made.dtype) != (former.shape, former.dtype):
                return None
            hosts.append(made)
        return [(hosts[index], dtype) for index, dtype in self._entered]

    def numbers(self, steps):
        """Return what a replay is to be given in the place of numbers, and draw what is drawn.

        Parameters
        ----------
        steps : sequence of int
            The number of updates of each parameter so far.
        """
        draws = [philox.generator.next_stream() for _ in range(self._draws)]
        return [numbers(draws, steps) for numbers in self._numbers]

    def end(self):
        """Let go what holds memory: the recording, and the batch, of whose arrays no more than the form is needed."""
        self.recording = None
        self._hosts = [
            host if host is None else np.broadcast_to(np.empty((), host.dtype), host.shape) for host in self._hosts
        ]

    def _given(self, first, implementation, attributes, numbers):
        tell = getattr(implementation, "numbers", None)
        if tell is None or self.recording.given(first, tell(**attributes)) is None:
            self.lost("an operation does not tell which of its numbers depend on the step")
        self._numbers.append(numbers)

    def _index_of(self, host):
        """Return the latest of the known arrays that one is."""
        return next((index for index in reversed(range(len(self._hosts))) if self._hosts[index] is host), None)


def _host(entry):
    return entry if isinstance(entry, np.ndarray) else None

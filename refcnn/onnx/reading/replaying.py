"""Computing a model anew for inputs of shapes that it had before, without going through its nodes again."""

import dataclasses
from typing import Any

from ...mode import is_recording
from ...variable import Variable

#: Shapes of the inputs for which it is kept how they are computed.
_MOST_SHAPES = 8


@dataclasses.dataclass
class _Kept:
    """What is known of inputs of some shapes: the stored arrays they met, and once that is known, the replay."""

    stored: list
    is_recorded: bool = False
    replay: Any = None

    def record(self, compute, arrays, backend):
        """Return what is computed, and keep how."""
        results = []

        def computed(_):
            results[:] = compute()
            return [entry.on(backend) for entry in results]

        _, self.replay = backend.recorded(computed, arrays)
        self.is_recorded = True
        return tuple(results)

    def release(self):
        """Give back the memory that only a replay under way needs."""
        if self.replay is not None:
            self.replay.release()


class Replays:
    """How a model's results are computed anew, by the backend and the shapes of the inputs.

    Copies of a model begin without any.
    """

    def __init__(self):
        self._kept = {}

    def __reduce__(self):
        return Replays, ()

    def results(self, compute, inputs, stored, backend):
        """Return the results of a model, Variables, a tuple.

        They are computed as is asked for the first time; the second time that is recorded, and from then on replayed,
        for as long as what the model stores stays the same.

        Parameters
        ----------
        compute : callable
            ``compute()`` returns them.
        inputs : sequence of Variable
        stored : iterable of Variable
            On what they depend beside the inputs.
        backend : Backend
        """
        if is_recording() or not getattr(backend, "records", False):
            return compute()
        arrays = [entry.on(backend) for entry in inputs]
        key = backend, tuple((array.shape, array.dtype) for array in arrays)
        kept = self._latest(key, [entry.on(backend) for entry in stored])
        if kept is None or (kept.is_recorded and kept.replay is None):
            return compute()
        if not kept.is_recorded:
            return kept.record(compute, arrays, backend)
        for other in list(self._kept.values()):
            if other is not kept:
                other.release()
        return tuple(Variable.of(backend, array) for array in kept.replay(arrays))

    def _latest(self, key, stored):
        """Return what is kept of inputs, or None if they meet these stored arrays for the first time."""
        kept = self._kept.pop(key, None)
        is_new = kept is None or any(one is not other for one, other in zip(kept.stored, stored, strict=True))
        # The latest stands last. Other threads may compute with this model meanwhile.
        self._kept[key] = _Kept(stored) if is_new else kept
        while len(self._kept) > _MOST_SHAPES:
            self._kept.pop(next(iter(self._kept)), None)
        return None if is_new else kept

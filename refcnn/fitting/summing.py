"""The sum of a step over the ranks: the one place where they exchange what training computes."""

import math

import numpy as np

from .. import backend as backends
from ..philox import generator
from ..variable import Grads


class StepSum:
    """Sums the gradients and losses of the parts of a batch, and what layers learned of them.

    Afterwards all ranks have the same: the loss and the gradients of the whole batch, the mean of their buffers by
    their shares, as of the running statistics of batch normalisation, and one state of the generator, from which a rank
    without an example has not drawn.

    Parameters
    ----------
    model : Model
        With the same parameters on all ranks.
    ranks : Ranks or Alone
    """

    def __init__(self, model, ranks):
        self._model, self._ranks, self._are_alike = model, ranks, None

    def __call__(self, loss, gradients, share):
        """Return the loss of the whole batch, a float, and its gradients.

        Parameters
        ----------
        loss : Variable or None
            This rank's share of the loss, None where it has no example.
        gradients : Grads or None
            Of that share.
        share : float
        """
        # Looked up in each step, since layers may make more of them, and what is frozen may change.
        parameters = [entry for _, entry in self._model.parameters() if entry.requires_grad]
        buffers = [entry for _, entry in self._model.named_buffers()]
        found = {} if gradients is None else {entry: array for entry, array in gradients if entry.is_parameter}
        backend = backends.active()
        (stream,) = self._ranks.largest(generator.stream)
        of_parameters = np.zeros(sum(map(_size, parameters)), backend.dtype)
        for entry, part in _parts(parameters, of_parameters):
            if entry in found:
                part[...] = backend.to_host(found[entry])
        numbers = [[0.0 if loss is None else float(loss)], [entry in found for entry in parameters]]
        others = np.concatenate([*numbers, *(self._said(entry, share) for entry in buffers)], dtype=np.float64)
        of_parameters, others = self._ranks.sum(of_parameters, others)
        generator.state = generator.seed, stream
        # Of a parameter on which no part of the loss depends there is no gradient, rather than one of zeros.
        is_found = others[1 : 1 + len(parameters)]
        for entry, part in _parts(buffers, others[1 + len(parameters) :]):
            entry.set(part.astype(entry.dtype))
        pairs = [
            (entry, backend.array(part))
            for (entry, part), count in zip(_parts(parameters, of_parameters), is_found, strict=True)
            if count
        ]
        return float(others[0]), Grads.of(backend, pairs)

    def _said(self, buffer, share):
        """Return what this rank adds to the mean of a buffer: of counts, which have none, the first rank's are taken.

        In float64, so that the mean of equal numbers is that number.
        """
        if buffer.dtype.kind != "f":
            share = float(self._ranks.is_first)
        array = buffer.as_ndarray().astype(np.float64).reshape(-1)
        return array * share if share else np.zeros_like(array)

    def align(self, optimizer):
        """Let all ranks have the state of the first, if their devices do not round alike."""
        if self._ranks.size == 1:
            return
        if self._are_alike is None:
            self._are_alike = len(set(self._ranks.gather(backends.active().description))) == 1
        if not self._are_alike:
            share_state(self._model, optimizer, self._ranks)


def share_state(model, optimizer, ranks):
    """Give the model and the optimizer of each rank the state of the first's."""
    if ranks.size == 1:
        return
    names = dict(model.parameters())
    own = model.state(), {name: optimizer.state(entry) for name, entry in names.items()}
    state, of_optimizer = ranks.broadcast(own)
    if not ranks.is_first:
        model.set_state(state)
        for name, arrays in of_optimizer.items():
            optimizer.set_state(names[name], arrays)


def _size(entry):
    return math.prod(entry.shape)


def _parts(entries, flat):
    """Yield each of several variables with its part of an array, in its shape."""
    first = 0
    for entry in entries:
        end = first + _size(entry)
        yield entry, flat[first:end].reshape(entry.shape)
        first = end

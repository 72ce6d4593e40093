"""The sum of a step over the ranks: the one place where they exchange what training computes."""

import math
import time
from typing import NamedTuple

import numpy as np

from .. import backend as backends
from ..errors import ArgumentError
from ..parallel.tree_sum import TreeSum
from ..philox import generator
from ..variable import Grads
from .buckets import Buckets, parts


class Timing(NamedTuple):
    """Seconds that the sums of a step took.

    Attributes
    ----------
    waited : float
        For which the step itself waited for them, after its backward pass; and for the other ranks.
    sums : tuple of float
        Each, in their order, with what others let this rank wait for theirs.
    """

    waited: float
    sums: tuple[float, ...]


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

    Attributes
    ----------
    timing : Timing or None
        Of the last step whose sums went on beside the backward pass.
    """

    timing = None

    def __init__(self, model, ranks):
        self._model, self._ranks, self._descriptions = model, ranks, None

    def __call__(self, compute, share):
        """Return the loss of the whole batch, a float, and its gradients, which are summed as they are found.

        Parameters
        ----------
        compute : callable
            Is given what returns the gradients of a loss, in the place of :meth:`refcnn.Variable.grad`; returns this
            rank's share of the loss, a Variable, and its gradients, or None and None where it has no example.
        share : float
        """
        backend, summed = backends.active(), []
        with self._ranks.aside() as sums:
            buckets = Buckets(lambda: self._entries()[0], sums, backend)
            loss, _ = compute(buckets.gradients_of)
            buckets.end()
            entries = self._entries()
            others = _others(*entries, loss, buckets.found, share, self._ranks.is_first)
            sums.put(lambda add: summed.append(add(others)))
            begun = time.perf_counter()
            (stream,) = self._ranks.complete(sums, generator.stream)
            self.timing = Timing(time.perf_counter() - begun, tuple(sums.seconds))
        generator.state = generator.seed, stream
        return _taken(*entries, [(entry, buckets.summed[entry]) for entry in entries[0]], *summed)

    def of_micro_batches(self, batch, compute):
        """Return the same of a batch's micro-batches, whose results have one order, whichever rank computes which.

        Each begins with the state that the layers have before the batch, and with the same state of the generator.

        Parameters
        ----------
        batch : CutBatch
        compute : callable
            Returns loss and gradients of a Batch, its share of the whole's.
        """
        (state, stream), entries, sums = (generator.state, generator.stream), None, None
        before = [(entry, entry.as_ndarray()) for _, entry in self._model.named_buffers()]
        for number, part in enumerate(batch.parts, batch.first):
            generator.state = state
            for entry, array in before:
                entry.set(array)
            computed = compute(part)
            entries = entries or self._entries()
            terms = _terms(*entries, *computed, part.share, number == 0)
            sums = sums or _sums_of(terms, batch.first)
            for one, term in zip(sums, terms, strict=True):
                one.add(term)
            stream = max(stream, generator.stream)
        entries = entries or self._entries()
        sums = sums or _sums_of(_terms(*entries, None, None, 0.0, False), batch.first)
        of_parameters, others = self._ranks.sum_terms(batch.count, *sums)
        # After the sums, in which a rank is given up that does not come.
        (stream,) = self._ranks.largest(stream)
        generator.state = generator.seed, stream
        backend = backends.active()
        gradients = [(entry, backend.array(part)) for entry, part in parts(entries[0], of_parameters)]
        return _taken(*entries, gradients, others)

    def _entries(self):
        # Looked up in each step, since layers may make more of them, and what is frozen may change.
        parameters = [entry for _, entry in self._model.parameters() if entry.requires_grad]
        return parameters, [entry for _, entry in self._model.named_buffers()]

    def align(self, optimizer):
        """Let all ranks have the state of the first, if their devices do not round alike."""
        if len(self._kinds()) > 1:
            share_state(self._model, optimizer, self._ranks)

    def require_alike(self):
        """Raise ArgumentError where the ranks' devices may not round alike, so that who computes what would matter."""
        first, *others = self._kinds()
        if others:
            raise ArgumentError(
                f"--reproducible needs devices of one kind, but some ranks compute on {first}, and some on "
                f"{', '.join(others)}. Name one by --backend, or leave the option out."
            )

    def _kinds(self):
        """Return the descriptions of the ranks' devices, each once."""
        if self._descriptions is None:
            self._descriptions = list(dict.fromkeys(self._ranks.gather(backends.active().description)))
        return self._descriptions


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


def _terms(parameters, buffers, loss, gradients, share, is_first):
    """Return what a part of a batch adds: to the gradients, and to all else; two arrays of one axis."""
    found = {} if gradients is None else {entry: array for entry, array in gradients if entry.is_parameter}
    backend = backends.active()
    of_parameters = np.empty(sum(math.prod(entry.shape) for entry in parameters), backend.dtype)
    for entry, part in parts(parameters, of_parameters):
        part[...] = backend.to_host(found[entry]) if entry in found else 0
    return of_parameters, _others(parameters, buffers, loss, found, share, is_first)


def _others(parameters, buffers, loss, found, share, is_first):
    """Return what a part of a batch adds to all but the gradients: the loss, what has gradients, the buffers."""
    others = [
        [0.0 if loss is None else float(loss)],
        [entry in found for entry in parameters],
        *(_said(entry, share, is_first) for entry in buffers),
    ]
    return np.concatenate(others, dtype=np.float64)


def _sums_of(terms, first):
    return [TreeSum(first, term.size, term.dtype) for term in terms]


def _taken(parameters, buffers, gradients, others):
    """Let the layers know what they learned of the whole batch, and return its loss and its gradients."""
    # Of a parameter on which no part of the loss depends there is no gradient, rather than one of zeros.
    is_found = others[1 : 1 + len(parameters)]
    for entry, part in parts(buffers, others[1 + len(parameters) :]):
        entry.set(part.astype(entry.dtype))
    pairs = [pair for pair, count in zip(gradients, is_found, strict=True) if count]
    return float(others[0]), Grads.of(backends.active(), pairs)


def _said(buffer, share, is_first):
    """Return what a part adds to the mean of a buffer: of counts, which have none, the first part's are taken.

    In float64, so that the mean of equal numbers is that number.
    """
    if buffer.dtype.kind != "f":
        share = float(is_first)
    array = buffer.as_ndarray().astype(np.float64).reshape(-1)
    return array * share if share else np.zeros_like(array)

"""The gradients of a step in buckets, which are summed over the ranks while the backward pass finds others."""

import math
import threading

import numpy as np

from ..tape import leaves

#: Bytes that a bucket holds at most, but for a gradient that is larger, and those that it may always hold.
MOST, ALWAYS = 1 << 20, 1 << 16
#: Seconds between two looks at whether a device has computed the gradients of a bucket.
_PAUSE = 0.001


def cut(sizes):
    """Return how many of several gradients each bucket holds.

    It is at most half of what is left: while the last ones are summed there is little or nothing left to compute.

    Parameters
    ----------
    sizes : sequence of int
        Their bytes, in the order in which they are found.
    """
    counts, left, filled, most = [], sum(sizes), math.inf, 0
    for size in sizes:
        if filled + size > most:
            counts.append(0)
            filled, most = 0, max(ALWAYS, min(MOST, left // 2))
        counts[-1] += 1
        filled, left = filled + size, left - size
    return counts


class Buckets:
    """What a rank gives of the gradients of a step, and the sums over all ranks.

    The buckets are the same on all ranks, and so is their order, the parameters' from the last to the first, in
    whatever order a rank finds their gradients, and whether it does.

    Parameters
    ----------
    parameters : callable
        Returns those that are trained; called after the forward pass, which may make them.
    sums : refcnn.parallel.aside.Aside
    backend : Backend
        On which the gradients are and the sums shall be.

    Attributes
    ----------
    found : set of Parameter
        Those of which this rank has a gradient.
    summed : dict of Parameter to array of the backend
        Complete when ``sums`` is.
    """

    def __init__(self, parameters, sums, backend):
        self._parameters, self._sums, self._backend = parameters, sums, backend
        self.found, self.summed = set(), {}
        self._buckets = self._by_entry = None
        self._next = 0

    def gradients_of(self, loss):
        """Return the gradients of a loss, as its ``grad()``, while those that are known already are summed."""
        self._begin()
        on_tape = set(leaves(loss))
        for entry in self._by_entry:
            if entry not in on_tape:
                self._ready(entry, None)
        return loss.grad(self._ready)

    def end(self):
        """Give zeros for what this rank has found no gradient of, and wait until the device has computed the others."""
        if self._buckets is None:
            self._begin()
        for bucket in self._buckets:
            for entry in list(bucket.awaited):
                self._ready(entry, None)
        for bucket in self._buckets:
            bucket.wait()

    def _begin(self):
        entries = list(reversed(self._parameters()))
        itemsize, first, self._buckets = self._backend.dtype.itemsize, 0, []
        for count in cut([itemsize * math.prod(entry.shape) for entry in entries]):
            self._buckets.append(_Bucket(entries[first : first + count], self._backend))
            first += count
        self._by_entry = {entry: bucket for bucket in self._buckets for entry in bucket.parts}

    def _ready(self, entry, gradient):
        bucket = self._by_entry.get(entry)
        if bucket is None:
            # It is no parameter of the model, or frozen.
            return
        bucket.take(entry, gradient)
        if gradient is not None:
            self.found.add(entry)
        while self._next < len(self._buckets) and not self._buckets[self._next].awaited:
            self._sums.put(lambda add, bucket=self._buckets[self._next]: self.summed.update(bucket.summed(add)))
            self._next += 1


class _Bucket:
    """Some gradients beside each other in one array of the host: ``parts`` by the parameter, ``awaited`` those to come.

    Parameters
    ----------
    entries : sequence of Parameter
    backend : Backend
    """

    def __init__(self, entries, backend):
        self._backend, self._reading, self._is_read = backend, [], threading.Event()
        self._flat = np.empty(sum(math.prod(entry.shape) for entry in entries), backend.dtype)
        self.parts = dict(parts(entries, self._flat))
        self.awaited = set(entries)

    def take(self, entry, gradient):
        """Begin to read a gradient, an array of the backend; None stands for zeros."""
        self.awaited.remove(entry)
        if gradient is None:
            self.parts[entry][...] = 0
        else:
            copying = self._backend.start_reading(gradient, self.parts[entry])
            self._reading += [] if copying is None else [copying]

    def wait(self):
        """Wait until all is read."""
        for copying in self._reading:
            copying.wait()
        self._is_read.set()

    def summed(self, add):
        """Yield each parameter with its gradient, an array of the backend, that a function makes of the whole array."""
        # A second thread that waits for a device would take a core from what it waits for.
        while not (all(copying.is_done for copying in self._reading) or self._is_read.wait(_PAUSE)):
            pass
        self.wait()
        for entry, part in parts(self.parts, add(self._flat)):
            yield entry, self._backend.array(part)


def parts(entries, flat):
    """Yield each of several variables with its part of an array, in its shape."""
    first = 0
    for entry in entries:
        end = first + math.prod(entry.shape)
        yield entry, flat[first:end].reshape(entry.shape)
        first = end

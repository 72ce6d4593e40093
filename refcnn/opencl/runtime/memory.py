"""Memory of a device, handed out in parts of a few large buffers.

What is given back joins what is free beside it, so that arrays of other sizes
can take its place: in a training step, activations make room for gradients. A
part may be handed out again while queued kernels still use it, since launches
run in the order in which they are queued. No two sub-buffers that exist overlap,
though OpenCL would allow it: NVIDIA's driver 580.159 crashes once kernels used
such.

The first step shows how much is needed at once; after it the slabs that its
arrays were put in as they came give way to one that is large enough for all.
"""

import bisect
import collections
import contextlib
import functools
import itertools
import math
import threading
import weakref

# Bytes of the smallest buffer: many small arrays share it.
_LEAST_SLAB = 1 << 18
# Arrays count as small below this part of what is in use at most.
_SMALL_SHARE = 24
# Parts that a pool keeps for later.
_MOST_SPARE = 4
# How much larger than what was in use at once the slabs should be, lest a gap is too small, at first and in later
# steps; and what must be gained for them to be replaced.
_FIRST_MARGIN, _MORE_MARGIN, _WORTHWHILE = 1.02, 0.04, 0.95


class Memory:
    """A part of a buffer, which is given back when nobody holds this object any more.

    Attributes
    ----------
    buffer : pyopencl.Buffer
    copy : (numpy.ndarray, pyopencl.Event) or None
        What the contents are copied to on the host, and when that is done. None after a launch that may change them.
    """

    __slots__ = ("buffer", "copy", "_returned", "_place", "__weakref__")

    def __init__(self, buffer, returned=None, place=None):
        self.buffer, self.copy = buffer, None
        self._returned, self._place = returned, place

    @property
    def whole(self):
        """What this is lent out of, if it comes from a :class:`Pool`, else itself."""
        return self._place if isinstance(self._place, Memory) else self

    def __del__(self):
        # Only noted: this may run at any moment, even inside Arena.allocate.
        if self._returned is not None:
            self._returned.append(self._place)


class Pool:
    """Memory of one size that comes back when nobody holds it any more, to be used again as it is.

    To a driver it is not new then, as a part of an arena's is: NVIDIA's takes 60 us for a launch that is given such.

    Parameters
    ----------
    nbytes : int
    """

    def __init__(self, nbytes):
        self._nbytes, self._spare = nbytes, collections.deque()

    def take(self, device):
        """Return a Memory of a device."""
        while len(self._spare) > _MOST_SPARE:
            self._spare.pop()
        whole = self._spare.popleft() if self._spare else device.empty((self._nbytes,), "uint8").memory
        return Memory(whole.buffer, self._spare, whole)

    def release(self):
        """Give back what is not in use."""
        self._spare.clear()


def _locked(method):
    @functools.wraps(method)
    def locked(self, *arguments):
        with self._lock:
            return method(self, *arguments)

    return locked


class Arena:
    """Large buffers, *slabs*, and what of them is free.

    Parameters
    ----------
    make : callable
        ``make(nbytes)`` returns a new pyopencl.Buffer.
    alignment : int
        Bytes of which the beginning of every part is a multiple.
    largest : int
        Bytes that a buffer may have.

    Attributes
    ----------
    alignment : int
    """

    def __init__(self, make, alignment, largest):
        self._make, self.alignment, self._largest = make, alignment, largest
        self._slabs = []
        # Several threads may make arrays on one device.
        self._lock = threading.RLock()
        self._holders = weakref.WeakSet()
        self._returned = collections.deque()
        self._active = self._peak = 0
        # Whether a slab was added since the last time that they were replaced, and the peak of that time.
        self._has_grown, self._margin, self._settled_peak = False, _FIRST_MARGIN, 0

    @property
    def held(self):
        """Bytes of all slabs."""
        return sum(slab.size for slab in self._slabs)

    @property
    @_locked
    def active(self):
        """Bytes that are handed out."""
        self._take_back()
        return self._active

    def allocate(self, nbytes):
        """Return a Memory whose buffer has so many bytes, at least 1.

        The smallest free part that is large enough is used; of small arrays, its
        end, so that they do not lie between large ones. If there is none, a new
        slab takes the place of those that are free as a whole.

        Raises
        ------
        pyopencl.Error
            If the device has no room for it.
        """
        size = self._rounded(nbytes)
        if self._holders and not self._fits(size):
            # Without the lock: they wait for who queues, who may wait for it.
            for holder in list(self._holders):
                self._holders.discard(holder)
                holder.release()
        with self._lock:
            slab, start = self._take(size)
            return Memory(slab.part(start, nbytes), self._returned, (slab, start, size))

    @contextlib.contextmanager
    def holding(self, holder):
        """Ask an object to ``release()`` memory that it keeps for later when there is no other, but not in this block.

        Parameters
        ----------
        holder : object
        """
        self._holders.discard(holder)
        try:
            yield
        finally:
            self._holders.add(holder)

    @_locked
    def _fits(self, size):
        self._take_back()
        return any(size <= free for slab in self._slabs for _, free in slab.free)

    def allocate_together(self, sizes):
        """Return a Memory of each of several sizes in bytes, beside each other, as :meth:`allocate` does of one."""
        rounded = list(map(self._rounded, sizes))
        with self._lock:
            slab, start = self._take(sum(rounded))
            starts = [start + before for before in itertools.accumulate(rounded[:-1], initial=0)]
            return [
                Memory(slab.part(start, nbytes), self._returned, (slab, start, size))
                for start, nbytes, size in zip(starts, sizes, rounded, strict=True)
            ]

    def _take(self, size):
        """Return the slab and the start of a part that is free no more."""
        if self._returned:
            self._take_back()
        found, smallest = None, math.inf
        for slab in self._slabs:
            for index, (_, free) in enumerate(slab.free):
                if size <= free < smallest:
                    found, smallest = (slab, index), free
        slab, index = found or (self._grow(size), 0)
        start = slab.take(index, size, at_end=size * _SMALL_SHARE < self._peak)
        self._active += size
        if self._active > self._peak:
            self._peak = self._active
        return slab, start

    @property
    @_locked
    def is_settled(self):
        """Whether nothing was added since :meth:`settle`, so that it need not be called again."""
        return not self._has_grown

    @_locked
    def settle(self):
        """Replace the slabs of which nothing is handed out by one, if so much less would do.

        To be called when no work is queued, or the memory of both would be needed at once.
        """
        if self._has_grown and self._peak <= self._settled_peak:
            # What should have been enough had gaps that were too small.
            self._margin += _MORE_MARGIN
        self._has_grown, self._settled_peak = False, self._peak
        held, wanted = self.held, self._margin * self._peak
        if wanted >= _WORTHWHILE * held:
            return
        self._take_back()
        remaining = sum(slab.size for slab in self._slabs if not slab.is_unused)
        enough = self._rounded(int(wanted) - remaining)
        if 0 < enough <= self._largest and remaining + enough < _WORTHWHILE * held:
            self.release()
            self._add(enough)

    @_locked
    def release(self):
        """Give the device back the slabs of which nothing is handed out, and return their bytes."""
        self._take_back()
        unused = sum(slab.size for slab in self._slabs if slab.is_unused)
        self._slabs = [slab for slab in self._slabs if not slab.is_unused]
        return unused

    @_locked
    def free_parts(self):
        """Return the buffers of all that is free."""
        self._take_back()
        return [slab.part(start, size) for slab in self._slabs for start, size in slab.free]

    @_locked
    def forget(self):
        """Give the device back the slabs of which nothing is handed out, and forget how much was in use at once."""
        self.release()
        self._peak = self._settled_peak = self._active

    def _grow(self, size):
        wanted = max(size, _LEAST_SLAB, self.release())
        self._has_grown = True
        return self._add(wanted if wanted <= self._largest else size)

    def _add(self, nbytes):
        slab = _Slab(self._make(nbytes), nbytes)
        self._slabs.append(slab)
        return slab

    def _rounded(self, nbytes):
        return -(-nbytes // self.alignment) * self.alignment

    def _take_back(self):
        while self._returned:
            slab, start, size = self._returned.popleft()
            slab.give_back(start, size)
            self._active -= size


class _Slab:
    """A buffer; ``free`` has (start, size) of what of it is free, in order and with something between them."""

    __slots__ = ("size", "free", "_buffer")

    def __init__(self, buffer, size):
        self.size, self.free, self._buffer = size, [(0, size)], buffer

    @property
    def is_unused(self):
        return self.free == [(0, self.size)]

    def take(self, index, size, at_end):
        start, free = self.free[index]
        if at_end:
            start, rest = start + free - size, (start, free - size)
        else:
            rest = start + size, free - size
        self.free[index : index + 1] = [rest] if free > size else []
        return start

    def give_back(self, start, size):
        index = bisect.bisect(self.free, (start,))
        if index < len(self.free) and self.free[index][0] == start + size:
            size += self.free.pop(index)[1]
        if index and sum(self.free[index - 1]) == start:
            start, before = self.free.pop(index - 1)
            size, index = size + before, index - 1
        self.free.insert(index, (start, size))

    def part(self, start, nbytes):
        """Return the buffer of a part."""
        return self._buffer.get_sub_region(start, nbytes)

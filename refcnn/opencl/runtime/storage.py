"""Arrays on a device: their memory, and copies to and from the host."""

import collections

import numpy as np

from ...formats import FLOAT32
from .array import DeviceArray, check_owner
from .connection import opencl_errors
from .memory import Memory

# Copies that may be under way, so that the host does not run ahead without limit.
_MOST_COPIES = 16


class Copying:
    """A copy to the host that was queued."""

    def __init__(self, connection, event):
        self._connection, self._event = connection, event

    @property
    def is_done(self):
        """Whether there is nothing to wait for; where it failed, :meth:`wait` tells."""
        return self._event.command_execution_status <= 0

    def wait(self):
        """Wait for it and for all before it. Some runtimes keep a core busy meanwhile, for each thread that waits."""
        self._connection.wait(self._event)


class Storage:
    """What makes the arrays of one device, and copies them.

    Parameters
    ----------
    device : refcnn.opencl.runtime.device.Device
        The arrays'.
    connection : refcnn.opencl.runtime.connection.Connection
    capture : contextvars.ContextVar
        The :class:`~refcnn.opencl.runtime.capturing.Capture` that notes what is made, or None.
    """

    def __init__(self, device, connection, capture):
        self._device, self._connection, self._capture = device, connection, capture
        self._copies = collections.deque()
        self._kept_by_simulator = []

    def empty(self, shape, dtype=FLOAT32.dtype):
        """Return a new array whose contents are undefined.

        Raises
        ------
        DeviceMemoryError
            If the device has no room for it.
        """
        shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(map(int, shape))
        array = DeviceArray(self._device, shape, dtype, None)
        array._memory = self._allocated(array)
        capture = self._capture.get()
        if capture is not None:
            capture.made(array)
        return array

    def array(self, host):
        """Return a copy of a NumPy array on the device, in its dtype.

        Raises
        ------
        DeviceMemoryError
            If the device has no room for it.
        """
        # A copy, since the caller may change its array before the device has read it.
        host = np.array(host, order="C")
        array = self.empty(host.shape, host.dtype)
        if array.size:
            self._write(array, array._memory, host)
        capture = self._capture.get()
        if capture is not None:
            capture.filled(array, host)
        return array

    def write(self, memory, host, dtype):
        """Write a copy of a NumPy array, in a dtype, into memory that an array of as many bytes lies in."""
        self._write("an array", memory, np.array(host, dtype=dtype, order="C"))

    def _write(self, what, memory, host):
        import pyopencl as cl

        connection = self._connection
        with connection.lock:
            copied = connection.with_memory(
                what, lambda: cl.enqueue_copy(connection.queue, memory.buffer, host, is_blocking=False)
            )
        self._keep(copied)

    def gathered(self, memories, sizes):
        """Return copies of several Memory, beside each other.

        Parameters
        ----------
        memories : sequence of Memory
            Which the caller lets go then, so that what lay around them can be given back.
        sizes : sequence of int
            Bytes of each.
        """
        import pyopencl as cl

        connection = self._connection
        if self._device.is_simulator:
            copies = [self.empty((size,), np.uint8).memory for size in sizes]
        else:
            copies = connection.with_memory("the weights", lambda: connection.arena.allocate_together(sizes))
        with connection.lock:
            for copy, memory, size in zip(copies, memories, sizes, strict=True):
                cl.enqueue_copy(connection.queue, copy.buffer, memory.buffer, byte_count=size)
        return copies

    def release(self):
        """Give the device back the memory of which nothing is in use, since as much will not be needed again."""
        self.finish()
        self._connection.arena.forget()

    def fill_free_memory(self, pattern):
        """Fill all memory that is kept for later, to see whether anything is read that nobody wrote.

        Parameters
        ----------
        pattern : ndarray
            What is repeated there: a power of two of bytes, and no more than :attr:`Device.alignment`.
        """
        import pyopencl as cl

        connection = self._connection
        with connection.lock:
            for part in connection.arena.free_parts():
                connection.with_memory(
                    "its memory",
                    lambda part=part: cl.enqueue_fill_buffer(connection.queue, part, pattern, 0, part.size),
                )

    def to_host(self, array):
        """Return a copy of a device array as a NumPy array, after all that was launched before :meth:`start_to_host`.

        Without that, after all that was launched at all.
        """
        import pyopencl as cl

        check_owner(array, self._device)
        connection, memory = self._connection, array.memory
        capture = self._capture.get()
        if capture is not None:
            capture.fetched(array)
        # Read once: another thread's launch may take it away.
        copy = memory.copy
        if copy is not None and connection.arena.is_settled:
            host, copied = copy
            connection.wait(copied)
            return host.reshape(array.shape).copy()
        host = np.empty(array.shape, array.dtype)
        if array.size:
            connection.with_memory(
                array, lambda: cl.enqueue_copy(connection.queue, host, memory.buffer, is_blocking=True)
            )
            connection.with_memory("its memory", connection.arena.settle)
        return host

    def start_to_host(self, array):
        """Queue a copy for :meth:`to_host`, which then need not wait for what is launched after this.

        For what is small and likely to be asked for, such as a loss: it is known before the backward pass is done.
        """
        capture = self._capture.get()
        if capture is not None:
            capture.copied(array)
            return
        host, memory = np.empty(array.shape, array.dtype), array.memory
        copied = self._reading(array, memory, host)
        self._keep(copied)
        memory.copy = host, copied

    def start_reading(self, array, host):
        """Queue a copy into an array of the host, which lies in one piece, and return it; None if it is empty.

        It does not wait for what is launched after this.
        """
        check_owner(array, self._device)
        if not array.size:
            return None
        return Copying(self._connection, self._reading(array, array.memory, host))

    def _reading(self, array, memory, host):
        import pyopencl as cl

        connection = self._connection
        with connection.lock:
            return connection.with_memory(
                array, lambda: cl.enqueue_copy(connection.queue, host, memory.buffer, is_blocking=False)
            )

    def finish(self):
        """Wait until everything queued so far is done."""
        self._connection.finish()
        self._copies.clear()

    def _keep(self, copied):
        # The event holds the array of the host, and would wait if it were let go before the device is done.
        self._copies.append(copied)
        if len(self._copies) > _MOST_COPIES:
            self._copies.popleft().wait()

    def _allocated(self, array):
        nbytes = array.nbytes or 1
        device, connection = self._device, self._connection
        if nbytes > device.largest_allocation:
            raise connection.memory_error(array)
        if not device.is_simulator:
            try:
                return connection.arena.allocate(nbytes)
            except opencl_errors():
                return connection.with_memory(array, lambda: connection.arena.allocate(nbytes))
        # Parts of one buffer would hide from a checker an access past the end of one. And Oclgrind 21.10 reports
        # uninitialised values where there are none in memory that it gives out a second time.
        import pyopencl as cl

        buffer = connection.with_memory(array, lambda: cl.Buffer(connection.context, cl.mem_flags.READ_WRITE, nbytes))
        self._kept_by_simulator.append(buffer)
        return Memory(buffer)

"""A device as OpenCL opens it."""

import contextlib
import threading

import numpy as np

from ...errors import BackendError, DeviceMemoryError
from .array import DeviceArray
from .memory import Arena

# Bytes on which arrays begin, at least: a line of the cache.
_LEAST_ALIGNMENT = 64


class _once:
    """An attribute that is made when first used: functools.cached_property lets two threads make two."""

    def __init__(self, make):
        self._make = make

    def __get__(self, connection, owner=None):
        name = self._make.__name__
        with connection.lock:
            if name not in vars(connection):
                vars(connection)[name] = self._make(connection)
        return vars(connection)[name]


def opencl_errors():
    """Return the class of pyopencl's errors, which an ``except`` asks for when there is one."""
    import pyopencl as cl

    return cl.Error


class Connection:
    """The context, the command queue and the memory of one device, each made when first used.

    Parameters
    ----------
    device : refcnn.opencl.runtime.device.Device
        Whose names messages tell.
    cl_device : pyopencl.Device

    Attributes
    ----------
    lock : threading.RLock
        Held while something is queued that must not come between what another thread queues.
    context : pyopencl.Context
    queue : pyopencl.CommandQueue
        What is queued in it runs in order.
    arena : refcnn.opencl.runtime.memory.Arena
    """

    def __init__(self, device, cl_device):
        self.lock = threading.RLock()
        self._device, self._cl_device = device, cl_device

    @_once
    def context(self):
        """The context of this device alone."""
        import pyopencl as cl

        with self._errors("a context could not be made"):
            return cl.Context([self._cl_device])

    @_once
    def queue(self):
        """The queue of copies and launches."""
        import pyopencl as cl

        with self._errors("a command queue could not be made"):
            return cl.CommandQueue(self.context, self._cl_device)

    @_once
    def arena(self):
        """The memory that arrays lie in."""
        import pyopencl as cl

        def make(nbytes):
            buffer = cl.Buffer(self.context, cl.mem_flags.READ_WRITE, nbytes)
            # Only when it is used do some devices find that they have no room for it.
            cl.enqueue_fill_buffer(self.queue, buffer, np.zeros(1, np.uint8), 0, 1)
            return buffer

        alignment = max(self._cl_device.mem_base_addr_align // 8, _LEAST_ALIGNMENT)
        return Arena(make, alignment, self._device.largest_allocation)

    def finish(self):
        """Wait until everything queued so far is done."""
        with self._errors("the work queued so far failed"):
            self.queue.finish()

    def wait(self, event):
        """Wait for one thing that was queued, and all before it."""
        with self._errors("the work queued so far failed"):
            event.wait()

    def profiling_queue(self):
        """Return another command queue, which notes the time of what is queued in it."""
        import pyopencl as cl

        with self._errors("a command queue that profiles could not be made"):
            return cl.CommandQueue(
                self.context, self._cl_device, properties=cl.command_queue_properties.PROFILING_ENABLE
            )

    def replace_queue(self, queue):
        """Queue in another queue from now on, when the former one is empty; return that."""
        # Nothing is queued meanwhile, since what follows in the new queue may read what it makes.
        with self.lock:
            self.finish()
            former, self.queue = self.queue, queue
        return former

    def with_memory(self, what, action):
        """Run an action; where memory fails, give unused buffers back and try once more.

        Parameters
        ----------
        what : DeviceArray or str
            What the action needs memory for.
        action : callable

        Raises
        ------
        BackendError
            If it fails for another reason.
        DeviceMemoryError
            If it fails again.
        """
        import pyopencl as cl

        try:
            return action()
        except cl.Error as error:
            if not _is_memory_failure(error):
                device = self._device
                raise BackendError(f"{device.name} ({device.device_name}) failed at {what}: {error}.") from error
        self.queue.finish()
        self.arena.release()
        try:
            return action()
        except cl.Error as error:
            raise self.memory_error(what) from error

    def memory_error(self, what):
        """Return the error that tells that there is no room for an array, or for what a text names."""
        device = self._device
        asked = (
            f"an array of shape {what.shape} asks for {_megabytes(what.nbytes)}"
            if isinstance(what, DeviceArray)
            else f"{what} asks for more"
        )
        return DeviceMemoryError(
            f"the memory of {device.device_name} ({device.name}) ran out: {asked}, "
            f"{_megabytes(self.arena.active)} are in use; the device has {_megabytes(device.global_memory)} "
            f"and allows {_megabytes(device.largest_allocation)} in one array. "
            "Use a smaller batch, a smaller model or another device."
        )

    @contextlib.contextmanager
    def _errors(self, what):
        import pyopencl as cl

        try:
            yield
        except cl.Error as error:
            kind = DeviceMemoryError if _is_memory_failure(error) else BackendError
            device = self._device
            raise kind(f"{device.name} ({device.device_name}): {what}: {error}. Try another device.") from error


def _is_memory_failure(error):
    import pyopencl as cl

    code = cl.status_code
    return isinstance(error, cl.MemoryError) or error.code in (
        code.MEM_OBJECT_ALLOCATION_FAILURE,
        code.OUT_OF_RESOURCES,
        code.OUT_OF_HOST_MEMORY,
        code.INVALID_BUFFER_SIZE,
    )


def _megabytes(nbytes):
    return f"{nbytes / 2**20:,.1f} MiB"

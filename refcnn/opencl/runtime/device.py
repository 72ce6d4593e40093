"""OpenCL devices: their memory, their compiled kernels, and launching those.

Everything that refcnn asks of OpenCL passes through :class:`Device`; nothing
outside this package imports pyopencl.
"""

import collections
import contextlib
import contextvars
import math
import os
import re
import threading

import numpy as np

from ...errors import ArgumentError, BackendError, DeviceMemoryError, ShapeError
from ...formats import FLOAT32
from ...mode import setting
from . import memory, program, signatures
from .array import DeviceArray
from .launching import Call, PreparedKernel, whole_groups

INT_MAX = 2**31 - 1
#: Floats of a vector in the kernels for CPU cores, on one CPU or another.
VECTOR_WIDTHS = (4, 8, 16)
# Kernel objects that are kept ready, each for one kernel and its sizes.
_MOST_PREPARED = 4096
# Copies that may be under way, so that the host does not run ahead without limit.
_MOST_COPIES = 16
# Bytes on which arrays begin, at least: a line of the cache.
_LEAST_ALIGNMENT = 64


class _once:
    """An attribute that is made when first used: functools.cached_property lets two threads make two."""

    def __init__(self, make):
        self._make = make

    def __get__(self, device, owner=None):
        name = self._make.__name__
        with device._lock:
            if name not in vars(device):
                vars(device)[name] = self._make(device)
        return vars(device)[name]


class Device:
    """One OpenCL device; its context, queue and arena of memory are made when first used.

    Launches and copies are queued in order and run in that order, so no other
    synchronisation is needed; :meth:`to_host` waits for what it copies.

    Attributes
    ----------
    name : str
        ``opencl:PLATFORM:DEVICE`` with the two numbers, as backends are named.
    platform_index, device_index : int
    platform_name, platform_version, device_name, driver_version, opencl_version : str
        As the runtime gives them.
    kind : str
        ``gpu``, ``accelerator`` or ``cpu``.
    compute_units : int
    global_memory : int
        Bytes.
    largest_allocation : int
        Bytes that one array may have.
    denormals : bool
        Whether it keeps float32 numbers below 2^-126 (``CL_FP_DENORM``).
    vector_width : int
        Floats of a vector in the kernels for CPU cores; :attr:`forced_vector_width` if that is not None.
    vector_widths : tuple of int
        Those of ``VECTOR_WIDTHS`` that its compiler can make code of.
    is_simulator : bool
    """

    def __init__(self, cl_device, platform_index, device_index):
        import pyopencl as cl

        self._device = cl_device
        self._lock = threading.RLock()
        self._programs = {}
        self._kept_by_simulator = []
        self._calls, self._prepared = {}, {}
        self._copies = collections.deque()
        # Of the thread or task that asked for them: what others launch is none of theirs.
        self._recording = contextvars.ContextVar("refcnn recording of launches", default=None)
        self._profile = contextvars.ContextVar("refcnn profile of launches", default=None)
        self.platform_index = platform_index
        self.device_index = device_index
        self.name = f"opencl:{platform_index}:{device_index}"
        self.platform_name = cl_device.platform.name.strip()
        self.platform_version = cl_device.platform.version.strip()
        self.device_name = cl_device.name.strip()
        self.driver_version = cl_device.driver_version.strip()
        self.opencl_version = cl_device.version.strip()
        kinds = {"gpu": cl.device_type.GPU, "accelerator": cl.device_type.ACCELERATOR}
        self.kind = next((kind for kind, flag in kinds.items() if cl_device.type & flag), "cpu")
        self.compute_units = cl_device.max_compute_units
        self.global_memory = cl_device.global_mem_size
        self.largest_allocation = cl_device.max_mem_alloc_size
        self.denormals = bool(cl_device.single_fp_config & cl.device_fp_config.DENORM)
        native = cl_device.native_vector_width_float
        self.vector_width = forced_vector_width() or _vector_width(self, native)
        self.vector_widths = _vector_widths(self, native)
        self.is_simulator = "oclgrind" in self.platform_name.lower()

    def __repr__(self):
        return f"Device({self.name}: {self.device_name}, {self.platform_name})"

    @_once
    def _context(self):
        import pyopencl as cl

        with _backend_errors(self, "a context could not be made"):
            return cl.Context([self._device])

    @_once
    def _queue(self):
        import pyopencl as cl

        with _backend_errors(self, "a command queue could not be made"):
            return cl.CommandQueue(self._context, self._device)

    @_once
    def _arena(self):
        import pyopencl as cl

        def make(nbytes):
            buffer = cl.Buffer(self._context, cl.mem_flags.READ_WRITE, nbytes)
            # Only when it is used do some devices find that they have no room for it.
            cl.enqueue_fill_buffer(self._queue, buffer, np.zeros(1, np.uint8), 0, 1)
            return buffer

        alignment = max(self._device.mem_base_addr_align // 8, _LEAST_ALIGNMENT)
        return memory.Arena(make, alignment, self.largest_allocation)

    @property
    def forced_vector_width(self):
        """What :func:`forced_vector_width` says."""
        return forced_vector_width()

    @property
    def held_memory(self):
        """Bytes of the device's memory that are in use or kept for later."""
        return self._arena.held

    def empty(self, shape, dtype=FLOAT32.dtype):
        """Return a new array whose contents are undefined.

        Raises
        ------
        DeviceMemoryError
            If the device has no room for it.
        """
        shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(map(int, shape))
        array = DeviceArray(self, shape, dtype, None)
        array._memory = self._allocate(array)
        recording = self._recording.get()
        if recording is not None:
            recording.made(array)
        return array

    def array(self, host):
        """Return a copy of a NumPy array on the device, in its dtype.

        Raises
        ------
        DeviceMemoryError
            If the device has no room for it.
        """
        import pyopencl as cl

        # A copy, since the caller may change its array before the device has read it.
        host = np.array(host, order="C")
        array = self.empty(host.shape, host.dtype)
        if array.size:
            with self._lock:
                copy = self._with_memory(
                    array, lambda: cl.enqueue_copy(self._queue, array.buffer, host, is_blocking=False)
                )
            self._keep(copy)
        recording = self._recording.get()
        if recording is not None:
            recording.filled(array, host)
        return array

    def _keep(self, copy):
        # The event holds the array of the host, and would wait if it were let go before the device is done.
        self._copies.append(copy)
        if len(self._copies) > _MOST_COPIES:
            self._copies.popleft().wait()

    def to_host(self, array):
        """Return a copy of a device array as a NumPy array, after all that was launched before :meth:`start_to_host`.

        Without that, after all that was launched at all.
        """
        import pyopencl as cl

        self.check_owner(array)
        memory = array.memory
        # Read once: another thread's launch may take it away.
        copy = memory.copy
        if copy is not None and self._arena.is_settled:
            host, copied = copy
            with _backend_errors(self, "the work queued so far failed"):
                copied.wait()
            return host.reshape(array.shape).copy()
        host = np.empty(array.shape, array.dtype)
        if array.size:
            self._with_memory(array, lambda: cl.enqueue_copy(self._queue, host, memory.buffer, is_blocking=True))
            self._with_memory("its memory", self._arena.settle)
        return host

    def start_to_host(self, array):
        """Queue a copy for :meth:`to_host`, which then need not wait for what is launched after this.

        For what is small and likely to be asked for, such as a loss: it is known before the backward pass is done.
        """
        import pyopencl as cl

        if self._recording.get() is not None:
            return
        host, memory = np.empty(array.shape, array.dtype), array.memory
        with self._lock:
            copied = self._with_memory(
                array, lambda: cl.enqueue_copy(self._queue, host, memory.buffer, is_blocking=False)
            )
        self._keep(copied)
        memory.copy = host, copied

    def finish(self):
        """Wait until everything launched so far is done."""
        with _backend_errors(self, "the work queued so far failed"):
            self._queue.finish()
        self._copies.clear()

    @contextlib.contextmanager
    def profiling(self):
        """Time every kernel launched inside a ``with`` block by the device's own clock.

        Yields
        ------
        list of (str, str, float, tuple of int)
            An entry for each launch, in order: the kernel's file stem and name, its seconds, which are known at the
            end, and its global size.
        """
        import pyopencl as cl

        timings = []
        with _backend_errors(self, "a command queue that profiles could not be made"):
            queue = cl.CommandQueue(
                self._context, self._device, properties=cl.command_queue_properties.PROFILING_ENABLE
            )
        former = self._replace_queue(queue)
        try:
            with setting(self._profile, timings):
                yield timings
            self.finish()
            timings[:] = [
                (file_stem, kernel_name, (event.profile.end - event.profile.start) * 1e-9, global_size)
                for file_stem, kernel_name, event, global_size in timings
            ]
        finally:
            self._replace_queue(former)

    def _replace_queue(self, queue):
        """Queue in another queue from now on, when the former one is empty; return that."""
        # Nothing is queued meanwhile, since what follows in the new queue may read what it makes.
        with self._lock:
            self.finish()
            former, self._queue = self._queue, queue
        return former

    def launch(self, file_stem, kernel_name, global_size, local_size, /, *, options=(), **arguments):
        """Queue one kernel.

        Parameters
        ----------
        file_stem, kernel_name : str
            The kernel ``kernel_name`` of ``kernels/<file_stem>.cl``.
        global_size : tuple of int
            Work-items in each dimension that there is work for; rounded up to
            whole work-groups, so that the kernel must test its bound. With a
            zero in it nothing is launched.
        local_size : tuple of int
            Work-items of a work-group. Always the same for one kernel: some
            runtimes compile a kernel anew for each local size they meet.
        options : tuple of str
            Build options, such as ``-DROWS=8``.
        **arguments : DeviceArray, None, int, float or numpy scalar
            Each of the kernel's arguments by the name that it has there. A number becomes one of the argument's type.
            None stands for an array that the kernel is told not to touch. An int is a size: the kernel is prepared
            for it; what changes from launch to launch had better be a numpy scalar.

        Raises
        ------
        ArgumentError
            If an argument is missing or unknown, or is not of the type that it has in the kernel's text, or an int is
            too large for it. Of sizes with which the kernel ran already the type is not looked at again.
        BackendError
            If there is no such kernel, an array lies on another device, or the launch fails.
        DeviceMemoryError
            If the device runs out of memory.
        KernelBuildError
            If the device's compiler refuses the kernel.
        """
        import pyopencl as cl

        if 0 in global_size:
            return
        call_key = file_stem, kernel_name, options, *arguments
        call = self._calls.get(call_key) or self._call(call_key, arguments)
        values = tuple(arguments.values())
        arrays, sizes = call.arrays_of(values), call.sizes_of(values)
        # Those that were put off are computed before any argument is set, since that may launch the same kernel.
        try:
            memories = [array and array.memory for array in arrays]
        except AttributeError:
            call.signature.check(arguments)
            raise
        recording = self._recording.get()
        if recording is not None:
            call.signature.check(arguments)
            rounded = whole_groups(global_size, local_size)
            recording.launched(call.signature, rounded, local_size, arguments, options)
            if not recording.execute:
                return
        key = call, global_size, local_size, sizes
        with self._lock:
            prepared = self._prepared.get(key) or self._prepare(options, *key)
            prepared.set(self, arrays, memories, call.numbers_of(values))
            work = self._queue, prepared.kernel, prepared.global_size, local_size
            try:
                event = cl.enqueue_nd_range_kernel(*work)
            except cl.Error:
                what = f"launching {kernel_name} over {prepared.global_size} work-items in groups of {local_size}"
                event = self._with_memory(what, lambda: cl.enqueue_nd_range_kernel(*work))
            profile = self._profile.get()
            if profile is not None:
                profile.append((file_stem, kernel_name, event, prepared.global_size))

    def _call(self, key, arguments):
        """Return where such arguments go, after they were checked against the kernel's text."""
        file_stem, kernel_name, options, *_ = key
        signature = self._signature(file_stem, kernel_name, options)
        signature.check(arguments)
        self._calls[key] = Call(signature, arguments)
        return self._calls[key]

    def _prepare(self, options, call, global_size, local_size, sizes):
        """Return a kernel object of its own for one kernel and its sizes, which are set for good."""
        file_stem, kernel_name, parameters = call.signature
        kernel = self._kernel(file_stem, kernel_name, options)
        if len(parameters) != kernel.num_args:
            raise BackendError(
                f"{kernel_name} in kernels/{file_stem}.cl has {kernel.num_args} arguments to the compiler of "
                f"{self.name}, but refcnn reads {', '.join(one.name for one in parameters)} in its text. "
                "Write them without what only a compiler knows."
            )
        prepared = PreparedKernel(call, kernel, whole_groups(global_size, local_size), sizes)
        if len(self._prepared) >= _MOST_PREPARED:
            self._prepared.clear()
        self._prepared[call, global_size, local_size, sizes] = prepared
        return prepared

    def _signature(self, file_stem, kernel_name, options):
        options = program.all_options(self, options)
        return signatures.signature(file_stem, kernel_name, program.source(file_stem), options)

    @contextlib.contextmanager
    def recording(self, execute=True):
        """Record every launch inside a ``with`` block, with all that running it again takes.

        Parameters
        ----------
        execute : bool
            Whether the launches also run. Without, no kernel is built either: for what crashes or hangs a device.

        Yields
        ------
        refcnn.opencl.runtime.recording.Recording
        """
        from .recording import Recording

        recording = Recording(self, execute)
        with setting(self._recording, recording):
            yield recording

    def check_owner(self, array):
        """Raise BackendError if an array lies on another device."""
        if array.device is not self:
            raise BackendError(
                f"an array lies on {array.device.name}, but is used on {self.name}. Copy it through the host first."
            )

    def _kernel(self, file_stem, kernel_name, options):
        import pyopencl as cl

        try:
            return cl.Kernel(self._program(file_stem, options), kernel_name)
        except cl.Error as error:
            raise BackendError(
                f"kernels/{file_stem}.cl has no kernel {kernel_name} on {self.name}: {error}."
            ) from error

    def _program(self, file_stem, options):
        key = file_stem, options
        if key not in self._programs:
            self._programs[key] = program.build(self, self._context, file_stem, options)
        return self._programs[key]

    def _allocate(self, array):
        nbytes = max(array.nbytes, 1)
        if nbytes > self.largest_allocation:
            raise self._memory_error(array)
        if self.is_simulator:
            # Parts of one buffer would hide from a checker an access past the end of one. And Oclgrind 21.10 reports
            # uninitialised values where there are none in memory that it gives out a second time.
            import pyopencl as cl

            buffer = self._with_memory(array, lambda: cl.Buffer(self._context, cl.mem_flags.READ_WRITE, nbytes))
            self._kept_by_simulator.append(buffer)
            return memory.Memory(buffer)
        return self._with_memory(array, lambda: self._arena.allocate(nbytes))

    def _with_memory(self, what, action):
        """Run an action; where memory fails, give unused buffers back and try once more."""
        import pyopencl as cl

        try:
            return action()
        except cl.Error as error:
            if not _is_memory_failure(error):
                raise BackendError(f"{self.name} ({self.device_name}) failed at {what}: {error}.") from error
        self._queue.finish()
        self._arena.release()
        try:
            return action()
        except cl.Error as error:
            raise self._memory_error(what) from error

    def _memory_error(self, what):
        asked = (
            f"an array of shape {what.shape} asks for {_megabytes(what.nbytes)}"
            if isinstance(what, DeviceArray)
            else f"{what} asks for more"
        )
        return DeviceMemoryError(
            f"the memory of {self.device_name} ({self.name}) ran out: {asked}, "
            f"{_megabytes(self._arena.active)} are in use; the device has {_megabytes(self.global_memory)} "
            f"and allows {_megabytes(self.largest_allocation)} in one array. "
            "Use a smaller batch, a smaller model or another device."
        )


class _ForkedDevice(Device):
    """A device in a child that was forked from a process with OpenCL: the threads of its runtime are not there."""

    def _refuse(self, *arguments, **options):
        raise BackendError(
            f"{self.name} ({self.device_name}) cannot be used here: this process was forked from one that had opened "
            "OpenCL, whose threads it lacks. Start processes by multiprocessing.get_context('spawn'), or fork before "
            "refcnn computes or lists its devices."
        )

    # Data descriptors, which come before what the parent kept on the object; that is never let go, since a runtime may
    # wait for its threads then.
    _context = _queue = _arena = held_memory = property(_refuse)
    launch = finish = _refuse


def keep_from_children(devices):
    """Let devices raise in processes that are forked from this one, where most runtimes would wait for ever."""
    if not hasattr(os, "register_at_fork"):
        return

    def forked():
        for device in devices:
            device.__class__ = _ForkedDevice

    os.register_at_fork(after_in_child=forked)


def check_countable(x_shape, w_shape, out):
    """Raise ShapeError if an array of a convolution has more elements than kernels can count.

    Parameters
    ----------
    x_shape, w_shape : tuple of int
        (N, C, H, W) and (K, C/groups, kh, kw)
    out : (int, int)
        Height and width of the result.
    """
    largest = max(math.prod(x_shape), math.prod(w_shape), math.prod((x_shape[0], w_shape[0], *out)))
    if largest > INT_MAX:
        raise ShapeError(
            f"Conv2d: x of shape {tuple(x_shape)} with w of shape {tuple(w_shape)} means an array of {largest} "
            f"elements, but the kernels count in 32 bits, up to {INT_MAX}. Use a smaller batch."
        )


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


@contextlib.contextmanager
def _backend_errors(device, what):
    import pyopencl as cl

    try:
        yield
    except cl.Error as error:
        kind = DeviceMemoryError if _is_memory_failure(error) else BackendError
        raise kind(f"{device.name} ({device.device_name}): {what}: {error}. Try another device.") from error


def pocl_version(device):
    """Return (major, minor) of the PoCL that runs a device, or None if another runtime does."""
    version = re.search(r"\bpocl (\d+)\.(\d+)", device.platform_version, re.IGNORECASE)
    return tuple(map(int, version.groups())) if version else None


def forced_vector_width():
    """Return the number of floats that the environment variable ``REFCNN_VECTOR_WIDTH`` names, or None.

    It stands in the place of what suits a device, so that the kernels that other CPUs run can be tested on this one.

    Raises
    ------
    ArgumentError
        If it is none of ``VECTOR_WIDTHS``.
    """
    named = os.environ.get("REFCNN_VECTOR_WIDTH")
    if not named:
        return None
    if named not in map(str, VECTOR_WIDTHS):
        raise ArgumentError(
            f"REFCNN_VECTOR_WIDTH is {named!r}, but kernels for CPUs have vectors of "
            f"{', '.join(map(str, VECTOR_WIDTHS[:-1]))} or {VECTOR_WIDTHS[-1]} floats. Correct it, or unset it."
        )
    return int(named)


def _vector_widths(device, native):
    """Return the widths of vectors that a device's compiler makes code of.

    PoCL before 3.1 comes with a compiler that is older than AMD's first CPU with AVX-512, and crashes at its registers.
    """
    pocl = pocl_version(device)
    is_known = not (pocl and pocl < (3, 1)) or "intel" in device.device_name.lower()
    return VECTOR_WIDTHS if is_known or native < VECTOR_WIDTHS[-1] else VECTOR_WIDTHS[:-1]


def _vector_width(device, native):
    """Return as many floats as a register holds, of 32 registers if it is 16, and as the compiler makes use of."""
    return max((width for width in _vector_widths(device, native) if width <= native), default=VECTOR_WIDTHS[0])

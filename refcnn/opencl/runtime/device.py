"""OpenCL devices.

Everything that refcnn asks of OpenCL passes through :class:`Device`; nothing
outside this package imports pyopencl.
"""

import contextlib
import contextvars
import operator
import os

from ...errors import BackendError
from ...mode import is_reproducible, setting
from .capturing import Capture
from .connection import Connection
from .launching import Launcher
from .own_kernels import OwnKernels
from .recording import Recording
from .storage import Storage
from .vectors import forced_vector_width, vector_width, vector_widths

#: For how many cores work is cut where the results are to be the same on any number of them: with fewer the work-items
#: queue, and more have nothing to do.
_UNITS_OF_PROCESSORS = 8


def _of(part, method):
    """Return an attribute that is a method of one of a device's parts."""
    # As quick as a method of the device's own; passing on what a launch names would copy all of it.
    return property(operator.attrgetter(f"{part}.{method.__name__}"), doc=method.__doc__)


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
    global_memory : int
        Bytes.
    largest_allocation : int
        Bytes that one array may have.
    vector_width : int
        Floats of a vector in the kernels for CPU cores; :attr:`forced_vector_width` if that is not None.
    vector_widths : tuple of int
        Those of ``VECTOR_WIDTHS`` that its compiler can make code of.
    is_simulator : bool
    build_options : tuple of str
        Those of every kernel, beside its own.
    """

    def __init__(self, cl_device, platform_index, device_index):
        import pyopencl as cl

        self._device = cl_device
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
        self._compute_units = cl_device.max_compute_units
        self.global_memory = cl_device.global_mem_size
        self.largest_allocation = cl_device.max_mem_alloc_size
        native = cl_device.native_vector_width_float
        self.vector_width = forced_vector_width() or vector_width(self, native)
        self.vector_widths = vector_widths(self, native)
        self.is_simulator = "oclgrind" in self.platform_name.lower()
        # Where weights decay that no gradient reaches, training makes many subnormal numbers, for each of which a
        # processor takes a hundred times as long as for another.
        self.build_options = ("-cl-denorms-are-zero",)
        if self.is_simulator:
            # Its check of uninitialised reads does not know every instruction that its optimiser makes.
            self.build_options += ("-cl-opt-disable",)
        # Of the thread or task that asked for it: what others launch is none of its.
        self._capture = contextvars.ContextVar("refcnn capture of launches", default=None)
        self._connection = Connection(self, cl_device)
        self._storage = Storage(self, self._connection, self._capture)
        self._launcher = Launcher(self, self._connection, self._capture)

    def __repr__(self):
        return f"Device({self.name}: {self.device_name}, {self.platform_name})"

    empty = _of("_storage", Storage.empty)
    array = _of("_storage", Storage.array)
    write = _of("_storage", Storage.write)
    to_host = _of("_storage", Storage.to_host)
    start_to_host = _of("_storage", Storage.start_to_host)
    start_reading = _of("_storage", Storage.start_reading)
    finish = _of("_storage", Storage.finish)
    gathered = _of("_storage", Storage.gathered)
    release = _of("_storage", Storage.release)
    fill_free_memory = _of("_storage", Storage.fill_free_memory)
    launch = _of("_launcher", Launcher.launch)
    profiling = _of("_launcher", Launcher.profiling)
    kernel = _of("_launcher", Launcher.kernel)
    queue = _of("_launcher", Launcher.queue)

    @property
    def compute_units(self):
        """For how many cores, or what a GPU has in their place, work is cut.

        How sums are cut decides about their last bits, and a process may have any number of a processor's cores: where
        these must not depend on it they are cut for a number of their own.
        """
        return _UNITS_OF_PROCESSORS if self.kind == "cpu" and is_reproducible() else self._compute_units

    @property
    def forced_vector_width(self):
        """What :func:`~refcnn.opencl.runtime.vectors.forced_vector_width` says."""
        return forced_vector_width()

    @property
    def held_memory(self):
        """Bytes of the device's memory that are in use or kept for later."""
        return self._connection.arena.held

    @property
    def alignment(self):
        """Bytes of which the beginning of an array is a multiple."""
        return self._connection.arena.alignment

    @property
    def is_captured(self):
        """Whether :meth:`capture` or :meth:`recording` is open."""
        return self._capture.get() is not None

    def computes_once(self, array):
        """Return whether what is made of an array is made this once, to be used many times: see :meth:`recording`."""
        recording = self._capture.get()
        return isinstance(recording, Recording) and not recording.varies(array)

    def own_kernels(self, name, text, parameters, options):
        """Return the :class:`~refcnn.opencl.runtime.own_kernels.OwnKernels` of a text, which belongs to the user."""
        return OwnKernels(self, self._connection, name, text, parameters, options)

    def queueing(self):
        """Return a context manager within which no other thread queues anything."""
        return self._connection.lock

    def holding(self, holder):
        """As :meth:`~refcnn.opencl.runtime.memory.Arena.holding`."""
        return self._connection.arena.holding(holder)

    @contextlib.contextmanager
    def recording(self, inputs):
        """Record every launch inside a ``with`` block, to make them anew for others in the place of these inputs.

        Parameters
        ----------
        inputs : sequence of DeviceArray

        Yields
        ------
        refcnn.opencl.runtime.recording.Recording
        """
        recording = Recording(inputs)
        with setting(self._capture, recording):
            yield recording

    @contextlib.contextmanager
    def capture(self, execute=True):
        """Capture every launch inside a ``with`` block, with all that running it again takes.

        Parameters
        ----------
        execute : bool
            Whether the launches also run. Without, no kernel is built either: for what crashes or hangs a device.

        Yields
        ------
        refcnn.opencl.runtime.capturing.Capture
        """
        capture = Capture(self, execute)
        with setting(self._capture, capture):
            yield capture


class _ForkedDevice(Device):
    """A device in a child that was forked from a process with OpenCL: the threads of its runtime are not there."""

    def _refuse(self):
        raise BackendError(
            f"{self.name} ({self.device_name}) cannot be used here: this process was forked from one that had opened "
            "OpenCL, whose threads it lacks. Start processes by multiprocessing.get_context('spawn'), or fork before "
            "refcnn computes or lists its devices."
        )

    # Data descriptors, which come before what the parent kept on the object; that is never let go, since a runtime may
    # wait for its threads then.
    _connection = _storage = _launcher = property(_refuse)


def keep_from_children(devices):
    """Let devices raise in processes that are forked from this one, where most runtimes would wait for ever."""
    if not hasattr(os, "register_at_fork"):
        return

    def forked():
        for device in devices:
            device.__class__ = _ForkedDevice

    os.register_at_fork(after_in_child=forked)

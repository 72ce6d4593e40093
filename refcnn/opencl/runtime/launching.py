"""Launches of kernels, which are built at their first and ready for the next ones."""

import contextlib
import contextvars
import math
import operator

from ...errors import ArgumentError, BackendError
from ...mode import setting
from . import kernels, signatures
from .array import check_owner
from .connection import opencl_errors

# Kernel objects that are kept ready, each for one kernel and its sizes.
_MOST_PREPARED = 4096


class Launcher:
    """What launches kernels on one device.

    Parameters
    ----------
    device : refcnn.opencl.runtime.device.Device
    connection : refcnn.opencl.runtime.connection.Connection
    capture : contextvars.ContextVar
        The :class:`~refcnn.opencl.runtime.capturing.Capture` that notes launches, or None.
    """

    def __init__(self, device, connection, capture):
        self._device, self._connection, self._capture = device, connection, capture
        # Of the thread or task that asked for it: what others launch is none of theirs.
        self._profile = contextvars.ContextVar("refcnn profile of launches", default=None)
        self._programs, self._calls, self._prepared = {}, {}, {}

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
        capture = self._capture.get()
        if capture is not None:
            call.signature.check(arguments)
            rounded = whole_groups(global_size, local_size)
            capture.launched(call.signature, rounded, local_size, arguments, options)
            if not capture.execute:
                return
        connection, key = self._connection, (call, global_size, local_size, sizes)
        with connection.lock:
            prepared = self._prepared.get(key) or self._prepare(options, *key)
            prepared.set(self._device, arrays, memories, call.numbers_of(values))
            work = connection.queue, prepared.kernel, prepared.global_size, local_size
            try:
                event = cl.enqueue_nd_range_kernel(*work)
            except cl.Error:
                what = f"launching {kernel_name} over {prepared.global_size} work-items in groups of {local_size}"
                event = connection.with_memory(what, lambda: cl.enqueue_nd_range_kernel(*work))
            profile = self._profile.get()
            if profile is not None:
                profile.append((file_stem, kernel_name, event, prepared.global_size))

    def kernel(self, file_stem, kernel_name, options):
        """Return a kernel object of one's own, for :meth:`queue`."""
        return self._kernel(file_stem, kernel_name, options)

    def queue(self, steps):
        """Queue kernels whose arguments are set, none of another thread's in between.

        Parameters
        ----------
        steps : sequence of (str, str, pyopencl.Kernel, tuple of int, tuple of int)
            File stem and name, the kernel, its global size in whole work-groups, its local size.

        Raises
        ------
        BackendError
            If a launch fails.
        DeviceMemoryError
            If the device runs out of memory.
        """
        import pyopencl as cl

        connection, enqueue, profile = self._connection, cl.enqueue_nd_range_kernel, self._profile.get()
        with connection.lock:
            queue = connection.queue
            for file_stem, kernel_name, *work in steps:
                try:
                    event = enqueue(queue, *work)
                except cl.Error:
                    event = connection.with_memory(f"launching {kernel_name}", lambda work=work: enqueue(queue, *work))
                if profile is not None:
                    profile.append((file_stem, kernel_name, event, work[1]))

    @contextlib.contextmanager
    def profiling(self):
        """Time every kernel launched inside a ``with`` block by the device's own clock.

        Yields
        ------
        list of (str, str, float, tuple of int)
            An entry for each launch, in order: the kernel's file stem and name, its seconds, which are known at the
            end, and its global size.
        """
        timings, connection = [], self._connection
        former = connection.replace_queue(connection.profiling_queue())
        try:
            with setting(self._profile, timings):
                yield timings
            connection.finish()
            timings[:] = [
                (file_stem, kernel_name, (event.profile.end - event.profile.start) * 1e-9, global_size)
                for file_stem, kernel_name, event, global_size in timings
            ]
        finally:
            connection.replace_queue(former)

    def _call(self, key, arguments):
        """Return where such arguments go, after they were checked against the kernel's text."""
        file_stem, kernel_name, options, *_ = key
        capture = self._capture.get()
        builds = capture is None or capture.execute
        try:
            signature = self._signature(file_stem, kernel_name, options)
        except BackendError:
            if not builds:
                # What shows a kernel that does not build has no need of its arguments' types.
                return Call(signatures.as_given(file_stem, kernel_name, arguments), arguments)
            # What the compiler refuses too is explained by what the compiler says.
            self._program(file_stem, options)
            raise
        try:
            signature.check(arguments)
        except ArgumentError:
            if builds:
                self._program(file_stem, options)
            raise
        self._calls[key] = Call(signature, arguments)
        return self._calls[key]

    def _prepare(self, options, call, global_size, local_size, sizes):
        """Return a kernel object of its own for one kernel and its sizes, which are set for good."""
        file_stem, kernel_name, parameters = call.signature
        kernel = self._kernel(file_stem, kernel_name, options)
        if len(parameters) != kernel.num_args:
            raise BackendError(
                f"{kernel_name} in kernels/{file_stem}.cl has {kernel.num_args} arguments to the compiler of "
                f"{self._device.name}, but refcnn reads {', '.join(one.name for one in parameters)} in its text. "
                "Write them without what only a compiler knows."
            )
        prepared = PreparedKernel(call, kernel, whole_groups(global_size, local_size), sizes)
        if len(self._prepared) >= _MOST_PREPARED:
            self._prepared.clear()
        self._prepared[call, global_size, local_size, sizes] = prepared
        return prepared

    def _signature(self, file_stem, kernel_name, options):
        options = (*options, *self._device.build_options)
        return signatures.signature(file_stem, kernel_name, kernels.source(file_stem), options)

    def _kernel(self, file_stem, kernel_name, options):
        import pyopencl as cl

        try:
            return cl.Kernel(self._program(file_stem, options), kernel_name)
        except cl.Error as error:
            raise BackendError(
                f"kernels/{file_stem}.cl has no kernel {kernel_name} on {self._device.name}: {error}."
            ) from error

    def _program(self, file_stem, options):
        key = file_stem, options
        if key not in self._programs:
            self._programs[key] = kernels.build(self._device, self._connection.context, file_stem, options)
        return self._programs[key]


class Call:
    """Where the arguments of a kernel are found in launches that name them in the same order.

    Parameters
    ----------
    signature : refcnn.opencl.runtime.signatures.Signature
    arguments : dict of str to (DeviceArray, None, int, float or numpy scalar)
        Of the first such launch, which were checked. What is an int there is a size.

    Attributes
    ----------
    arrays, sizes, numbers : list of (int, Parameter)
        Where the kernel has them, in the order in which they are given.
    arrays_of, sizes_of, numbers_of : callable
        What of all values in that order is an array or None, a size, another number, as a tuple.
    """

    __slots__ = ("signature", "arrays", "sizes", "numbers", "arrays_of", "sizes_of", "numbers_of")

    def __init__(self, signature, arguments):
        self.signature = signature
        places = {parameter.name: (place, parameter) for place, parameter in enumerate(signature.parameters)}
        found = {"arrays": [], "sizes": [], "numbers": []}
        for index, (name, value) in enumerate(arguments.items()):
            place, parameter = places[name]
            kind = "arrays" if parameter.is_array else "sizes" if type(value) is int else "numbers"
            found[kind].append((index, place, parameter))
        self.arrays, self.sizes, self.numbers = ([entry[1:] for entry in entries] for entries in found.values())
        self.arrays_of, self.sizes_of, self.numbers_of = (
            _taking([index for index, *_ in entries]) for entries in found.values()
        )


def _taking(indices):
    if len(indices) > 1:
        return operator.itemgetter(*indices)
    return (lambda values: (values[indices[0]],)) if indices else (lambda values: ())


class PreparedKernel:
    """A kernel object whose sizes are set for good, so that a launch sets only what differs from the one before.

    Parameters
    ----------
    call : Call
        How the arguments of all its launches are given.
    kernel : pyopencl.Kernel
    global_size : tuple of int
    sizes : tuple of int
        As :attr:`Call.sizes_of` returns them.
    """

    __slots__ = ("kernel", "global_size", "_call", "_set_arg", "_numbers")

    def __init__(self, call, kernel, global_size, sizes):
        self.kernel, self.global_size, self._call, self._set_arg = kernel, global_size, call, kernel.set_arg
        # The numbers that were set last; NaN equals none.
        self._numbers = [math.nan] * len(call.numbers)
        for (place, parameter), size in zip(call.sizes, sizes, strict=True):
            self._set(place, parameter, size)

    def set(self, device, arrays, memories, numbers):
        """Set the arguments that are no sizes; numbers only where they are others than last time, for they are slow.

        Parameters
        ----------
        device : Device
        arrays, memories : sequence
            Arrays, and where they lie, or None where the kernel is told not to touch any.
        numbers : sequence
        """
        call, set_arg = self._call, self._set_arg
        for (place, parameter), array, memory in zip(call.arrays, arrays, memories, strict=True):
            if array is None:
                set_arg(place, self._stand_in(memories).buffer)
                continue
            if array.device is not device:
                check_owner(array, device)
            if array.dtype is not parameter.dtype:
                call.signature.check_value(parameter, array)
            memory.copy = None
            set_arg(place, memory.buffer)
        if numbers:
            former = self._numbers
            for index, number in enumerate(numbers):
                # Zeros are always set, since 0.0 == -0.0.
                if number != former[index] or number == 0:
                    # Forgotten first: an argument that is refused must not count as set.
                    former[index] = math.nan
                    self._set(*call.numbers[index], number)
                    former[index] = number

    def _stand_in(self, memories):
        """Return the first array's memory: it stands in the place of those that the kernel is told not to touch."""
        for memory in memories:
            if memory is not None:
                return memory
        raise ArgumentError(f"{self._call.signature} was given None in the place of every array. Give at least one.")

    def _set(self, place, parameter, number):
        self._call.signature.check_value(parameter, number)
        try:
            self._set_arg(place, parameter.converted(number))
        except (opencl_errors(), TypeError) as error:
            raise ArgumentError(
                f"{self._call.signature}: {parameter.name} is {number!r}, which the device does not take: {error}."
            ) from error


def whole_groups(global_size, local_size):
    """Return a global size rounded up to whole work-groups."""
    return tuple(-(-size // local) * local for size, local in zip(global_size, local_size, strict=True))

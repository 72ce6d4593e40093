"""Launches of kernels that are a user's own, in memory that shows what they do beside what they should.

Each array lies between guards, and what is to be written, the guards and what nobody wrote hold nothing in particular,
in each of two runs something else. A simulator, which sees for itself what a kernel does, is given arrays as they are.
"""

import contextlib
import typing

import numpy as np

from ...errors import ArgumentError, BackendError
from . import kernels
from .capturing import Buffer, Launch

#: Bytes before and behind each array, where nobody is to write.
_GUARD = 1 << 14

# Oclgrind 21.10 reports uninitialised values where there are none in memory that it gives out a second time.
_kept_by_simulator = []


class OwnArray(typing.NamedTuple):
    """An array that launches are given.

    Attributes
    ----------
    contents : ndarray or None
        None of what they write.
    shape : tuple of int
    dtype : numpy dtype
    """

    contents: np.ndarray | None
    shape: tuple
    dtype: np.dtype

    @property
    def nbytes(self):
        """Bytes."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def __str__(self):
        return f"{self.dtype.name} {self.shape}"


class OwnLaunch(typing.NamedTuple):
    """One launch: sizes in work-items, ``arguments`` by the kernel's names.

    Each is ``("array", name)``, ``("number", value)``, ``("local", bytes)`` or ``("null", None)``.
    """

    kernel_name: str
    global_size: tuple
    local_size: tuple
    arguments: dict


class OwnRun(typing.NamedTuple):
    """What a run left.

    Attributes
    ----------
    arrays : dict of str to ndarray
        What was to be written.
    untouched : dict of str to (ndarray of bool)
        Which of their elements hold what they held before.
    strays : list of str
        What was written beside that, a sentence for each array.
    """

    arrays: dict
    untouched: dict
    strays: list


class OwnCapture:
    """What a run would be asked, as :class:`~refcnn.opencl.runtime.capturing.Capture` notes it of other kernels."""

    def __init__(self, device, arrays):
        self.device, self.launches, self.sources = device, [], {}
        self._numbers = {name: number for number, name in enumerate(arrays)}
        self._arrays = arrays
        self.buffers = [
            Buffer(one.dtype, one.nbytes, _held(one, _poison(0, 0)).view(one.dtype)) for one in arrays.values()
        ]

    def number(self, array):
        """Return the number of the buffer in which an array lies."""
        return next(number for number, one in enumerate(self._arrays.values()) if one is array)

    def argument(self, kind, value):
        """Return an argument as launches note it."""
        return ("buffer", self._numbers[value]) if kind == "array" else (kind, value)


class OwnKernels:
    """The kernels of one file on one device.

    Parameters
    ----------
    device : refcnn.opencl.runtime.device.Device
    connection : refcnn.opencl.runtime.connection.Connection
    name : str
        The file's, for messages.
    text : str
    parameters : dict of str to (tuple of Parameter)
        By the kernel's name.
    options : tuple of str
    """

    def __init__(self, device, connection, name, text, parameters, options):
        self._device, self._connection, self._name, self._text = device, connection, name, text
        self._parameters, self._options = parameters, options
        if device.is_simulator:
            # Its check of uninitialised reads does not know every instruction that its optimiser makes.
            self._options += ("-cl-opt-disable",)
        self._built = {}

    def run(self, launches, arrays, number):
        """Run launches one after the other.

        Parameters
        ----------
        launches : sequence of tuple
            The fields of an OwnLaunch.
        arrays : dict of str to tuple
            The fields of an OwnArray.
        number : int
            That of the run, 0 or 1, which decides what memory holds that nobody wrote.

        Returns
        -------
        OwnRun

        Raises
        ------
        ArgumentError
            If an argument is not what the kernel takes.
        BackendError
            If a launch fails.
        KernelBuildError
            If the compiler refuses the file.
        """
        arrays = _whole(arrays)
        guarded = {
            name: self._memory(name, array, _poison(number, 2 * place), _poison(number, 2 * place + 1))
            for place, (name, array) in enumerate(arrays.items())
        }
        for launch in launches:
            self._launch(OwnLaunch(*launch), arrays, guarded)
        with self._errors("what was launched"):
            self._connection.queue.finish()
        written, untouched, strays = {}, {}, []
        for name, memory in guarded.items():
            with self._errors(f"reading {name}"):
                found = memory.found(self._connection.queue)
            strays += filter(None, [memory.stray(found)])
            if arrays[name].contents is None:
                written[name], untouched[name] = memory.elements(found)
        return OwnRun(written, untouched, strays)

    def captured(self, launches, arrays, results):
        """Return the OwnCapture of launches, which are not run, and the arrays that are results, by their names."""
        arrays = _whole(arrays)
        capture = OwnCapture(self._device, arrays)
        capture.sources[_stem(self._name)] = self._text
        for launch in filter(_is_work, (OwnLaunch(*launch) for launch in launches)):
            arguments = [
                capture.argument(kind, value) if kind != "number" else (value.dtype.name, value.item())
                for kind, value in self._checked(launch, arrays)
            ]
            sizes = launch.global_size, launch.local_size
            capture.launches.append(Launch(_stem(self._name), launch.kernel_name, *sizes, self._options, arguments))
        return capture, [arrays[name] for name in results]

    def _memory(self, name, array, *poisons):
        connection = self._connection
        with self._errors(f"making room for {name}"):
            if self._device.is_simulator:
                _kept_by_simulator.append(_Plain(connection, array))
                return _kept_by_simulator[-1]
            return _Guarded(connection, name, array, poisons, self._device.alignment)

    def _launch(self, launch, arrays, memories):
        import pyopencl as cl

        if not _is_work(launch):
            return
        kernel = self._kernel(launch.kernel_name)
        sizes = launch.global_size, launch.local_size
        with self._errors(f"launching {launch.kernel_name} over {sizes[0]} work-items in groups of {sizes[1]}"):
            for place, (kind, value) in enumerate(self._checked(launch, arrays)):
                if kind == "array":
                    value = memories[value].buffer
                elif kind == "local":
                    value = cl.LocalMemory(value)
                kernel.set_arg(place, value)
            cl.enqueue_nd_range_kernel(self._connection.queue, kernel, *sizes)

    def _kernel(self, name):
        import pyopencl as cl

        if name not in self._built:
            program = self._built.get(None) or kernels.compiled(
                self._device, self._connection.context, self._name, self._text, self._options
            )
            self._built[None] = program
            with self._errors(f"taking the kernel {name}"):
                self._built[name] = cl.Kernel(program, name)
            count, parameters = self._built[name].num_args, self._parameters[name]
            if count != len(parameters):
                raise BackendError(
                    f"{name} in {self._name} has {count} arguments to the compiler, but refcnn reads "
                    f"{', '.join(one.name for one in parameters)} in its text. Write them without what only a compiler "
                    "knows."
                )
        return self._built[name]

    def _checked(self, launch, arrays):
        """Return (kind, value) of each argument in the kernel's order, numbers as the kernel takes them."""
        return [
            _checked(f"{launch.kernel_name} in {self._name}", parameter, *launch.arguments[parameter.name], arrays)
            for parameter in self._parameters[launch.kernel_name]
        ]

    @contextlib.contextmanager
    def _errors(self, what):
        import pyopencl as cl

        try:
            yield
        except cl.Error as error:
            raise BackendError(f"{self._device.name} ({self._device.device_name}): {what} failed: {error}.") from error


def _whole(arrays):
    return {name: OwnArray(*array) for name, array in arrays.items()}


def _is_work(launch):
    return 0 not in launch.global_size


def _stem(name):
    # What is a file's name in a bundle: of letters that any system takes.
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name.removesuffix(".cl"))


def _checked(kernel, parameter, kind, value, arrays):
    if kind != "number" and not parameter.is_array:
        given = {"array": f"the array {value}", "null": "nothing", "local": "local memory"}[kind]
        raise ArgumentError(f"{kernel}: {parameter.name} is given {given}, but takes {parameter}.")
    if kind == "array":
        itemsize = arrays[value].dtype.itemsize
        if parameter.dtype is not None and parameter.dtype.itemsize != itemsize:
            raise ArgumentError(f"{kernel}: {parameter.name} takes {parameter}, but {value} is {arrays[value]}.")
    if kind != "number":
        return kind, value
    if parameter.is_array:
        raise ArgumentError(f"{kernel}: {parameter.name} is given {value!r}, but takes {parameter}.")
    if not isinstance(value, int | float | np.number | np.bool_):
        raise ArgumentError(f"{kernel}: {parameter.name} is given {value!r}, which is no number.")
    dtype = parameter.dtype or np.dtype(np.float32 if isinstance(value, float) else np.int32)
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return kind, dtype.type(value)
    limits = np.iinfo(dtype)
    if value != int(value) or not limits.min <= value <= limits.max:
        raise ArgumentError(f"{kernel}: {parameter.name} is given {value!r}, but takes {dtype.name}.")
    return kind, dtype.type(int(value))


def _poison(run, place):
    """Return what memory holds that nobody wrote, another number in each run and each place.

    NaN in the first, and in the second a number that is large enough to be seen; no byte of either is a truth value.
    """
    return np.uint32(0x7FC5A510 + place) if run == 0 else np.float32(-(12345680 + 16 * place)).view(np.uint32)


def _held(array, poison):
    """Return the bytes of an array's contents, or of what memory holds in their place."""
    if array.contents is not None:
        return np.ascontiguousarray(array.contents).view(np.uint8).reshape(-1)
    return _repeated(poison, array.nbytes)


def _repeated(poison, nbytes):
    return np.full(-(-nbytes // poison.itemsize), poison).view(np.uint8)[:nbytes]


class _Guarded:
    """An array between guards."""

    def __init__(self, connection, name, array, poisons, alignment):
        import pyopencl as cl

        self._name, self._array = name, array
        self._start = -(-_GUARD // alignment) * alignment
        inside, outside = poisons
        guards = (_repeated(outside, nbytes) for nbytes in (self._start, _GUARD))
        self._whole = np.concatenate([next(guards), _held(array, inside), *guards])
        flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
        self._buffer = cl.Buffer(connection.context, flags, hostbuf=self._whole)
        self.buffer = self._buffer.get_sub_region(self._start, max(array.nbytes, 1))

    def found(self, queue):
        """Return all bytes as they are on the device."""
        import pyopencl as cl

        found = np.empty_like(self._whole)
        cl.enqueue_copy(queue, found, self._buffer)
        return found

    def elements(self, found):
        """Return the array among bytes that were found, and which of its elements are as they were before."""
        inside, shape = slice(self._start, self._start + self._array.nbytes), self._array.shape
        same = (found[inside] == self._whole[inside]).reshape(-1, self._array.dtype.itemsize).all(axis=1)
        return found[inside].view(self._array.dtype).reshape(shape), same.reshape(shape)

    def stray(self, found):
        """Return what was written where nothing was to be written, or None."""
        places = np.flatnonzero(found != self._whole) - self._start
        array, end = self._array, self._array.nbytes
        outside = places[(places < 0) | (places >= end)] // array.dtype.itemsize
        if outside.size:
            first, last, size = int(outside[0]), int(outside[-1]), end // array.dtype.itemsize
            which = f"element {first}" if first == last else f"elements {first} to {last}"
            return f"wrote outside of {self._name} ({array}): where {which} would lie, but it has 0 to {size - 1}"
        if array.contents is not None and places.size:
            element = np.unravel_index(int(places[0]) // array.dtype.itemsize, array.shape)
            return f"changed {self._name} ({array}), which it is given to read: element {tuple(map(int, element))}"
        return None


class _Plain:
    """An array as it is."""

    def __init__(self, connection, array):
        import pyopencl as cl

        self._array = array
        self.buffer = cl.Buffer(connection.context, cl.mem_flags.READ_WRITE, max(array.nbytes, 1))
        if array.contents is not None and array.nbytes:
            cl.enqueue_copy(connection.queue, self.buffer, np.ascontiguousarray(array.contents))

    def found(self, queue):
        """Return the array; of what nobody may write nothing."""
        import pyopencl as cl

        found = np.zeros(self._array.shape, self._array.dtype)
        if self._array.contents is None and found.size:
            cl.enqueue_copy(queue, found, self.buffer)
        return found

    def elements(self, found):
        """Return the array; the simulator tells what was never written when it is read."""
        return found, np.zeros(found.shape, bool)

    def stray(self, found):
        """Return None: the simulator tells of it."""

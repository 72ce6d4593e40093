"""Launches that are made anew for other inputs, without what led to them.

Which kernels compute a result, with which sizes, follows from the shapes of
the inputs; to find it out anew each time can take longer than they do. What
depends on no input, such as weights in the order in which a kernel reads them,
is computed once. And as it is known when each array is read for the last time,
they are given places beforehand, which several share one after the other.
"""

import dataclasses

from .array import DeviceArray


@dataclasses.dataclass(eq=False, slots=True)
class Noted:
    """The memory of an array that launches read or write.

    Attributes
    ----------
    nbytes : int
    is_fixed : bool
        Whether it had its contents before any launch.
    varies : bool
        Whether its contents depend on an input.
    memory : Memory or None
        Held where the contents are needed the next time too.
    place : int or None
        Which of a replay's places it lies in.
    uses : list of int
        The launches that are given it.
    """

    nbytes: int
    is_fixed: bool
    varies: bool
    memory: object
    place: int | None = None
    uses: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass(eq=False, slots=True)
class _Launch:
    """A launch, of which ``arguments`` are numpy scalars and :class:`Noted` arrays, in the kernel's order."""

    number: int
    file_stem: str
    kernel_name: str
    global_size: tuple
    local_size: tuple
    options: tuple
    arguments: list
    read: list
    written: list

    @property
    def varies(self):
        return any(array.varies for array in (*self.read, *self.written))


class Recording:
    """The launches made while :meth:`Device.recording` is open.

    Attributes
    ----------
    execute : bool
        Launches also run.
    """

    execute = True

    def __init__(self, inputs):
        self._inputs = [Noted(array.nbytes, True, True, array.memory) for array in inputs]
        self._arrays = {id(array.memory): noted for array, noted in zip(inputs, self._inputs, strict=True)}
        self._launches, self._is_repeatable = [], len(self._arrays) == len(inputs)

    def made(self, array):
        """Note a new array of which nothing is known but its size."""
        # The object of memory that was given back may be made anew.
        self._arrays[id(array._memory)] = Noted(array.nbytes, False, False, None)

    def filled(self, array, contents):
        """Note that the host wrote into an array before any launch was given it."""
        noted = self._arrays[id(array._memory)]
        noted.is_fixed, noted.memory = True, array._memory

    def varies(self, array):
        """Return whether an array depends on an input."""
        return self._noted(array).varies

    def fetched(self, array):
        """Note that the host reads an array: what it does then may depend on the inputs."""
        self._is_repeatable = self._is_repeatable and not self.varies(array)

    def launched(self, signature, global_size, local_size, arguments, options):
        """Note a launch, whose arguments were checked."""
        values = signature.in_order(arguments)
        values = [self._noted(value) if isinstance(value, DeviceArray) else value for value in values]
        read, written = [], []
        for parameter, value in zip(signature.parameters, values, strict=True):
            if parameter.is_array and arguments[parameter.name] is not None:
                (read if parameter.is_read_only else written).append(value)
        file_stem, kernel_name, _ = signature
        names, sizes = (len(self._launches), file_stem, kernel_name), (global_size, tuple(local_size))
        launch = _Launch(*names, *sizes, options, values, read, written)
        self._launches.append(launch)
        varies = launch.varies
        for noted in written:
            noted.varies = varies
            # As long as no input is found on which it depends, it is not to be computed again.
            if not noted.is_fixed:
                noted.memory = None if varies else self._memory_of(arguments, noted)

    def replay(self, device, results):
        """Return what makes the launches anew, or None if others may be needed then.

        Parameters
        ----------
        device : Device
        results : sequence of DeviceArray
            What was computed.
        """
        # Those too that depend on no input, but write an array that others of them write.
        launches = [launch for launch in self._launches if launch.varies]
        if not self._is_repeatable or any(noted.is_fixed for launch in launches for noted in launch.written):
            return None
        noted = [self._noted(result) for result in results]
        for number, launch in enumerate(launches):
            for value in launch.arguments:
                if isinstance(value, Noted):
                    value.uses.append(number)
        arrays = {id(value): value for launch in launches for value in launch.arguments if isinstance(value, Noted)}
        inner = [
            array for array in arrays.values() if not array.is_fixed and array.memory is None and array not in noted
        ]
        places = placed(inner)
        for array in self._arrays.values():
            if id(array) not in arrays:
                array.memory = None
        derived = [array for array in arrays.values() if array.memory is not None and not array.is_fixed]
        forms = [(result.shape, result.dtype, result) for result in results]
        return Replay(device, launches, self._inputs, list(zip(noted, forms, strict=True)), derived, places)

    def _noted(self, array):
        memory = array.memory
        if id(memory) not in self._arrays:
            self._arrays[id(memory)] = Noted(array.nbytes, True, False, memory)
        return self._arrays[id(memory)]

    def _memory_of(self, arguments, noted):
        return next(
            value.memory
            for value in arguments.values()
            if isinstance(value, DeviceArray) and self._arrays[id(value.memory)] is noted
        )


def placed(arrays):
    """Give arrays places, so that those that are in use together have different ones; return the bytes of each place.

    The largest is placed first, each in the smallest place that it can have.
    """
    sizes, uses = [], []
    for array in sorted(arrays, key=lambda array: -array.nbytes):
        first, last = array.uses[0], array.uses[-1]
        free = [
            place
            for place, others in enumerate(uses)
            if all(other.uses[-1] < first or last < other.uses[0] for other in others)
        ]
        if not free:
            sizes.append(array.nbytes)
            uses.append([])
            free.append(len(uses) - 1)
        # Later places are smaller.
        array.place = free[-1]
        uses[array.place].append(array)
    return sizes


class Replay:
    """Launches that compute results from inputs of the shapes for which they were recorded.

    Parameters
    ----------
    device : Device
    launches : list of _Launch
    inputs : list of Noted
    results : list of (Noted, (shape, dtype, DeviceArray))
    derived : list of Noted
        What was computed once.
    places : list of int
        Bytes of the places that all arrays in between lie in.

    Attributes
    ----------
    numbers : list of int
        Which of the launches that were recorded are made anew.
    """

    def __init__(self, device, launches, inputs, results, derived, places):
        self.numbers = [launch.number for launch in launches]
        self._device, self._inputs, self._places = device, inputs, places
        self._results = [
            (noted, shape, dtype, None if noted.varies else result) for noted, (shape, dtype, result) in results
        ]
        self._steps, self._given, self._inner = [], {}, []
        # Kernels do not keep what they are given from being let go.
        self._memories = []
        self._derived, buffers = _gathered(device, derived)
        outer = [*inputs, *(noted for noted, *_ in self._results if noted.varies)]
        for launch in launches:
            kernel = device.kernel(launch.file_stem, launch.kernel_name, launch.options)
            for place, value in enumerate(launch.arguments):
                if not isinstance(value, Noted):
                    kernel.set_arg(place, value)
                elif value in outer:
                    self._given.setdefault(id(value), []).append((kernel, place))
                elif id(value) in buffers:
                    kernel.set_arg(place, buffers[id(value)])
                elif value.memory is not None:
                    kernel.set_arg(place, value.memory.buffer)
                else:
                    self._inner.append((kernel, place, value.place))
            self._steps.append((launch.file_stem, launch.kernel_name, kernel, launch.global_size, launch.local_size))
        for noted in inputs:
            noted.memory = None
        self._kept = [value.memory for launch in launches for value in launch.arguments if isinstance(value, Noted)]

    @property
    def nbytes(self):
        """Bytes of the memory for all arrays between the inputs and the results."""
        return sum(self._places)

    def __call__(self, inputs):
        """Return the results for inputs, DeviceArrays of the shapes and dtypes that they had.

        Raises
        ------
        BackendError
            If a launch fails.
        DeviceMemoryError
            If the device runs out of memory.
        """
        device, results, made = self._device, [], {}
        memories = {id(noted): array.memory for noted, array in zip(self._inputs, inputs, strict=True)}
        arrays = {id(noted): array for noted, array in zip(self._inputs, inputs, strict=True)}
        for noted, shape, dtype, constant in self._results:
            if constant is None and id(noted) not in arrays:
                arrays[id(noted)] = made[id(noted)] = device.empty(shape, dtype)
                memories[id(noted)] = made[id(noted)].memory
            array = arrays[id(noted)] if constant is None else constant
            results.append(array if array.shape == shape else array.reshape(shape))
        with device.queueing():
            if not self._memories:
                self._take_memory()
            for key, places in self._given.items():
                buffer = memories[key].buffer
                for kernel, place in places:
                    kernel.set_arg(place, buffer)
            device.queue(self._steps)
        return results

    def release(self):
        """Give the memory back until it is needed again."""
        with self._device.queueing():
            self._memories = []

    def _take_memory(self):
        self._memories = [self._device.empty((size,), "uint8").memory for size in self._places]
        for kernel, argument, place in self._inner:
            kernel.set_arg(argument, self._memories[place].buffer)


def _gathered(device, derived):
    """Return what holds arrays, and their buffers by their ids.

    They were made amid what was needed for a moment, and are put beside each other, so that the rest can be given back.
    """
    held, size = [array.memory for array in derived], sum(array.nbytes + device.alignment for array in derived)
    if derived and size <= device.largest_allocation:
        held = device.gathered(held, [array.nbytes for array in derived])
        for array in derived:
            array.memory = None
        device.release()
    return held, {id(array): memory.buffer for array, memory in zip(derived, held, strict=True)}

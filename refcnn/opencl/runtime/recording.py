"""Launches that are made anew for other inputs, without what led to them.

Which kernels compute a result, with which sizes, follows from the shapes of
the inputs; to find it out anew each time can take longer than they do. What
depends on no input, such as weights in the order in which a kernel reads them,
is computed once. And as it is known when each array is read for the last time,
they are given places beforehand, which several share one after the other.

A step of training is of this kind too: its inputs are a batch and all that the
step before left behind, its results what it leaves behind itself. These lie in
memory that comes back as soon as nobody holds them any more, as a rule after
the next step, so that two places take turns.
"""

import dataclasses
import weakref

from .array import DeviceArray
from .memory import Pool


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
    """A launch, of which ``arguments`` are numpy scalars and :class:`Noted` arrays, in the kernel's order.

    Those of them that are others in each replay are ``varying``: by their place, which of :meth:`Recording.given` it is
    and the name.
    """

    number: int
    signature: object
    global_size: tuple
    local_size: tuple
    options: tuple
    arguments: list
    read: list
    written: list
    varying: dict = dataclasses.field(default_factory=dict)

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
        self._entered, self._contents, self._copies, self._given = [], {}, [], 0

    def made(self, array):
        """Note a new array of which nothing is known but its size."""
        # The object of memory that was given back may be made anew.
        self._arrays[id(array._memory)] = Noted(array.nbytes, False, False, None)

    def filled(self, array, contents):
        """Note that the host wrote into an array before any launch was given it."""
        noted = self._arrays[id(array._memory)]
        noted.is_fixed, noted.memory = True, array._memory
        self._contents[noted] = contents

    def entered(self, array):
        """Note that the host wrote into this array what is another in each replay."""
        noted = self._noted(array)
        noted.is_fixed, noted.varies, noted.memory = False, True, None
        del self._contents[noted]
        self._entered.append(noted)

    def varies(self, array):
        """Return whether an array depends on an input."""
        return self._noted(array).varies

    def knows(self, array):
        """Return whether an array is an input, or was made inside or is still to be."""
        return array.pending is not None or id(array.memory) in self._arrays

    def fetched(self, array):
        """Note that the host reads an array: what it does then may depend on the inputs."""
        self._is_repeatable = self._is_repeatable and not self.varies(array)

    def copied(self, array):
        """Note that a copy for the host is begun, which will ask for an array later."""
        self._copies.append((len(self._launches), self._noted(array)))

    def launched(self, signature, global_size, local_size, arguments, options):
        """Note a launch, whose arguments were checked."""
        values = signature.in_order(arguments)
        values = [self._noted(value) if isinstance(value, DeviceArray) else value for value in values]
        read, written = [], []
        for parameter, value in zip(signature.parameters, values, strict=True):
            if parameter.is_array and arguments[parameter.name] is not None:
                (read if parameter.is_read_only else written).append(value)
        sizes = global_size, tuple(local_size)
        launch = _Launch(len(self._launches), signature, *sizes, options, values, read, written)
        self._launches.append(launch)
        varies = launch.varies
        for noted in written:
            noted.varies = varies
            # As long as no input is found on which it depends, it is not to be computed again.
            if not noted.is_fixed:
                noted.memory = None if varies else self._memory_of(arguments, noted)

    @property
    def position(self):
        """How many launches there were so far."""
        return len(self._launches)

    def given(self, first, numbers):
        """Note that launches were given numbers in whose place a replay has others, and return which of such they are.

        Parameters
        ----------
        first : int
            The :attr:`position` before them.
        numbers : dict
            By the names of the kernel's arguments; of the launches since then those with all these names are meant.

        Returns
        -------
        int or None
            None if there is no such launch, or one that was given something else.
        """
        which, found = self._given, False
        for launch in self._launches[first:]:
            places = {parameter.name: place for place, parameter in enumerate(launch.signature.parameters)}
            if not numbers.keys() <= places.keys():
                continue
            found = True
            for name, number in numbers.items():
                parameter = launch.signature.parameters[places[name]]
                if parameter.is_array or launch.arguments[places[name]] != parameter.converted(number):
                    return None
                launch.varying[places[name]] = which, name
        self._given += found
        return which if found else None

    def form(self, results):
        """Return what two recordings have in common whose replays are alike.

        Parameters
        ----------
        results : sequence of DeviceArray
        """
        order, rows = {}, []
        for launch in self._launches:
            arguments = [
                order.setdefault(value, len(order))
                if isinstance(value, Noted)
                else launch.varying.get(place) or (value.dtype.str, value.tobytes())
                for place, value in enumerate(launch.arguments)
            ]
            rows.append((launch.signature[:2], launch.global_size, launch.local_size, launch.options, arguments))
        constants = [
            (order[noted], host.dtype.str, host.shape, host.tobytes())
            for noted, host in self._contents.items()
            if noted in order
        ]
        ends = [[order.get(noted) for noted in notes] for notes in (self._entered, map(self._noted, results))]
        copies = [(number, order.get(noted)) for number, noted in self._copies]
        return rows, constants, ends, copies

    def replay(self, device, results, pools=None):
        """Return what makes the launches anew, or None if others may be needed then.

        Parameters
        ----------
        device : Device
        results : sequence of DeviceArray
            What was computed.
        pools : dict, optional
            The pools that the results' memory comes from, by what tells them apart, which several replays may share; it
            is new memory, if none are given.
        """
        # Those too that depend on no input, but write an array that others of them write.
        launches = [launch for launch in self._launches if launch.varies]
        if not self._is_repeatable or any(noted.is_fixed for launch in launches for noted in launch.written):
            return None
        noted = [self._noted(result) for result in results]
        for array in self._entered:
            array.uses.append(-1)
        for number, launch in enumerate(launches):
            for value in launch.arguments:
                if isinstance(value, Noted):
                    value.uses.append(number)
        arrays = {id(value): value for launch in launches for value in launch.arguments if isinstance(value, Noted)}
        arrays |= {id(value): value for value in self._entered if value.uses[1:] or value in noted}
        own = [array for array in arrays.values() if not array.is_fixed and array.memory is None]
        kept = [array for array in dict.fromkeys(noted) if id(array) in arrays and array in own]
        for array in kept:
            array.uses.append(len(launches))
        places = placed(own, kept)
        for array in self._arrays.values():
            if id(array) not in arrays:
                array.memory = None
        derived = [array for array in arrays.values() if array.memory is not None and not array.is_fixed]
        forms = [(one, result.shape, result.dtype, result) for one, result in zip(noted, results, strict=True)]
        copies = [(sum(launch.number < number for launch in launches), one) for number, one in self._copies]
        keys = [(noted.index(array), array.nbytes) for array in kept]
        pools = [None if pools is None else pools.setdefault(key, Pool(key[1])) for key in keys]
        ends = self._inputs, self._entered, forms, pools
        return Replay(device, launches, *ends, derived, places, copies)

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


def placed(arrays, kept=()):
    """Give arrays places, so that those that are in use together have different ones; return the bytes of each place.

    The largest is placed first, each in the smallest place that it can have.

    Parameters
    ----------
    arrays : sequence of Noted
    kept : sequence of Noted
        Those of them that are not given back at the end: they have the first places, which are no larger than they.
    """
    sizes, uses = [], []
    for array in (*kept, *sorted((array for array in arrays if array not in kept), key=lambda array: -array.nbytes)):
        first, last = array.uses[0], array.uses[-1]
        free = [
            place
            for place, others in enumerate(uses)
            if array.nbytes <= sizes[place] and all(other.uses[-1] < first or last < other.uses[0] for other in others)
        ]
        if not free or len(sizes) < len(kept):
            sizes.append(array.nbytes)
            uses.append([])
            free = [len(uses) - 1]
        # Of equal ones the latest.
        array.place = min(reversed(free), key=sizes.__getitem__)
        uses[array.place].append(array)
    return sizes


class Replay:
    """Launches that compute results from inputs of the shapes for which they were recorded.

    Parameters
    ----------
    device : Device
    launches : list of _Launch
    inputs, entered : list of Noted
        What is given on the device, and what the host writes.
    results : list of (Noted, shape, dtype, DeviceArray)
    pools : list of (Pool or None)
        Of those results that have places, the first ones.
    derived : list of Noted
        What was computed once.
    places : list of int
        Bytes of the places that all arrays in between lie in, and the results.
    copies : list of (int, Noted)
        After how many launches a copy for the host is begun, of a result.

    Attributes
    ----------
    numbers : list of int
        Which of the launches that were recorded are made anew.
    """

    def __init__(self, device, launches, inputs, entered, results, pools, derived, places, copies):
        self.numbers = [launch.number for launch in launches]
        self._device, self._launches, self._places, self._pools = device, launches, places, pools
        # What kernels are given that may be another in each call: the inputs, and what lies in the places.
        self._inputs = {noted: index for index, noted in enumerate(inputs)}
        self._entered = [noted.place for noted in entered]
        self._results = [
            (self._slot(noted), shape, dtype, None if noted.varies else result)
            for noted, shape, dtype, result in results
        ]
        self._copies = [(number, self._slot(noted)) for number, noted in copies]
        self._derived, buffers = _gathered(device, derived)
        self._fixed, self._varying, self._numbered = [], {}, {}
        for number, launch in enumerate(launches):
            for place, value in enumerate(launch.arguments):
                if place in launch.varying:
                    which, name = launch.varying[place]
                    self._numbered.setdefault(which, []).append(
                        (number, place, launch.signature.parameters[place], name)
                    )
                if not isinstance(value, Noted):
                    self._fixed.append((number, place, value))
                elif self._slot(value) is not None:
                    self._varying.setdefault(self._slot(value), []).append((number, place))
                else:
                    buffer = buffers.get(id(value)) or value.memory.buffer
                    self._fixed.append((number, place, buffer))
        # Of results that take turns with inputs each has kernels of its own, that are given the same again.
        self._turns = [None] * (1 + any(pool is not None for pool in pools))
        # Kernels do not keep what they are given from being let go.
        self._memories = []
        for noted in inputs:
            noted.memory = None
        self._kept = [value.memory for launch in launches for value in launch.arguments if isinstance(value, Noted)]

    @property
    def nbytes(self):
        """Bytes of the memory for all arrays between the inputs and the results."""
        return sum(self._places[len(self._pools) :])

    def __call__(self, inputs, hosts=(), numbers=()):
        """Return the results for inputs, DeviceArrays of the shapes and dtypes that they had.

        Parameters
        ----------
        inputs : sequence of DeviceArray
        hosts : sequence of (ndarray, numpy dtype)
            In the place of what the host wrote, to be written in that dtype.
        numbers : sequence of dict
            In the place of those that were :meth:`Recording.given`.

        Raises
        ------
        BackendError
            If a launch fails.
        DeviceMemoryError
            If the device runs out of memory.
        """
        device = self._device
        given = [array.memory for array in inputs]
        with device.queueing(), device.holding(self):
            if not self._memories:
                self._memories = [_memory(device, size) for size in self._places[len(self._pools) :]]
            made = [
                _memory(device, size) if pool is None else pool.take(device)
                for size, pool in zip(self._places, self._pools, strict=False)
            ]
            given += [*made, *self._memories]
            first, arrays = len(inputs), dict(enumerate(inputs))
            for place, (host, dtype) in zip(self._entered, hosts, strict=True):
                if place is not None:
                    device.write(given[first + place], host, dtype)
            results = []
            for slot, shape, dtype, constant in self._results:
                if constant is None and slot not in arrays:
                    arrays[slot] = DeviceArray(device, shape, dtype, given[slot])
                array = arrays[slot] if constant is None else constant
                results.append(array if array.shape == shape else array.reshape(shape))
            kernels = self._turns[0] or _Kernels(device, self._launches, self._fixed)
            self._turns = [*self._turns[1:], kernels]
            kernels.set(given, self._varying, numbers, self._numbered)
            begun = 0
            for number, slot in self._copies:
                device.queue(kernels.steps[begun:number])
                begun = number
                if slot in arrays:
                    device.start_to_host(arrays[slot])
            device.queue(kernels.steps[begun:])
        return results

    def release(self):
        """Give the memory back until it is needed again."""
        with self._device.queueing():
            self._memories = []
            for pool in self._pools:
                if pool is not None:
                    pool.release()

    def _slot(self, noted):
        """Return which of what is given with each call an array is, None if it is the same in all."""
        if noted in self._inputs:
            return self._inputs[noted]
        return None if noted.place is None else len(self._inputs) + noted.place


def _memory(device, nbytes):
    return device.empty((nbytes,), "uint8").memory


class _Kernels:
    """The kernels of a replay with what they were given last: what is the same again is not set again.

    Parameters
    ----------
    device : Device
    launches : list of _Launch
    fixed : list of (int, int, object)
        Arguments that stay, each with its launch and its place.
    """

    def __init__(self, device, launches, fixed):
        self.steps, self._memories, self._numbers = [], {}, {}
        for launch in launches:
            file_stem, kernel_name, _ = launch.signature
            kernel = device.kernel(file_stem, kernel_name, launch.options)
            self.steps.append((file_stem, kernel_name, kernel, launch.global_size, launch.local_size))
        for number, place, value in fixed:
            self.steps[number][2].set_arg(place, value)

    def set(self, given, varying, numbers, numbered):
        """Set the arguments that are others than last time."""
        memories, steps = self._memories, self.steps
        for slot, places in varying.items():
            whole, known = given[slot].whole, memories.get(slot)
            # Held by none but their owners: a part of an arena's memory must be gone when another one overlaps it.
            if known is None or known() is not whole:
                buffer = whole.buffer
                for number, place in places:
                    steps[number][2].set_arg(place, buffer)
                memories[slot] = weakref.ref(whole)
        for which, places in numbered.items():
            new, former = numbers[which], self._numbers.get(which)
            if new is not former:
                for number, place, parameter, name in places:
                    steps[number][2].set_arg(place, parameter.converted(new[name]))
                self._numbers[which] = new


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

"""Kernels that are ready to be launched again and again."""

import math
import operator

from ...errors import ArgumentError


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
                device.check_owner(array)
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
        except _refusals() as error:
            raise ArgumentError(
                f"{self._call.signature}: {parameter.name} is {number!r}, which the device does not take: {error}."
            ) from error


def _refusals():
    import pyopencl as cl

    return cl.Error, TypeError


def whole_groups(global_size, local_size):
    """Return a global size rounded up to whole work-groups."""
    return tuple(-(-size // local) * local for size, local in zip(global_size, local_size, strict=True))

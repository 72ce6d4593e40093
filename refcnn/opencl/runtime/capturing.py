"""What a device was asked to run, so that it can be run again without refcnn."""

import dataclasses

import numpy as np

from . import kernels
from .array import DeviceArray


@dataclasses.dataclass
class Buffer:
    """Memory that launches read or write.

    Attributes
    ----------
    dtype : numpy dtype
    nbytes : int
    contents : ndarray or None
        What it held before the first launch that was given it; None if nothing in particular.
    """

    dtype: np.dtype
    nbytes: int
    contents: np.ndarray | None


@dataclasses.dataclass
class Launch:
    """One launch of a kernel.

    Attributes
    ----------
    file_stem, kernel_name : str
    global_size, local_size : tuple of int
        As the device is given them: in whole work-groups.
    options : tuple of str
        All build options.
    arguments : list of (str, object)
        In the kernel's order: ``("buffer", number)``, or a scalar by the name of its dtype, such as ``("int32", 3)``.
    """

    file_stem: str
    kernel_name: str
    global_size: tuple
    local_size: tuple
    options: tuple
    arguments: list


class Capture:
    """The launches made while :meth:`Device.capture` is open, and the memory that they touch.

    The memory is held for as long as the capture is, so that no two arrays share a number.

    Attributes
    ----------
    device : Device
    execute : bool
        Whether the launches also run.
    buffers : list of Buffer
    launches : list of Launch
    sources : dict of str to str
        The text of each kernel file that was used, by its stem.
    """

    def __init__(self, device, execute):
        self.device, self.execute = device, execute
        self.buffers, self.launches, self.sources = [], [], {}
        self._numbers, self._kept = {}, []

    def made(self, array):
        """Note a new array of which nothing is known but its size."""
        self._add(array, None)

    def filled(self, array, contents):
        """Note what the host wrote into an array before any launch was given it."""
        self.buffers[self.number(array)].contents = contents

    def fetched(self, array):
        """The host reads an array: of no concern here."""

    def copied(self, array):
        """The host will read an array: of no concern here either."""

    def number(self, array):
        """Return which buffer an array lies in; one from before the capture is copied to the host now."""
        if id(array.memory) not in self._numbers:
            self._add(array, self.device.to_host(array))
        return self._numbers[id(array.memory)]

    def launched(self, signature, global_size, local_size, arguments, options):
        """Note a launch, whose arguments were checked."""
        file_stem = signature.file_stem
        if file_stem not in self.sources:
            self.sources[file_stem] = kernels.source(file_stem)
        arguments = [self._argument(argument) for argument in signature.in_order(arguments)]
        options = (*options, *self.device.build_options)
        self.launches.append(
            Launch(file_stem, signature.kernel_name, global_size, tuple(local_size), options, arguments)
        )

    def _add(self, array, contents):
        self._numbers[id(array.memory)] = len(self.buffers)
        self._kept.append(array.memory)
        self.buffers.append(Buffer(array.dtype, array.nbytes, contents))

    def _argument(self, argument):
        if isinstance(argument, DeviceArray):
            return "buffer", self.number(argument)
        return argument.dtype.name, argument.item()

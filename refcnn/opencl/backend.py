"""The backend of one OpenCL device."""

import numpy as np

from .. import formats, rooms
from . import variants
from .runtime import trial


class OpenCL:
    """The OpenCL backend on one device.

    Parameters
    ----------
    device : refcnn.opencl.runtime.device.Device

    Attributes
    ----------
    dtype : numpy dtype
        The format of its floats, float32.
    """

    dtype = formats.FLOAT32.dtype
    #: Kernels are built so that a device may flush them to zero.
    denormals = False

    def __init__(self, device):
        self.device = device
        self.name = device.name
        self.description = f"{device.device_name} ({device.platform_name}, driver {device.driver_version})"

    def __repr__(self):
        return f"<backend {self.name}: {self.description}>"

    def array(self, host, dtype=None):
        """Copy a host array to the device, in a dtype as :meth:`refcnn.backend.Reference.array` says."""
        host = np.asarray(host)
        dtype = formats.kept(host.dtype, self.dtype) if dtype is None else dtype
        return self.device.array(np.asarray(host, dtype=dtype))

    def to_host(self, array):
        """Copy a device array to the host."""
        return self.device.to_host(array)

    def start_reading(self, array, host):
        """Begin to copy a device array as :meth:`refcnn.backend.Reference.start_reading` says.

        What is launched after it is not waited for.
        """
        return self.device.start_reading(array, host)

    def operation(self, stem):
        """Return the module that holds ``forward`` and ``backward`` of an operation."""
        return rooms.require(rooms.OPENCL, stem)

    def algorithms(self, stem, inputs, attributes):
        """Return which variant of the kernels computes each direction, where they differ by more than their order.

        Parameters
        ----------
        stem : str
        inputs : tuple of array or None
            Of which only the shapes matter.
        attributes : dict

        Returns
        -------
        dict of str to str
            Empty for most operations.
        """
        find = rooms.trait(rooms.OPENCL, stem, "algorithms")
        return find(self.device, *(None if entry is None else entry.shape for entry in inputs), **attributes)

    @property
    def problem(self):
        """What the device's trial found wrong, or None."""
        return trial.verdicts([self.device])[0].problem

    def variants(self, stem):
        """Return the names of the variants of an operation's kernels, each with and without what is fused into it.

        Those that the device takes by itself come first; the tuple is empty where there is no choice.
        """
        own = variants.of_operation(stem, self.device)
        return tuple(sorted(variants.names(stem), key=lambda name: name.partition("+")[0] != own))

    @property
    def records(self):
        """Whether :meth:`recorded` may be asked at present."""
        return not self.device.is_simulator and not self.device.is_captured and not variants.is_forced()

    def recorded(self, compute, inputs, follow=None):
        """Return the results of a computation, and what computes them anew from other inputs.

        Parameters
        ----------
        compute : callable
            ``compute(recording)`` returns arrays, which depend on nothing but the inputs, and what the
            :class:`~refcnn.opencl.runtime.recording.Recording` is told of.
        inputs : sequence of DeviceArray
        follow : callable, optional
            ``follow(recording, results)`` makes the replay in the place of :meth:`Recording.replay`.

        Returns
        -------
        (list of DeviceArray, refcnn.opencl.runtime.recording.Replay or None)
            The second is None where what is launched may be another one for other inputs.
        """
        inputs = [array.computed() for array in inputs]
        with self.device.recording(inputs) as recording:
            results = [array.computed() for array in compute(recording)]
        if follow is not None:
            return results, follow(recording, results)
        return results, recording.replay(self.device, results)

    def use_variant(self, name, small_strips=False):
        """Return a context manager in which one variant of the kernels runs: :func:`~.variants.use_variant`."""
        return variants.use_variant(name, small_strips)

"""Arrays in the memory of an OpenCL device."""

import math

import numpy as np

from ...errors import BackendError
from ...shapes import reshaped


class DeviceArray:
    """A row-major array in a device's memory, without arithmetic of its own.

    The memory goes back to the device's arena when the last array that shares
    it is gone; launches run in the order in which they were made, so that is
    safe while they are still at work.

    Parameters
    ----------
    device : refcnn.opencl.runtime.device.Device
    shape : tuple of int
    dtype : numpy dtype
    memory : refcnn.opencl.runtime.memory.Memory or None
        Its buffer is at least as large as shape and dtype ask for. None if ``pending`` is given.
    pending : object, optional
        Its ``compute()`` returns an array with the contents; it is called when they are first needed. By then an
        operation that takes the array may have found a way to its own result that goes without it.

    Attributes
    ----------
    pending : object or None
        None as soon as the array is computed.
    rectified : bool
        Whether this is the result of a rectifier: its numbers are 0, above 0, or NaN.
    masked_by : DeviceArray or None
        Set on a gradient that is 0 wherever that array is not above 0, so that it need not be made so again.
    """

    __slots__ = ("device", "shape", "dtype", "size", "_memory", "pending", "rectified", "masked_by", "__weakref__")

    def __init__(self, device, shape, dtype, memory, pending=None):
        self.device = device
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)
        self.size = math.prod(self.shape)
        self._memory, self.pending = memory, pending
        self.rectified, self.masked_by = False, None

    @property
    def memory(self):
        """What holds the buffer; an array that is not computed yet is computed now."""
        return self.computed()._memory

    @property
    def buffer(self):
        """The part of the device's memory where the elements are; computed as :attr:`memory` is."""
        return self.memory.buffer

    def computed(self):
        """Return this array, whose launches are queued by now if they were put off."""
        pending = self.pending
        if pending is not None:
            # Forgotten afterwards: an error, such as a lack of memory, may be met again. Two threads may compute it
            # twice, to the same numbers.
            self._memory = pending.compute()._memory
            self.pending = None
        return self

    @property
    def ndim(self):
        return len(self.shape)

    @property
    def nbytes(self):
        return self.size * self.dtype.itemsize

    def get(self):
        """Return a copy on the host, as a NumPy array."""
        return self.device.to_host(self)

    def reshape(self, shape):
        """Return an array of another shape that shares this one's memory.

        Parameters
        ----------
        shape : int or sequence of (int or None)
            As :func:`refcnn.shapes.reshaped` takes it.

        Raises
        ------
        ShapeError
            If the shape does not hold as many elements.
        """
        shape = reshaped(self.shape, (shape,) if isinstance(shape, int) else tuple(shape))
        return DeviceArray(self.device, shape, self.dtype, self.memory)

    def __repr__(self):
        return f"DeviceArray(shape={self.shape}, dtype={self.dtype}, device={self.device.name})"


def check_owner(array, device):
    """Raise BackendError if an array lies on another device."""
    if array.device is not device:
        raise BackendError(
            f"an array lies on {array.device.name}, but is used on {device.name}. Copy it through the host first."
        )

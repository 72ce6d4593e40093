"""Results that are put off, so that what follows can be computed by the same kernel.

An operation whose kernel can rectify what it stores returns an array that is
:class:`Pending`. A rectifier that gets such an array makes a pending array of
its own, and the first is never computed unless something else reads it.
Numbers, errors and the tape are the same as without; only the passes over
memory are fewer.
"""

import numpy as np

from .array import DeviceArray


class Pending:
    """A float32 result that is still to be computed.

    Parameters
    ----------
    device : Device
    shape : tuple of int
    run : callable
        ``run(rectify) -> DeviceArray``: the result, or where ``rectify`` is true max(result, 0), with NaN kept.
    rectify : bool
    """

    __slots__ = ("_device", "_shape", "_run", "_rectify")

    def __init__(self, device, shape, run, rectify=False):
        self._device, self._shape, self._run, self._rectify = device, shape, run, rectify

    def array(self):
        """Return an array that is computed when it is first read."""
        return DeviceArray(self._device, self._shape, np.float32, None, self)

    def compute(self):
        """Return the result."""
        return self._run(self._rectify)

    def rectified(self):
        """Return the same with max(result, 0) as its result."""
        return Pending(self._device, self._shape, self._run, rectify=True)


def rectified(x):
    """Return an array that will be max(x, 0), computed together with x, or None if x is computed already."""
    return None if x.pending is None else x.pending.rectified().array()

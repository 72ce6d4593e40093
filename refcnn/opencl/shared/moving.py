"""Launches that move numbers to other places and keep every bit of them, whatever their dtype."""

import numpy as np

from ...shapes import strides as row_major
from ..runtime.array import DeviceArray
from .elementwise import launch_in_chunks

#: Unsigned integers of OpenCL C by their bytes.
_WORDS = {1: "uchar", 2: "ushort", 4: "uint", 8: "ulong"}


def gather(x, shape, first, strides):
    """Return y of a shape with y[k_0, k_1, ...] = x.flat[first + k_0 strides[0] + k_1 strides[1] + ...].

    Parameters
    ----------
    x : DeviceArray
    shape : tuple of int
    first : int
    strides : tuple of int
        One for each axis of the result; they may be negative.
    """
    y = x.device.empty(shape, x.dtype)
    axes = _joined(shape, strides)
    _launch("gather", y, axes, x=x, y=y, first=np.int32(first))
    return y


def scatter(dy, shape, parts):
    """Return dx of a shape that is dy in a part of each axis, and 0 elsewhere.

    Parameters
    ----------
    dy : DeviceArray
    shape : tuple of int
    parts : tuple of (int, int, int)
        As :func:`refcnn.shapes.parts` returns them, of which dy has the shape.
    """
    dx = dy.device.empty(shape, dy.dtype)
    axes = _whole_axes_joined(shape, parts)
    distances = row_major([taken for *_, taken in axes])
    axes = [(*axis, distance) for axis, distance in zip(axes, distances, strict=True)]
    _launch("scatter", dx, axes, dy=dy, dx=dx)
    return dx


def _launch(kernel, written, axes, **arguments):
    device = written.device
    arguments = {name: _words(value) if isinstance(value, DeviceArray) else value for name, value in arguments.items()}
    arguments |= {"count": written.size, "axes": device.array(np.array(axes, np.int32)), "last_axis": len(axes) - 1}
    options = (f"-DWORD={_WORDS[written.dtype.itemsize]}",)
    launch_in_chunks(device, "moving", kernel, written.size, options=options, **arguments)


def _words(array):
    """Return an array, in the same memory, of unsigned integers as large as its elements."""
    return DeviceArray(array.device, array.shape, f"u{array.dtype.itemsize}", array.memory)


def _joined(shape, strides):
    """Return (size, stride) of each axis, those as one that can be walked through as one; at least one."""
    joined = [(1, 1)]
    for size, stride in zip(shape, strides, strict=True):
        if joined[-1][1] == size * stride or joined[-1][0] == 1:
            joined[-1] = (joined[-1][0] * size, stride)
        elif size != 1:
            joined.append((size, stride))
    return joined


def _whole_axes_joined(shape, parts):
    """Return (size, start, step, taken) of each axis, neighbours as one where both are taken whole; at least one."""
    joined = [(1, 0, 1, 1)]
    for size, (start, step, taken) in zip(shape, parts, strict=True):
        is_whole = (start, step, taken) == (0, 1, size)
        former = joined[-1]
        if is_whole and former == (former[0], 0, 1, former[0]):
            joined[-1] = (former[0] * size, 0, 1, former[0] * size)
        else:
            joined.append((size, start, step, taken))
    return joined

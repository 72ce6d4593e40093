"""Launches that move numbers to other places and keep every bit of them, whatever their dtype."""

import math

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


def transposed(x, axes):
    """Return x with its axes in another order: axis k of the result is the axis ``axes[k]`` of x."""
    distances = row_major(x.shape)
    return gather(x, [x.shape[axis] for axis in axes], 0, [distances[axis] for axis in axes])


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


def joined(xs, axis):
    """Return arrays of one dtype one after the other along an axis; along all others their sizes are equal.

    Parameters
    ----------
    xs : sequence of DeviceArray
    axis : int
    """
    shape, first = xs[0].shape, 0
    y = xs[0].device.empty((*shape[:axis], sum(x.shape[axis] for x in xs), *shape[axis + 1 :]), xs[0].dtype)
    distance = math.prod(y.shape[axis:])
    for x in xs:
        columns = math.prod(x.shape[axis:])
        _copy_rows(x, y, x.size, columns, x_first=0, x_distance=columns, y_first=first, y_distance=distance)
        first += columns
    return y


def part(x, axis, start, size):
    """Return so many indices of an axis from a first one on, and the other axes whole.

    Parameters
    ----------
    x : DeviceArray
    axis, start, size : int
    """
    y = x.device.empty((*x.shape[:axis], size, *x.shape[axis + 1 :]), x.dtype)
    inner = math.prod(x.shape[axis + 1 :])
    columns, distance = size * inner, x.shape[axis] * inner
    _copy_rows(x, y, y.size, columns, x_first=start * inner, x_distance=distance, y_first=0, y_distance=columns)
    return y


def _copy_rows(x, y, count, columns, **places):
    places = {name: np.int32(place) for name, place in places.items()}
    options = (f"-DWORD={_WORDS[x.dtype.itemsize]}",)
    arguments = {"x": _words(x), "y": _words(y), "count": count, "columns": columns, **places}
    launch_in_chunks(x.device, "moving", "copy_rows", count, options=options, **arguments)


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

"""Launches that move numbers to other places and keep every bit of them, whatever their dtype."""

import dataclasses
import math

import numpy as np

from ...shapes import repeated_axes
from ...shapes import strides as row_major
from ..runtime.array import DeviceArray
from .elementwise import chunk_and_group, launch_in_chunks

# Indices of either axis that a block has: a cache holds that many lines of both.
_BLOCK = 64
# Of what is written past the cache, what is read in one row: so long that it comes before it is asked for.
_LONG_BLOCK = 1024
# Elements that a work-item moves at least, so that it is worth starting.
_LEAST_ELEMENTS = 4096
# Words that lie behind each other in both arrays, of which so many are exchanged as one.
_RUNS = (2, 3, 4, 8, 16)
# Indices of an axis that are too few to lie in a vector, and how many of so few have a kernel of their own.
_FEW, _OWN = 8, (2, 3, 4)
# Bytes of a line of the cache, and of an array of which it would hold little when it is read.
_LINE, _PAST_CACHE = 64, 2**23

#: Unsigned integers of OpenCL C by their bytes.
_WORDS = {1: "uchar", 2: "ushort", 4: "uint", 8: "ulong"}


def strided(x, shape, first, strides):
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
    if y.size == 0:
        return y
    axes = _joined(shape, strides)
    exchange = _exchange(y, axes) if x.device.kind == "cpu" else None
    if exchange is None:
        _launch("strided", axes, x=x, y=y, first=np.int32(first))
    else:
        exchange.launch(x, y, first)
    return y


@dataclasses.dataclass(frozen=True)
class _Exchange:
    """How an array is filled in blocks of two of its axes: ``inner``, along which x lies in a row, and the last one.

    Attributes
    ----------
    options : tuple of str
        Build options of the kernel, which say how it does a block.
    inner, last : int
        Sizes.
    strides : tuple of int
        Of y along inner, and of x along the last axis.
    further : tuple of (int, int, int)
        Of each other axis the size, and the strides of x and of y.
    blocks : tuple of int
        Indices of inner and of the last axis in a block.
    """

    options: tuple
    inner: int
    last: int
    strides: tuple
    further: tuple
    blocks: tuple

    def launch(self, x, y, first):
        """Fill y."""
        device = x.device
        chunk, group = chunk_and_group(device)
        count = math.prod(size for size, *_ in self.further)
        for size, block in zip((self.inner, self.last), self.blocks, strict=True):
            count *= max(1, size // block)
        # In a simulator, which looks for what work-items do to each other, there should be several.
        together = 1 if device.is_simulator else max(1, _LEAST_ELEMENTS * count // y.size)
        further = self.further or [(1, 0, 0)]
        sizes = {"inner": self.inner, "last": self.last, "further_axes": len(further), "together": together}
        sizes |= dict(zip(("inner_stride", "last_stride"), self.strides, strict=True))
        sizes |= dict(zip(("inner_block", "last_block"), self.blocks, strict=True))
        arrays = {"x": as_words(x), "y": as_words(y), "axes": device.array(np.array(further, np.int32))}
        options = (f"-DCHUNK={chunk}", word_option(y), *self.options)
        numbers = {"first": np.int32(first), "count": count, **sizes}
        device.launch("moving", "exchange", (-(-count // together),), group, options=options, **arrays, **numbers)


def _exchange(y, axes):
    """Return how to fill y whose axes have such sizes, and strides of x, or None where it is not worth while."""
    distances = row_major([size for size, _ in axes])
    rows = [(*axis, distance) for axis, distance in zip(axes, distances, strict=True)]
    run = 1
    if axes[-1][1] == 1 and axes[-1][0] in _RUNS:
        run = rows.pop()[0]
    found = [number for number, (size, stride, _) in enumerate(rows[:-1]) if stride == run and size > 1]
    if not found or rows[-1][1] == 1:
        return None
    inner, last = rows.pop(found[0]), rows.pop()
    if last[0] >= _FEW:
        # y is written in several places at once: let x be read in its order.
        rows.sort(key=lambda row: -row[1])
    form = _form(y, run, inner, last)
    if form is None:
        return None
    options, blocks = form
    return _Exchange(options, inner[0], last[0], (inner[2], last[1]), tuple(rows), blocks)


def _form(y, run, inner, last):
    """Return the kernel's options and the blocks for an exchange of two axes; None where both are short."""
    (inner, _, inner_stride), (last, last_stride, _) = inner, last
    block = 4 if y.device.is_simulator else _BLOCK
    options, blocks = (f"-DRUN={run}",), (block, block)
    if run == 1 and last in _OWN and inner_stride == last:
        return (*options, f"-DSMALL_LAST={last}"), (block**2 // last, last)
    if run == 1 and inner in _OWN and last_stride == inner:
        return (*options, f"-DSMALL_INNER={inner}"), (inner, block**2 // inner)
    if run == 1 and min(inner, last) < _FEW:
        return (options, blocks) if inner >= _FEW else None
    # Vectors of 64 bytes only where the compiler makes code of those of floats too; for CPUs without them that of PoCL
    # 3.0 makes illegal instructions of transposed bytes.
    if run == 1 and (y.dtype.itemsize == 4 or y.device.vector_width >= 16):
        return _tiles(y, inner, last)
    return options, blocks


def _tiles(y, inner, last):
    """Return options and blocks where both axes fill vectors."""
    device, line = y.device, _LINE // y.dtype.itemsize
    tile = 16 if device.vector_width >= 16 and y.dtype.itemsize <= 4 and min(inner, last) >= 16 else 8
    # All further strides of y are multiples of the size of its last axis.
    is_streamed = last % line == 0 and (y.nbytes >= _PAST_CACHE or device.is_simulator)
    blocks = (_LONG_BLOCK if is_streamed else _BLOCK), _BLOCK
    if device.is_simulator:
        blocks = tile, max(tile, line)
    return ("-DRUN=1", f"-DTILE={tile}", f"-DLINE={line}", f"-DSTREAM={int(is_streamed)}"), blocks


def transposed(x, axes):
    """Return x with its axes in another order: axis k of the result is the axis ``axes[k]`` of x."""
    distances = row_major(x.shape)
    return strided(x, [x.shape[axis] for axis in axes], 0, [distances[axis] for axis in axes])


def expanded(x, shape):
    """Return x repeated along the axes that it lacks, or along which it has one element, to a shape."""
    repeated = repeated_axes(x.shape, shape)
    distances = (0,) * (len(shape) - len(x.shape)) + row_major(x.shape)
    return strided(x, shape, 0, [0 if axis in repeated else distance for axis, distance in enumerate(distances)])


def scatter(x, shape, parts, around=0, first=0, strides=None):
    """Return y of a shape that is x in a part of each axis, and another number elsewhere.

    Parameters
    ----------
    x : DeviceArray
    shape : tuple of int
    parts : tuple of (int, int, int)
        As :func:`refcnn.shapes.parts` returns them.
    around : int, float or bool
        The other number.
    first : int
        The element of x with which the part begins.
    strides : tuple of int, optional
        Those of x along each axis; without them x has the shape of the parts.
    """
    y = x.device.empty(shape, x.dtype)
    strides = row_major([taken for *_, taken in parts]) if strides is None else strides
    axes = _parts_joined(shape, parts, strides)
    _launch("scatter", axes, x=x, y=y, first=np.int32(first), around=word(around, x.dtype))
    return y


def pick(x, tables, around=0):
    """Return y with y[k_0, k_1, ...] = x[tables[0][k_0], tables[1][k_1], ...], and another number where one is -1.

    Parameters
    ----------
    x : DeviceArray
    tables : sequence of (sequence of int)
        For each axis of x, and so of the result.
    around : int, float or bool
        The other number.
    """
    y = x.device.empty([len(table) for table in tables], x.dtype)
    axes, found, first = [], [], 0
    for table, stride in _tables_joined(x.shape, tables):
        axes.append((len(table), first))
        found.append(np.where(table < 0, -1, table * stride))
        first += len(table)
    tables = x.device.array(np.concatenate(found).astype(np.int32))
    _launch("pick", axes, x=x, y=y, around=word(around, x.dtype), tables=tables)
    return y


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
    options = (word_option(x),)
    arguments = {"x": as_words(x), "y": as_words(y), "count": count, "columns": columns, **places}
    launch_in_chunks(x.device, "moving", "copy_rows", count, options=options, **arguments)


def _launch(kernel, axes, *, x, y, **arguments):
    device = y.device
    arguments |= {"count": y.size, "axes": device.array(np.array(axes, np.int32)), "last_axis": len(axes) - 1}
    options = (word_option(y),)
    launch_in_chunks(device, "moving", kernel, y.size, options=options, x=as_words(x), y=as_words(y), **arguments)


def word_option(array):
    """Return the build option that says of which type the words of an array are."""
    return f"-DWORD={_WORDS[array.dtype.itemsize]}"


def as_words(array):
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


def _parts_joined(shape, parts, strides):
    """Return (size, start, step, taken, stride) of each axis; one that is taken whole becomes one with that before it.

    There is at least one.
    """
    joined = []
    for size, (start, step, taken), stride in zip(shape, parts, strides, strict=True):
        is_whole = (start, step, taken) == (0, 1, size)
        if joined and is_whole and joined[-1][2] == 1 and joined[-1][4] == size * stride:
            joined[-1] = (*(number * size for number in joined[-1][:2]), 1, joined[-1][3] * size, stride)
        else:
            joined.append((size, start, step, taken, stride))
    return joined or [(1, 0, 1, 1, 1)]


def _tables_joined(shape, tables):
    """Return (table, stride) of each axis, neighbours as one of which nothing is left out; at least one."""
    joined = [(np.zeros(1, int), 1)]
    for size, table, stride in zip(shape, tables, row_major(shape), strict=True):
        table = np.asarray(table, int)
        former, distance = joined[-1]
        if (
            _is_whole(table, size)
            and _is_whole(former, len(former))
            and (len(former) == 1 or distance == size * stride)
        ):
            joined[-1] = np.arange(len(former) * size), stride
        else:
            joined.append((table, stride))
    return joined


def _is_whole(table, size):
    return len(table) == size and np.array_equal(table, np.arange(size))


def word(number, dtype):
    """Return a number of a dtype as an unsigned integer of the same bits."""
    return np.asarray(number, dtype).view(f"u{dtype.itemsize}")[()]

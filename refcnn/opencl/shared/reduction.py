"""Launches of kernels/reduction.cl: along one run of neighbouring axes after the other, so that any axes will do.

Sums are blocked, so that their error grows with the square root of their length at most, not with the length itself.
"""

import dataclasses
import functools
import math

import numpy as np

from ... import formats
from ..runtime.array import DeviceArray
from .elementwise import launch_in_chunks, launch_over

# Elements that are combined one after the other: of long axes there are many such pieces, which are reduced again.
_TERMS = 256
# Work-items of a work-group on a GPU.
_GROUP = (256,)
# What a CPU is given: the most columns of a unit of work, and the fewest elements of a work-item.
_COLUMNS, _LEAST_ELEMENTS = 2048, 65536
# Elements of a row up to which it is short, and how many such rows are done at once.
_SHORT, _ROWS = 64, 8
# How many columns there should be side by side; of fewer so many lie side by side as lanes.
_FEW_COLUMNS, _LANES = 32, 64


@dataclasses.dataclass(frozen=True)
class Fold:
    """How elements become one: functions of kernels/reduction.cl by their names.

    Attributes
    ----------
    combine : str
    of_none : dict of str to str
        By the type of the elements what comes of none; of all others, which are unsigned, by ``None``.
    keeps_type : bool
        Whether integers must be taken as signed ones; else overflow, which is defined of unsigned ones alone, wraps.
    """

    combine: str
    of_none: dict
    keeps_type: bool = False


SUM = Fold("sum", {None: "0"})
PRODUCT = Fold("product", {None: "1"})
LARGEST = Fold("largest", {"float": "-INFINITY", "int": "INT_MIN", "long": "LONG_MIN", None: "0"}, keeps_type=True)
SMALLEST = Fold("smallest", {"float": "INFINITY", "int": "INT_MAX", "long": "LONG_MAX", None: "1"}, keeps_type=True)


def sum_over(x, axes):
    """Return the sums over some axes, in an array of as many elements as there are sums.

    Parameters
    ----------
    x : DeviceArray
        float32
    axes : collection of int

    Returns
    -------
    DeviceArray
        x itself where nothing is to be added.
    """
    return fold_over(x, axes, SUM) if any(x.shape[axis] != 1 for axis in axes) else x


def fold_over(x, axes, fold, *, term="itself", finish="whole", divisor=1):
    """Return what becomes of all elements along some axes, in an array of as many elements as there are results.

    Parameters
    ----------
    x : DeviceArray
    axes : collection of int
    fold : Fold
    term, finish : str
        Functions of kernels/reduction.cl: what is combined of an element, and what the last of it becomes.
    divisor : int
        For ``finish``.

    Returns
    -------
    DeviceArray
        Of the dtype of x.
    """
    # Where no axis is reduced, each element is one by itself.
    runs = list(_runs(x.shape, axes)) or [(1, 1, x.size)]
    dtype, passes = x.dtype, [one for run in runs for one in _passes(x.device, *run)]
    signed = formats.of(dtype).c_type
    kept = signed if fold.keeps_type or dtype.kind != "i" else f"u{signed}"
    for number, (kernel, shape, sizes, parts) in enumerate(passes):
        is_first, is_last = number == 0, number == len(passes) - 1
        found = signed if is_first and term == "magnitude" else kept
        y = x.device.empty(shape, dtype)
        options = [f"-DTYPE={found}", f"-DSUM={kept}", f"-DCOMBINE={fold.combine}", f"-DCOLUMNS={_columns(x.device)}"]
        options += [f"-DSTART={fold.of_none.get(kept, fold.of_none[None])}"]
        options += [f"-DTERM={term if is_first else 'itself'}", f"-DFINISH={finish if is_last else 'whole'}"]
        options += ["-DOF_FLOATS"] * (found == "float")
        arguments = {"x": _as(x, found), "y": _as(y, kept), **sizes, "divisor": float(divisor)}
        items, group = -(-parts // sizes["units"]), (1,) if x.device.kind == "cpu" else _GROUP
        x.device.launch("reduction", kernel, (items,), group, options=tuple(options), **arguments)
        x = y
    return x


def first_over(x, axes, better):
    """Return which element along some axes none is better than, and at which place of x each such is first.

    Parameters
    ----------
    x : DeviceArray
    axes : collection of int
    better : str
        A function of kernels/reduction.cl.

    Returns
    -------
    DeviceArray
        int32, of as many elements as there are results; a place is -1 where there are no elements.
    """
    device, winner = x.device, None
    options = f"-DTYPE={formats.of(x.dtype).c_type}", f"-DBETTER={better}", f"-DCOLUMNS={_columns(device)}"
    # Where no axis is reduced, each element is the best of itself.
    for outer, extent, inner in list(_runs(x.shape, axes)) or [(1, 1, x.size)]:
        while winner is None or extent != 1:
            pieces = max(1, -(-extent // _TERMS))
            shape = outer, pieces, inner
            y, y_winner = device.empty(shape, x.dtype), device.empty(shape, np.int32)
            arrays = {"x": x, "x_winner": winner, "y": y, "y_winner": y_winner}
            sizes = {"outer": outer, "extent": extent, "inner": inner, "pieces": pieces}
            arguments = {**arrays, **sizes, "is_first": int(winner is None)}
            if device.kind == "cpu" and inner >= _ROWS:
                cut, items = _columns_cut(device, min(extent, _TERMS), inner, outer * pieces)
                device.launch("reduction", "choose_rows", (items,), (1,), options=options, **arguments, **cut)
            else:
                device.launch("reduction", "choose", (y.size,), _GROUP, options=options, **arguments)
            x, winner, extent = y, y_winner, pieces
    return winner


def places_along(winner, shape, axis):
    """Return where along an axis of an array of a shape places of :func:`first_over` are: int64, of their shape."""
    y = winner.device.empty(winner.shape, np.int64)
    sizes = {"count": winner.size, "extent": shape[axis], "inner": math.prod(shape[axis + 1 :])}
    launch_over(winner.device, "reduction", "place_along", winner.size, winner=winner, y=y, **sizes)
    return y


def to_winners(dy, winner, shape):
    """Return an array of a shape that has each of dy at its place of :func:`first_over`, and else 0."""
    dx = dy.device.empty(shape)
    launch_over(dx.device, "reduction", "zeros", dx.size, y=dx, count=dx.size)
    if dx.size:
        launch_over(dx.device, "reduction", "to_winners", dy.size, dy=dy, winner=winner, dx=dx, count=dy.size)
    return dx


def repeated(x, shape, axes):
    """Return x, from which some axes of a shape are gone or have one element, repeated along those to that shape."""
    return spread("of_sum", shape, axes, dy=x)


def spread(formula, shape, axes, *, dy=None, x=None, y=None, divisor=1):
    """Return an array of a shape that a formula makes of others, of which some are one for all along some axes.

    Parameters
    ----------
    formula : str
        One of those that kernels/reduction.cl has for ``OF_X``.
    shape : tuple of int
    axes : collection of int
    dy, y : DeviceArray, optional
        From which those axes are gone, or have one element.
    x : DeviceArray, optional
        Of the whole shape.
    divisor : int, optional
    """
    device = (dy or y).device
    dx = device.empty(shape)
    table, last_axis, last_stride = _table(device, tuple(shape), tuple(axes))
    launch_in_chunks(
        device,
        "reduction",
        "spread",
        dx.size,
        options=(f"-DOF_X={formula}", f"-DLAST_STRIDE={last_stride}"),
        dy=dy,
        x=x,
        y=y,
        dx=dx,
        count=dx.size,
        axes=table,
        last_axis=last_axis,
        divisor=float(divisor),
    )
    return dx


@functools.lru_cache(maxsize=256)
def _table(device, shape, axes):
    """Return the sizes and strides of runs of axes as the kernel takes them, the last one's number and its stride."""
    rows, stride = [], 1
    for is_reduced, size in reversed(_groups(shape, axes) or [[False, 1]]):
        rows.append((size, 0 if is_reduced else stride))
        stride *= 1 if is_reduced else size
    return device.array(np.array(rows[::-1], np.int32)), len(rows) - 1, rows[0][1]


def others_product(dy, x):
    """Return dy times the product of the others in each row of x, a matrix."""
    dx = x.device.empty(x.shape)
    rows, columns = x.shape
    launch_over(x.device, "reduction", "others_product", rows, dy=dy, x=x, dx=dx, rows=rows, columns=columns)
    return dx


def _as(array, c_type):
    """Return an array, in the same memory, of elements of another type of OpenCL C of the same size."""
    dtype = np.dtype(f"u{array.dtype.itemsize}") if c_type in ("uint", "ulong") else array.dtype
    return array if dtype == array.dtype else DeviceArray(array.device, array.shape, dtype, array.memory)


def _groups(shape, axes):
    """Return [whether it is reduced, size] of each run of neighbouring axes; those of size 1 belong to any."""
    groups = []
    for axis, size in enumerate(shape):
        if size != 1:
            if groups and groups[-1][0] == (axis in axes):
                groups[-1][1] *= size
            else:
                groups.append([axis in axes, size])
    return groups


def _runs(shape, axes):
    """Yield (outer, extent, inner) of each run of neighbouring axes that are reduced, the last of them first.

    ``inner`` counts what is behind the run when the runs there are reduced already.
    """
    groups = _groups(shape, axes)
    for index in range(len(groups) - 1, -1, -1):
        is_reduced, extent = groups[index]
        if is_reduced:
            outer = math.prod(size for _, size in groups[:index])
            yield outer, extent, math.prod(size for was_reduced, size in groups[index + 1 :] if not was_reduced)


def _passes(device, outer, extent, inner):
    """Yield of each launch for one run the kernel, the result's shape, the sizes by the kernel's names, the units."""
    while True:
        # One piece at least, since the sum of no elements is a number too.
        pieces, lanes = max(1, -(-extent // _TERMS)), 1
        if device.kind == "cpu" and inner <= _FEW_COLUMNS and extent > _SHORT:
            lanes = _LANES // 2 ** (inner - 1).bit_length()
            pieces = -(-extent // (_TERMS * lanes))
        sizes = {"outer": outer, "extent": extent}
        if lanes > 1:
            kernel, parts, elements = "fold_lanes", outer * pieces, min(extent, _TERMS * lanes) * inner
            sizes |= {"inner": inner, "lanes": lanes, "pieces": pieces}
        elif device.kind == "cpu" and inner == 1 and pieces == 1:
            kernel, parts, elements = "fold_short", -(-outer // _ROWS), extent * _ROWS
        else:
            kernel, block = "fold", max(1, min(_columns(device), inner))
            blocks = -(-inner // block)
            parts, elements = outer * pieces * blocks, min(extent, _TERMS) * block
            sizes |= {"inner": inner, "pieces": pieces, "block": block, "blocks": blocks}
        units = max(1, _LEAST_ELEMENTS // max(1, elements)) if device.kind == "cpu" else 1
        yield kernel, (outer, pieces, inner), {**sizes, "units": 2 if device.is_simulator else units}, parts
        extent = pieces
        if extent == 1:
            return


def _columns_cut(device, extent, inner, pieces):
    """Return how columns of so many pieces are cut in blocks and units, by the kernel's names, and the work-items."""
    block = min(_columns(device), inner)
    blocks = -(-inner // block)
    units = 2 if device.is_simulator else max(1, _LEAST_ELEMENTS // (max(1, extent) * block))
    return {"block": block, "blocks": blocks, "units": units}, -(-pieces * blocks // units)


def _columns(device):
    if device.kind != "cpu":
        return 1
    # In a simulator there should be several blocks.
    return _LANES if device.is_simulator else _COLUMNS

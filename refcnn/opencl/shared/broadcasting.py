"""Launches of kernels/elementwise.cl over two arrays that are broadcast as in NumPy."""

import itertools
import math

from .elementwise import launch_in_chunks
from .moving import expanded


def launch_binary(kernel, *, a, b, y, options, **gradients):
    """Run one of the kernels for two operands, ``binary_<kernel>``, or ``broadcast_<kernel>`` where those are repeated.

    Parameters
    ----------
    kernel : str
        What stands behind ``binary_``.
    a, b, y : DeviceArray
        The operands, and the result, of the shape that they broadcast to.
    options : tuple of str
        Build options.
    **gradients : DeviceArray
        The kernel's further arguments, of the shape of y.
    """
    if a.shape != b.shape:
        groups = _groups(a.shape, b.shape, y.shape)
        if len(groups) > _MOST_GROUPS:
            a, b = (expanded(entry, y.shape) for entry in (a, b))
        elif len(groups) > 1 or groups[0][1:] != (1, 1):
            _, a_step, b_step = groups[-1]
            options = (*options, f"-DA_STEP={a_step}", f"-DB_STEP={b_step}")
            _launch(f"broadcast_{kernel}", options, a=a, b=b, y=y, **gradients, **_places(groups))
            return
    _launch(f"binary_{kernel}", options, a=a, b=b, y=y, **gradients)


def _launch(kernel, options, *, y, **arguments):
    launch_in_chunks(y.device, "elementwise", kernel, y.size, options=options, y=y, count=y.size, **arguments)


# Axes of a result, neighbours along which the same operands are repeated taken as one, that kernels/elementwise.cl has
# arguments for.
_MOST_GROUPS = 4


def _groups(a, b, y):
    """Return (size, whether a moves along, whether b does) of the axes of a result, those that are alike as one."""
    padded = ((1,) * (len(y) - len(shape)) + shape for shape in (a, b))
    axes = [(size, int(in_a != 1), int(in_b != 1)) for size, in_a, in_b in zip(y, *padded, strict=True) if size != 1]
    found = []
    for moves, entries in itertools.groupby(axes, key=lambda axis: axis[1:]):
        found.append((math.prod(size for size, *_ in entries), *moves))
    return found or [(1, 1, 1)]


def _places(groups):
    """Return where elements lie, by the kernels' names: sizes of the groups, and the operands' strides along them."""
    outer = [(1, 0, 0)] * (_MOST_GROUPS - len(groups)) + groups[:-1]
    found = {"axis1": outer[1][0], "axis2": outer[2][0], "last": groups[-1][0]}
    for operand, name in ((1, "a"), (2, "b")):
        stride = 1
        for place, group in reversed(list(enumerate([*outer, groups[-1]]))):
            if place < len(outer):
                found[f"{name}_stride{place}"] = stride * group[operand]
            stride *= group[0] if group[operand] else 1
    return found

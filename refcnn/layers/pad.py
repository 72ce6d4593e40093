"""Pad: the function and the ONNX mapping."""

import math
from collections.abc import Sequence

import numpy as np

from .. import attributes as attribute
from ..errors import ArgumentError, ShapeError
from ..formats import ANY
from ..function import apply
from ..variable import Input, Variable, as_variable

FAMILY = "shape"

#: It moves whatever there is.
DTYPES = (ANY,)

_MODES = ("constant", "reflect", "edge", "wrap")


def pad(
    x: Input,
    pads: Sequence[int],
    *,
    mode: str = "constant",
    constant_value: float = 0,
    axes: int | Sequence[int] | None = None,
) -> Variable:
    """Put elements before and behind those along some axes, or take some away, as ONNX's Pad does.

    Parameters
    ----------
    x : Variable or array_like
    pads : sequence of int
        The elements to put before those of each axis, then those to put behind each: ``(top, left, bottom, right)`` of
        two axes, not the pairs of NumPy's ``pad``. A negative number is taken away, before anything is put there.
    mode : str
        What they are: ``"constant"``, one number; ``"edge"``, the outermost element; ``"reflect"``, the elements
        mirrored at the outermost, which is not repeated; ``"wrap"``, those from the other end.
    constant_value : float, int or bool
        That number, which the dtype of x must hold.
    axes : int or sequence of int, optional
        Which axes pads are of, in their order; negative ones count from the last. All without it.

    Returns
    -------
    Variable, of the dtype of x

    Raises
    ------
    ArgumentError
        If there are not two numbers for each axis, there is no such axis or mode, or x cannot hold the constant.
    ShapeError
        If more is taken away than there is, nothing is left to continue, or less than is to be mirrored.
    """
    x = as_variable(x)
    dimensions = len(x.shape)
    given = range(dimensions) if axes is None else attribute.entries(axes)
    numbered = [attribute.axis("pad", axis, dimensions) for axis in given]
    if any(map(attribute.is_several, attribute.entries(pads))):
        raise ArgumentError(
            f"pad: pads is {pads!r}, with sequences in it, as NumPy's pad takes them. Give one sequence of numbers: "
            "those to put before each axis, then those to put behind each."
        )
    counts = attribute.integers("pad", "a number of elements", pads, -(2**31))
    if len(set(numbered)) != len(numbered) or len(counts) != 2 * len(numbered):
        raise ArgumentError(
            f"pad: pads is {pads!r} and axes {axes!r}, for an array of shape {x.shape}. Give the elements to put "
            "before those of each axis, then those to put behind each, and name no axis twice."
        )
    mode = attribute.choice("pad", "mode", mode, _MODES)
    ends = {axis: counts[place :: len(numbered)] for place, axis in enumerate(numbered)}
    ends = [ends.get(axis, (0, 0)) for axis in range(dimensions)]
    for axis, (before, after) in enumerate(ends):
        _check_ends(x.shape, axis, before, after, mode)
    constant = attribute.held("pad", "constant_value", constant_value, x.dtype)
    whole = tuple(before for before, _ in ends) + tuple(after for _, after in ends)
    return apply("pad", x, pads=whole, mode=mode, constant_value=constant)


def _check_ends(shape, axis, before, after, mode):
    left = shape[axis] + min(0, before) + min(0, after)
    most = max(before, after)
    if left >= 0 and (mode == "constant" or most <= 0 or (left > 0 and (mode != "reflect" or most < left))):
        return
    needed = "at least one" if mode != "reflect" else f"at least {most + 1}"
    raise ShapeError(
        f"pad: the pads of axis {axis}, {before} before and {after} behind, leave {left} elements of the {shape[axis]} "
        f"of an array of shape {shape}, of which {'none may lack' if left < 0 else f'{mode!r} needs {needed}'}. Give "
        "other pads."
    )


def to_onnx(graph, x, *, pads, mode, constant_value):
    """Write ONNX's Pad."""
    if mode == "wrap":
        graph.require(19, "Pad with the mode wrap")
    dtype = np.float32 if x.dtype.kind == "f" else x.dtype
    constant = np.array(constant_value, dtype) if mode == "constant" else None
    return graph.node("Pad", [graph.tensor(x)], pads=pads, constant_value=constant, mode=mode)


def from_onnx(data, *, pads=None, paddings=None, constant_value=0, value=0, axes=None, mode="constant"):
    """Read ONNX's Pad; ``paddings`` and ``value`` are what old versions call it."""
    pads = paddings if pads is None else pads
    # Some exporters give the number along an axis.
    (constant_value,) = attribute.entries(constant_value or value)
    return pad(data, pads, mode=mode, constant_value=constant_value, axes=axes)


def _count(data, *, pads=None, paddings=None, axes=None, **_):
    pads, axes = paddings if pads is None else pads, range(len(data)) if axes is None else attribute.entries(axes)
    sizes = list(data)
    for axis, before, after in zip(axes, pads, pads[len(pads) // 2 :], strict=False):
        sizes[axis] += before + after
    return math.prod(sizes)


FROM_ONNX = {"Pad": from_onnx}
COUNTS = {"Pad": _count}

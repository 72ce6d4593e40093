"""Slice on an OpenCL device."""

from ...shapes import parts, strides
from ..shared.moving import scatter, strided

KERNELS = {"moving": (None,)}


def forward(x, *, starts, stops, steps):
    """x -> y, a part along each of the first axes; starts, stops and steps are those of Python's slices."""
    distances, taken = strides(x.shape), parts(x.shape, starts, stops, steps)
    first = sum(start * distance for (start, *_), distance in zip(taken, distances, strict=True))
    y_strides = [step * distance for (_, step, _), distance in zip(taken, distances, strict=True)]
    return strided(x, [count for *_, count in taken], first, y_strides), x.shape


def backward(dy, saved, needs, *, starts, stops, steps):
    """dx is dy where x was taken from, and 0 elsewhere."""
    return (scatter(dy, saved, parts(saved, starts, stops, steps)),)

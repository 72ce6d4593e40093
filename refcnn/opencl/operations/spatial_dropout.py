"""Spatial dropout on an OpenCL device."""

import math

import numpy as np

from ..shared.elementwise import launch_in_parts
from .dropout import numbers

#: Pixels of a channel that a work-item does on a CPU.
_PIXELS = 4096


def forward(x, *, ratio, seed, stream, first=0):
    """x (N, C, ...) -> y of that shape; saved: which channels were kept."""
    y, kept = x.device.empty(x.shape), x.device.empty(x.shape[:2], np.uint8)
    arrays, threshold = {"x": x, "y": y, "kept": kept}, np.uint32(int(ratio * 2**32))
    _launch(
        "forward",
        x,
        **arrays,
        threshold=threshold,
        factor=1 / (1 - ratio),
        skipped=first % 4,
        **numbers(ratio=ratio, seed=seed, stream=stream, first=first),
    )
    return y, kept


def backward(dy, saved, needs, *, ratio, seed, stream, first=0):
    """dx = dy / (1 - ratio) where the channel was kept, else 0."""
    dx = dy.device.empty(dy.shape)
    _launch("backward", dy, dy=dy, kept=saved, dx=dx, factor=1 / (1 - ratio))
    return (dx,)


def _launch(direction, of, /, **arguments):
    maps, pixels = math.prod(of.shape[:2]), math.prod(of.shape[2:])
    kernel = f"spatial_dropout_{direction}"
    launch_in_parts(of.device, "spatial_dropout", kernel, maps, pixels, chunk=_PIXELS, **arguments)

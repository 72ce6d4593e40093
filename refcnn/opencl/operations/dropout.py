"""Dropout on an OpenCL device."""

import numpy as np

from ...philox import words
from ..shared.elementwise import launch_in_chunks

_BLOCKS = 64


def forward(x, *, ratio, seed, stream, first=0):
    """x of any shape -> y of that shape; saved: which values were kept."""
    y, kept = x.device.empty(x.shape), x.device.empty(x.shape, np.uint8)
    threshold, factor = np.uint32(int(ratio * 2**32)), 1 / (1 - ratio)
    launch_in_chunks(
        x.device,
        "dropout",
        "dropout_forward",
        (first % 4 + x.size + 3) // 4,
        chunk=_BLOCKS,
        x=x,
        y=y,
        kept=kept,
        count=x.size,
        threshold=threshold,
        factor=factor,
        skipped=first % 4,
        **numbers(ratio=ratio, seed=seed, stream=stream, first=first),
    )
    return y, kept


def numbers(*, ratio, seed, stream, first=0):
    """Return what the kernel is given of the numbers that are drawn."""
    parts = [part for number in (seed, stream, first // 4) for part in words(number)]
    names = "seed_low", "seed_high", "stream_low", "stream_high", "first_low", "first_high"
    return {name: np.uint32(part) for name, part in zip(names, parts, strict=True)}


def backward(dy, saved, needs, *, ratio, seed, stream, first=0):
    """dx = dy / (1 - ratio) where the value was kept, else 0."""
    dx = dy.device.empty(dy.shape)
    arguments = {"dy": dy, "kept": saved, "dx": dx, "count": dy.size, "factor": 1 / (1 - ratio)}
    launch_in_chunks(dy.device, "dropout", "dropout_backward", dy.size, **arguments)
    return (dx,)

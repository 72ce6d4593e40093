"""Dropout on an OpenCL device."""

import numpy as np

from ...philox import words
from ..shared.elementwise import launch_in_chunks

_BLOCKS = 64


def forward(x, *, ratio, seed, stream):
    """x of any shape -> y of that shape; saved: which values were kept."""
    y, kept = x.device.empty(x.shape), x.device.empty(x.shape, np.uint8)
    threshold, factor = np.uint32(int(ratio * 2**32)), 1 / (1 - ratio)
    (seed_low, seed_high), (stream_low, stream_high) = map(words, (seed, stream))
    launch_in_chunks(
        x.device,
        "dropout",
        "dropout_forward",
        (x.size + 3) // 4,
        chunk=_BLOCKS,
        x=x,
        y=y,
        kept=kept,
        count=x.size,
        threshold=threshold,
        factor=factor,
        seed_low=np.uint32(seed_low),
        seed_high=np.uint32(seed_high),
        stream_low=np.uint32(stream_low),
        stream_high=np.uint32(stream_high),
    )
    return y, kept


def backward(dy, saved, needs, *, ratio, seed, stream):
    """dx = dy / (1 - ratio) where the value was kept, else 0."""
    dx = dy.device.empty(dy.shape)
    arguments = {"dy": dy, "kept": saved, "dx": dx, "count": dy.size, "factor": 1 / (1 - ratio)}
    launch_in_chunks(dy.device, "dropout", "dropout_backward", dy.size, **arguments)
    return (dx,)

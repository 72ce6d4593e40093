"""Dropout on an OpenCL device."""

import numpy as np

from ...philox import words
from ..shared.elementwise import launch_in_chunks

_BLOCKS = 64


def forward(x, *, ratio, seed, stream):
    """x of any shape -> y of that shape; saved: which values were kept."""
    y, kept = x.device.empty(x.shape), x.device.empty(x.shape, np.uint8)
    threshold, factor = np.uint32(int(ratio * 2**32)), 1 / (1 - ratio)
    stream_words = [np.uint32(word) for word in (*words(seed), *words(stream))]
    launch_in_chunks(
        x.device,
        "dropout",
        "dropout_forward",
        (x.size + 3) // 4,
        x,
        y,
        kept,
        x.size,
        threshold,
        factor,
        *stream_words,
        chunk=_BLOCKS,
    )
    return y, kept


def backward(dy, saved, needs, *, ratio, seed, stream):
    """dx = dy / (1 - ratio) where the value was kept, else 0."""
    dx = dy.device.empty(dy.shape)
    launch_in_chunks(dy.device, "dropout", "dropout_backward", dy.size, dy, saved, dx, dy.size, 1 / (1 - ratio))
    return (dx,)

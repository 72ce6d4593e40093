"""Dropout on an OpenCL device."""

import numpy as np

from ..philox import words
from .elementwise import launch_over


def forward(x, *, ratio, seed, stream):
    """x of any shape -> y of that shape."""
    y = x.device.empty(x.shape)
    threshold, factor = np.uint32(int(ratio * 2**32)), 1 / (1 - ratio)
    stream_words = [np.uint32(word) for word in (*words(seed), *words(stream))]
    blocks = (x.size + 3) // 4
    launch_over(x.device, "dropout", "dropout_apply", blocks, x, y, x.size, threshold, factor, *stream_words)
    return y, None


def backward(dy, saved, needs, *, ratio, seed, stream):
    """dx = dy / (1 - ratio) where the value was kept, else 0."""
    return (forward(dy, ratio=ratio, seed=seed, stream=stream)[0],)

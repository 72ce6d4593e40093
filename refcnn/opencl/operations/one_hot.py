"""One-hot on an OpenCL device."""

import math

import numpy as np

from ... import formats
from ..shared.elementwise import launch_in_chunks
from ..shared.moving import as_words, word, word_option


def forward(indices, *, depth, axis, off, on, dtype):
    """Indices of any shape -> y with an axis more; an index that is below -depth, or depth or more, leaves all off."""
    kept = formats.kept(np.dtype(dtype), formats.FLOAT32.dtype)
    y = indices.device.empty((*indices.shape[:axis], depth, *indices.shape[axis:]), kept)
    sizes = {"count": y.size, "depth": depth, "inner": math.prod(indices.shape[axis:])}
    numbers = {"off": word(off, kept), "on": word(on, kept)}
    options = f"-DINDEX={formats.of(indices.dtype).c_type}", word_option(y)
    arrays = {"indices": indices, "y": as_words(y)}
    launch_in_chunks(y.device, "one_hot", "one_hot_forward", y.size, options=options, **arrays, **sizes, **numbers)
    return y, None


def backward(dy, saved, needs, *, depth, axis, off, on, dtype):
    """An index has no gradient."""
    return (None,)

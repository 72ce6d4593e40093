"""A choice between two arrays on an OpenCL device."""

import numpy as np

from ...shapes import broadcast_shape, repeated_axes
from ..shared.elementwise import launch_in_chunks
from ..shared.moving import as_words, expanded, word_option
from ..shared.reduction import sum_over


def forward(condition, a, b):
    """condition, a, b of shapes that broadcast -> y of the shape that they broadcast to."""
    y = a.device.empty(broadcast_shape(broadcast_shape(condition.shape, a.shape), b.shape), a.dtype)
    operands = {"condition": condition, "a": a, "b": b}
    steps, arrays = zip(*(_step(name, array, y.shape) for name, array in operands.items()), strict=True)
    options = (word_option(y), *steps)
    arguments = dict(zip(operands, map(as_words, arrays), strict=True))
    launch_in_chunks(
        y.device, "where", "where_forward", y.size, options=options, **arguments, y=as_words(y), count=y.size
    )
    return y, (condition, a.shape, b.shape)


def backward(dy, saved, needs):
    """da = dy where the condition is true, else 0; db = dy where it is not. Summed where a or b was repeated."""
    condition, *shapes = saved
    rows = zip((1, 0), shapes, needs[1:], strict=True)
    return None, *(_gradient(dy, condition, chosen_by, shape) if need else None for chosen_by, shape, need in rows)


def _gradient(dy, condition, chosen_by, shape):
    dx = dy.device.empty(dy.shape)
    step, condition = _step("condition", condition, dy.shape)
    arguments = {
        "condition": as_words(condition),
        "dy": dy,
        "dx": dx,
        "count": dy.size,
        "chosen_by": np.int32(chosen_by),
    }
    options = ("-DWORD=uint", step, "-DSTEP_OF_A=0", "-DSTEP_OF_B=0")
    launch_in_chunks(dy.device, "where", "where_backward", dy.size, options=options, **arguments)
    return dx if dx.shape == shape else sum_over(dx, repeated_axes(shape, dx.shape)).reshape(shape)


def _step(name, array, shape):
    """Return the option that says whether one element stands for all, and the array, else repeated to a shape."""
    is_one = array.size == 1
    whole = array if is_one or array.shape == shape else expanded(array, shape)
    return f"-DSTEP_OF_{name.upper()}={int(not is_one)}", whole

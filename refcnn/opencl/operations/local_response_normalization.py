"""Local response normalisation on an OpenCL device."""

import math

from ..shared.elementwise import launch_in_chunks, launch_in_parts

_STEM = "local_response_normalization"
#: Pixels of a channel that a work-item does on a CPU.
_PIXELS = 256


def forward(x, *, size, alpha, beta, bias):
    """x (N, C, ...) -> y of that shape."""
    y, s, power = (x.device.empty(x.shape) for _ in range(3))
    _over_maps("local_response_forward", size, x=x, y=y, s=s, power=power, share=alpha / size, beta=beta, bias=bias)
    return y, (x, s, y, power)


def backward(dy, saved, needs, *, size, alpha, beta, bias):
    """dx = dy / s^beta - 2 alpha / size beta x times the sum of dy y / s over those of whose s it is a part."""
    x, s, y, power = saved
    ratio, dx = x.device.empty(x.shape), x.device.empty(x.shape)
    launch_in_chunks(x.device, _STEM, "local_response_ratio", x.size, dy=dy, y=y, s=s, ratio=ratio, count=x.size)
    arrays = {"dy": dy, "x": x, "power": power, "ratio": ratio, "dx": dx}
    _over_maps("local_response_backward", size, **arrays, slope=2 * (alpha / size) * beta)
    return (dx,)


def _over_maps(kernel, size, /, *, x, **arguments):
    batch, channels, *sides = x.shape
    arguments |= {"x": x, "channels": channels, "before": (size - 1) // 2, "after": size // 2}
    launch_in_parts(x.device, _STEM, kernel, batch * channels, math.prod(sides), chunk=_PIXELS, **arguments)

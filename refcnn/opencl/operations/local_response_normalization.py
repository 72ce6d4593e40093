"""Local response normalisation on an OpenCL device."""

import math

from ..shared.elementwise import launch_in_chunks, launch_in_parts

_STEM = "local_response_normalization"
#: Pixels of a channel that a work-item does on a CPU.
_PIXELS = 1024


def forward(x, *, size, alpha, beta, bias):
    """x (N, C, ...) -> y of that shape."""
    y, s, power = (x.device.empty(x.shape) for _ in range(3))
    arrays, numbers = {"x": x, "y": y, "s": s, "power": power}, {"share": alpha / size, "beta": beta, "bias": bias}
    _over_maps("local_response_forward", size, beta, **arrays, **numbers)
    return y, (x, s, y, power)


def backward(dy, saved, needs, *, size, alpha, beta, bias):
    """dx = dy / s^beta - 2 alpha / size beta x times the sum of dy y / s over those of whose s it is a part."""
    (x, s, y, power), device = saved, dy.device
    ratio, dx = device.empty(x.shape), device.empty(x.shape)
    arrays, options = {"dy": dy, "y": y, "s": s, "ratio": ratio}, _options(device, beta)
    launch_in_chunks(device, _STEM, "local_response_ratio", x.size, options=options, **arrays, count=x.size)
    arrays = {"dy": dy, "x": x, "power": power, "ratio": ratio, "dx": dx}
    _over_maps("local_response_backward", size, beta, **arrays, slope=2 * (alpha / size) * beta)
    return (dx,)


def _over_maps(kernel, size, exponent, /, *, x, **arguments):
    batch, channels, *sides = x.shape
    maps, pixels, options = batch * channels, math.prod(sides), _options(x.device, exponent)
    arguments |= {"x": x, "channels": channels, "before": (size - 1) // 2, "after": size // 2}
    launch_in_parts(x.device, _STEM, kernel, maps, pixels, chunk=_PIXELS, options=options, **arguments)


def _options(device, beta):
    width = device.vector_width if device.kind == "cpu" else 1
    return f"-DWIDTH={width}", *["-DTHREE_QUARTERS"] * (beta == 0.75)

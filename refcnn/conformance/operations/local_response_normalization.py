"""Local response normalisation: cases and error bounds, by running error analysis of the formula."""

import math

import numpy as np
from hypothesis import strategies as st

from ..theory.approximation import Approximation
from ..theory.sizes import batches, extents, sized
from ..theory.strategies import FEW_NOT_FINITE, Case, arrays

_SCALES = (1.0, 1.0, 10.0, 1e3, 1e-3, 1e14, 1e-20, 1e-40)


@st.composite
def cases(draw, size="small", integers=False):
    """Draw images of 0 to 3 axes, and how many neighbours are looked at, at times more than there are channels."""
    n, channels = draw(batches(size)), draw(extents(9 if size == "tiny" else 33))
    pixels = ()
    for _ in range(draw(st.integers(0, 3))):
        pixels += (draw(extents(max(1, (25 if size == "tiny" else 600) // math.prod(pixels)))),)
    shape = n, channels, *pixels
    if size in ("small", "large") and draw(st.integers(0, 4)) == 4:
        # Maps that several work-items do.
        shape = min(2, n), min(5, channels), draw(st.sampled_from((1024, 1025, 2047)))
    shape = draw(sized(shape, size))
    attributes = {
        "size": draw(st.sampled_from((5, 3, 1, 2, 4, 6, 9))),
        "alpha": draw(st.sampled_from((1.0, 1e-4, 0.3))),
        "beta": draw(st.sampled_from((0.75, 0.5, 1.0, 2.0))),
        "bias": draw(st.sampled_from((1.0, 2.0, 0.125))),
    }
    x = draw(arrays(shape, integers, scales=_SCALES, **FEW_NOT_FINITE))
    return Case((x,), attributes, draw(arrays(shape, integers, **FEW_NOT_FINITE)))


def edges(case):
    """An even number of neighbours, and more than there are channels."""
    size = case.attributes["size"]
    return {"even size": size % 2 == 0, "fewer channels": size > case.inputs[0].shape[1]}


def forward_bound(inputs, attributes, errors=None):
    """y = x / s^beta, or x times s^-beta, s = bias + alpha / size sum of x^2."""
    x = Approximation.of_input(inputs[0], errors and errors[0])
    return _forward(x, attributes)[1].bound


def backward_bound(dy, inputs, attributes, needs):
    """dx = dy / s^beta - 2 alpha / size beta x sum of dy y / s, with s and y as forward rounded them."""
    if not needs[0]:
        return (None,)
    x, dy = Approximation.of_input(inputs[0]), Approximation.of_input(dy)
    s, y = _forward(x, attributes)
    size, beta = attributes["size"], attributes["beta"]
    slope = Approximation.of_attribute(2 * (attributes["alpha"] / size) * beta)
    sums = _sums(dy * y / s, size // 2, (size - 1) // 2)
    return ((_divided(dy, s, beta) - slope * x * sums).bound,)


def _forward(x, attributes):
    """Return s and y."""
    size = attributes["size"]
    share, bias = Approximation.of_attribute(attributes["alpha"] / size), Approximation.of_attribute(attributes["bias"])
    sums = _sums(x * x, (size - 1) // 2, size // 2)
    # The mean may be taken first.
    mean = sums / Approximation(size) * Approximation.of_attribute(attributes["alpha"])
    s = (sums * share).or_as(mean) + bias
    return s, _divided(x, s, attributes["beta"])


def _divided(x, s, beta):
    power, inverse = (np.power(s, Approximation.of_attribute(sign * beta)) for sign in (1, -1))
    return (x / power).or_as(x * inverse)


def _sums(values, before, after):
    """The sum for each channel from so many channels before it to so many after it."""
    channels = values.shape[1]
    offsets = range(max(-before, 1 - channels), min(after, channels - 1) + 1)
    stacked = Approximation(*(np.stack([_moved(part, d) for d in offsets]) for part in (values.exact, values.error)))
    return stacked.sum(axis=0, keepdims=False)


def _moved(array, d):
    """Return an array that has at each channel c what is at c + d, or 0 where there is none."""
    moved = np.zeros(array.shape)
    channels = array.shape[1]
    moved[:, max(0, -d) : channels - max(0, d)] = array[:, max(0, d) : channels + min(0, d)]
    return moved

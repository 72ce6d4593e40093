"""Lp pooling: cases, and error bounds by running error analysis of the formulas on the pixels of windows."""

import dataclasses
import math

import numpy as np
from hypothesis import strategies as st

from ...reference import lp_pool2d
from ...shapes import image_slices, padded_sizes, reached_padding
from ..theory.approximation import Approximation
from ..theory.edges import of_pooling
from ..theory.examples import pools
from ..theory.random_numbers import pooled
from ..theory.strategies import FEW_NOT_FINITE, pooling_cases
from ..theory.windows import pixels_under

EXACT_ON_INTEGERS = True


@st.composite
def cases(draw, size="small", integers=False):
    """Draw images, the attributes of the window, and which norm; of integers sums of magnitudes alone are exact."""
    case = draw(pooling_cases(size, integers, **({} if integers else FEW_NOT_FINITE)))
    p = 1 if integers else draw(st.sampled_from((2, 1, 3, 4, 5)))
    return dataclasses.replace(case, attributes={**case.attributes, "p": p})


def random_cases(direction):
    """Draw windows of few or many pixels, whose sums are of magnitudes; a pixel is under few of them."""
    if direction == "backward":
        return None
    cases, norms = pooled(), st.sampled_from((2, 1, 3))
    return st.builds(lambda case, p: dataclasses.replace(case, attributes=_with_norm(case.attributes, p)), cases, norms)


def _with_norm(attributes, p):
    return {name: value for name, value in attributes.items() if name != "count_include_padding"} | {"p": p}


def forward_bound(inputs, attributes, errors=None):
    """That of the norm of each window."""
    window, p = _split(attributes)
    return _norm(_pixels(inputs[0], window, errors and errors[0]), p).bound


def backward_bound(dy, inputs, attributes, needs):
    """A sum over the windows above each pixel, of dy times the slope of the norm, as forward rounded it."""
    if not needs[0]:
        return (None,)
    window, p = _split(attributes)
    pixels = _pixels(inputs[0], window)
    dy = Approximation.of_input(dy)
    shares = dy.reshape(*dy.shape, 1) * _slope(pixels, _norm(pixels, p), p)
    exact, error = (_by_pixel(entry, inputs[0].shape, window) for entry in (shares.exact, shares.error))
    return (Approximation(exact, error).sum(axis=-1, keepdims=False).bound,)


def is_exact_with(attributes):
    """Magnitudes are only added."""
    return attributes["p"] == 1


def edges(case):
    """Those of windows and planes, and which norm it is."""
    return of_pooling(case) | {f"p {name}": case.attributes["p"] == p for name, p in (("1", 1), ("2", 2), ("3", 3))}


def _norm(pixels, p):
    if p <= 2:
        return lp_pool2d.norm(pixels, p)
    magnitude = Approximation(np.abs(pixels.exact), pixels.error)
    return magnitude.power_of_magnitude(p).sum(axis=-1, keepdims=False).power_of_magnitude(1 / p)


def _slope(pixels, y, p):
    if p <= 2:
        return lp_pool2d.slope(pixels, y, p)
    # The slope of the second norm is the share of the pixel in y, with its sign.
    share = lp_pool2d.slope(pixels, y, 2)
    return np.sign(pixels) * Approximation(np.abs(share.exact), share.error).power_of_magnitude(p - 1)


def _split(attributes):
    """Return the window, with its padding as far as it reaches and its dilation, and p."""
    window = {"dilation": None, "ceil_mode": False, **attributes}
    p = window.pop("p")
    window["dilation"] = window["dilation"] or (1,) * len(window["kernel"])
    return window, p


def _pixels(x, window, error=None):
    """Return (N, C, out_h, out_w, taps): the pixels under each place of the window."""
    of_input = Approximation.of_input(x, error)
    return Approximation(*(pixels_under(entry, **window) for entry in (of_input.exact, of_input.error)))


def _by_pixel(shares, shape, window):
    """Return (N, C, H, W, windows): what each pixel gets from each of the windows that may be over it, or 0."""
    image, kernel, stride, dilation = shape[2:], window["kernel"], window["stride"], window["dilation"]
    reached = reached_padding(image, **window)
    # Taps that may lie on one pixel are so far apart, so that those of one slot never do.
    apart = [step // math.gcd(step, spread) for step, spread in zip(stride, dilation, strict=True)]
    slots = [-(-taps // distance) for taps, distance in zip(kernel, apart, strict=True)]
    padded = np.zeros((*shape[:2], *padded_sizes(image, reached), *slots))
    for number, tap in enumerate(np.ndindex(*kernel)):
        axes = zip(tap, shares.shape[2:-1], stride, dilation, strict=True)
        places = (slice(a * spread, a * spread + (count - 1) * step + 1, step) for a, count, step, spread in axes)
        slot = (a // distance for a, distance in zip(tap, apart, strict=True))
        padded[:, :, *places, *slot] += shares[..., number]
    inside = padded[:, :, *image_slices(image, reached)]
    return inside.reshape(*shape, -1)


def examples():
    """A window over a channel."""
    return pools(p=2)

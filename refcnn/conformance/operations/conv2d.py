"""Convolution: cases and error bounds."""

import numpy as np
from hypothesis import strategies as st

from ...reference import conv2d
from ...shapes import window_output_shape
from ..theory import winograd
from ..theory.bounds import sum_of_products, sum_of_terms, windows_over_a_pixel
from ..theory.edges import of_bias, of_planes, of_windows
from ..theory.strategies import (
    FEW_NOT_FINITE,
    KERNELS,
    LIMITS,
    Case,
    arrays,
    batches,
    extents,
    halving_windows,
    image_sizes,
    spans,
    windows,
    winograd_windows,
)

EXACT_ON_INTEGERS = True

#: The directions in which algorithms are told, by the input of which each is the gradient.
_GRADIENTS = ("backward_x", "backward_w", "backward_b")


@st.composite
def cases(draw, size="small", integers=False):
    """Draw images, kernels, at times a bias, and all attributes."""
    general = windows(KERNELS[size], dilations=True)
    # Not by one_of, which takes what is given twice as given once.
    kinds = (general,) * 4 + (winograd_windows(),) * 3 + (halving_windows(KERNELS[size]),)
    window = draw(kinds[draw(st.sampled_from(range(len(kinds))))])
    span = spans(window["kernel"], window["dilation"])
    height, width = draw(image_sizes(size, span, window["padding"], window["stride"]))
    batch = draw(batches(size))
    c, k, groups = draw(channels(LIMITS[size][1]))
    kernel = window.pop("kernel")
    out = window_output_shape((height, width), kernel, window["stride"], window["padding"], window["dilation"])
    x = draw(arrays((batch, c, height, width), integers, **FEW_NOT_FINITE))
    w = draw(arrays((k, c // groups, *kernel), integers, **FEW_NOT_FINITE))
    b = draw(st.one_of(st.none(), arrays((1, k, 1, 1), integers, **FEW_NOT_FINITE)))
    dy = draw(arrays((batch, k, *out), integers, **FEW_NOT_FINITE))
    return Case((x, w, b), {**window, "groups": groups}, dy)


@st.composite
def channels(draw, largest):
    """Draw (input channels, output channels, groups): one group, a group for each input channel, or between."""
    groups = draw(st.one_of(st.just(1), st.integers(2, 5)))
    depthwise = groups > 1 and draw(st.booleans())
    c = groups * (1 if depthwise else draw(extents(max(1, largest // groups))))
    return c, groups * draw(extents(max(1, largest // groups))), groups


def forward_bound(inputs, attributes, errors=None, algorithms=None):
    """One term for each tap of the kernel in each channel of the group.

    A zero of the padding that meets a weight of NaN or infinity may be multiplied, or skipped.

    Parameters
    ----------
    inputs, attributes, errors
        As in every operation.
    algorithms : dict of str to str, optional
        By ``forward``, ``backward_x`` and ``backward_w`` the variant of the kernels, for those whose algorithm has a
        bound of its own.
    """
    x, w, b = inputs

    def product(x, w):
        return conv2d.forward(x, w, None, **attributes)[0]

    not_finite = _not_finite(w)
    undefined = not_finite.sum(axis=(1, 2, 3)).reshape(1, -1, 1, 1) > product(np.ones(x.shape), not_finite)
    errors = errors or (None, None, None)
    direct = sum_of_products(product, x, w, w[0].size, b, errors, undefined)
    tile = _tile(algorithms, "forward")
    if tile is None:
        return direct
    bound = winograd.forward_bound(x, w, b, padding=attributes["padding"], groups=attributes["groups"], tile=tile)
    if any(error is not None for error in errors):
        # What errors of the inputs make of the result does not depend on how it is computed.
        bound = bound + (direct - sum_of_products(product, x, w, w[0].size, b, undefined=undefined))
    return bound


def backward_bound(dy, inputs, attributes, needs, algorithms=None):
    """dx and dw are sums of products, db is a sum; ``algorithms`` as in :func:`forward_bound`.

    Where a pixel would be read by a window that does not exist, and where a
    window reads the padding, a zero may stand in a product that meets NaN or
    infinity, or be skipped.
    """
    x, w, b = inputs
    padded, zeros_w = conv2d.pad(np.zeros(x.shape), attributes["padding"]), np.zeros(w.shape)

    def dx_product(dy, w):
        return conv2d.backward(dy, (padded, w), (True, False, False), **attributes)[0]

    def dw_product(dy, x):
        saved = conv2d.pad(x, attributes["padding"]), zeros_w
        return conv2d.backward(dy, saved, (False, True, False), **attributes)[1]

    terms = windows_over_a_pixel(w.shape[2:], attributes["stride"], attributes["dilation"])
    terms *= w.shape[0] // attributes["groups"]
    places = dy.shape[0] * dy.shape[2] * dy.shape[3]
    if needs[0]:
        not_finite, groups = _not_finite(w), attributes["groups"]
        of_channel = not_finite.reshape(groups, -1, *w.shape[1:]).sum(axis=(1, 3, 4)).reshape(1, -1, 1, 1)
        dx_undefined = of_channel > dx_product(np.ones(dy.shape), not_finite)
    if needs[1]:
        of_kernel = _not_finite(dy).sum(axis=(0, 2, 3)).reshape(-1, 1, 1, 1)
        of_channel = _not_finite(x).sum(axis=(0, 2, 3)).reshape(attributes["groups"], 1, -1)
        of_channel = np.repeat(of_channel, w.shape[0] // attributes["groups"], axis=1).reshape(*w.shape[:2], 1, 1)
        dw_undefined = of_kernel > dw_product(_not_finite(dy), np.ones(x.shape))
        dw_undefined |= of_channel > dw_product(np.ones(dy.shape), _not_finite(x))
    shared = {"padding": attributes["padding"], "groups": attributes["groups"]}
    x_tile, w_tile = _tile(algorithms, "backward_x"), _tile(algorithms, "backward_w")
    dx = dw = None
    if needs[0]:
        dx = sum_of_products(dx_product, dy, w, terms, undefined=dx_undefined)
        if x_tile is not None:
            dx = winograd.backward_x_bound(dy, w, x.shape, tile=x_tile, **shared)
    if needs[1]:
        dw = sum_of_products(dw_product, dy, x, places, undefined=dw_undefined)
        if w_tile is not None:
            dw = winograd.backward_w_bound(x, dy, w.shape, tile=w_tile, **shared)
    return (dx, dw, sum_of_terms(lambda dy: dy.sum(axis=(0, 2, 3), keepdims=True), dy, places) if needs[2] else None)


def rounds_integers(algorithms, gradient=None):
    """The constants of Winograd's larger tiles are no binary fractions; b's gradient is a plain sum with any."""
    return algorithms.get("forward" if gradient is None else _GRADIENTS[gradient]) == "winograd_4x4"


def edges(case):
    """Those of windows and planes, of channels and groups, and of the bias."""
    (x, w, _), attributes = case.inputs, case.attributes
    c, groups = x.shape[1], attributes["groups"]
    channels = {
        "one group": groups == 1,
        "depthwise": 1 < groups == c,
        "groups between 1 and C": 1 < groups < c,
        "Winograd applies": w.shape[2:] == (3, 3) and attributes["stride"] == attributes["dilation"] == (1, 1),
    }
    windows = of_windows(x.shape, w.shape[2:], attributes["dilation"], attributes)
    return windows | of_planes(case) | channels | of_bias(case)


def _tile(algorithms, direction):
    return winograd.ALGORITHMS.get((algorithms or {}).get(direction))


def _not_finite(array):
    return (~np.isfinite(array)).astype(np.float64)

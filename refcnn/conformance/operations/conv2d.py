"""Convolution: cases and error bounds."""

import math

import numpy as np
from hypothesis import strategies as st

from ...reference import conv2d
from ...shapes import window_output_shape
from ..theory import probable_tiles, sliding, winograd
from ..theory.bounds import UNDEFINED, windows_over_a_pixel
from ..theory.convolution import bias_bound, gathered_bound, spread_bound, weights_bound
from ..theory.edges import of_bias, of_planes, of_windows
from ..theory.examples import convolutions
from ..theory.pieces import linear_in_first
from ..theory.probable import Sum
from ..theory.random_numbers import convolutions as random_convolutions
from ..theory.random_numbers import numbers
from ..theory.sizes import KERNELS, LIMITS, batches, extents, long_extents
from ..theory.strategies import (
    FEW_NOT_FINITE,
    OF_BIAS,
    Case,
    arrays,
    halving_windows,
    images_under,
    windows,
    winograd_windows,
)

EXACT_ON_INTEGERS = True
BOUND_GROWS = True

#: Roundings of tiles of 2 x 2, by :mod:`~refcnn.conformance.theory.winograd`, beside those of a sum over channels.
ROUNDINGS_OF_TRANSFORMATIONS = 10

#: The directions in which algorithms are told, by the input of which each is the gradient.
_GRADIENTS = ("backward_x", "backward_w", "backward_b")


@st.composite
def cases(draw, size="small", integers=False):
    """Draw images, kernels, at times a bias, and all attributes."""
    image, window = draw(images_under(size, draw(any_windows(size))))
    batch = draw(batches(size))
    c, k, groups = draw(channels(size))
    kernel = window.pop("kernel")
    out = window_output_shape(image, kernel, window["stride"], window["padding"], window["dilation"])
    x = draw(arrays((batch, c, *image), integers, **FEW_NOT_FINITE))
    w = draw(arrays((k, c // groups, *kernel), integers, **FEW_NOT_FINITE))
    b = draw(
        st.one_of(st.none(), arrays((1, k, *(1,) * len(image)), integers, integer_scales=OF_BIAS, **FEW_NOT_FINITE))
    )
    dy = draw(arrays((batch, k, *out), integers, **FEW_NOT_FINITE))
    return Case((x, w, b), {**window, "groups": groups}, dy)


@st.composite
def any_windows(draw, size):
    """Draw a window as :func:`~refcnn.conformance.theory.strategies.windows`, often such as some variants serve."""
    general = windows(KERNELS[size], dilations=True, is_large=size == "window")
    if size == "window":
        return draw(general)
    # Not by one_of, which takes what is given twice as given once.
    kinds = (general,) * 4 + (winograd_windows(),) * 3 + (halving_windows(KERNELS[size]),)
    return draw(kinds[draw(st.sampled_from(range(len(kinds))))])


@st.composite
def channels(draw, size):
    """Draw (input channels, output channels, groups): one group, a group for each input channel, or between."""
    largest = LIMITS[size][1]
    if size == "channels":
        return draw(_many_channels(largest))
    groups = draw(st.one_of(st.just(1), st.integers(2, 5)))
    depthwise = groups > 1 and draw(st.booleans())
    # More channels than work-items on small devices, at times, so that one takes several blocks of images.
    groups = draw(st.sampled_from((groups, 9))) if depthwise else groups
    c = groups * (1 if depthwise else draw(extents(max(1, largest // groups))))
    of_each = 1 if depthwise and draw(st.booleans()) else draw(extents(max(1, largest // groups)))
    return c, groups * of_each, groups


@st.composite
def _many_channels(draw, largest):
    """Draw the same where there are many groups, or many channels or kernels in each group."""
    of_group = [draw(st.integers(1, largest)) for _ in range(3)]
    of_group[draw(st.integers(0, 2))] = draw(long_extents(2048))
    c, k, groups = of_group
    return c * groups, k * groups, groups


def exact_forward(x, w, b, *, stride, padding, dilation, groups):
    """As :func:`refcnn.reference.conv2d.forward`, by matrix products."""
    padded = conv2d.pad(x, padding)
    out = window_output_shape(padded.shape[2:], w.shape[2:], stride, (0,) * len(padding), dilation)
    y = sliding.gathered(padded, w, stride, dilation, groups, out)
    return y if b is None else y + b, (padded, w)


def exact_backward(dy, saved, needs, **attributes):
    """As :func:`refcnn.reference.conv2d.backward`, dx by matrix products."""
    others = (None, None)
    if any(needs[1:]):
        _, *others = conv2d.backward(dy, saved, (False, *needs[1:]), **attributes)
    if not needs[0]:
        return None, *others
    x, w = saved
    dx = sliding.spread(dy, w, x.shape[2:], attributes["stride"], attributes["dilation"], attributes["groups"])
    return conv2d.crop(dx, attributes["padding"]), *others


def terms(inputs, attributes):
    """The products under a window, or what of these and of its transformations Winograd's algorithm has at least."""
    channels = inputs[1].shape[1]
    return min(channels * math.prod(inputs[1].shape[2:]), channels + ROUNDINGS_OF_TRANSFORMATIONS)


def squares(inputs, attributes):
    """Of the products under a window, and of the bias."""
    x, w, b = (None if entry is None else np.square(entry) for entry in inputs)
    return math.prod(w.shape[1:]) + (b is not None), exact_forward(x, w, b, **attributes)[0]


may_flip = linear_in_first


def forward_bound(inputs, attributes, errors=None, algorithms=None):
    """One term for each tap of the kernel in each channel of the group.

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
        return exact_forward(x, w, None, **attributes)[0]

    direct = gathered_bound(product, x, w, b, errors)
    tile = winograd.tile_of(algorithms, "forward")
    if tile is None:
        return direct
    bound = winograd.forward_bound(x, w, b, padding=attributes["padding"], groups=attributes["groups"], tile=tile)
    if errors is not None and any(error is not None for error in errors):
        # What errors of the inputs make of the result does not depend on how it is computed.
        of_errors = np.where(np.isfinite(direct), direct - gathered_bound(product, x, w, b), np.inf)
        bound = np.where((bound == UNDEFINED) | (direct == UNDEFINED), UNDEFINED, bound + of_errors)
    return bound


def backward_bound(dy, inputs, attributes, needs, algorithms=None):
    """dx and dw are sums of products, db is a sum; ``algorithms`` as in :func:`forward_bound`."""
    x, w, _ = inputs
    padded, zeros_w = conv2d.pad(np.zeros(x.shape), attributes["padding"]), np.zeros(w.shape)

    def dx_product(dy, w):
        return exact_backward(dy, (padded, w), (True, False, False), **attributes)[0]

    def dw_product(dy, x):
        saved = conv2d.pad(x, attributes["padding"]), zeros_w
        return conv2d.backward(dy, saved, (False, True, False), **attributes)[1]

    windows, groups = (
        windows_over_a_pixel(w.shape[2:], attributes["stride"], attributes["dilation"]),
        attributes["groups"],
    )
    shared = {"padding": attributes["padding"], "groups": groups}
    x_tile, w_tile = (winograd.tile_of(algorithms, direction) for direction in ("backward_x", "backward_w"))
    dx = dw = None
    if needs[0] and x_tile is None:
        dx = spread_bound(dx_product, dy, w, windows, groups)
    elif needs[0]:
        dx = winograd.backward_x_bound(dy, w, x.shape, tile=x_tile, **shared)
    if needs[1] and w_tile is None:
        dw = weights_bound(dw_product, dy, x, w.shape, groups)
    elif needs[1]:
        dw = winograd.backward_w_bound(x, dy, w.shape, tile=w_tile, **shared)
    return dx, dw, bias_bound(dy) if needs[2] else None


def rounds_integers(algorithms, gradient=None):
    """The constants of Winograd's larger tiles are no binary fractions; b's gradient is a plain sum with any."""
    return algorithms.get("forward" if gradient is None else _GRADIENTS[gradient]) == "winograd_4x4"


def sums(case, algorithms=None):
    """Of products under a window, and of the bias, or Winograd's; db is a sum of dy."""
    (x, w, b), attributes = case.inputs, case.attributes
    groups, steps = attributes["groups"], (attributes["stride"], attributes["dilation"])
    out = window_output_shape(x.shape[2:], w.shape[2:], steps[0], attributes["padding"], steps[1])
    windows, pixels = windows_over_a_pixel(w.shape[2:], *steps), len(x) * math.prod(out)
    summed = Sum(math.prod(w.shape[1:]) + (b is not None)), Sum(windows * len(w) // groups), Sum(pixels), Sum(pixels)
    shared = {"padding": attributes["padding"], "groups": groups}
    tiled = (
        lambda tile: probable_tiles.forward(x, w, b is not None, tile=tile, **shared),
        lambda tile: probable_tiles.backward_x(case.dy, w, x.shape[2:], tile=tile, **shared),
        lambda tile: probable_tiles.backward_w(x, case.dy, tile=tile, **shared),
    )
    return probable_tiles.of_algorithms(algorithms, w, attributes, summed, tiled)


@st.composite
def random_cases(draw, direction):
    """Draw images, kernels and at times a bias."""
    kind = "gathered" if direction == "forward" else draw(st.sampled_from(("weights", "spread")))
    *shapes, window = draw(random_convolutions(kind))
    x, w, dy, b = draw(numbers(*shapes, (1, shapes[1][0], 1, 1)))
    return Case((x, w, draw(st.sampled_from((None, b)))), {**window, "groups": 1}, dy, random_signs=True)


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


def examples():
    """A kernel over a channel, or with groups two over two."""
    return convolutions(lambda channels, kernels, groups: (kernels, channels // groups))


EXPLAINED_WITH = ("conv_transpose2d",)

OFFERED = {"channel": 1}

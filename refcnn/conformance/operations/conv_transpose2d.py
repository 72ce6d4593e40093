"""Transposed convolution: cases and error bounds."""

import math

import numpy as np
from hypothesis import strategies as st

from ...reference import conv2d as reference_conv2d
from ...reference import conv_transpose2d
from ...shapes import sides, transposed_output_shape, window_extent, window_output_shape
from ..theory import probable_tiles, sliding, winograd
from ..theory.bounds import windows_over_a_pixel
from ..theory.convolution import bias_bound, gathered_bound, spread_bound, weights_bound
from ..theory.edges import of_bias, of_planes, of_windows
from ..theory.examples import convolutions
from ..theory.pieces import linear_in_first
from ..theory.probable import Sum
from ..theory.random_numbers import convolutions as random_convolutions
from ..theory.random_numbers import numbers
from ..theory.sizes import batches
from ..theory.strategies import FEW_NOT_FINITE, OF_BIAS, Case, arrays, images_under
from . import conv2d

EXACT_ON_INTEGERS = True
BOUND_GROWS = True

rounds_integers = conv2d.rounds_integers


@st.composite
def cases(draw, size="small", integers=False):
    """Draw images, kernels, at times a bias, and all attributes: a convolution's, whose images are the result."""
    out, window = draw(images_under(size, draw(conv2d.any_windows(size))))
    kernel = window.pop("kernel")
    image = list(window_output_shape(out, kernel, **window))
    rows = zip(out, kernel, window["stride"], sides(window["padding"]), window["dilation"], strict=True)
    output_padding = ()
    for axis, (pixels, taps, step, around, spread) in enumerate(rows):
        more = (pixels + sum(around) - window_extent(taps, spread)) % step
        # With a dilation beyond the stride there may be more than one step of it.
        if image[axis] > 1 and more + step < spread and draw(st.booleans()):
            more, image[axis] = more + step, image[axis] - 1
        output_padding += (more,)
    c, k, groups = draw(conv2d.channels(size))
    batch = draw(batches(size))
    x = draw(arrays((batch, c, *image), integers, **FEW_NOT_FINITE))
    w = draw(arrays((c, k // groups, *kernel), integers, **FEW_NOT_FINITE))
    b = draw(
        st.one_of(st.none(), arrays((1, k, *(1,) * len(image)), integers, integer_scales=OF_BIAS, **FEW_NOT_FINITE))
    )
    dy = draw(arrays((batch, k, *out), integers, **FEW_NOT_FINITE))
    return Case((x, w, b), {**window, "output_padding": output_padding, "groups": groups}, dy)


def exact_forward(x, w, b, *, stride, padding, output_padding, dilation, groups):
    """As :func:`refcnn.reference.conv_transpose2d.forward`, by matrix products."""
    whole = transposed_output_shape(x.shape[2:], w.shape[2:], stride, (0,) * len(padding), output_padding, dilation)
    y = reference_conv2d.crop(sliding.spread(x, w, whole, stride, dilation, groups), padding)
    return y if b is None else y + b, (x, w)


def exact_backward(dy, saved, needs, **attributes):
    """As :func:`refcnn.reference.conv_transpose2d.backward`, dx by matrix products."""
    others = (None, None)
    if any(needs[1:]):
        _, *others = conv_transpose2d.backward(dy, saved, (False, *needs[1:]), **attributes)
    if not needs[0]:
        return None, *others
    dy, (x, w) = reference_conv2d.pad(dy, attributes["padding"]), saved
    of_windows = attributes["stride"], attributes["dilation"], attributes["groups"]
    return sliding.gathered(dy, w, *of_windows, x.shape[2:]), *others


def terms(inputs, attributes):
    """What may lie on one pixel, or of Winograd's algorithm what a convolution has."""
    channels = len(inputs[1]) // attributes["groups"]
    return min(channels * _windows(inputs[1], attributes), channels + conv2d.ROUNDINGS_OF_TRANSFORMATIONS)


def squares(inputs, attributes):
    """Of the products that lie on a pixel, and of the bias."""
    x, w, b = (None if entry is None else np.square(entry) for entry in inputs)
    count = _windows(w, attributes) * (len(w) // attributes["groups"])
    return count + (b is not None), exact_forward(x, w, b, **attributes)[0]


may_flip = linear_in_first


def forward_bound(inputs, attributes, errors=None, algorithms=None):
    """One term for each tap of a kernel that may lie on a pixel, in each channel of the group.

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

    def direct(errors):
        return spread_bound(product, x, w, _windows(w, attributes), attributes["groups"], b, errors)

    tile = winograd.tile_of(algorithms, "forward")
    if tile is None:
        return direct(errors)
    shared = {"padding": attributes["padding"], "groups": attributes["groups"], "tile": tile}
    bound = winograd.backward_x_bound(x, w, product(x, w).shape, b=b, **shared)
    if errors is not None and any(error is not None for error in errors):
        # What errors of the inputs make of the result does not depend on how it is computed.
        bound = bound + (direct(errors) - direct(None))
    return bound


def backward_bound(dy, inputs, attributes, needs, algorithms=None):
    """dx and dw are sums of products, db is a sum; ``algorithms`` as in :func:`forward_bound`."""
    x, w, _ = inputs
    zeros_x, zeros_w = np.zeros(x.shape), np.zeros(w.shape)

    def dx_product(dy, w):
        return exact_backward(dy, (zeros_x, w), (True, False, False), **attributes)[0]

    def dw_product(x, dy):
        return conv_transpose2d.backward(dy, (x, zeros_w), (False, True, False), **attributes)[1]

    groups = attributes["groups"]
    shared = {"padding": attributes["padding"], "groups": groups}
    x_tile, w_tile = (winograd.tile_of(algorithms, direction) for direction in ("backward_x", "backward_w"))
    dx = dw = None
    if needs[0] and x_tile is None:
        dx = gathered_bound(dx_product, dy, w)
    elif needs[0]:
        dx = winograd.forward_bound(dy, w, None, tile=x_tile, **shared)
    if needs[1] and w_tile is None:
        dw = weights_bound(dw_product, x, dy, w.shape, groups)
    elif needs[1]:
        dw = winograd.backward_w_bound(dy, x, w.shape, tile=w_tile, **shared)
    return dx, dw, bias_bound(dy) if needs[2] else None


def sums(case, algorithms=None):
    """Of products that lie on a pixel, and of the bias, or Winograd's; db is a sum of dy."""
    (x, w, b), attributes = case.inputs, case.attributes
    places = (attributes[name] for name in ("stride", "padding", "output_padding", "dilation"))
    out, groups = transposed_output_shape(x.shape[2:], w.shape[2:], *places), attributes["groups"]
    on_pixel, pixels = _windows(w, attributes) * (len(w) // groups) + (b is not None), len(x) * math.prod(x.shape[2:])
    summed = Sum(on_pixel), Sum(math.prod(w.shape[1:])), Sum(pixels), Sum(len(x) * math.prod(out))
    shared = {"padding": attributes["padding"], "groups": groups}
    tiled = (
        lambda tile: probable_tiles.backward_x(x, w, out, b is not None, tile=tile, **shared),
        lambda tile: probable_tiles.forward(case.dy, w, tile=tile, **shared),
        lambda tile: probable_tiles.backward_w(case.dy, x, tile=tile, **shared),
    )
    return probable_tiles.of_algorithms(algorithms, w, attributes, summed, tiled)


@st.composite
def random_cases(draw, direction):
    """Draw what a convolution's result and images are, kernels and at times a bias."""
    kind = "spread" if direction == "forward" else draw(st.sampled_from(("weights", "gathered")))
    *shapes, window = draw(random_convolutions(kind))
    dy, w, x, b = draw(numbers(*shapes, (1, shapes[1][1], 1, 1)))
    attributes = {**window, "output_padding": (0, 0), "groups": 1}
    return Case((x, w, draw(st.sampled_from((None, b)))), attributes, dy, random_signs=True)


def edges(case):
    """Those of the convolution whose gradient it is, over the result, and of what is added to that."""
    (x, w, _), attributes = case.inputs, case.attributes
    c, groups = x.shape[1], attributes["groups"]
    own = {
        "one group": groups == 1,
        "depthwise": 1 < groups == c,
        "groups between 1 and C": 1 < groups < c,
        "Winograd applies": w.shape[2:] == (3, 3) and attributes["stride"] == attributes["dilation"] == (1, 1),
        "output padding": any(attributes["output_padding"]),
        "output padding of a stride or more": any(
            more >= step for more, step in zip(attributes["output_padding"], attributes["stride"], strict=True)
        ),
    }
    windows = of_windows(case.dy.shape, w.shape[2:], attributes["dilation"], attributes)
    return windows | of_planes(case) | own | of_bias(case)


def _windows(w, attributes):
    return windows_over_a_pixel(w.shape[2:], attributes["stride"], attributes["dilation"])


def examples():
    """A kernel on a channel, or with groups two on two."""
    return convolutions(
        lambda channels, kernels, groups: (channels, kernels // groups), sizes=(3, 4), output_padding=(0, 0)
    )


OFFERED = {"channel": 1, "filter": 3}

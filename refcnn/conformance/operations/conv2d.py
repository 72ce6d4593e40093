"""Convolution: cases and error bounds."""

import math

import numpy as np
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from ...reference import conv2d
from ...shapes import window_extent, window_output_shape
from ..theory import winograd
from ..theory.bounds import UNDEFINED, windows_over_a_pixel
from ..theory.convolution import bias_bound, gathered_bound, spread_bound, weights_bound
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
    images_under,
    windows,
    winograd_windows,
)

EXACT_ON_INTEGERS = True

#: Elements of the matrix of windows, but for a single image's: 64 MiB in float64.
_MOST_ELEMENTS = 2**23

#: The directions in which algorithms are told, by the input of which each is the gradient.
_GRADIENTS = ("backward_x", "backward_w", "backward_b")


@st.composite
def cases(draw, size="small", integers=False):
    """Draw images, kernels, at times a bias, and all attributes."""
    image, window = draw(images_under(size, draw(any_windows(size))))
    batch = draw(batches(size))
    c, k, groups = draw(channels(LIMITS[size][1]))
    kernel = window.pop("kernel")
    out = window_output_shape(image, kernel, window["stride"], window["padding"], window["dilation"])
    x = draw(arrays((batch, c, *image), integers, **FEW_NOT_FINITE))
    w = draw(arrays((k, c // groups, *kernel), integers, **FEW_NOT_FINITE))
    b = draw(st.one_of(st.none(), arrays((1, k, *(1,) * len(image)), integers, **FEW_NOT_FINITE)))
    dy = draw(arrays((batch, k, *out), integers, **FEW_NOT_FINITE))
    return Case((x, w, b), {**window, "groups": groups}, dy)


@st.composite
def any_windows(draw, size):
    """Draw a window as :func:`~refcnn.conformance.theory.strategies.windows`, often such as some variants serve."""
    general = windows(KERNELS[size], dilations=True)
    # Not by one_of, which takes what is given twice as given once.
    kinds = (general,) * 4 + (winograd_windows(),) * 3 + (halving_windows(KERNELS[size]),)
    return draw(kinds[draw(st.sampled_from(range(len(kinds))))])


@st.composite
def channels(draw, largest):
    """Draw (input channels, output channels, groups): one group, a group for each input channel, or between."""
    groups = draw(st.one_of(st.just(1), st.integers(2, 5)))
    depthwise = groups > 1 and draw(st.booleans())
    # More channels than work-items on small devices, at times, so that one takes several blocks of images.
    groups = draw(st.sampled_from((groups, 9))) if depthwise else groups
    c = groups * (1 if depthwise else draw(extents(max(1, largest // groups))))
    of_each = 1 if depthwise and draw(st.booleans()) else draw(extents(max(1, largest // groups)))
    return c, groups * of_each, groups


def exact_forward(x, w, b, *, stride, padding, dilation, groups):
    """As :func:`refcnn.reference.conv2d.forward`, by matrix products.

    Its loops are the definition, and go over the pixels of the result one by one; here all windows of some images are
    the rows of one matrix, so that the same products are summed in another order.
    """
    padded, kernels = conv2d.pad(x, padding), conv2d.kernels_of_groups(w, groups).swapaxes(1, 2)
    windows = _windows(padded, w.shape[2:], stride, dilation)
    out = windows.shape[2 : 2 + len(stride)]
    y = np.zeros((len(x), len(w), *out), dtype=x.dtype)
    size = max(1, _MOST_ELEMENTS // max(1, math.prod(windows.shape[1:])))
    for first in range(0, len(x), size):
        part = windows[first : first + size]
        products = _rows(part, groups, len(stride)) @ kernels
        y[first : first + size] = _images(products, len(part), out)
    if b is not None:
        y += b
    return y, (padded, w)


def _windows(x, kernel, stride, dilation):
    """x (N, C, H, W) -> (N, C, out_h, out_w, kh, kw), a view."""
    extents = [window_extent(taps, spread) for taps, spread in zip(kernel, dilation, strict=True)]
    windows = sliding_window_view(x, extents, axis=tuple(range(2, x.ndim)))
    return windows[:, :, *(slice(None, None, step) for step in (*stride, *dilation))]


def _rows(windows, groups, axes):
    """(N, C, out_h, out_w, kh, kw) -> (groups, N out_h out_w, C/groups kh kw)."""
    images, channels, *others = windows.shape
    of_groups = windows.reshape(images, groups, channels // groups, *others)
    order = (1, 0, *range(3, 3 + axes), 2, *range(3 + axes, 3 + 2 * axes))
    return of_groups.transpose(order).reshape(groups, -1, channels // groups * math.prod(others[axes:]))


def _images(products, count, out):
    """(groups, N out_h out_w, K/groups) -> (N, K, out_h, out_w)."""
    groups, _, kernels = products.shape
    return products.reshape(groups, count, -1, kernels).transpose(1, 0, 3, 2).reshape(count, groups * kernels, *out)


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
        return conv2d.backward(dy, (padded, w), (True, False, False), **attributes)[0]

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

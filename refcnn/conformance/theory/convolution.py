"""How far convolutions may be off, plain or transposed, that are summed by their definition.

Each of their three directions is a sum of products. Where a window would have to be where there is none, or reads the
padding, a zero may stand in a product that meets NaN or infinity, or be skipped: the bound is UNDEFINED there.
"""

import math

import numpy as np

from .bounds import facts, sum_of_products, sum_of_terms


def gathered_bound(product, x, w, b=None, errors=None):
    """Return the bound of what gathers pixels under windows: a convolution, or a transposed one's gradient by x.

    Parameters
    ----------
    product : callable
        ``product(x, w)``, without a bias.
    x : ndarray, (N, C, H, W)
    w : ndarray, (K, C/groups, kh, kw)
    b : ndarray, (1, K, 1, 1), optional
    errors : tuple of (ndarray or None), optional
        By how much x, w and b may be off.
    """
    undefined = None
    if not facts(w).is_finite:
        not_finite = _not_finite(w)
        of_channel = _for_each(not_finite.reshape(len(w), -1).sum(axis=1), w.ndim)
        undefined = of_channel > product(np.ones(x.shape), not_finite)
    return sum_of_products(product, x, w, w[0].size, b, errors or (None, None, None), undefined)


def spread_bound(product, dy, w, windows, groups, b=None, errors=None):
    """Return the bound of what spreads pixels by kernels: a convolution's gradient by x, or a transposed one.

    Parameters
    ----------
    product : callable
        ``product(dy, w)``, without a bias.
    dy : ndarray, (N, K, out_h, out_w)
    w : ndarray, (K, C/groups, kh, kw)
    windows : int
        How many windows may have a tap on one pixel.
    groups : int
    b : ndarray, (1, C, 1, 1), optional
    errors : tuple of (ndarray or None), optional
        By how much dy, w and b may be off.
    """
    undefined = None
    if not facts(w).is_finite:
        not_finite = _not_finite(w)
        of_channel = not_finite.reshape(groups, len(w) // groups, w.shape[1], -1).sum(axis=(1, 3))
        undefined = _for_each(of_channel, w.ndim) > product(np.ones(dy.shape), not_finite)
    terms = windows * (len(w) // groups)
    return sum_of_products(product, dy, w, terms, b, errors or (None, None, None), undefined)


def weights_bound(product, dy, x, w_shape, groups):
    """Return the bound of the gradient of w.

    Parameters
    ----------
    product : callable
        ``product(dy, x)``.
    dy : ndarray, (N, K, out_h, out_w)
        Of a transposed convolution its x.
    x : ndarray, (N, C, H, W)
        Of a transposed convolution its dy.
    w_shape : tuple of int
    groups : int
    """
    undefined = None
    if not (facts(dy).is_finite and facts(x).is_finite):
        outputs, inputs, *taps = w_shape
        ones = (1,) * len(taps)
        of_kernel = _of_channels(_not_finite(dy)).reshape(-1, 1, *ones)
        of_channel = _of_channels(_not_finite(x)).reshape(groups, 1, -1)
        of_channel = np.repeat(of_channel, outputs // groups, axis=1).reshape(outputs, inputs, *ones)
        undefined = of_kernel > product(_not_finite(dy), np.ones(x.shape))
        undefined |= of_channel > product(np.ones(dy.shape), _not_finite(x))
    return sum_of_products(product, dy, x, dy.shape[0] * math.prod(dy.shape[2:]), undefined=undefined)


def bias_bound(dy):
    """Return the bound of the gradient of a bias: the sum of dy over all images and pixels."""
    axes = (0, *range(2, dy.ndim))
    return sum_of_terms(lambda dy: dy.sum(axis=axes, keepdims=True), dy, dy.shape[0] * math.prod(dy.shape[2:]))


def _for_each(numbers, dimensions):
    """Return a number for each channel in a shape that broadcasts over images of so many dimensions."""
    return numbers.reshape(1, -1, *(1,) * (dimensions - 2))


def _of_channels(array):
    return array.sum(axis=(0, *range(2, array.ndim)))


def _not_finite(array):
    return (~np.isfinite(array)).astype(np.float64)

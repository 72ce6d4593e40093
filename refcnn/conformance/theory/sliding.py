"""Convolutions by matrix products, where the reference's loops would take too long.

The loops are the definition, and go over the pixels of the result one by one; here the pixels under each tap of all
windows are the rows of one matrix, so that the same products are summed in another order.
"""

import math

import numpy as np

#: Elements of the matrix of windows, but for a single image's: what caches hold, in float64.
_MOST_ELEMENTS = 2**18
#: Columns of that matrix, which may have more elements then: kernels are read for so many at least.
_LEAST_COLUMNS = 2**8


def gathered(x, w, stride, dilation, groups, out):
    """x (N, C, H, W) padded, w (K, C/groups, kh, kw) -> (N, K, *out): sums of products under each window."""
    kernels, taps = _of_groups(w, groups), w.shape[2:]
    y = np.empty((len(x), len(w), math.prod(out)), dtype=x.dtype)
    for part in _parts(x, taps, out):
        images = x[part].swapaxes(0, 1)
        pixels = np.empty((len(images), *taps, images.shape[1], *out), dtype=x.dtype)
        for tap in np.ndindex(taps):
            pixels[:, *tap] = images[:, :, *under(tap, out, stride, dilation)]
        products = kernels @ pixels.reshape(groups, kernels.shape[2], -1)
        y[part] = products.reshape(len(w), images.shape[1], -1).swapaxes(0, 1)
    return y.reshape(len(x), len(w), *out)


def spread(dy, w, image, stride, dilation, groups):
    """dy (N, K, out_h, out_w) -> (N, C, *image): each pixel lays its multiple of a kernel on a padded image."""
    kernels, taps, out = _of_groups(w, groups).swapaxes(1, 2), w.shape[2:], dy.shape[2:]
    x = np.zeros((len(dy), groups * w.shape[1], *image), dtype=dy.dtype)
    for part in _parts(x, taps, out):
        images = x[part].swapaxes(0, 1)
        rows = dy[part].swapaxes(0, 1).reshape(groups, kernels.shape[2], -1)
        laid = (kernels @ rows).reshape(len(images), *taps, images.shape[1], *out)
        for tap in np.ndindex(taps):
            images[:, :, *under(tap, out, stride, dilation)] += laid[:, *tap]
    return x


def under(tap, out, stride, dilation):
    """Return the slices of a padded image that lie under one tap of all windows, no two on one pixel."""
    rows = zip(tap, out, stride, dilation, strict=True)
    return [slice(at * apart, at * apart + (size - 1) * step + 1, step) for at, size, step, apart in rows]


def _of_groups(w, groups):
    """w (K, C/groups, kh, kw) -> (groups, K/groups, C/groups kh kw)."""
    return w.reshape(groups, len(w) // groups, math.prod(w.shape[1:]))


def _parts(x, taps, out):
    """Yield slices of so many images that what lies under their windows is not too much."""
    rows, columns = max(1, x.shape[1] * math.prod(taps)), max(1, math.prod(out))
    size = max(1, _MOST_ELEMENTS // (rows * columns), _LEAST_COLUMNS // columns)
    return [slice(first, first + size) for first in range(0, len(x), size)]

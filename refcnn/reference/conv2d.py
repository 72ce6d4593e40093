"""Convolution of images as ONNX's Conv defines it: a window slides, multiplies and sums.

    y[n, k, i, j] = b[k] + sum over c, p, q of
                    x[n, c, i s_h + p d_h - top, j s_w + q d_w - left] w[k, c, p, q]

x is zero outside its borders; with groups, output channel k sees only the
input channels of its own group. Images may have one or three spatial axes
too, with as many sums. It is cross-correlation: the kernel is not
flipped. Source: ONNX operator specification, Conv; Goodfellow, Bengio and
Courville, Deep Learning, section 9.1.
"""

import math

import numpy as np

from ..shapes import sides, window, window_output_shape


def forward(x, w, b, *, stride, padding, dilation, groups):
    """x (N, C, H, W), w (K, C/groups, kh, kw), b (1, K, 1, 1) or None -> y (N, K, out_h, out_w)."""
    x, kernel = pad(x, padding), w.shape[2:]
    out = window_output_shape(x.shape[2:], kernel, stride, (0,) * len(padding), dilation)
    y = np.zeros((x.shape[0], w.shape[0], *out), dtype=x.dtype)
    kernels = kernels_of_groups(w, groups)
    for place in np.ndindex(out):
        windows = rows_of_groups(x[:, :, *window(place, kernel, stride, dilation)], groups)
        y[:, :, *place] = joined(windows @ kernels.swapaxes(1, 2), w.shape[:1])
    if b is not None:
        y += b
    return y, (x, w)


def backward(dy, saved, needs, *, stride, padding, dilation, groups):
    """dy (N, K, out_h, out_w) -> dx, dw, db: each window hands its share of dy back to what it read."""
    x, w = saved
    dx = np.zeros_like(x) if needs[0] else None
    dw = np.zeros_like(w) if needs[1] else None
    db = sum_over_pixels(dy) if needs[2] else None
    kernels = kernels_of_groups(w, groups)
    for place in np.ndindex(dy.shape[2:]):
        pixels = window(place, w.shape[2:], stride, dilation)
        shares = rows_of_groups(dy[:, :, *place], groups)
        if needs[0]:
            dx[:, :, *pixels] += joined(shares @ kernels, (x.shape[1], *w.shape[2:]))
        if needs[1]:
            dw += (shares.swapaxes(1, 2) @ rows_of_groups(x[:, :, *pixels], groups)).reshape(w.shape)
    return crop(dx, padding) if needs[0] else None, dw, db


def pad(x, padding):
    """x (N, C, H, W) with rows and columns of zeros around each image: top, left, bottom, right."""
    return np.pad(x, ((0, 0), (0, 0), *sides(padding)))


def crop(x, padding):
    """x (N, C, H, W) without rows and columns around each image: top, left, bottom, right."""
    inside = (slice(before, size - after) for size, (before, after) in zip(x.shape[2:], sides(padding), strict=True))
    return x[:, :, *inside]


def sum_over_pixels(dy):
    """dy (N, K, out_h, out_w) -> (1, K, 1, 1), the gradient of a bias."""
    return dy.sum(axis=(0, *range(2, dy.ndim)), keepdims=True)


def rows_of_groups(pixels, groups):
    """(N, C, ...) -> (groups, N, C/groups ...), for products by ``@``, which takes the groups one by one.

    ``np.tensordot`` and ``np.dot`` leave out what a zero multiplies if that is a single number, infinite though it be.
    """
    images, channels, *others = pixels.shape
    of_groups = pixels.reshape(images, groups, channels // groups, *others).swapaxes(0, 1)
    return of_groups.reshape(groups, images, channels // groups * math.prod(others))


def kernels_of_groups(w, groups):
    """w (K, C/groups, kh, kw) -> (groups, K/groups, C/groups kh kw)."""
    return w.reshape(groups, w.shape[0] // groups, math.prod(w.shape[1:]))


def joined(rows, shape):
    """(groups, N, ...) -> (N, *shape): the groups' channels beside each other."""
    return rows.swapaxes(0, 1).reshape(-1, *shape)

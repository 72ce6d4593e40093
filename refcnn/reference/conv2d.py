"""Convolution of images as ONNX's Conv defines it: a window slides, multiplies and sums.

    y[n, k, i, j] = b[k] + sum over c, p, q of
                    x[n, c, i s_h + p d_h - top, j s_w + q d_w - left] w[k, c, p, q]

x is zero outside its borders; with groups, output channel k sees only the
input channels of its own group. It is cross-correlation: the kernel is not
flipped. Source: ONNX operator specification, Conv; Goodfellow, Bengio and
Courville, Deep Learning, section 9.1.
"""

import numpy as np

from ..shapes import window_extent, window_output_shape


def forward(x, w, b, *, stride, padding, dilation, groups):
    """x (N, C, H, W), w (K, C/groups, kh, kw), b (1, K, 1, 1) or None -> y (N, K, out_h, out_w)."""
    x = pad(x, padding)
    out_h, out_w = window_output_shape(x.shape[2:], w.shape[2:], stride, (0, 0, 0, 0), dilation)
    y = np.zeros((x.shape[0], w.shape[0], out_h, out_w), dtype=x.dtype)
    for c, k in _groups(x, w, groups):
        kernels = _flat(w[k])
        for i in range(out_h):
            for j in range(out_w):
                rows, columns = _window(i, j, w, stride, dilation)
                y[:, k, i, j] = _flat(x[:, c, rows, columns]) @ kernels.T
    if b is not None:
        y += b
    return y, (x, w)


def backward(dy, saved, needs, *, stride, padding, dilation, groups):
    """dy (N, K, out_h, out_w) -> dx, dw, db: each window hands its share of dy back to what it read."""
    x, w = saved
    dx = np.zeros_like(x) if needs[0] else None
    dw = np.zeros_like(w) if needs[1] else None
    db = dy.sum(axis=(0, 2, 3), keepdims=True) if needs[2] else None
    for c, k in _groups(x, w, groups):
        kernels = _flat(w[k])
        for i in range(dy.shape[2]):
            for j in range(dy.shape[3]):
                rows, columns = _window(i, j, w, stride, dilation)
                if needs[0]:
                    dx[:, c, rows, columns] += (dy[:, k, i, j] @ kernels).reshape(-1, *w.shape[1:])
                if needs[1]:
                    dw[k] += (dy[:, k, i, j].T @ _flat(x[:, c, rows, columns])).reshape(-1, *w.shape[1:])
    if needs[0]:
        top, left, bottom, right = padding
        dx = dx[:, :, top : dx.shape[2] - bottom, left : dx.shape[3] - right]
    return dx, dw, db


def pad(x, padding):
    """x (N, C, H, W) with rows and columns of zeros around each image: top, left, bottom, right."""
    top, left, bottom, right = padding
    return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))


def _groups(x, w, groups):
    """Return each group's slice of input channels and its slice of output channels."""
    inputs, outputs = x.shape[1] // groups, w.shape[0] // groups
    for g in range(groups):
        yield slice(g * inputs, (g + 1) * inputs), slice(g * outputs, (g + 1) * outputs)


def _flat(windows):
    """(count, channels, kh, kw) -> (count, channels kh kw), for products by ``@``.

    ``np.tensordot`` and ``np.dot`` leave out what a zero multiplies if that is a single number, infinite though it be.
    """
    count, channels, kernel_h, kernel_w = windows.shape
    return windows.reshape(count, channels * kernel_h * kernel_w)


def _window(i, j, w, stride, dilation):
    """The rows and the columns of the padded image under the window's place (i, j)."""
    (s_h, s_w), (d_h, d_w) = stride, dilation
    top, left = i * s_h, j * s_w
    return (
        slice(top, top + window_extent(w.shape[2], d_h), d_h),
        slice(left, left + window_extent(w.shape[3], d_w), d_w),
    )

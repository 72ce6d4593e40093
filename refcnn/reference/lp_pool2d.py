"""Lp pooling: the p-norm of the pixels under a sliding window, in each channel by itself.

    y[n, c, i, j] = (sum over a, b of |x[n, c, i s_h + a d_h - top, j s_w + b d_w - left]|^p)^(1 / p)

x is zero outside its borders. Where y is 0 the gradient is 0. Source: ONNX
operator specification, LpPool.
"""

import numpy as np

from ..shapes import image_slices, reached_padding, sides, window, window_output_shape


def forward(x, *, p, kernel, stride, padding, dilation=None, ceil_mode=False):
    """x (N, C, H, W), or with one or three spatial axes -> y (N, C, out_h, out_w), with as many."""
    geometry = (x.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    padded = np.pad(x, ((0, 0), (0, 0), *sides(reached_padding(*geometry))))
    y = np.zeros((*x.shape[:2], *window_output_shape(*geometry)), dtype=x.dtype)
    for place in np.ndindex(*y.shape[2:]):
        under = padded[:, :, *window(place, kernel, stride, dilation)]
        y[:, :, *place] = norm(under.reshape(*x.shape[:2], -1), p)
    return y, (x, y)


def backward(dy, saved, needs, *, p, kernel, stride, padding, dilation=None, ceil_mode=False):
    """dy (N, C, out_h, out_w) -> dx (N, C, H, W): each window hands its dy back by the slope of the norm."""
    x, y = saved
    reached = reached_padding(x.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    padded = np.pad(x, ((0, 0), (0, 0), *sides(reached)))
    dx = np.zeros_like(padded)
    for place in np.ndindex(*dy.shape[2:]):
        taps = window(place, kernel, stride, dilation)
        under = padded[:, :, *taps]
        share = dy[:, :, *place, None] * slope(under.reshape(*x.shape[:2], -1), y[:, :, *place], p)
        dx[:, :, *taps] += share.reshape(under.shape)
    return (dx[:, :, *image_slices(x.shape[2:], reached)],)


def norm(pixels, p):
    """The p-norm over the last axis."""
    if p == 1:
        return np.abs(pixels).sum(axis=-1, keepdims=False)
    if p == 2:
        return np.sqrt((pixels * pixels).sum(axis=-1, keepdims=False))
    return np.power(np.power(np.abs(pixels), p).sum(axis=-1, keepdims=False), 1 / p)


def slope(pixels, y, p):
    """dy/dx = sign(x) (|x| / y)^(p - 1) for each pixel on the last axis, 0 where y is 0."""
    if p == 1:
        return np.sign(pixels)
    y = np.where(y == 0, 1, y).reshape(*y.shape, 1)
    if p == 2:
        return pixels / y
    return np.sign(pixels) * np.power(np.abs(pixels) / y, p - 1)

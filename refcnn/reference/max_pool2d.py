"""Max pooling: the largest pixel under a sliding window, in each channel by itself.

    y[n, c, i, j] = max over p, q of x[n, c, i s_h + p - top, j s_w + q - left]

Padding never wins: only pixels of the image compete. Of equal pixels the
first wins, row by row, as in ONNX's MaxPool; a NaN wins over every number.
The gradient goes to the winner alone.
"""

import numpy as np

from ..shapes import window_output_shape


def forward(x, *, kernel, stride, padding):
    """x (N, C, H, W) -> y (N, C, out_h, out_w); saved: the winner's place p kw + q in its window."""
    out_h, out_w = window_output_shape(x.shape[2:], kernel, stride, padding)
    top, left, bottom, right = padding
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=-np.inf)
    inside = np.pad(np.ones(x.shape[2:], dtype=bool), ((top, bottom), (left, right)))
    y = np.zeros((*x.shape[:2], out_h, out_w), dtype=x.dtype)
    winner = np.zeros(y.shape, dtype=np.int32)
    for i in range(out_h):
        for j in range(out_w):
            rows, columns = _window(i, j, kernel, stride)
            pixels = np.flatnonzero(inside[rows, columns])
            window = padded[:, :, rows, columns].reshape(*x.shape[:2], -1)
            winner[:, :, i, j] = pixels[np.argmax(window[:, :, pixels], axis=2)]
            y[:, :, i, j] = np.take_along_axis(window, winner[:, :, i, j, None], axis=2)[:, :, 0]
    return y, (winner, x.shape)


def backward(dy, saved, needs, *, kernel, stride, padding):
    """dy (N, C, out_h, out_w) -> dx (N, C, H, W): each dy is added at the pixel that won."""
    winner, shape = saved
    top, left, bottom, right = padding
    dx = np.zeros((*shape[:2], shape[2] + top + bottom, shape[3] + left + right), dtype=dy.dtype)
    for i in range(dy.shape[2]):
        for j in range(dy.shape[3]):
            rows, columns = _window(i, j, kernel, stride)
            for p in range(kernel[0]):
                for q in range(kernel[1]):
                    won = winner[:, :, i, j] == p * kernel[1] + q
                    dx[:, :, rows.start + p, columns.start + q] += np.where(won, dy[:, :, i, j], 0)
    return (dx[:, :, top : top + shape[2], left : left + shape[3]],)


def _window(i, j, kernel, stride):
    top, left = i * stride[0], j * stride[1]
    return slice(top, top + kernel[0]), slice(left, left + kernel[1])

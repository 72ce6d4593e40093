"""Average pooling: the mean of the pixels under a sliding window, in each channel by itself.

    y[n, c, i, j] = 1 / count(i, j) times the sum over p, q of
                    x[n, c, i s_h + p - top, j s_w + q - left]

x is zero outside its borders; count is kh kw where padding counts, else the
number of pixels of the window that lie in the image. Source: ONNX operator
specification, AveragePool.
"""

import numpy as np

from ..shapes import window_output_shape


def forward(x, *, kernel, stride, padding, count_include_padding):
    """x (N, C, H, W) -> y (N, C, out_h, out_w)."""
    out_h, out_w = window_output_shape(x.shape[2:], kernel, stride, padding)
    top, left, bottom, right = padding
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    y = np.zeros((*x.shape[:2], out_h, out_w), dtype=x.dtype)
    for i in range(out_h):
        for j in range(out_w):
            rows, columns, count = _window(i, j, x.shape, kernel, stride, padding, count_include_padding)
            y[:, :, i, j] = padded[:, :, rows, columns].sum(axis=(2, 3)) / count
    return y, x.shape


def backward(dy, saved, needs, *, kernel, stride, padding, count_include_padding):
    """dy (N, C, out_h, out_w) -> dx (N, C, H, W): every pixel of a window gets the same share."""
    shape = saved
    top, left, bottom, right = padding
    dx = np.zeros((*shape[:2], shape[2] + top + bottom, shape[3] + left + right), dtype=dy.dtype)
    for i in range(dy.shape[2]):
        for j in range(dy.shape[3]):
            rows, columns, count = _window(i, j, shape, kernel, stride, padding, count_include_padding)
            dx[:, :, rows, columns] += dy[:, :, i, j, None, None] / count
    return (dx[:, :, top : top + shape[2], left : left + shape[3]],)


def _window(i, j, shape, kernel, stride, padding, count_include_padding):
    """Rows and columns of the padded image under the window's place (i, j), and what it divides by."""
    row, column = i * stride[0], j * stride[1]
    rows, columns = slice(row, row + kernel[0]), slice(column, column + kernel[1])
    if count_include_padding:
        return rows, columns, kernel[0] * kernel[1]
    top, left = padding[:2]
    height = min(rows.stop, top + shape[2]) - max(rows.start, top)
    width = min(columns.stop, left + shape[3]) - max(columns.start, left)
    return rows, columns, height * width

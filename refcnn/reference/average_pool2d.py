"""Average pooling: the mean of the pixels under a sliding window, in each channel by itself.

    y[n, c, i, j] = 1 / count(i, j) times the sum over p, q of
                    x[n, c, i s_h + p d_h - top, j s_w + q d_w - left]

x is zero outside its borders; count is the number of the window's taps that
lie in the image, and in the padding where that counts. With ``ceil_mode`` the
last places of the window may reach over the padding's end: what lies there
never counts. Source: ONNX operator specification, AveragePool.
"""

import numpy as np

from ..shapes import image_slices, reached_padding, sides, window, window_output_shape


def forward(x, *, kernel, stride, padding, count_include_padding, dilation=None, ceil_mode=False):
    """x (N, C, H, W), or with one or three spatial axes -> y (N, C, out_h, out_w), with as many."""
    geometry = (x.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    padded = np.pad(x, ((0, 0), (0, 0), *sides(reached_padding(*geometry))))
    counted = _counted(*geometry, count_include_padding)
    y = np.zeros((*x.shape[:2], *window_output_shape(*geometry)), dtype=x.dtype)
    for place in np.ndindex(*y.shape[2:]):
        taps = window(place, kernel, stride, dilation)
        y[:, :, *place] = padded[:, :, *taps].sum(axis=tuple(range(2, x.ndim))) / int(counted[taps].sum())
    return y, x.shape


def backward(dy, saved, needs, *, kernel, stride, padding, count_include_padding, dilation=None, ceil_mode=False):
    """dy (N, C, out_h, out_w) -> dx (N, C, H, W): every pixel of a window gets the same share."""
    geometry = (saved[2:], kernel, stride, padding, dilation, ceil_mode)
    reached, counted = reached_padding(*geometry), _counted(*geometry, count_include_padding)
    dx = np.pad(np.zeros(saved, dtype=dy.dtype), ((0, 0), (0, 0), *sides(reached)))
    for place in np.ndindex(*dy.shape[2:]):
        taps = window(place, kernel, stride, dilation)
        share = dy[:, :, *place] / int(counted[taps].sum())
        dx[:, :, *taps] += share[:, :, *[None] * len(kernel)]
    return (dx[:, :, *image_slices(saved[2:], reached)],)


def _counted(image, kernel, stride, padding, dilation, ceil_mode, count_include_padding):
    """1 where a tap counts and 0 elsewhere, in an image that is padded as far as the windows reach."""
    counted = np.pad(np.ones(image, dtype=int), sides(padding), constant_values=int(count_include_padding))
    reached = reached_padding(image, kernel, stride, padding, dilation, ceil_mode)
    return np.pad(counted, sides(tuple(far - near for far, near in zip(reached, padding, strict=True))))

"""Max pooling: the largest pixel under a sliding window, in each channel by itself.

    y[n, c, i, j] = max over p, q of x[n, c, i s_h + p d_h - top, j s_w + q d_w - left]

Padding never wins: only pixels of the image compete. Of equal pixels the
first wins, row by row, as in ONNX's MaxPool; a NaN wins over every number.
The gradient goes to the winner alone. With ``ceil_mode`` the last places of
the window may reach over the padding's end.
"""

import numpy as np

from ..shapes import image_slices, reached_padding, sides, window, window_output_shape


def forward(x, *, kernel, stride, padding, dilation=None, ceil_mode=False):
    """x (N, C, H, W) -> y (N, C, out_h, out_w); saved: the winner's place p kw + q in its window.

    There may be one or three spatial axes as well.
    """
    geometry = (x.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    around = sides(reached_padding(*geometry))
    padded = np.pad(x, ((0, 0), (0, 0), *around), constant_values=-np.inf)
    inside = np.pad(np.ones(x.shape[2:], dtype=bool), around)
    y = np.zeros((*x.shape[:2], *window_output_shape(*geometry)), dtype=x.dtype)
    winner = np.zeros(y.shape, dtype=np.int32)
    for place in np.ndindex(*y.shape[2:]):
        taps = window(place, kernel, stride, dilation)
        pixels = np.flatnonzero(inside[taps])
        under = padded[:, :, *taps].reshape(*x.shape[:2], -1)
        winner[:, :, *place] = pixels[np.argmax(under[:, :, pixels], axis=2)]
        y[:, :, *place] = np.take_along_axis(under, winner[:, :, *place, None], axis=2)[:, :, 0]
    return y, (winner, x.shape)


def backward(dy, saved, needs, *, kernel, stride, padding, dilation=None, ceil_mode=False):
    """dy (N, C, out_h, out_w) -> dx (N, C, H, W): each dy is added at the pixel that won."""
    winner, shape = saved
    reached = reached_padding(shape[2:], kernel, stride, padding, dilation, ceil_mode)
    dx = np.pad(np.zeros(shape, dtype=dy.dtype), ((0, 0), (0, 0), *sides(reached)))
    for place in np.ndindex(*dy.shape[2:]):
        under = dx[:, :, *window(place, kernel, stride, dilation)]
        for number, tap in enumerate(np.ndindex(*kernel)):
            won = winner[:, :, *place] == number
            under[:, :, *tap] += np.where(won, dy[:, :, *place], 0)
    return (dx[:, :, *image_slices(shape[2:], reached)],)

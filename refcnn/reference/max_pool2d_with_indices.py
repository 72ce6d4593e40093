"""Max pooling that tells the places of the largest pixels too, as ONNX's MaxPool does with its second output.

    indices[n, c, i, j] = the place in x, counted row by row through all images and channels, of the first of the
                          largest pixels under the window
    y = x at these places

The windows, and which pixel wins, are those of max pooling.
"""

import numpy as np

from ..shapes import reached_padding, sides, window, window_output_shape


def forward(x, *, kernel, stride, padding, dilation=None, ceil_mode=False):
    """x (N, C, H, W), or with one or three spatial axes -> y and indices, both (N, C, out_h, out_w), with as many."""
    geometry = (x.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    around = ((0, 0), (0, 0), *sides(reached_padding(*geometry)))
    places = np.pad(np.arange(x.size, dtype=np.int64).reshape(x.shape), around, constant_values=-1)
    indices = np.zeros((*x.shape[:2], *window_output_shape(*geometry)), dtype=np.int64)
    for place in np.ndindex(*indices.shape[2:]):
        under = places[:, :, *window(place, kernel, stride, dilation)].reshape(*x.shape[:2], -1)
        under = under[:, :, under[0, 0] >= 0]
        winner = x.ravel()[under].argmax(axis=2)[..., None]
        indices[:, :, *place] = np.take_along_axis(under, winner, axis=2)[:, :, 0]
    return (x.ravel()[indices], indices), (indices, x.shape)


def backward(dy, saved, needs, *, kernel, stride, padding, dilation=None, ceil_mode=False):
    """dy (N, C, out_h, out_w) and None -> dx (N, C, H, W): each dy is added at the pixel that won."""
    indices, shape = saved
    dx = np.zeros(shape, dtype=dy[0].dtype)
    np.add.at(dx.reshape(-1), indices, dy[0])
    return (dx,)

"""The pixels that lie under each place of a pooling's window, on an axis of their own, for bounds."""

import numpy as np

from ...shapes import reached_padding, sides, window_extent


def pixels_under(x, value=0, *, kernel, stride, padding, dilation=None, ceil_mode=False):
    """Return (N, C, out_h, out_w, taps): what the taps of a window read at each of its places.

    Parameters
    ----------
    x : ndarray
        (N, C, H, W), or with one or three spatial axes.
    value : float
        What is read outside of the image.
    kernel, stride, padding, dilation, ceil_mode
        The window's.
    """
    dilation = dilation or (1,) * len(kernel)
    reached = reached_padding(x.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    padded = np.pad(x, ((0, 0), (0, 0), *sides(reached)), constant_values=value)
    spans = tuple(map(window_extent, kernel, dilation))
    places = np.lib.stride_tricks.sliding_window_view(padded, spans, tuple(range(2, x.ndim)))
    under = places[:, :, *(slice(None, None, step) for step in (*stride, *dilation))]
    return under.reshape(*under.shape[: x.ndim], -1)

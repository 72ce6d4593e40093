"""Transposed convolution as ONNX's ConvTranspose defines it: each pixel lays its multiple of a kernel on the result.

    y[n, k, i s_h + p d_h - top, j s_w + q d_w - left] = b[k] + sum over c, i, j, p, q that meet there of
                                                         x[n, c, i, j] w[c, k, p, q]

It is the gradient of a convolution by its images, whose padding is what is cut off here. output_padding are rows and
columns more at the end, of what would else be cut off or lies beyond. Images may have one or three spatial axes too.
Source: ONNX operator specification, ConvTranspose; Dumoulin and Visin, "A guide to convolution arithmetic for deep
learning" (2016), chapter 4.
"""

import numpy as np

from ..shapes import transposed_output_shape, window
from .conv2d import crop, joined, kernels_of_groups, pad, rows_of_groups, sum_over_pixels


def forward(x, w, b, *, stride, padding, output_padding, dilation, groups):
    """x (N, C, H, W), w (C, K/groups, kh, kw), b (1, K, 1, 1) or None -> y (N, K, out_h, out_w)."""
    kernel, channels = w.shape[2:], groups * w.shape[1]
    whole = transposed_output_shape(x.shape[2:], kernel, stride, (0,) * len(padding), output_padding, dilation)
    y = np.zeros((x.shape[0], channels, *whole), dtype=x.dtype)
    kernels = kernels_of_groups(w, groups)
    for place in np.ndindex(x.shape[2:]):
        laid = rows_of_groups(x[:, :, *place], groups) @ kernels
        y[:, :, *window(place, kernel, stride, dilation)] += joined(laid, (channels, *kernel))
    y = crop(y, padding)
    return y if b is None else y + b, (x, w)


def backward(dy, saved, needs, *, stride, padding, output_padding, dilation, groups):
    """dy (N, K, out_h, out_w) -> dx, dw, db: each pixel collects its share of dy from where it laid its kernel."""
    x, w = saved
    dx = np.zeros_like(x) if needs[0] else None
    dw = np.zeros_like(w) if needs[1] else None
    db = sum_over_pixels(dy) if needs[2] else None
    dy = pad(dy, padding)
    kernels = kernels_of_groups(w, groups)
    for place in np.ndindex(x.shape[2:]):
        under = rows_of_groups(dy[:, :, *window(place, w.shape[2:], stride, dilation)], groups)
        if needs[0]:
            dx[:, :, *place] = joined(under @ kernels.swapaxes(1, 2), x.shape[1:2])
        if needs[1]:
            dw += (rows_of_groups(x[:, :, *place], groups).swapaxes(1, 2) @ under).reshape(w.shape)
    return dx, dw, db

"""Local response normalisation: each value divided by what its neighbours along the channels amount to.

    y[n, c] = x[n, c] / s[n, c]^beta,   s[n, c] = bias + alpha / size sum over i of x[n, i]^2

for each pixel, where i goes from c - floor((size - 1) / 2) to c + ceil((size - 1) / 2), as far as there are channels:
of an even number of neighbours there is one more behind c, as in ONNX. Source: Krizhevsky, Sutskever and Hinton,
"ImageNet classification with deep convolutional neural networks" (2012), there without the division by size.
"""

import numpy as np


def forward(x, *, size, alpha, beta, bias):
    """x (N, C, ...) -> y of that shape."""
    before, after = (size - 1) // 2, size // 2
    s = x.dtype.type(bias) + x.dtype.type(alpha / size) * _sums(np.square(x), before, after)
    y = x / s ** x.dtype.type(beta)
    return y, (x, s, y)


def backward(dy, saved, needs, *, size, alpha, beta, bias):
    """dx = dy / s^beta - 2 alpha / size beta x times the sum of dy y / s over those of whose s it is a part."""
    x, s, y = saved
    before, after = (size - 1) // 2, size // 2
    slope = x.dtype.type(2 * (alpha / size) * beta)
    return (dy / s ** x.dtype.type(beta) - slope * x * _sums(dy * y / s, after, before),)


def _sums(values, before, after):
    """Return for each channel the sum from so many channels before it to so many after it."""
    sums = np.zeros_like(values)
    for c in range(values.shape[1]):
        sums[:, c] = values[:, max(0, c - before) : c + after + 1].sum(axis=1)
    return sums

"""Transpose: the axes in another order.

y[i[axes[0]], i[axes[1]], ...] = x[i[0], i[1], ...]
"""

from ..shapes import inverse


def forward(x, *, axes):
    """x -> y, whose axis k is the axis axes[k] of x."""
    return x.transpose(axes).copy(), None


def backward(dy, saved, needs, *, axes):
    """dx is dy with its axes back in their places."""
    return (dy.transpose(inverse(axes)).copy(),)

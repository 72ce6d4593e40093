"""Reshape: the same numbers in row-major order under another shape."""

from ..shapes import reshaped


def forward(x, *, shape):
    """x -> y of a shape, in which None is the size of x along that axis and -1 what follows from the others."""
    return x.reshape(reshaped(x.shape, shape)), x.shape


def backward(dy, saved, needs, *, shape):
    """dx is dy in the shape of x."""
    return (dy.reshape(saved),)

"""Flatten: all axes but the first become one, in row-major order."""


def forward(x):
    """x (N, ...) -> y (N, the product of the rest)."""
    return x.reshape(x.shape[0], -1), x.shape


def backward(dy, saved, needs):
    """dx is dy in the shape of x."""
    return (dy.reshape(saved),)

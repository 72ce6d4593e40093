"""Reshape on an OpenCL device: the same buffer under another shape."""


def forward(x, *, shape):
    """x -> y of a shape, in which None is the size of x along that axis and -1 what follows from the others."""
    return x.reshape(shape), x.shape


def backward(dy, saved, needs, *, shape):
    """dx is dy in the shape of x."""
    return (dy.reshape(saved),)

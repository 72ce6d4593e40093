"""Signals of one spatial axis as images of height 1, so that the kernels for images serve them; nothing is copied."""

# The number along the vertical axis for which nothing happens there, where it is not the 1 of windows and steps.
_NOTHING = {"padding": 0, "output_padding": 0}


def is_signal(shape):
    """Return whether arrays of a shape (N, C, length) are to be seen as images (N, C, 1, length)."""
    return len(shape) == 3


def in_plane(array):
    """Return an array with an axis of 1 before its last one, in the same memory; None stays None."""
    return None if array is None else array.reshape(shape_in_plane(array.shape))


def out_of_plane(array):
    """Return what :func:`in_plane` was given, in the same memory; None stays None."""
    return None if array is None else array.reshape(shape_out_of_plane(array.shape))


def shape_in_plane(shape):
    """Return a shape with an axis of 1 before its last one."""
    return (*shape[:-1], 1, shape[-1])


def shape_out_of_plane(shape):
    """Return a shape without its last axis but one."""
    return (*shape[:-2], shape[-1])


def attributes_in_plane(attributes):
    """Return a window's attributes along one axis as those of a window of height 1; what is no tuple stays."""
    return {name: _in_plane(name, value) if isinstance(value, tuple) else value for name, value in attributes.items()}


def _in_plane(name, value):
    nothing = _NOTHING.get(name, 1)
    return tuple(entry for number in value for entry in (nothing, number))

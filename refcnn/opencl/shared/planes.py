"""Signals of one spatial axis as images of height 1, so that the kernels for images serve them; nothing is copied."""

# The number along the vertical axis for which nothing happens there: windows of 1 pixel, steps of 1.
_NOTHING = {"padding": 0, "output_padding": 0}


def is_signal(x):
    """Return whether an array (N, C, length) is to be seen as images (N, C, 1, length)."""
    return len(x.shape) == 3


def in_plane(array):
    """Return an array with an axis of 1 before its last one, in the same memory; None stays None."""
    return None if array is None else array.reshape((*array.shape[:-1], 1, array.shape[-1]))


def attributes_in_plane(attributes):
    """Return a window's attributes along one axis as those of a window of height 1; what is no tuple stays."""
    return {name: _in_plane(name, value) if isinstance(value, tuple) else value for name, value in attributes.items()}


def _in_plane(name, value):
    nothing = _NOTHING.get(name, 1)
    return tuple(entry for number in value for entry in (nothing, number))

"""Shapes of results: of windows that slide over an image, of arrays that are broadcast, and of what is moved."""

import math

from .errors import ShapeError


def window_extent(kernel, dilation=1):
    """Return how many pixels a kernel of ``kernel`` taps spans: d (k - 1) + 1."""
    return dilation * (kernel - 1) + 1


def convolution_output_size(size, kernel, stride=1, padding_before=0, padding_after=0, dilation=1):
    """Return how many places a sliding window takes along one axis.

    ``floor((size + padding_before + padding_after - (d (k - 1) + 1)) / stride) + 1``,
    the formula of ONNX's Conv, MaxPool and AveragePool with floor rounding.

    Parameters
    ----------
    size : int
        Pixels of the image along the axis.
    kernel, stride, dilation : int
        Taps of the window, the step between two of its places, the step between two taps.
    padding_before, padding_after : int
        Pixels added on either side.

    Raises
    ------
    ShapeError
        If the window does not fit into the padded image once.
    """
    padded = size + padding_before + padding_after
    extent = window_extent(kernel, dilation)
    if padded < extent:
        raise ShapeError(
            f"the image is smaller than the kernel: {size} pixels with padding {padding_before} and {padding_after} "
            f"make {padded}, but a kernel of {kernel} with dilation {dilation} spans {extent}. "
            "Give larger images, more padding or a smaller kernel."
        )
    return (padded - extent) // stride + 1


def window_output_shape(image, kernel, stride, padding, dilation=(1, 1)):
    """Return (height, width) of what a 2-D window yields.

    Parameters
    ----------
    image, kernel, stride, dilation : pair of int
        Vertical and horizontal.
    padding : (int, int, int, int)
        Top, left, bottom, right, as in ONNX's ``pads``.

    Raises
    ------
    ShapeError
        If the window does not fit into the padded image.
    """
    top, left, bottom, right = padding
    return (
        convolution_output_size(image[0], kernel[0], stride[0], top, bottom, dilation[0]),
        convolution_output_size(image[1], kernel[1], stride[1], left, right, dilation[1]),
    )


#: In the place of the size of an axis that an array has not.
_NO_SIZE = -2


def reshaped(shape, sizes):
    """Return the shape that an array takes, or raise if it has not as many elements.

    Parameters
    ----------
    shape : tuple of int
        The array's.
    sizes : tuple of (int or None)
        One may be -1, for what follows from the others. None stands for the array's own size along the same axis.

    Returns
    -------
    tuple of int

    Raises
    ------
    ShapeError
        If the shape does not hold as many elements, or does not follow.
    """
    count = math.prod(shape)
    own = (*shape, *[_NO_SIZE] * len(sizes))
    taken = tuple(own[axis] if size is None else size for axis, size in enumerate(sizes))
    known = math.prod(size for size in taken if size != -1)
    if taken.count(-1) == 1 and known > 0 and count % known == 0:
        taken = tuple(count // known if size == -1 else size for size in taken)
    if any(size < 0 for size in taken) or math.prod(taken) != count:
        raise ShapeError(
            f"an array of shape {tuple(shape)} ({count} elements) was to take the shape {tuple(sizes)}. Give a shape "
            "of as many elements, in which one size at most may be -1."
        )
    return taken


def parts(shape, starts, stops, steps):
    """Return what a slice takes of each axis, as Python's slices do.

    Parameters
    ----------
    shape : tuple of int
    starts, stops : tuple of (int or None)
        Of the first axes; the others are taken whole. Negative ones count from the end, None is the end of the axis.
    steps : tuple of int
        None of them 0.

    Returns
    -------
    tuple of (int, int, int)
        For each axis the first index, the step and how many indices there are.
    """
    slices = map(slice, starts, stops, steps)
    ranges = [range(size)[entry] for size, entry in zip(shape, slices, strict=False)]
    ranges += map(range, shape[len(ranges) :])
    return tuple((entry.start, entry.step, len(entry)) for entry in ranges)


def inverse(axes):
    """Return the order of axes that takes an array back which was transposed by ``axes``."""
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


def strides(shape):
    """Return how many elements lie between neighbours along each axis of a row-major array."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def broadcast_shape(a, b):
    """Return the shape of what NumPy's broadcasting makes of arrays of two shapes.

    From the last axis on, two sizes must be equal, or one of them 1 or missing.

    Parameters
    ----------
    a, b : tuple of int

    Raises
    ------
    ShapeError
        If they do not fit.
    """
    length = max(len(a), len(b))
    pairs = zip(*((1,) * (length - len(shape)) + tuple(shape) for shape in (a, b)), strict=True)
    sizes = [(first if second == 1 else second, first in (1, second) or second == 1) for first, second in pairs]
    if not all(fits for _, fits in sizes):
        raise ShapeError(
            f"the shapes {tuple(a)} and {tuple(b)} cannot be broadcast. Give arrays whose sizes, from the last axis "
            "on, are equal, or one of them 1."
        )
    return tuple(size for size, _ in sizes)


def repeated_axes(shape, to):
    """Return along which axes of a shape an array is repeated that is broadcast to it, a tuple of int.

    Parameters
    ----------
    shape : tuple of int
        The array's own.
    to : tuple of int
    """
    padded = (1,) * (len(to) - len(shape)) + tuple(shape)
    return tuple(axis for axis, size in enumerate(padded) if size != to[axis])

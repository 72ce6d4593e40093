"""Shapes of results: of windows that slide over an image, and of arrays that are broadcast."""

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

"""Shapes of results: of windows that slide over an image, of arrays that are broadcast, and of what is moved."""

import functools
import math

from .errors import ArgumentError, ShapeError


def window_extent(kernel, dilation=1):
    """Return how many pixels a kernel of ``kernel`` taps spans: d (k - 1) + 1."""
    return dilation * (kernel - 1) + 1


def convolution_output_size(size, kernel, stride=1, padding_before=0, padding_after=0, dilation=1, ceil_mode=False):
    """Return how many places a sliding window takes along one axis.

    ``floor((size + padding_before + padding_after - (d (k - 1) + 1)) / stride) + 1``,
    the formula of ONNX's Conv, MaxPool and AveragePool; with ``ceil_mode``, which pools have, ``ceil`` in the place of
    ``floor``, without a last place that begins in the padding behind the image.

    Parameters
    ----------
    size : int
        Pixels of the image along the axis.
    kernel, stride, dilation : int
        Taps of the window, the step between two of its places, the step between two taps.
    padding_before, padding_after : int
        Pixels added on either side.
    ceil_mode : bool
        Whether the last place may reach over the end of what is padded.

    Raises
    ------
    ShapeError
        If the window does not fit into the padded image once.
    """
    padded = size + padding_before + padding_after
    extent = window_extent(kernel, dilation)
    places = (padded - extent + (stride - 1 if ceil_mode else 0)) // stride + 1
    if ceil_mode and (places - 1) * stride >= size + padding_before:
        places -= 1
    if places < 1:
        raise ShapeError(
            f"the image is smaller than the kernel: {size} pixels with padding {padding_before} and {padding_after} "
            f"make {padded}, but a kernel of {kernel} with dilation {dilation} spans {extent}. "
            "Give larger images, more padding or a smaller kernel."
        )
    return places


def window_output_shape(image, kernel, stride, padding, dilation=None, ceil_mode=False):
    """Return the spatial sizes of what a window yields that slides over one, two or three axes.

    Parameters
    ----------
    image, kernel, stride, dilation : tuple of int
        A number for each spatial axis; a dilation of 1 if it is not given.
    padding : tuple of int
        All beginnings, then all ends, as in ONNX's ``pads``: top, left, bottom, right.
    ceil_mode : bool
        As in :func:`convolution_output_size`.

    Raises
    ------
    ShapeError
        If the window does not fit into the padded image, or has not as many axes.
    """
    if len(kernel) != len(image):
        raise ShapeError(f"a window of {tuple(kernel)} pixels cannot slide over images of {tuple(image)}.")
    dilation = dilation or (1,) * len(image)
    axes = zip(image, kernel, stride, sides(padding), dilation, strict=True)
    return tuple(
        convolution_output_size(size, taps, step, before, after, spread, ceil_mode)
        for size, taps, step, (before, after), spread in axes
    )


def transposed_output_shape(image, kernel, stride, padding, output_padding, dilation=None):
    """Return the spatial sizes of what a transposed convolution yields over one, two or three axes.

    Along each axis ``(size - 1) stride + d (k - 1) + 1 + output_padding - padding_before - padding_after``, the formula
    of ONNX's ConvTranspose.

    Parameters
    ----------
    image, kernel, stride, output_padding, dilation : tuple of int
        A number for each spatial axis; a dilation of 1 if it is not given.
    padding : tuple of int
        What is cut off: all beginnings, then all ends, as in ONNX's ``pads``.

    Raises
    ------
    ShapeError
        If nothing is left.
    """
    dilation = dilation or (1,) * len(image)
    axes = zip(image, kernel, stride, sides(padding), output_padding, dilation, strict=True)
    whole = [(size - 1) * step + window_extent(taps, d) + more for size, taps, step, _, more, d in axes]
    out = tuple(size - before - after for size, (before, after) in zip(whole, sides(padding), strict=True))
    if min(out) < 1:
        raise ShapeError(
            f"nothing is left: images of {tuple(image)} pixels become {tuple(whole)}, of which a padding of "
            f"{tuple(padding)} cuts off all. Give less padding, larger images or a larger kernel."
        )
    return out


def sides(padding):
    """Return (before, after) for each axis of padding as in ONNX's ``pads``, all beginnings and then all ends."""
    axes = len(padding) // 2
    return tuple(zip(padding[:axes], padding[axes:], strict=True))


def window(place, kernel, stride, dilation=None):
    """Return the slices of a padded image's spatial axes under a window.

    Parameters
    ----------
    place : tuple of int
        Of the result's pixel.
    kernel, stride, dilation : tuple of int
        A number for each spatial axis; a dilation of 1 if it is not given.
    """
    axes = zip(place, kernel, stride, dilation or (1,) * len(kernel), strict=True)
    return tuple(slice(i * step, i * step + window_extent(taps, d), d) for i, taps, step, d in axes)


def reached_padding(image, kernel, stride, padding, dilation=None, ceil_mode=False):
    """Return padding with which every place of a window lies in the padded image, all beginnings and then all ends.

    It is the given padding but where, with ``ceil_mode``, the last place reaches over its end.

    Parameters
    ----------
    image, kernel, stride, padding, dilation, ceil_mode
        As in :func:`window_output_shape`.
    """
    if not ceil_mode:
        return padding
    places = window_output_shape(image, kernel, stride, padding, dilation, ceil_mode)
    extents = map(window_extent, kernel, dilation or (1,) * len(image))
    axes = zip(image, stride, sides(padding), places, extents, strict=True)
    ends = (
        max(after, (count - 1) * step + extent - size - before) for size, step, (before, after), count, extent in axes
    )
    return (*padding[: len(image)], *ends)


def padded_sizes(image, padding):
    """Return the spatial sizes of an image with padding around it, all beginnings and then all ends."""
    return tuple(size + before + after for size, (before, after) in zip(image, sides(padding), strict=True))


def image_slices(image, padding):
    """Return the slices of a padded image's spatial axes where the image itself lies.

    Parameters
    ----------
    image : tuple of int
        Its spatial sizes.
    padding : tuple of int
        All beginnings, then all ends.
    """
    return tuple(slice(before, before + size) for size, (before, _) in zip(image, sides(padding), strict=True))


def has_empty_window(image, kernel, stride, padding, dilation=None, ceil_mode=False):
    """Return whether no pixel of the image lies under some place of a window, since its taps are apart or it is padded.

    Parameters
    ----------
    image, kernel, stride, padding, dilation, ceil_mode
        As in :func:`window_output_shape`.
    """
    places = window_output_shape(image, kernel, stride, padding, dilation, ceil_mode)
    spread = dilation or (1,) * len(image)
    axes = zip(image, kernel, stride, sides(padding), spread, places, strict=True)
    for size, taps, step, (before, _), distance, count in axes:
        for first in range(-before, count * step - before, step):
            reaching = max(0, -(first // distance))
            if reaching >= taps or first + reaching * distance >= size:
                return True
    return False


def resolved_padding(padding, image, kernel, stride, dilation=None):
    """Return padding in numbers, all beginnings and then all ends, where it may have a name.

    ``"same"`` gives ``ceil(size / stride)`` places, with the odd pixel at the end, as ONNX's SAME_UPPER and TensorFlow;
    ``"same_lower"`` has it at the beginning; ``"valid"`` is none.

    Parameters
    ----------
    padding : str or tuple of int
        As :func:`refcnn.attributes.padding` returns it; numbers stay as they are.
    image, kernel, stride, dilation : tuple of int
        A number for each spatial axis; a dilation of 1 if it is not given.
    """
    if not isinstance(padding, str):
        return padding
    if padding == "valid":
        return (0,) * (2 * len(image))
    extents = map(window_extent, kernel, dilation or (1,) * len(image))
    axes = zip(image, stride, extents, strict=True)
    return _halved([max((-(-size // step) - 1) * step + extent - size, 0) for size, step, extent in axes], padding)


def resolved_transposed_padding(padding, image, kernel, stride, output_padding, dilation):
    """Return the padding and the output padding of a transposed convolution in numbers, where padding may have a name.

    ``"same"`` and ``"same_lower"`` give ``size * stride`` pixels: what is more is cut off on both sides, the odd one at
    the end or at the beginning, as ONNX's SAME_UPPER and SAME_LOWER say, and what lacks is added at the end.

    Parameters
    ----------
    padding : str or tuple of int
        As :func:`refcnn.attributes.padding` returns it; numbers stay as they are.
    image, kernel, stride, output_padding, dilation : tuple of int
        A number for each spatial axis.

    Returns
    -------
    (tuple of int, tuple of int)
    """
    if not isinstance(padding, str):
        return padding, output_padding
    if padding == "valid":
        return (0,) * (2 * len(image)), output_padding
    axes = zip(kernel, stride, output_padding, dilation, strict=True)
    totals = [window_extent(taps, d) + more - step for taps, step, more, d in axes]
    lacking = tuple(max(-total, 0) for total in totals)
    padding = _halved([max(total, 0) for total in totals], padding)
    return padding, tuple(more + short for more, short in zip(output_padding, lacking, strict=True))


def _halved(totals, name):
    fewer, more = [total // 2 for total in totals], [-(-total // 2) for total in totals]
    return (*more, *fewer) if name == "same_lower" else (*fewer, *more)


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


def matrix_product_shape(a, b):
    """Return the shape of the product of two matrices, of stacks of them, or of vectors, as of NumPy's ``matmul``.

    Parameters
    ----------
    a, b : tuple of int
        (..., rows, n) or (n,), and (..., n, columns) or (n,).

    Raises
    ------
    ShapeError
        If one has no axis, a size is 0, or they do not fit.
    """
    if not a or not b or 0 in (*a, *b) or a[-1] != b[-2:][0]:
        raise ShapeError(
            f"the shapes are {tuple(a)} and {tuple(b)}. Give matrices of shapes (rows, n) and (n, columns), stacks of "
            "them or vectors, no size zero: the last size of the first is that of the last axis but one of the second."
        )
    return (*broadcast_shape(a[:-2], b[:-2]), *a[-2:-1], *b[-1:][: len(b) - 1])


def padding_from_onnx(auto_pad, pads):
    """Return the padding that ONNX's attributes ``auto_pad`` and ``pads`` say, as the layers take it.

    Raises
    ------
    ArgumentError
        If ``auto_pad`` is another word.
    """
    names = {"SAME_UPPER": "same", "SAME_LOWER": "same_lower", "VALID": "valid"}
    # Some exporters leave the word empty.
    if auto_pad in ("NOTSET", ""):
        return 0 if pads is None else pads
    if auto_pad not in names:
        raise ArgumentError(f"auto_pad is {auto_pad!r}, but NOTSET or one of {', '.join(names)} is expected.")
    return names[auto_pad]


def broadcast_count(*shapes):
    """Return how many elements there are in what NumPy's broadcasting makes of arrays of such shapes."""
    return math.prod(functools.reduce(broadcast_shape, shapes))


def padded_count_from_onnx(x, kernel, *, auto_pad="NOTSET", dilations=None, pads=None, **_):
    """Return how many pixels images of a shape have together with the padding over which a window slides.

    Parameters
    ----------
    x : tuple of int
        (N, C, ...)
    kernel : tuple of int
    auto_pad, dilations, pads
        ONNX's attributes; of padding that makes results as large as images the most that it may be.
    """
    image = x[2:]
    if auto_pad.startswith("SAME"):
        more = map(window_extent, kernel, dilations or (1,) * len(kernel))
    else:
        more = map(sum, sides(pads or (0,) * 2 * len(image)))
    return math.prod(x[:2]) * math.prod(size + extra for size, extra in zip(image, more, strict=True))


def bounded_stride(stride, image, kernel, padding, dilation):
    """Return a window's strides, none longer than what it goes over, which leaves one place as any longer one does.

    Numbers that kernels compute with, and lay out space by, then stay as small as images are.
    """
    spans = map(window_extent, kernel, dilation)
    rows = zip(stride, image, spans, sides(padding), strict=True)
    return tuple(min(step, size + span + before + after) for step, size, span, (before, after) in rows)

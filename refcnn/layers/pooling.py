"""What the poolings check alike, over one, two and three spatial axes, and what they write to ONNX."""

import numpy as np

from .. import attributes as attribute
from ..errors import ArgumentError, ShapeError
from ..shapes import (
    bounded_stride,
    has_empty_window,
    padded_count_from_onnx,
    padding_from_onnx,
    reached_padding,
    resolved_padding,
    window_extent,
    window_output_shape,
)
from .convolution import check_images


def pooling_attributes(owner, axes, filter, padding, stride, dilation, ceil_mode):
    """Return the normalised attributes kernel, stride, padding, dilation and ceil_mode; padding may still be a name.

    Parameters
    ----------
    axes : int
        How many spatial axes the images have.

    Raises
    ------
    ArgumentError
        If one is out of range, or padding is not less than the window: a window could then hold no pixel.
    """
    kernel = attribute.per_axis(owner, "filter", filter, axes)
    found = attribute.padding(owner, padding, axes)
    spread = attribute.per_axis(owner, "dilation", dilation, axes)
    spans = tuple(map(window_extent, kernel, spread))
    if not isinstance(found, str) and any(side >= span for side, span in zip(found, spans * 2, strict=True)):
        reach = "" if spans == kernel else f" spans with dilation {dilation!r}"
        raise ArgumentError(
            f"{owner}: padding is {padding!r} and filter {filter!r}. Give a padding less than the filter{reach}, or a "
            "window could lie outside the image altogether. (By position the second is the padding; the step is "
            "stride=...)"
        )
    return {
        "kernel": kernel,
        "stride": attribute.per_axis(owner, "stride", stride, axes),
        "padding": found,
        "dilation": spread,
        "ceil_mode": attribute.flag(owner, "ceil_mode", ceil_mode),
    }


def placed(owner, shape, attributes):
    """Return the attributes with padding in numbers for images of a shape.

    Raises
    ------
    ShapeError
        If these are no images of as many axes, a window does not fit into them, or would hold no pixel.
    """
    check_images(owner, shape, len(attributes["kernel"]))
    image, window = shape[2:], {name: attributes[name] for name in ("kernel", "stride", "dilation")}
    padding, ceil_mode = resolved_padding(attributes["padding"], image, **window), attributes["ceil_mode"]
    try:
        window_output_shape(image, **window, padding=padding, ceil_mode=ceil_mode)
    except ShapeError as error:
        raise ShapeError(f"{owner}: {error}") from None
    if set(attributes["dilation"]) != {1} and has_empty_window(image, **window, padding=padding, ceil_mode=ceil_mode):
        raise ShapeError(
            f"{owner}: all taps of a window would lie outside an image of {image} pixels, at a filter of "
            f"{attributes['kernel']}, dilation {attributes['dilation']}, padding {padding} and stride "
            f"{attributes['stride']}. Give larger images, less padding or less dilation."
        )
    window["stride"] = bounded_stride(image=image, padding=padding, **window)
    return {**attributes, **window, "padding": padding}


def onnx_window(kernel, stride, padding, dilation, ceil_mode):
    """Return a window's attributes by ONNX's names; what has its default there is left out, since it is younger."""
    return {
        "kernel_shape": kernel,
        "strides": stride,
        "pads": padding,
        "dilations": None if is_dense(dilation) else dilation,
        "ceil_mode": int(ceil_mode) or None,
    }


def is_dense(dilation):
    """Return whether a window has no gaps between its taps."""
    return dilation is None or set(dilation) == {1}


def is_padded_little(kernel, padding):
    """Return whether padding is less than the number of taps along each axis, as onnxruntime demands of pools."""
    return all(side < taps for side, taps in zip(padding, kernel * 2, strict=True))


def padded(graph, tensor, image, kernel, stride, padding, dilation, ceil_mode, value):
    """Write ONNX's Pad, so that every place of a window lies in the padded image.

    Parameters
    ----------
    tensor : str
        That of images.
    image : tuple of int
        Their spatial sizes.
    value : float
        What they are padded with.
    """
    axes = len(image)
    reached = reached_padding(image, kernel, stride, padding, dilation, ceil_mode)
    return graph.node("Pad", [tensor], pads=(0, 0, *reached[:axes], 0, 0, *reached[axes:]), constant_value=value)


def sum_of_windows(graph, tensor, shape, kernel, stride, padding, dilation, ceil_mode):
    """Write the sums under each place of a window as ONNX's Conv with a kernel of ones.

    The channels are taken as images of their own, since the kernel of a Conv sums over channels.

    Parameters
    ----------
    tensor : str
        That of images.
    shape : tuple of int
        Theirs.
    """
    image, window = shape[2:], (kernel, stride, padding, dilation, ceil_mode)
    reached, out = reached_padding(image, *window), window_output_shape(image, *window)
    alone = graph.node("Reshape", [tensor], shape=(-1, 1, *image))
    ones = graph.constant(np.ones((1, 1, *kernel), np.float32))
    sums = graph.node("Conv", [alone, ones], kernel_shape=kernel, strides=stride, pads=reached, dilations=dilation)
    return graph.node("Reshape", [sums], shape=(-1, shape[1], *out))


def window_from_onnx(auto_pad, ceil_mode, dilations, kernel_shape, pads, strides):
    """Return the parameters of a pool, by the names of the functions, of ONNX's attributes."""
    return {
        "filter": tuple(kernel_shape),
        "padding": padding_from_onnx(auto_pad, pads),
        "stride": strides or 1,
        "dilation": dilations or 1,
        "ceil_mode": bool(ceil_mode),
    }


def count_from_onnx(x, *, kernel_shape, **window):
    """Return how many pixels ONNX's poolings go over, for the images' shape."""
    return padded_count_from_onnx(x, kernel_shape, **window)

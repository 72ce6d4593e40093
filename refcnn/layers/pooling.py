"""What the poolings check alike."""

from .. import attributes as attribute
from ..errors import ArgumentError, ShapeError
from ..shapes import window_output_shape


def pooling_attributes(owner, filter, padding, stride):
    """Return the normalised attributes kernel, stride and padding.

    Raises
    ------
    ArgumentError
        If one is out of range, or padding is not less than the window: a window could then hold no pixel.
    """
    kernel = attribute.per_axis(owner, "filter", filter, 2)
    sides = attribute.padding(owner, padding, 2)
    if any(side >= size for side, size in zip(sides, kernel * 2, strict=True)):
        raise ArgumentError(
            f"{owner}: padding is {padding!r} and filter {filter!r}. Give a padding less than the filter, or a window "
            "could lie outside the image altogether. (By position the second is the padding; the step is stride=...)"
        )
    return {"kernel": kernel, "stride": attribute.per_axis(owner, "stride", stride, 2), "padding": sides}


def check_pooling_input(owner, shape, attributes):
    """Raise ShapeError unless a window fits into images of this shape, (N, C, H, W)."""
    check_images(owner, shape, 2)
    try:
        window_output_shape(shape[2:], attributes["kernel"], attributes["stride"], attributes["padding"])
    except ShapeError as error:
        raise ShapeError(f"{owner}: {error}") from None


#: What the sizes of images are called, by their number of spatial axes.
_IMAGES = {1: "(N, C, W)", 2: "(N, C, H, W)", 3: "(N, C, D, H, W)"}


def check_images(owner, shape, axes):
    """Raise ShapeError unless a shape is one of images with so many spatial axes, none of them empty."""
    if len(shape) != 2 + axes or 0 in shape:
        raise ShapeError(
            f"{owner}: the input has shape {shape}. Give images of shape {_IMAGES[axes]}, none of them zero."
        )

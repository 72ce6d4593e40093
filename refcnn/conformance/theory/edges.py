"""Edges that break kernels and that several operations share: each function returns a dict of str to bool."""

import math

from ...shapes import padded_sizes, reached_padding, sides
from .strategies import spans

#: Floats of the vectors that kernels use.
_VECTORS = (4, 8, 16)


def of_pooling(case):
    """Return which edges a pooling's case reaches: those of its window and of planes."""
    shape, names = case.inputs[0].shape, ("kernel", "stride", "padding", "dilation", "ceil_mode")
    attributes = {name: case.attributes.get(name) for name in names}
    dilation = attributes["dilation"] or (1,) * len(attributes["kernel"])
    found = of_windows(shape, attributes["kernel"], dilation, attributes) | of_planes(case)
    reached = reached_padding(shape[2:], **attributes)
    return found | {"window that reaches over the padding": reached != attributes["padding"]}


def of_axes(shape):
    """Return how many spatial axes images of a shape have."""
    return {"one spatial axis": len(shape) == 3, "three spatial axes": len(shape) == 5}


def of_windows(shape, kernel, dilation, attributes):
    """Return which edges a window reaches.

    Parameters
    ----------
    shape : tuple of int
        That of the images over which it slides, (N, C, H, W), or with one or three spatial axes.
    kernel, dilation : tuple of int
    attributes : dict
        Has ``stride`` and ``padding``.
    """
    image, stride, around = shape[2:], attributes["stride"], sides(attributes["padding"])
    span = spans(kernel, dilation)
    padded = padded_sizes(image, attributes["padding"])
    return of_axes(shape) | {
        "kernel 1 x 1": set(kernel) == {1},
        "kernel that is not square": len(set(kernel)) > 1,
        "kernel as large as the padded image": span == padded,
        "kernel larger than the image": _any_larger(span, image),
        "stride larger than kernel": _any_larger(stride, kernel),
        "stride other than 1": set(stride) != {1},
        "asymmetric stride": len(set(stride)) > 1,
        "no padding": not any(map(any, around)),
        "asymmetric padding": any(before != after for before, after in around),
        "padding as large as the image": any(before >= size for (before, _), size in zip(around, image, strict=True)),
        "dilation other than 1": set(dilation) != {1},
        "asymmetric dilation": len(set(dilation)) > 1,
        "pixels that no window reads": any(
            (size - extent) % step for size, extent, step in zip(padded, span, stride, strict=True)
        ),
    }


def _any_larger(numbers, others):
    return any(one > other for one, other in zip(numbers, others, strict=True))


def of_planes(case):
    """Return which edges the planes of the images and of the result reach: kernels may take a plane as one row."""
    pixels = [math.prod(array.shape[2:]) for array in (case.inputs[0], case.dy)]
    return {
        "plane one less than a vector": any(count + 1 in _VECTORS for count in pixels),
        "plane as long as a vector": any(count in _VECTORS for count in pixels),
    }


def of_bias(case):
    """Return whether there is a bias: the third input."""
    return {"bias": case.inputs[2] is not None, "no bias": case.inputs[2] is None}

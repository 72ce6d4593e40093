"""Edges that break kernels and that several operations share: each function returns a dict of str to bool."""

import math

from .strategies import spans

#: Floats of the vectors that kernels use.
_VECTORS = (4, 8, 16)


def of_pooling(case):
    """Return which edges a pooling's case reaches: those of its window and of planes."""
    attributes = case.attributes
    return of_windows(case.inputs[0].shape, attributes["kernel"], (1, 1), attributes) | of_planes(case)


def of_windows(shape, kernel, dilation, attributes):
    """Return which edges a window reaches.

    Parameters
    ----------
    shape : (int, int, int, int)
        That of the images over which it slides, (N, C, H, W).
    kernel, dilation : (int, int)
    attributes : dict
        Has ``stride`` and ``padding``.
    """
    stride, (top, left, bottom, right) = attributes["stride"], attributes["padding"]
    span = spans(kernel, dilation)
    padded = shape[2] + top + bottom, shape[3] + left + right
    return {
        "kernel 1 x 1": tuple(kernel) == (1, 1),
        "kernel that is not square": kernel[0] != kernel[1],
        "kernel as large as the padded image": span == padded,
        "kernel larger than the image": span[0] > shape[2] or span[1] > shape[3],
        "stride larger than kernel": any(step > side for step, side in zip(stride, kernel, strict=True)),
        "stride other than 1": tuple(stride) != (1, 1),
        "asymmetric stride": stride[0] != stride[1],
        "no padding": not any((top, left, bottom, right)),
        "asymmetric padding": top != bottom or left != right,
        "padding as large as the image": top >= shape[2] or left >= shape[3],
        "dilation other than 1": tuple(dilation) != (1, 1),
        "asymmetric dilation": dilation[0] != dilation[1],
        "pixels that no window reads": any(
            (size - extent) % step for size, extent, step in zip(padded, span, stride, strict=True)
        ),
    }


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

"""Max unpooling of signals, images and volumes: the layers, the functions and the ONNX mapping."""

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from .. import attributes as attribute
from ..errors import ArgumentError, OutOfRangeError, ShapeError
from ..formats import FLOATS, INT64
from ..function import apply
from ..layer import Layer
from ..shapes import sides
from ..typing import Padding, Pair
from ..variable import Input, Variable, as_variable
from .convolution import check_images
from .pad import pad

FAMILY = "window"
DTYPES = (FLOATS, frozenset({INT64.dtype}))


class _MaxUnpool(Layer):
    #: How many spatial axes the images have.
    _axes: ClassVar[int] = 2

    def __init__(self, filter: Pair = 3, *, padding: Padding = 0, stride: Pair = 1) -> None:
        super().__init__()
        self.attributes = _normalised(self._axes, filter, padding, stride)
        self.filter = self.attributes["kernel"]

    def forward(self, x: Variable, indices: Variable, output_shape: Sequence[int] | None = None) -> Variable:
        """x and indices (N, C, H, W) -> (N, C, out_h, out_w), or with one or three spatial axes."""
        return _unpooled(x, indices, output_shape, self.attributes)


class MaxUnpool2d(_MaxUnpool):
    """Pixels put back to the places where max pooling with the same window found them, among zeros.

    It is called with what :class:`MaxPool2d` returns with ``return_indices``, and at times the shape of what that
    pooled: ``unpool(y, indices, output_shape=x.shape)``.

    Parameters
    ----------
    filter, padding, stride : int or (int, int)
        Those of the pooling, from which the size of the result follows where it is not given:
        ``(size - 1) * stride + filter - padding`` on both sides; pairs are (vertical, horizontal). Padding may also be
        (top, left, bottom, right).

    Raises
    ------
    ArgumentError
        If an attribute is out of range.
    """


class MaxUnpool1d(_MaxUnpool):
    """:class:`MaxUnpool2d` of signals (N, C, L): attributes are integers, padding also (before, after)."""

    _axes = 1


class MaxUnpool3d(_MaxUnpool):
    """:class:`MaxUnpool2d` of volumes (N, C, D, H, W): attributes are integers or three, padding also six."""

    _axes = 3


def max_unpool2d(
    x: Input,
    indices: Input,
    filter: Pair = 3,
    *,
    padding: Padding = 0,
    stride: Pair = 1,
    output_shape: Sequence[int] | None = None,
) -> Variable:
    """Put pixels back to the places where max pooling found them, among zeros, as a Variable (N, C, out_h, out_w).

    Where several indices point to one place, as those of windows that overlap may, the last in row-major order is put
    there, and it alone gets the gradient.

    Parameters
    ----------
    x : Variable or array_like, (N, C, H, W)
    indices : Variable or array_like of int64, (N, C, H, W)
        Places in the result, counted row by row through all images and channels, as :func:`max_pool2d` gives them with
        ``return_indices``. They are looked at before anything is put, for which a device is waited for.
    filter, padding, stride
        As in :class:`MaxUnpool2d`.
    output_shape : sequence of int, optional
        (N, C, out_h, out_w), where it is not what follows from the window: the shape of what was pooled.

    Raises
    ------
    ArgumentError, ShapeError
        If an attribute or a shape does not fit.
    OutOfRangeError
        If an index lies outside of the result.
    """
    return _unpooled(x, indices, output_shape, _normalised(2, filter, padding, stride))


def max_unpool1d(
    x: Input,
    indices: Input,
    filter: Pair = 3,
    *,
    padding: Padding = 0,
    stride: Pair = 1,
    output_shape: Sequence[int] | None = None,
) -> Variable:
    """As :func:`max_unpool2d`, of signals (N, C, L)."""
    return _unpooled(x, indices, output_shape, _normalised(1, filter, padding, stride))


def max_unpool3d(
    x: Input,
    indices: Input,
    filter: Pair = 3,
    *,
    padding: Padding = 0,
    stride: Pair = 1,
    output_shape: Sequence[int] | None = None,
) -> Variable:
    """As :func:`max_unpool2d`, of volumes (N, C, D, H, W)."""
    return _unpooled(x, indices, output_shape, _normalised(3, filter, padding, stride))


def _normalised(axes, filter, padding, stride):
    owner = f"MaxUnpool{axes}d"
    found = attribute.padding(owner, padding, axes)
    if isinstance(found, str):
        raise ArgumentError(
            f"{owner}: padding is {padding!r}, from which the size of what was pooled does not follow. Give it in "
            "numbers, or none and output_shape=x.shape."
        )
    return {
        "kernel": attribute.per_axis(owner, "filter", filter, axes),
        "stride": attribute.per_axis(owner, "stride", stride, axes),
        "padding": found,
    }


def _unpooled(x, indices, output_shape, attributes):
    owner = f"MaxUnpool{len(attributes['kernel'])}d"
    x, indices = as_variable(x), as_variable(indices).as_given()
    check_images(owner, x.shape, len(attributes["kernel"]))
    if indices.shape != x.shape:
        raise ShapeError(
            f"{owner}: the input has shape {x.shape}, but the indices have shape {indices.shape}. Give an index "
            "for each pixel, as max pooling returns them with return_indices=True."
        )
    size = _size(owner, x.shape, output_shape, **attributes)
    if indices.dtype == INT64.dtype:
        found, count = indices.as_ndarray(), x.shape[0] * x.shape[1] * math.prod(size)
        if not 0 <= found.min() <= found.max() < count:
            worst = found.min() if found.min() < 0 else found.max()
            raise OutOfRangeError(
                f"{owner}: the index {worst} is outside of the result, whose shape is {(*x.shape[:2], *size)}. Give "
                "output_shape=x.shape, that of what was pooled."
            )
    return apply("max_unpool2d", x, indices, size=size)


def _size(owner, shape, output_shape, kernel, stride, padding):
    """Return the spatial sizes of the result."""
    if output_shape is not None:
        given = attribute.integers(owner, "output_shape", output_shape, 1)
        if len(given) != len(shape) or given[:2] != shape[:2]:
            raise ShapeError(
                f"{owner}: output_shape is {given}, but the input has shape {shape}. Give a shape of as many images "
                "and channels."
            )
        return given[2:]
    axes = zip(shape[2:], kernel, stride, sides(padding), strict=True)
    size = tuple((count - 1) * step + taps - before - after for count, taps, step, (before, after) in axes)
    if min(size) < 1:
        raise ShapeError(
            f"{owner}: an input of shape {shape} would become images of {size} pixels. Give less padding, or "
            "output_shape=x.shape, that of what was pooled."
        )
    return size


def to_onnx(graph, x, indices, *, size):
    """Write ONNX's MaxUnpool, with a window from which the size follows for any batch."""
    lacking = [max(count - wanted, 0) for count, wanted in zip(x.shape[2:], size, strict=True)]
    stride = [max(wanted // count, 1) for count, wanted in zip(x.shape[2:], size, strict=True)]
    axes = zip(x.shape[2:], size, stride, lacking, strict=True)
    kernel = [wanted + 2 * short - (count - 1) * step for count, wanted, step, short in axes]
    tensors = [graph.tensor(x), graph.tensor(indices)]
    return graph.node("MaxUnpool", tensors, kernel_shape=kernel, strides=stride, pads=lacking * 2)


def _lie_in_windows(indices, size, *, kernel, stride, padding):
    """Return whether each index, counted in planes of a size, lies in the window of its pixel."""
    places = np.unravel_index(indices % math.prod(size), size)
    for axis, place in enumerate(places):
        first = np.arange(indices.shape[axis + 2]) * stride[axis] - padding[axis]
        first = first.reshape((-1, *(1,) * (indices.ndim - axis - 3)))
        if not ((first <= place) & (place < first + kernel[axis])).all():
            return False
    return True


def from_onnx(x, indices, *, kernel_shape, output_shape=None, pads=None, strides=None):
    """Read ONNX's MaxUnpool.

    With an ``output_shape`` of another size than that which follows, the text counts indices in the result, as
    onnxruntime does, and ONNX's own case in an array of the size that follows, with zeros behind it. Each index lies in
    the window of its pixel, which tells which of both it is.
    """
    unpool = {1: max_unpool1d, 2: max_unpool2d, 3: max_unpool3d}[len(kernel_shape)]
    window = _normalised(len(kernel_shape), tuple(kernel_shape), pads or 0, strides or 1)
    if output_shape is not None:
        follows = _size("MaxUnpool", x.shape, None, **window)
        host = indices.as_ndarray()
        if not _lie_in_windows(host, output_shape[2:], **window) and _lie_in_windows(host, follows, **window):
            ends = [wanted - size for wanted, size in zip(output_shape, (*x.shape[:2], *follows), strict=True)]
            y = unpool(x, indices, tuple(kernel_shape), padding=pads or 0, stride=strides or 1)
            return pad(y, (*(0,) * len(ends), *ends))
    return unpool(x, indices, tuple(kernel_shape), padding=pads or 0, stride=strides or 1, output_shape=output_shape)


def _count(x, indices, *, kernel_shape, output_shape=None, strides=None, **_):
    rows = zip(x[2:], kernel_shape, strides or (1,) * len(kernel_shape), strict=True)
    sizes = (*x[:2], *((size - 1) * stride + taps for size, taps, stride in rows))
    return math.prod(map(max, sizes, output_shape or sizes))


FROM_ONNX = {"MaxUnpool": from_onnx}
COUNTS = {"MaxUnpool": _count}

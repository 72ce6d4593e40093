"""Average pooling of signals, images and volumes: the layers, the functions and the ONNX mapping."""

import functools
from typing import ClassVar

import numpy as np

from .. import attributes as attribute
from ..function import apply
from ..layer import Layer
from ..shapes import sides, window_output_shape
from ..typing import Padding, Pair
from ..variable import Input, Variable, as_variable
from .pooling import (
    count_from_onnx,
    is_dense,
    is_padded_little,
    onnx_window,
    placed,
    pooling_attributes,
    sum_of_windows,
    window_from_onnx,
)

FAMILY = "window"

#: The first version of ONNX's AveragePool whose windows may have gaps.
_OPSET_WITH_DILATIONS = 19


class _AveragePool(Layer):
    #: How many spatial axes the images have.
    _axes: ClassVar[int] = 2
    _by_position = 1

    def __init__(
        self,
        filter: Pair = 3,
        padding: Padding = 0,
        stride: Pair = 1,
        count_include_padding: bool = True,
        *,
        dilation: Pair = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.attributes = _normalised(self._axes, filter, padding, stride, dilation, ceil_mode)
        self.filter = self.attributes["kernel"]
        self.count_include_padding = _flag(self._axes, count_include_padding)

    def forward(self, x: Variable) -> Variable:
        """x (N, C, H, W) -> (N, C, out_h, out_w), or with one or three spatial axes."""
        return _pooled(x, self.attributes, self.count_include_padding)


class AveragePool2d(_AveragePool):
    """The mean of the pixels under a window that slides over each channel.

    Parameters
    ----------
    filter, padding, stride, dilation : int or (int, int)
        Window size, zeros around the image, step of the window, step between its taps; pairs are
        (vertical, horizontal). Padding may also be (top, left, bottom, right), which must be less than the window
        spans, ``"same"`` for as much as makes ``ceil(size / stride)`` pixels, the odd one at the end (``"same_lower"``
        at the beginning), or ``"valid"`` for none.
    ceil_mode : bool
        Whether the last places of the window may reach over the end of what is padded.
    count_include_padding : bool
        Whether padding counts as pixels of value zero; otherwise the mean is over the image's pixels alone. What lies
        behind the padding with ``ceil_mode`` never counts.

    Raises
    ------
    ArgumentError
        If an attribute is out of range.
    """


class AveragePool1d(_AveragePool):
    """:class:`AveragePool2d` of signals (N, C, L): attributes are integers, padding also (before, after) or a name."""

    _axes = 1


class AveragePool3d(_AveragePool):
    """:class:`AveragePool2d` of volumes (N, C, D, H, W).

    Attributes are integers or three as (depth, vertical, horizontal), padding also six, all beginnings and then all
    ends, or a name.
    """

    _axes = 3


def average_pool2d(
    x: Input,
    filter: Pair = 3,
    padding: Padding = 0,
    stride: Pair = 1,
    count_include_padding: bool = True,
    *,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> Variable:
    """Return the mean under each place of a window, as a Variable (N, C, out_h, out_w).

    Parameters
    ----------
    x : Variable or array_like, (N, C, H, W)
    filter, padding, stride, count_include_padding, dilation, ceil_mode
        As in :class:`AveragePool2d`.

    Raises
    ------
    ArgumentError, ShapeError
        If an attribute or the shape does not fit.
    """
    return _pooled(x, _normalised(2, filter, padding, stride, dilation, ceil_mode), count_include_padding)


def average_pool1d(
    x: Input,
    filter: Pair = 3,
    padding: Padding = 0,
    stride: Pair = 1,
    count_include_padding: bool = True,
    *,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> Variable:
    """As :func:`average_pool2d`, of signals (N, C, L)."""
    return _pooled(x, _normalised(1, filter, padding, stride, dilation, ceil_mode), count_include_padding)


def average_pool3d(
    x: Input,
    filter: Pair = 3,
    padding: Padding = 0,
    stride: Pair = 1,
    count_include_padding: bool = True,
    *,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> Variable:
    """As :func:`average_pool2d`, of volumes (N, C, D, H, W)."""
    return _pooled(x, _normalised(3, filter, padding, stride, dilation, ceil_mode), count_include_padding)


def _normalised(axes, *attributes):
    return pooling_attributes(f"AveragePool{axes}d", axes, *attributes)


def _pooled(x, attributes, count_include_padding):
    x, axes = as_variable(x), len(attributes["kernel"])
    attributes = placed(f"AveragePool{axes}d", x.shape, attributes)
    return apply("average_pool2d", x, **attributes, count_include_padding=_flag(axes, count_include_padding))


def _flag(axes, count_include_padding):
    return attribute.flag(f"AveragePool{axes}d", "count_include_padding", count_include_padding)


def to_onnx(graph, x, *, count_include_padding, **window):
    """Write ONNX's AveragePool, or sums and a division where it does not take such a window."""
    window = {"dilation": None, "ceil_mode": False, **window}
    takes_dilation = graph.opset >= _OPSET_WITH_DILATIONS or is_dense(window["dilation"])
    if takes_dilation and is_padded_little(window["kernel"], window["padding"]):
        return graph.node(
            "AveragePool", [graph.tensor(x)], **onnx_window(**window), count_include_pad=int(count_include_padding)
        )
    counted = window["padding"] if count_include_padding else (0,) * len(window["padding"])
    counts = graph.constant(_counts(x.shape[2:], counted, **window))
    return graph.node("Div", [sum_of_windows(graph, graph.tensor(x), x.shape, **window), counts])


def _counts(image, counted, kernel, stride, padding, dilation, ceil_mode):
    """Return how many taps of each place of a window lie in the image, or in the padding around it that is counted."""
    out = window_output_shape(image, kernel, stride, padding, dilation, ceil_mode)
    axes = zip(image, sides(counted), kernel, stride, sides(padding), dilation, out, strict=True)
    of_axes = []
    for size, (before, after), taps, step, (first, _), spread, places in axes:
        at = step * np.arange(places)[:, None] - first + spread * np.arange(taps)
        of_axes.append(((at >= -before) & (at < size + after)).sum(axis=1))
    return functools.reduce(np.multiply.outer, of_axes).astype(np.float32)


def from_onnx(
    x, *, kernel_shape, auto_pad="NOTSET", ceil_mode=0, count_include_pad=0, dilations=None, pads=None, strides=None
):
    """Read ONNX's AveragePool."""
    window = window_from_onnx(auto_pad, ceil_mode, dilations, kernel_shape, pads, strides)
    pool = {1: average_pool1d, 2: average_pool2d, 3: average_pool3d}[len(kernel_shape)]
    return pool(x, **window, count_include_padding=bool(count_include_pad))


FROM_ONNX = {"AveragePool": from_onnx}
COUNTS = {"AveragePool": count_from_onnx}

"""Max pooling of signals, images and volumes: the layers, the functions and the ONNX mapping."""

import math
from typing import Any, ClassVar, Literal, overload

import numpy as np

from .. import attributes as attribute
from ..function import apply
from ..layer import Layer
from ..typing import Padding, Pair
from ..variable import Input, Variable, as_variable
from .pooling import (
    count_from_onnx,
    is_padded_little,
    onnx_window,
    padded,
    placed,
    pooling_attributes,
    window_from_onnx,
)

FAMILY = "window"
KEEPS_INPUT = True


class _MaxPool(Layer):
    #: How many spatial axes the images have.
    _axes: ClassVar[int] = 2
    _by_position = 1

    def __init__(
        self,
        filter: Pair = 3,
        padding: Padding = 0,
        stride: Pair = 1,
        *,
        dilation: Pair = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> None:
        super().__init__()
        self.attributes = _normalised(self._axes, filter, padding, stride, dilation, ceil_mode)
        self.filter = self.attributes["kernel"]
        self.return_indices = attribute.flag(f"MaxPool{self._axes}d", "return_indices", return_indices)

    def forward(self, x: Variable) -> Any:
        """x (N, C, H, W) -> (N, C, out_h, out_w), or with one or three spatial axes; a pair with ``return_indices``."""
        return _pooled(x, self.attributes, self.return_indices)


class MaxPool2d(_MaxPool):
    """The largest pixel under a window that slides over each channel.

    Parameters
    ----------
    filter, padding, stride, dilation : int or (int, int)
        Window size, pixels around the image (which never win), step of the window, step between its taps; pairs are
        (vertical, horizontal). Padding may also be (top, left, bottom, right), which must be less than the window
        spans, ``"same"`` for as much as makes ``ceil(size / stride)`` pixels, the odd one at the end (``"same_lower"``
        at the beginning), or ``"valid"`` for none.
    ceil_mode : bool
        Whether the last places of the window may reach over the end of what is padded.
    return_indices : bool
        Whether to return the places of the largest pixels too, as :func:`max_pool2d` does.

    Raises
    ------
    ArgumentError
        If an attribute is out of range.
    """


class MaxPool1d(_MaxPool):
    """:class:`MaxPool2d` of signals (N, C, L): attributes are integers, padding also (before, after) or a name."""

    _axes = 1


class MaxPool3d(_MaxPool):
    """:class:`MaxPool2d` of volumes (N, C, D, H, W).

    Attributes are integers or three as (depth, vertical, horizontal), padding also six, all beginnings and then all
    ends, or a name.
    """

    _axes = 3


@overload
def max_pool2d(
    x: Input,
    filter: Pair = 3,
    padding: Padding = 0,
    stride: Pair = 1,
    *,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    return_indices: Literal[False] = False,
) -> Variable: ...
@overload
def max_pool2d(
    x: Input,
    filter: Pair = 3,
    padding: Padding = 0,
    stride: Pair = 1,
    *,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    return_indices: Literal[True],
) -> tuple[Variable, Variable]: ...
def max_pool2d(
    x: Input,
    filter: Pair = 3,
    padding: Padding = 0,
    stride: Pair = 1,
    *,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Variable | tuple[Variable, Variable]:
    """Return the largest pixel under each place of a window, as a Variable (N, C, out_h, out_w).

    Parameters
    ----------
    x : Variable or array_like, (N, C, H, W)
    filter, padding, stride, dilation, ceil_mode
        As in :class:`MaxPool2d`.
    return_indices : bool
        Whether to return the places of the largest pixels too: an int64 Variable of the same shape, in which places
        are counted row by row through all images and channels, as ONNX's MaxPool and MaxUnpool have them. (PyTorch
        counts through one channel.) :func:`max_unpool2d` takes them.

    Raises
    ------
    ArgumentError, ShapeError
        If an attribute or the shape does not fit.
    """
    return _pooled(x, _normalised(2, filter, padding, stride, dilation, ceil_mode), return_indices)


@overload
def max_pool1d(
    x: Input,
    filter: Pair = 3,
    padding: Padding = 0,
    stride: Pair = 1,
    *,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    return_indices: Literal[False] = False,
) -> Variable: ...
@overload
def max_pool1d(
    x: Input,
    filter: Pair = 3,
    padding: Padding = 0,
    stride: Pair = 1,
    *,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    return_indices: Literal[True],
) -> tuple[Variable, Variable]: ...
def max_pool1d(
    x: Input,
    filter: Pair = 3,
    padding: Padding = 0,
    stride: Pair = 1,
    *,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Variable | tuple[Variable, Variable]:
    """As :func:`max_pool2d`, of signals (N, C, L)."""
    return _pooled(x, _normalised(1, filter, padding, stride, dilation, ceil_mode), return_indices)


@overload
def max_pool3d(
    x: Input,
    filter: Pair = 3,
    padding: Padding = 0,
    stride: Pair = 1,
    *,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    return_indices: Literal[False] = False,
) -> Variable: ...
@overload
def max_pool3d(
    x: Input,
    filter: Pair = 3,
    padding: Padding = 0,
    stride: Pair = 1,
    *,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    return_indices: Literal[True],
) -> tuple[Variable, Variable]: ...
def max_pool3d(
    x: Input,
    filter: Pair = 3,
    padding: Padding = 0,
    stride: Pair = 1,
    *,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Variable | tuple[Variable, Variable]:
    """As :func:`max_pool2d`, of volumes (N, C, D, H, W)."""
    return _pooled(x, _normalised(3, filter, padding, stride, dilation, ceil_mode), return_indices)


def _normalised(axes, *attributes):
    return pooling_attributes(f"MaxPool{axes}d", axes, *attributes)


def _pooled(x, attributes, return_indices):
    x, owner = as_variable(x), f"MaxPool{len(attributes['kernel'])}d"
    attributes = placed(owner, x.shape, attributes)
    returns_indices = attribute.flag(owner, "return_indices", return_indices)
    return apply("max_pool2d_with_indices" if returns_indices else "max_pool2d", x, **attributes)


def to_onnx(graph, x, *, outputs=None, **window):
    """Write ONNX's MaxPool, of which as many outputs as there are."""
    window = {"dilation": None, "ceil_mode": False, **window}
    if is_padded_little(window["kernel"], window["padding"]):
        return graph.node("MaxPool", [graph.tensor(x)], outputs=outputs, **onnx_window(**window))
    tensor = padded(graph, graph.tensor(x), x.shape[2:], **window, value=-np.inf)
    window |= {"padding": (0,) * len(window["padding"]), "ceil_mode": False}
    return graph.node("MaxPool", [tensor], outputs=outputs, **onnx_window(**window))


def from_onnx(
    x,
    *,
    kernel_shape,
    auto_pad="NOTSET",
    ceil_mode=0,
    dilations=None,
    pads=None,
    storage_order=0,
    strides=None,
    outputs=(True,),
):
    """Read ONNX's MaxPool, with the places of the largest pixels where they are wanted."""
    window = window_from_onnx(auto_pad, ceil_mode, dilations, kernel_shape, pads, strides)
    pool = {1: max_pool1d, 2: max_pool2d, 3: max_pool3d}[len(kernel_shape)]
    if not any(outputs[1:]):
        return pool(x, **window)
    y, indices = pool(x, **window, return_indices=True)
    return y, _column_by_column(indices, x.shape) if storage_order else indices


def _column_by_column(indices, shape):
    """Return places that are counted row by row through a plane as those counted along the first axis fastest."""
    host = indices.as_ndarray()
    plane = math.prod(shape[2:])
    places = np.unravel_index(host % plane, shape[2:])
    return Variable(host - host % plane + np.ravel_multi_index(places, shape[2:], order="F"))


FROM_ONNX = {"MaxPool": from_onnx}
COUNTS = {"MaxPool": count_from_onnx}

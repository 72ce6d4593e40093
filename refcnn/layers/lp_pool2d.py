"""Lp pooling of signals, images and volumes: the layers, the functions and the ONNX mapping."""

from typing import ClassVar

import numpy as np

from .. import attributes as attribute
from ..function import apply
from ..layer import Layer
from ..shapes import reached_padding
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
KEEPS_INPUT = True

#: The first version of ONNX's LpPool whose windows may have gaps.
_OPSET_WITH_DILATIONS = 18


class _LpPool(Layer):
    #: How many spatial axes the images have.
    _axes: ClassVar[int] = 2

    def __init__(
        self,
        filter: Pair = 3,
        *,
        p: int = 2,
        padding: Padding = 0,
        stride: Pair = 1,
        dilation: Pair = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.attributes = _normalised(self._axes, p, filter, padding, stride, dilation, ceil_mode)
        self.filter = self.attributes["kernel"]

    def forward(self, x: Variable) -> Variable:
        """x (N, C, H, W) -> (N, C, out_h, out_w), or with one or three spatial axes."""
        return _pooled(x, self.attributes)


class LpPool2d(_LpPool):
    """The p-norm of the pixels under a window that slides over each channel, (sum of |x|^p)^(1/p).

    Parameters
    ----------
    filter, padding, stride, dilation : int or (int, int)
        Window size, zeros around the image, step of the window, step between its taps; pairs are
        (vertical, horizontal). Padding may also be (top, left, bottom, right), which must be less than the window
        spans, ``"same"`` for as much as makes ``ceil(size / stride)`` pixels, the odd one at the end (``"same_lower"``
        at the beginning), or ``"valid"`` for none.
    p : int
        Of the norm, from 1 on.
    ceil_mode : bool
        Whether the last places of the window may reach over the end of what is padded.

    Raises
    ------
    ArgumentError
        If an attribute is out of range.
    """


class LpPool1d(_LpPool):
    """:class:`LpPool2d` of signals (N, C, L): attributes are integers, padding also (before, after) or a name."""

    _axes = 1


class LpPool3d(_LpPool):
    """:class:`LpPool2d` of volumes (N, C, D, H, W).

    Attributes are integers or three as (depth, vertical, horizontal), padding also six, all beginnings and then all
    ends, or a name.
    """

    _axes = 3


def lp_pool2d(
    x: Input,
    filter: Pair = 3,
    *,
    p: int = 2,
    padding: Padding = 0,
    stride: Pair = 1,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> Variable:
    """Return the p-norm of the pixels under each place of a window, as a Variable (N, C, out_h, out_w).

    Where the norm is 0 its gradient is 0.

    Parameters
    ----------
    x : Variable or array_like, (N, C, H, W)
    filter, p, padding, stride, dilation, ceil_mode
        As in :class:`LpPool2d`.

    Raises
    ------
    ArgumentError, ShapeError
        If an attribute or the shape does not fit.
    """
    return _pooled(x, _normalised(2, p, filter, padding, stride, dilation, ceil_mode))


def lp_pool1d(
    x: Input,
    filter: Pair = 3,
    *,
    p: int = 2,
    padding: Padding = 0,
    stride: Pair = 1,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> Variable:
    """As :func:`lp_pool2d`, of signals (N, C, L)."""
    return _pooled(x, _normalised(1, p, filter, padding, stride, dilation, ceil_mode))


def lp_pool3d(
    x: Input,
    filter: Pair = 3,
    *,
    p: int = 2,
    padding: Padding = 0,
    stride: Pair = 1,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> Variable:
    """As :func:`lp_pool2d`, of volumes (N, C, D, H, W)."""
    return _pooled(x, _normalised(3, p, filter, padding, stride, dilation, ceil_mode))


def _normalised(axes, p, *attributes):
    owner = f"LpPool{axes}d"
    return {"p": attribute.integer(owner, "p", p), **pooling_attributes(owner, axes, *attributes)}


def _pooled(x, attributes):
    x = as_variable(x)
    return apply("lp_pool2d", x, **placed(f"LpPool{len(attributes['kernel'])}d", x.shape, attributes))


def to_onnx(graph, x, *, p, kernel, stride, padding, dilation=None, ceil_mode=False):
    """Write ONNX's LpPool, or powers and their sums where it does not take such a window."""
    # Padding adds nothing, so that it may reach as far as the window, which older versions do not let reach over it.
    reached = reached_padding(x.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    window = {"kernel": kernel, "stride": stride, "padding": reached, "dilation": dilation, "ceil_mode": False}
    takes_dilation = graph.opset >= _OPSET_WITH_DILATIONS or is_dense(dilation)
    if takes_dilation and is_padded_little(kernel, reached):
        return graph.node("LpPool", [graph.tensor(x)], p=p, **onnx_window(**window))
    magnitude = graph.node("Abs", [graph.tensor(x)])
    powers = graph.node("Pow", [magnitude, graph.constant(np.float32(p))])
    sums = sum_of_windows(graph, powers, x.shape, **window)
    return graph.node("Pow", [sums, graph.constant(np.float32(1 / p))])


def from_onnx(x, *, kernel_shape, p=2, auto_pad="NOTSET", ceil_mode=0, dilations=None, pads=None, strides=None):
    """Read ONNX's LpPool."""
    window = window_from_onnx(auto_pad, ceil_mode, dilations, kernel_shape, pads, strides)
    pool = {1: lp_pool1d, 2: lp_pool2d, 3: lp_pool3d}[len(kernel_shape)]
    return pool(x, **window, p=int(p))


FROM_ONNX = {"LpPool": from_onnx}
COUNTS = {"LpPool": count_from_onnx}

"""Transposed convolution of signals, images and volumes: the layers, the functions and the ONNX mapping."""

import math
from collections.abc import Sequence

from ..errors import ArgumentError, ShapeError
from ..function import apply
from ..initializers import GlorotNormal
from ..shapes import padding_from_onnx, resolved_transposed_padding, transposed_output_shape, window_extent
from ..typing import Initializer, Padding, Pair
from ..variable import Input, Variable, as_variable
from .convolution import (
    ConvolutionLayer,
    check_bias,
    check_channels,
    check_images,
    check_kernel_shape,
    check_kernels,
    normalised,
    shaped_bias,
    stored_shapes,
)

FAMILY = "window"
KEEPS_INPUT = True


class _ConvTranspose(ConvolutionLayer):
    _before_filter = "filter="
    _in_pytorch = ("stride", "padding", "output_padding", "groups", "bias", "dilation")

    def __init__(
        self,
        channel: int,
        *,
        filter: Pair = 3,
        padding: Padding = 0,
        stride: Pair = 1,
        dilation: Pair = 1,
        groups: int = 1,
        output_padding: Pair = 0,
        input_size: int | Sequence[int] | None = None,
        ignore_bias: bool = False,
        initializer: Initializer = GlorotNormal(),
    ) -> None:
        super().__init__()
        window = {"stride": stride, "padding": padding, "dilation": dilation, "output_padding": output_padding}
        self._take(channel, filter, ignore_bias, initializer, groups=groups, **window)
        _check_output_padding(type(self).__name__, **self.attributes)
        self._take_input_size(input_size)

    def _weights_shape(self, channels):
        return (channels, self.channel // self.attributes["groups"], *self.filter)

    def forward(self, x: Variable) -> Variable:
        """x (N, C, H, W) -> (N, channel, out_h, out_w), or with one or three spatial axes."""
        if not self.params:
            _placed(self._axes, x.shape, self.filter, **self.attributes)
            self._make_parameters(x.shape[1])
        return _spread(self._axes, x, self.params["w"], self.params.get("b"), **self.attributes)


class ConvTranspose2d(_ConvTranspose):
    """A transposed convolution, which makes images larger: each pixel lays its multiple of a kernel on the result.

    Along each axis there are ``(size - 1) stride + d (filter - 1) + 1 + output_padding`` pixels, less the padding.

    Parameters
    ----------
    channel : int
        Output channels.
    filter, padding, stride, dilation : int or (int, int)
        Kernel size, pixels that are cut off the result, step between the places of two pixels' kernels, step between a
        kernel's taps; pairs are (vertical, horizontal). Padding may also be (top, left, bottom, right), ``"same"`` for
        ``size * stride`` pixels, cut off on both sides, the odd one at the end (``"same_lower"`` at the beginning), or
        ``"valid"`` for none.
    groups : int
        Input and output channels are cut into so many groups that do not see each other.
    output_padding : int or (int, int)
        Pixels more at the bottom and on the right; fewer than the stride, or than the dilation.
    input_size : int or (int, int, int), optional
        Input channels, or (channels, height, width). Without it the parameters are made at the first call.
    ignore_bias : bool
        Leave the bias out.
    initializer : callable
        Gives the weights of a shape.

    Attributes
    ----------
    params.w : (C, channel/groups, kh, kw)
    params.b : (1, channel, 1, 1)

    Raises
    ------
    ArgumentError
        If an attribute is out of range.
    """


class ConvTranspose1d(_ConvTranspose):
    """A transposed convolution of signals (N, C, L): :class:`ConvTranspose2d` with one spatial axis.

    Attributes are integers, padding also (before, after) or a name.

    Attributes
    ----------
    params.w : (C, channel/groups, k)
    params.b : (1, channel, 1)

    Raises
    ------
    ArgumentError
        If an attribute is out of range.
    """

    _axes = 1


class ConvTranspose3d(_ConvTranspose):
    """A transposed convolution of volumes (N, C, D, H, W): :class:`ConvTranspose2d` with three spatial axes.

    Attributes are integers or three as (depth, vertical, horizontal), padding also six, all beginnings and then all
    ends, or a name.

    Attributes
    ----------
    params.w : (C, channel/groups, kd, kh, kw)
    params.b : (1, channel, 1, 1, 1)

    Raises
    ------
    ArgumentError
        If an attribute is out of range.
    """

    _axes = 3


def conv_transpose2d(
    x: Input,
    w: Input,
    b: Input | None = None,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
    output_padding: Pair = 0,
) -> Variable:
    """Lay kernels on larger images: ONNX's ConvTranspose, a convolution's gradient by its images.

    Parameters
    ----------
    x : Variable or array_like, (N, C, H, W)
    w : Variable or array_like, (C, K/groups, kh, kw)
    b : Variable or array_like, (1, K, 1, 1), optional
    stride, padding, dilation, groups, output_padding
        As in :class:`ConvTranspose2d`.

    Returns
    -------
    Variable, (N, K, out_h, out_w)

    Raises
    ------
    ArgumentError, ShapeError
        If an attribute or a shape does not fit.
    """
    window = {"stride": stride, "padding": padding, "dilation": dilation, "output_padding": output_padding}
    return _spread(2, x, w, b, groups=groups, **window)


def conv_transpose1d(
    x: Input,
    w: Input,
    b: Input | None = None,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
    output_padding: Pair = 0,
) -> Variable:
    """Lay kernels on longer signals: :func:`conv_transpose2d` of x (N, C, L), w (C, K/groups, k) and b (1, K, 1).

    Raises
    ------
    ArgumentError, ShapeError
        If an attribute or a shape does not fit.
    """
    window = {"stride": stride, "padding": padding, "dilation": dilation, "output_padding": output_padding}
    return _spread(1, x, w, b, groups=groups, **window)


def conv_transpose3d(
    x: Input,
    w: Input,
    b: Input | None = None,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
    output_padding: Pair = 0,
) -> Variable:
    """Lay kernels on larger volumes: :func:`conv_transpose2d` of x (N, C, D, H, W) and w (C, K/groups, kd, kh, kw).

    Raises
    ------
    ArgumentError, ShapeError
        If an attribute or a shape does not fit.
    """
    window = {"stride": stride, "padding": padding, "dilation": dilation, "output_padding": output_padding}
    return _spread(3, x, w, b, groups=groups, **window)


def _spread(axes, x, w, b, *, groups, **window):
    x, w = as_variable(x), as_variable(w)
    owner = f"ConvTranspose{axes}d"
    attributes = normalised(owner, axes, groups=groups, **window)
    _check_output_padding(owner, **attributes)
    check_kernels(owner, w.shape, axes, "C, K/groups", attributes["groups"])
    placed = _placed(axes, x.shape, w.shape[2:], **attributes)
    check_channels(owner, x.shape, w.shape[0], w.shape, groups, axes)
    check_bias(owner, b, w.shape, w.shape[1] * attributes["groups"], axes)
    return apply("conv_transpose2d", x, w, b, **placed)


def _check_output_padding(owner, *, stride, dilation, output_padding, **others):
    most = [max(step, spread) - 1 for step, spread in zip(stride, dilation, strict=True)]
    if any(more > least for more, least in zip(output_padding, most, strict=True)):
        raise ArgumentError(
            f"{owner}: output_padding is {output_padding}, but must be less than the stride {stride} or the dilation "
            f"{dilation}. Give at most {tuple(most)}."
        )


def _placed(axes, x, kernel, *, stride, padding, dilation, groups, output_padding):
    """Return the attributes with padding in numbers, or raise ShapeError unless something is left of the result."""
    owner = f"ConvTranspose{axes}d"
    check_images(owner, x, axes)
    padding, output_padding = resolved_transposed_padding(padding, x[2:], kernel, stride, output_padding, dilation)
    try:
        transposed_output_shape(x[2:], kernel, stride, padding, output_padding, dilation)
    except ShapeError as error:
        raise ShapeError(f"{owner}: {error}") from None
    window = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation}
    return {**window, "groups": groups}


def to_onnx(graph, x, w, b, *, stride, padding, output_padding, dilation, groups):
    """Write ONNX's ConvTranspose; zeros behind it, and the bias after them, where onnxruntime would not add as many."""
    axes = len(stride)
    rows = list(zip(stride, padding[axes:], output_padding, strict=True))
    beyond = [max(more - after - (step - 1), 0) for step, after, more in rows]
    if any(more >= step for step, _, more in rows):
        # Of what is added at the end, padding cuts off as much again.
        padding = (*padding[:axes], *(max(after - more, 0) for _, after, more in rows))
        output_padding = [min(max(more - after, 0), step - 1) for step, after, more in rows]
    inputs = [graph.tensor(x), graph.tensor(w)]
    if b is not None and not any(beyond):
        inputs.append(graph.tensor(b, shape=(-1,)))
    window = {"kernel_shape": w.shape[2:], "strides": stride, "pads": padding, "output_padding": output_padding}
    y = graph.node("ConvTranspose", inputs, **window, dilations=dilation, group=groups)
    if not any(beyond):
        return y
    y = graph.node("Pad", [y], pads=[0] * (axes + 4) + beyond)
    return y if b is None else graph.node("Add", [y, graph.tensor(b)])


def scaled_channels(w, factor, *, groups, **others):
    """The channels of a group lie along the second axis, the groups along the first."""
    spatial = w.shape[2:]
    factor = factor.reshape(groups, 1, -1, *(1,) * len(spatial))
    return (w.reshape(groups, -1, *w.shape[1:]) * factor).reshape(w.shape)


def flop(x, w, b=None, *, stride, padding, output_padding, dilation, groups):
    """One product for each weight of a kernel at each pixel of the images."""
    return 2 * x[0] * math.prod(x[2:]) * math.prod(w)


def from_onnx(
    x,
    w,
    b=None,
    *,
    auto_pad="NOTSET",
    dilations=None,
    group=1,
    kernel_shape=None,
    output_padding=None,
    output_shape=None,
    pads=None,
    strides=None,
):
    """Read ONNX's ConvTranspose, whose padding may follow from the size of its result."""
    axes = len(w.shape) - 2
    check_kernel_shape(f"ConvTranspose{axes}d", kernel_shape, w.shape)
    ones = (1,) * axes
    strides, dilations, more = strides or ones, dilations or ones, output_padding or (0,) * axes
    if output_shape is None and auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        output_shape = tuple(size * stride for size, stride in zip(x.shape[2:], strides, strict=True))
    if output_shape is not None:
        sizes = zip(x.shape[2:], w.shape[2:], strides, dilations, more, output_shape[-axes:], strict=True)
        totals = [
            stride * (size - 1) + extra + (taps - 1) * dilation + 1 - wanted
            for size, taps, stride, dilation, extra, wanted in sizes
        ]
        # What no window reaches is left at the end.
        more = tuple(extra - min(total, 0) for extra, total in zip(more, totals, strict=True))
        totals = [max(total, 0) for total in totals]
        # The odd one lies at the end for SAME_UPPER, and at the beginning for all others.
        before = [total // 2 if auto_pad == "SAME_UPPER" else total - total // 2 for total in totals]
        after = [total - half for total, half in zip(totals, before, strict=True)]
        auto_pad, pads = "NOTSET", (*before, *after)
    b = shaped_bias(b, axes)
    return _spread(
        axes,
        x,
        w,
        b,
        stride=strides,
        padding=padding_from_onnx(auto_pad, pads),
        dilation=dilations,
        groups=group,
        output_padding=more,
    )


def _count(x, w, b=None, *, dilations=None, group=1, output_padding=None, output_shape=None, strides=None, **_):
    """Return how many numbers the results have, before any are cut off."""
    ones = (1,) * len(x[2:])
    rows = zip(x[2:], w[2:], strides or ones, dilations or ones, output_padding or (0,) * len(ones), strict=True)
    sizes = [(size - 1) * stride + window_extent(taps, step) + extra for size, taps, stride, step, extra in rows]
    wanted = (output_shape or sizes)[-len(sizes) :]
    return x[0] * w[1] * group * math.prod(map(max, sizes, wanted))


FROM_ONNX = {"ConvTranspose": from_onnx}
STORED_SHAPES = {"ConvTranspose": stored_shapes}
COUNTS = {"ConvTranspose": _count}

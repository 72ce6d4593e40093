"""Convolution of signals, images and volumes: the layers, the functions and the ONNX mapping."""

import math
from collections.abc import Sequence

from ..errors import ShapeError
from ..function import apply
from ..initializers import GlorotNormal
from ..shapes import bounded_stride, padded_count_from_onnx, padding_from_onnx, resolved_padding, window_output_shape
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
KERNELS = 1
KEEPS_INPUT = True


class _Convolution(ConvolutionLayer):
    def __init__(
        self,
        channel: int = 32,
        filter: Pair = 3,
        *,
        padding: Padding = 0,
        stride: Pair = 1,
        dilation: Pair = 1,
        groups: int = 1,
        input_size: int | Sequence[int] | None = None,
        ignore_bias: bool = False,
        initializer: Initializer = GlorotNormal(),
    ) -> None:
        super().__init__()
        self._take(
            channel, filter, ignore_bias, initializer, stride=stride, padding=padding, dilation=dilation, groups=groups
        )
        self._take_input_size(input_size)

    def _weights_shape(self, channels):
        return (self.channel, channels and channels // self.attributes["groups"], *self.filter)

    def forward(self, x: Variable) -> Variable:
        """x (N, C, H, W) -> (N, channel, out_h, out_w), or with one or three spatial axes."""
        if not self.params:
            _placed(self._axes, x.shape, self.filter, **self.attributes)
            self._make_parameters(x.shape[1])
        return _convolve(self._axes, x, self.params["w"], self.params.get("b"), **self.attributes)


class Conv2d(_Convolution):
    """A convolutional layer: ``channel`` kernels slide over the image.

    Parameters
    ----------
    channel : int
        Kernels, which is output channels.
    filter, padding, stride, dilation : int or (int, int)
        Kernel size, zeros around the image, step of the window, step between the kernel's taps; pairs are
        (vertical, horizontal). Padding may also be (top, left, bottom, right), ``"same"`` for as many zeros as make
        ``ceil(size / stride)`` pixels, the odd one at the end (``"same_lower"`` at the beginning), or ``"valid"`` for
        none.
    groups : int
        Input and output channels are cut into so many groups that do not see each other.
    input_size : int or (int, int, int), optional
        Input channels, or (channels, height, width). Without it the parameters are made at the first call.
    ignore_bias : bool
        Leave the bias out.
    initializer : callable
        Gives the weights of a shape.

    Attributes
    ----------
    params.w : (channel, C/groups, kh, kw)
    params.b : (1, channel, 1, 1)

    Raises
    ------
    ArgumentError
        If an attribute is out of range.
    """


class Conv1d(_Convolution):
    """A convolutional layer over signals (N, C, L): :class:`Conv2d` with one spatial axis.

    Attributes are integers, padding also (before, after) or a name.

    Attributes
    ----------
    params.w : (channel, C/groups, k)
    params.b : (1, channel, 1)

    Raises
    ------
    ArgumentError
        If an attribute is out of range.
    """

    _axes = 1


class Conv3d(_Convolution):
    """A convolutional layer over volumes (N, C, D, H, W): :class:`Conv2d` with three spatial axes.

    Attributes are integers or three as (depth, vertical, horizontal), padding also six, all beginnings and then all
    ends, or a name.

    Attributes
    ----------
    params.w : (channel, C/groups, kd, kh, kw)
    params.b : (1, channel, 1, 1, 1)

    Raises
    ------
    ArgumentError
        If an attribute is out of range.
    """

    _axes = 3


def conv2d(
    x: Input,
    w: Input,
    b: Input | None = None,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Variable:
    """Slide kernels over images: ONNX's Conv, in which the window multiplies and sums and is not flipped.

    Parameters
    ----------
    x : Variable or array_like, (N, C, H, W)
    w : Variable or array_like, (K, C/groups, kh, kw)
    b : Variable or array_like, (1, K, 1, 1), optional
    stride, padding, dilation, groups
        As in :class:`Conv2d`.

    Returns
    -------
    Variable, (N, K, out_h, out_w)

    Raises
    ------
    ArgumentError, ShapeError
        If an attribute or a shape does not fit.
    """
    return _convolve(2, x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups)


def conv1d(
    x: Input,
    w: Input,
    b: Input | None = None,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Variable:
    """Slide kernels over signals: :func:`conv2d` of x (N, C, L), w (K, C/groups, k) and b (1, K, 1).

    Raises
    ------
    ArgumentError, ShapeError
        If an attribute or a shape does not fit.
    """
    return _convolve(1, x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups)


def conv3d(
    x: Input,
    w: Input,
    b: Input | None = None,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Variable:
    """Slide kernels over volumes: :func:`conv2d` of x (N, C, D, H, W), w (K, C/groups, kd, kh, kw), b (1, K, 1, 1, 1).

    Raises
    ------
    ArgumentError, ShapeError
        If an attribute or a shape does not fit.
    """
    return _convolve(3, x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups)


def _convolve(axes, x, w, b, *, groups, **window):
    x, w = as_variable(x), as_variable(w)
    owner = f"Conv{axes}d"
    attributes = normalised(owner, axes, groups=groups, **window)
    check_kernels(owner, w.shape, axes, "K, C/groups", attributes["groups"])
    placed = _placed(axes, x.shape, w.shape[2:], **attributes)
    check_channels(owner, x.shape, w.shape[1] * groups, w.shape, groups, axes)
    check_bias(owner, b, w.shape, w.shape[0], axes)
    return apply("conv2d", x, w, b, **placed)


def _placed(axes, x, kernel, *, stride, padding, dilation, groups):
    """Return the attributes with padding in numbers, or raise ShapeError unless the window fits the images."""
    check_images(f"Conv{axes}d", x, axes)
    padding = resolved_padding(padding, x[2:], kernel, stride, dilation)
    try:
        window_output_shape(x[2:], kernel, stride, padding, dilation)
    except ShapeError as error:
        raise ShapeError(f"Conv{axes}d: {error}") from None
    stride = bounded_stride(stride, x[2:], kernel, padding, dilation)
    return {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


def to_onnx(graph, x, w, b, *, stride, padding, dilation, groups):
    """Write ONNX's Conv."""
    inputs = [graph.tensor(x), graph.tensor(w)]
    if b is not None:
        inputs.append(graph.tensor(b, shape=(-1,)))
    return graph.node(
        "Conv", inputs, kernel_shape=w.shape[2:], strides=stride, pads=padding, dilations=dilation, group=groups
    )


def scaled_channels(w, factor, **attributes):
    """Each kernel gives a channel."""
    return w * factor.reshape(-1, *(1,) * (w.ndim - 1))


def flop(x, w, b=None, *, stride, padding, dilation, groups):
    """One product for each weight of a kernel at each pixel of the result."""
    pixels = window_output_shape(x[2:], w[2:], stride, padding, dilation)
    return 2 * x[0] * math.prod(pixels) * math.prod(w)


def from_onnx(x, w, b=None, *, auto_pad="NOTSET", dilations=None, group=1, kernel_shape=None, pads=None, strides=None):
    """Read ONNX's Conv."""
    axes = len(w.shape) - 2
    check_kernel_shape(f"Conv{axes}d", kernel_shape, w.shape)
    b = shaped_bias(b, axes)
    padding = padding_from_onnx(auto_pad, pads)
    return _convolve(axes, x, w, b, stride=strides or 1, padding=padding, dilation=dilations or 1, groups=group)


def _count(x, w, b=None, *, strides=None, **window):
    """Return how many numbers the padded images or the results have."""
    padded = padded_count_from_onnx(x, w[2:], **window)
    return max(padded, padded // x[1] * w[0] // math.prod(strides or (1,)))


FROM_ONNX = {"Conv": from_onnx}
STORED_SHAPES = {"Conv": stored_shapes}
COUNTS = {"Conv": _count}

"""Convolution of images: the layer, the function and the ONNX mapping."""

import math
from collections.abc import Sequence

import numpy as np

from .. import attributes as attribute
from ..errors import ArgumentError, ShapeError
from ..formats import FLOAT32
from ..function import apply
from ..initializers import GlorotNormal
from ..layer import Layer, making
from ..shapes import window_output_shape
from ..typing import Initializer, Padding, Pair, Shapes
from ..variable import Input, Variable, as_variable

KERNELS = 1
KEEPS_INPUT = True


class Conv2d(Layer):
    """A convolutional layer: ``channel`` kernels slide over the image.

    Parameters
    ----------
    channel : int
        Kernels, which is output channels.
    filter, padding, stride, dilation : int or (int, int)
        Kernel size, zeros around the image, step of the window, step between the kernel's taps; pairs are
        (vertical, horizontal). Padding may also be (top, left, bottom, right).
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
        self.channel = attribute.integer("Conv2d", "channel", channel)
        self.filter = attribute.per_axis("Conv2d", "filter", filter, 2)
        self.attributes = _normalise(stride, padding, dilation, groups)
        self.ignore_bias, self.initializer = bool(ignore_bias), initializer
        if self.channel % self.attributes["groups"]:
            raise ArgumentError(
                f"Conv2d: channel is {channel}, which {groups} groups do not divide. Give a multiple of groups."
            )
        if input_size is not None:
            channels = input_size[0] if isinstance(input_size, (tuple, list)) else input_size
            self._make_parameters(attribute.integer("Conv2d", "input_size", channels))

    @staticmethod
    def _instead(*arguments):
        """Return what a call with PyTorch's order, (in_channels, out_channels, kernel_size, ...), is here."""
        inputs, outputs, *window = arguments
        names = ("stride", "padding", "dilation", "groups")
        rest = "".join(f", {name}={value!r}" for name, value in zip(names, window[1:], strict=False))
        return (
            f"In the order of PyTorch, where the input's channels come first, it is Conv2d({outputs!r}, {window[0]!r}"
            f"{rest}) here: the first image tells the input's channels, or input_size={inputs!r}."
        )

    def parameter_shapes(self) -> Shapes:
        """Return w (channel, C/groups, kh, kw) and b (1, channel, 1, 1)."""
        bias = {} if self.ignore_bias else {"b": (1, self.channel, 1, 1)}
        return {"w": (self.channel, None, *self.filter), **bias}

    def _make_parameters(self, channels):
        groups = self.attributes["groups"]
        if channels % groups:
            raise ShapeError(
                f"Conv2d: the input has {channels} channels, which {groups} groups do not divide. "
                "Give images with a multiple of groups channels."
            )
        with making:
            if self.params:
                return
            arrays = {"w": self.initializer((self.channel, channels // groups, *self.filter))}
            if not self.ignore_bias:
                arrays["b"] = np.zeros((1, self.channel, 1, 1), dtype=FLOAT32.dtype)
            self.set_parameters(arrays)

    def forward(self, x: Variable) -> Variable:
        """x (N, C, H, W) -> (N, channel, out_h, out_w)."""
        if not self.params:
            self._check_image(x, self.filter)
            self._make_parameters(x.shape[1])
        return conv2d(x, self.params["w"], self.params.get("b"), **self.attributes)

    def _check_image(self, x, filter):
        _output_shape(x.shape, filter, **{name: self.attributes[name] for name in ("stride", "padding", "dilation")})


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
    x, w = as_variable(x), as_variable(w)
    attributes = _normalise(stride, padding, dilation, groups)
    _check_shapes(x.shape, w.shape, None if b is None else as_variable(b).shape, attributes)
    return apply("conv2d", x, w, b, **attributes)


def _normalise(stride, padding, dilation, groups):
    return {
        "stride": attribute.per_axis("Conv2d", "stride", stride, 2),
        "padding": attribute.padding("Conv2d", padding, 2),
        "dilation": attribute.per_axis("Conv2d", "dilation", dilation, 2),
        "groups": attribute.integer("Conv2d", "groups", groups),
    }


def _output_shape(x, filter, stride, padding, dilation):
    if len(x) != 4 or 0 in x:
        raise ShapeError(f"Conv2d: the input has shape {x}. Give images of shape (N, C, H, W), none of them zero.")
    try:
        return window_output_shape(x[2:], filter, stride, padding, dilation)
    except ShapeError as error:
        raise ShapeError(f"Conv2d: {error}") from None


def _check_shapes(x, w, b, attributes):
    groups = attributes["groups"]
    if len(w) != 4 or 0 in w or w[0] % groups:
        raise ShapeError(
            f"Conv2d: w has shape {w}, but (K, C/groups, kh, kw) is needed, K a multiple of groups ({groups})."
        )
    _output_shape(x, w[2:], attributes["stride"], attributes["padding"], attributes["dilation"])
    if x[1] != w[1] * groups:
        raise ShapeError(
            f"Conv2d: the input has {x[1]} channels, but the weights were made for {w[1] * groups} (w has shape {w}, "
            f"groups is {groups}). Give images of shape (N, {w[1] * groups}, H, W), or build a new model."
        )
    if b is not None and b != (1, w[0], 1, 1):
        raise ShapeError(f"Conv2d: b has shape {b}, but w of shape {w} needs a bias of shape {(1, w[0], 1, 1)}.")


def to_onnx(graph, x, w, b, *, stride, padding, dilation, groups):
    """Write ONNX's Conv."""
    inputs = [graph.tensor(x), graph.tensor(w)]
    if b is not None:
        inputs.append(graph.tensor(b, shape=(-1,)))
    return graph.node(
        "Conv", inputs, kernel_shape=w.shape[2:], strides=stride, pads=padding, dilations=dilation, group=groups
    )


def flop(x, w, b=None, *, stride, padding, dilation, groups):
    """One product for each weight of a kernel at each pixel of the result."""
    pixels = window_output_shape(x[2:], w[2:], stride, padding, dilation)
    return 2 * x[0] * math.prod(pixels) * math.prod(w)

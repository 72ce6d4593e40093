"""What convolutions and transposed ones have alike, over one, two and three spatial axes."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from .. import attributes as attribute
from ..errors import ArgumentError, ShapeError
from ..formats import FLOAT32
from ..layer import Layer, making
from ..typing import Shapes
from ..variable import as_variable

#: For messages: the axes of images by how many of them are spatial, and those of kernels.
IMAGES = {1: "N, C, L", 2: "N, C, H, W", 3: "N, C, D, H, W"}
_KERNELS = {1: "k", 2: "kh, kw", 3: "kd, kh, kw"}


class ConvolutionLayer(Layer):
    """Base class of layers with kernels that slide over images: their arguments, their parameters, and the call."""

    #: How many spatial axes the images have.
    _axes: ClassVar[int] = 2
    #: What stands before the size of the kernel where a call is written.
    _before_filter: ClassVar[str] = ""
    #: The names of PyTorch's arguments behind the two counts of channels and the size of the kernel.
    _in_pytorch: ClassVar[Sequence[str]] = ("stride", "padding", "dilation", "groups")

    def _take(self, channel, filter, ignore_bias, initializer, **attributes):
        """Check and keep the arguments of the constructor."""
        owner = type(self).__name__
        self.channel = attribute.integer(owner, "channel", channel)
        self.filter = attribute.per_axis(owner, "filter", filter, self._axes)
        self.attributes = normalised(owner, self._axes, **attributes)
        self.ignore_bias = attribute.flag(owner, "ignore_bias", ignore_bias)
        self.initializer = attribute.initializer(owner, initializer)
        groups = self.attributes["groups"]
        if self.channel % groups:
            raise ArgumentError(
                f"{owner}: channel is {channel}, which {groups} groups do not divide. Give a multiple of groups."
            )

    def _take_input_size(self, input_size):
        if input_size is not None:
            channels, *_ = attribute.entries(input_size) or (input_size,)
            self._make_parameters(attribute.integer(type(self).__name__, "input_size", channels))

    @classmethod
    def _instead(cls, *arguments):
        """Return what a call with PyTorch's order, (in_channels, out_channels, kernel_size, ...), is here."""
        inputs, outputs, *window = arguments
        rest = "".join(f", {name}={value!r}" for name, value in zip(cls._in_pytorch, window[1:], strict=False))
        return (
            f"In the order of PyTorch, where the input's channels come first, it is {cls.__name__}({outputs!r}, "
            f"{cls._before_filter}{window[0]!r}{rest}) here: the first image tells the input's channels, or "
            f"input_size={inputs!r}."
        )

    def _weights_shape(self, channels):
        """Return the shape of w for images of so many channels, of which None stands for any."""
        raise NotImplementedError

    def parameter_shapes(self) -> Shapes:
        """Return w as the class describes it, and b (1, channel, 1, 1)."""
        bias = {} if self.ignore_bias else {"b": bias_shape(self.channel, self._axes)}
        return {"w": self._weights_shape(None), **bias}

    def _make_parameters(self, channels):
        groups = self.attributes["groups"]
        if channels % groups:
            raise ShapeError(
                f"{type(self).__name__}: the input has {channels} channels, which {groups} groups do not divide. "
                "Give images with a multiple of groups channels."
            )
        with making:
            if self.params:
                return
            arrays = {"w": self.initializer(self._weights_shape(channels))}
            if not self.ignore_bias:
                arrays["b"] = np.zeros(bias_shape(self.channel, self._axes), dtype=FLOAT32.dtype)
            self.set_parameters(arrays)


def normalised(owner, axes, *, stride, padding, dilation, groups, **others):
    """Return the attributes in their one form, but for a padding with a name, which waits for the image.

    Others are numbers of pixels for each axis, as output_padding.

    Raises
    ------
    ArgumentError
        If one is out of range.
    """
    return {
        "stride": attribute.per_axis(owner, "stride", stride, axes),
        "padding": attribute.padding(owner, padding, axes),
        "dilation": attribute.per_axis(owner, "dilation", dilation, axes),
        "groups": attribute.integer(owner, "groups", groups),
        **{name: attribute.per_axis(owner, name, value, axes, minimum=0) for name, value in others.items()},
    }


def bias_shape(channels, axes):
    """Return the shape of a bias: one number for each channel."""
    return (1, channels, *(1,) * axes)


def check_images(owner, x, axes):
    """Raise ShapeError unless a shape is that of images with so many spatial axes."""
    if len(x) != axes + 2 or 0 in x:
        raise ShapeError(f"{owner}: the input has shape {x}. Give images of shape ({IMAGES[axes]}), none of them zero.")


def check_kernels(owner, w, axes, channels, divided):
    """Raise ShapeError unless a shape is that of kernels.

    Parameters
    ----------
    channels : str
        What the first two sizes are, for messages.
    divided : int
        The groups, which must divide the first size.
    """
    if len(w) != axes + 2 or 0 in w or w[0] % divided:
        raise ShapeError(
            f"{owner}: w has shape {w}, but ({channels}, {_KERNELS[axes]}) is needed, {channels[0]} a multiple of "
            f"groups ({divided})."
        )


def check_channels(owner, x, inputs, w, groups, axes):
    """Raise ShapeError unless images of shape x have as many channels as kernels of shape w were made for."""
    if x[1] != inputs:
        expected = IMAGES[axes].replace("C", str(inputs))
        raise ShapeError(
            f"{owner}: the input has {x[1]} channels, but the weights were made for {inputs} (w has shape {w}, "
            f"groups is {groups}). Give images of shape ({expected}), or build a new model."
        )


def check_bias(owner, b, w, channels, axes):
    """Raise ShapeError unless b, if there is one, has a number for each channel that kernels of shape w yield."""
    shape = None if b is None else as_variable(b).shape
    if shape not in (None, bias_shape(channels, axes)):
        raise ShapeError(
            f"{owner}: b has shape {shape}, but w of shape {w} needs a bias of shape {bias_shape(channels, axes)}."
        )


def stored_shapes(x, w, b=None):
    """Return in which shapes a convolution's kernels and bias are kept, given those that they have in ONNX."""
    if w is not None and b is not None:
        b = (1, *b, *(1,) * (len(w) - 2))
    return x, w, b


def shaped_bias(b, axes):
    """Return a bias of ONNX, a number for each channel, in the shape that it has here."""
    return b if b is None or len(b.shape) > 1 else b.reshape((1, -1, *(1,) * axes))


def check_kernel_shape(owner, kernel_shape, w):
    """Raise ShapeError if ONNX's attribute of the kernels' size says another than the kernels have."""
    if kernel_shape is not None and tuple(kernel_shape) != w[2:]:
        raise ShapeError(f"{owner}: kernel_shape is {tuple(kernel_shape)}, but w has shape {w}. Export the model anew.")

"""The geometry of a convolution, and of the correlations that compute it and its gradient."""

import dataclasses
import functools
import math
import typing

from ...errors import ShapeError
from ...shapes import transposed_output_shape, window_output_shape
from ..shared.planes import attributes_in_plane, is_signal, shape_in_plane

#: How many elements the kernels can count.
INT_MAX = 2**31 - 1


class _Given(typing.NamedTuple):
    x_shape: tuple
    w_shape: tuple
    stride: tuple
    padding: tuple
    dilation: tuple
    groups: int


class Convolution(_Given):
    """The sizes and attributes of a convolution, and what follows from them.

    Attributes
    ----------
    x_shape, w_shape, y_shape : tuple of int
        (N, C, H, W), (K, C/groups, kh, kw) and (N, K, out_h, out_w); of volumes with depth as the third axis.
    stride, dilation : (int, int)
    padding : (int, int, int, int)
        Top, left, bottom, right; the last two, of a transposed convolution, negative where it adds pixels.
    groups : int
    kernel : (int, int)
    inputs, outputs : int
        Channels of a group.
    terms : int
        Products that are summed for one element of y.
    """

    #: Of which operation, as the keys of measured choices tell it.
    operation = "conv2d"

    @functools.cached_property
    def y_shape(self):
        size = window_output_shape(self.x_shape[2:], self.kernel, self.stride, self.padding, self.dilation)
        return self.x_shape[0], self.w_shape[0], *size

    @property
    def kernel(self):
        return tuple(self.w_shape[2:])

    @property
    def inputs(self):
        return self.w_shape[1]

    @property
    def outputs(self):
        return self.w_shape[0] // self.groups

    @property
    def terms(self):
        return math.prod(self.w_shape[1:])

    def check_countable(self):
        """Raise ShapeError if an array has more elements than kernels can count."""
        largest = max(map(math.prod, (self.x_shape, self.w_shape, self.y_shape)))
        if largest > INT_MAX:
            raise ShapeError(
                f"Conv2d: x of shape {tuple(self.x_shape)} with w of shape {tuple(self.w_shape)} means an array of "
                f"{largest} elements, but the kernels count in 32 bits, up to {INT_MAX}. Use a smaller batch."
            )


def convolution(x_shape, w_shape, **attributes):
    """Return the :class:`Convolution` of arrays of these shapes; signals are seen as images of height 1.

    Parameters
    ----------
    x_shape, w_shape : tuple of int
    **attributes
        stride, padding, dilation and groups.
    """
    if is_signal(x_shape):
        x_shape, w_shape = shape_in_plane(x_shape), shape_in_plane(w_shape)
        attributes = attributes_in_plane(attributes)
    return Convolution(x_shape, w_shape, **attributes)


def transposed_convolution(x_shape, w_shape, *, padding, output_padding, **attributes):
    """Return the :class:`Convolution` whose gradient by x a transposed convolution of arrays of these shapes is.

    What a transposed convolution adds at the end its convolution must not read: its padding is so much less there.

    Parameters
    ----------
    x_shape, w_shape : tuple of int
        (N, C, H, W) and (C, K/groups, kh, kw), or with one or three spatial axes.
    padding, output_padding : tuple of int
    **attributes
        stride, dilation and groups.
    """
    steps = attributes["stride"], padding, output_padding, attributes["dilation"]
    y_shape = x_shape[0], w_shape[1] * attributes["groups"], *transposed_output_shape(x_shape[2:], w_shape[2:], *steps)
    axes = len(output_padding)
    ends = (after - more for after, more in zip(padding[axes:], output_padding, strict=True))
    return convolution(y_shape, w_shape, padding=(*padding[:axes], *ends), **attributes)


# Of one geometry there is one object: it is its own key where plans are kept.
@dataclasses.dataclass(frozen=True, eq=False)
class Correlation:
    """The sizes of one correlation of the channels of each group with kernels.

    ``top`` and ``left`` are how far the first window lies outside the image, or inside if negative. ``spread``
    is how far apart the pixels of the image lie, ``is_transposed`` tells that the kernels are turned and their
    channels' roles exchanged.
    """

    images: int
    groups: int
    inputs: int
    outputs: int
    height: int
    width: int
    out_h: int
    out_w: int
    kernel: tuple
    stride: tuple
    top: int
    left: int
    dilation: tuple
    spread: tuple = (1, 1)
    is_transposed: bool = False

    @classmethod
    @functools.lru_cache(maxsize=256)
    def of(cls, geometry, **more):
        """Return the correlation that computes y.

        Raises
        ------
        ShapeError
            If an array has more elements than the kernels can count.
        """
        geometry.check_countable()
        (images, _, height, width), (*_, out_h, out_w) = geometry.x_shape, geometry.y_shape
        top, left, *_ = geometry.padding
        return cls(
            images,
            geometry.groups,
            geometry.inputs,
            geometry.outputs,
            height,
            width,
            out_h,
            out_w,
            geometry.kernel,
            tuple(geometry.stride),
            top,
            left,
            tuple(geometry.dilation),
            **more,
        )

    @functools.cached_property
    def transposed(self):
        """The correlation that gives the gradient of x from that of y."""
        spans = [(side - 1) * step for side, step in zip(self.kernel, self.dilation, strict=True)]
        return dataclasses.replace(
            self,
            inputs=self.outputs,
            outputs=self.inputs,
            height=self.out_h,
            width=self.out_w,
            out_h=self.height,
            out_w=self.width,
            stride=(1, 1),
            top=spans[0] - self.top,
            left=spans[1] - self.left,
            spread=self.stride,
            is_transposed=True,
        )

    @property
    def y_shape(self):
        return self.images, self.groups * self.outputs, self.out_h, self.out_w

    @property
    def taps(self):
        return math.prod(self.kernel)

    @property
    def terms(self):
        return self.inputs * self.taps

    @property
    def weight_steps(self):
        """How far apart the kernels of groups, of outputs and of inputs lie in w, as the kernels on devices name it."""
        w_output, w_input = (
            (self.taps, self.outputs * self.taps) if self.is_transposed else (self.inputs * self.taps, self.taps)
        )
        return {"w_group": self.outputs * self.inputs * self.taps, "w_output": w_output, "w_input": w_input}

    @property
    def sizes(self):
        """The sizes by the names that the kernels on devices have for them."""
        return {
            "images": self.images,
            "groups": self.groups,
            "inputs": self.inputs,
            "outputs": self.outputs,
            "height": self.height,
            "width": self.width,
            "out_h": self.out_h,
            "out_w": self.out_w,
            "top": self.top,
            "left": self.left,
        }

"""The geometry of a convolution."""

import typing


class Convolution(typing.NamedTuple):
    """The sizes and attributes of a convolution; padding is (top, left, bottom, right)."""

    x_shape: tuple
    w_shape: tuple
    stride: tuple
    padding: tuple
    dilation: tuple
    groups: int

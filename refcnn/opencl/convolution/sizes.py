"""The geometry of a convolution."""

import typing


class Convolution(typing.NamedTuple):
    """The sizes and attributes of a convolution; padding is (top, left, bottom, right).

    ``operation`` says of which operation, as the keys of measured choices do.
    """

    operation = "conv2d"

    x_shape: tuple
    w_shape: tuple
    stride: tuple
    padding: tuple
    dilation: tuple
    groups: int

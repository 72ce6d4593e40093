"""The geometry of a convolution."""

import math
import typing

from ...errors import ShapeError

#: How many elements the kernels can count.
INT_MAX = 2**31 - 1


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


def check_countable(x_shape, w_shape, out):
    """Raise ShapeError if an array of a convolution has more elements than kernels can count.

    Parameters
    ----------
    x_shape, w_shape : tuple of int
        (N, C, H, W) and (K, C/groups, kh, kw)
    out : (int, int)
        Height and width of the result.
    """
    largest = max(math.prod(x_shape), math.prod(w_shape), math.prod((x_shape[0], w_shape[0], *out)))
    if largest > INT_MAX:
        raise ShapeError(
            f"Conv2d: x of shape {tuple(x_shape)} with w of shape {tuple(w_shape)} means an array of {largest} "
            f"elements, but the kernels count in 32 bits, up to {INT_MAX}. Use a smaller batch."
        )

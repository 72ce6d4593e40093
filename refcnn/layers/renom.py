"""Layers under the names and with the arguments that they have in ReNom 2, for programs written for it."""

import math
from collections.abc import Sequence
from typing import Any

from .. import attributes as attribute
from ..initializers import GlorotNormal
from ..typing import Initializer, Pair
from ..variable import Variable
from .conv_transpose2d import ConvTranspose2d
from .local_response_normalization import LocalResponseNormalization
from .normalization import BatchNormalization

_MODES = ("activation", "feature")


class Deconv2d(ConvTranspose2d):
    """ReNom's name of :class:`~refcnn.ConvTranspose2d`, with ReNom's arguments.

    Parameters
    ----------
    channel : int
        Output channels.
    filter, padding, stride, dilation : int or (int, int)
        As in :class:`~refcnn.ConvTranspose2d`.
    input_size : int or (int, int, int), optional
        Input channels, or (channels, height, width). Without it the parameters are made at the first call.
    ignore_bias : bool
        Leave the bias out.
    initializer : callable
        Gives the weights of a shape.

    Raises
    ------
    ArgumentError
        If an argument is out of range.
    """

    _instead: Any = None

    def __init__(
        self,
        channel: int = 1,
        filter: Pair = 3,
        padding: Pair = 0,
        stride: Pair = 1,
        dilation: Pair = 1,
        input_size: int | Sequence[int] | None = None,
        ignore_bias: bool = False,
        initializer: Initializer = GlorotNormal(),
    ) -> None:
        super().__init__(
            channel,
            filter=filter,
            padding=padding,
            stride=stride,
            dilation=dilation,
            input_size=input_size,
            ignore_bias=ignore_bias,
            initializer=initializer,
        )


class BatchNormalize(BatchNormalization):
    """ReNom's name of :class:`~refcnn.BatchNormalization`, with ReNom's arguments.

    The scale begins at one and there is a bias: ReNom's ``initializer`` and ``ignore_bias`` are not taken. Like all
    layers it acts by whether the model trains, and has no ``inference``.

    Parameters
    ----------
    input_size : int or sequence of int, optional
        Sizes of one example, such as (channels, height, width). Without it the parameters are made at the first call.
    momentum : float
        What stays of the running statistics with each batch, 0 to 1.
    mode : str
        ``"activation"`` normalises each unit by itself, ``"feature"`` each channel over all its pixels.
    epsilon : float
        What is added to the variance, 0 or more.

    Raises
    ------
    ArgumentError
        If an argument is out of range.
    """

    def __init__(
        self,
        input_size: int | Sequence[int] | None = None,
        momentum: float = 0.99,
        mode: str = "activation",
        epsilon: float = 1e-5,
    ) -> None:
        super().__init__(momentum, epsilon=epsilon)
        self.mode = attribute.choice("BatchNormalize", "mode", mode, _MODES)
        if input_size is not None:
            sizes = attribute.integers("BatchNormalize", "input_size", input_size, 1)
            self._make_parameters((math.prod(sizes) if mode == "activation" else sizes[0],))

    def forward(self, x: Variable) -> Variable:
        """x (N, C, ...) -> the same shape."""
        if self.mode == "feature" or len(x.shape) <= 2:
            return super().forward(x)
        return super().forward(x.reshape(x.shape[0], -1)).reshape(x.shape)


class Lrn(LocalResponseNormalization):
    """ReNom's name of :class:`~refcnn.LocalResponseNormalization`, with ReNom's arguments.

    x / (k + a times the sum of x^2)^b over the channel and n // 2 neighbours on either side: the sum is not divided
    by the number of neighbours, as ONNX's is.

    Parameters
    ----------
    n : int
    k, a, b : float

    Raises
    ------
    ArgumentError
        If n is no positive integer, or a number is not finite.
    """

    def __init__(self, n: int = 5, k: float = 2, a: float = 1e-4, b: float = 0.75) -> None:
        size = attribute.integer("Lrn", "n", n) // 2 * 2 + 1
        super().__init__(size, alpha=attribute.number("Lrn", "a", a) * size, beta=b, bias=k)
        self.n, self.k, self.a, self.b = n, k, a, b

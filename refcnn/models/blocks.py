"""What several ready networks are made of."""

from collections.abc import Callable

from ..initializers import HeNormal
from ..layer import Layer
from ..layers.conv2d import Conv2d
from ..layers.normalization import BatchNormalization
from ..layers.relu import Relu
from ..typing import Padding, Pair

#: Images with a side of fewer pixels are small: networks begin with a layer that keeps all of them, where for larger
#: ones the first layers leave out three of four pixels and then three of four again.
SMALL = 64


def is_small(image_shape: tuple[int, int, int]) -> bool:
    """Return whether images (C, H, W) get the beginning for small ones."""
    return min(image_shape[1:]) < SMALL


def normalized(
    channel: int,
    filter: Pair = 3,
    *,
    stride: Pair = 1,
    padding: Padding | None = None,
    groups: int = 1,
    activation: Callable[[], Layer] | None = Relu,
) -> list[Layer]:
    """Return the layers of a convolution without a bias, batch normalisation and an activation.

    Parameters
    ----------
    channel, filter, stride, groups
        As in :class:`~refcnn.Conv2d`.
    padding : optional
        That keeps the image's size at stride 1, if it is not given.
    activation : callable, optional
        A layer's class, or a function that makes one; None for no activation.
    """
    if padding is None:
        sides = filter if isinstance(filter, tuple) else (filter, filter)
        padding = sides[0] // 2, sides[1] // 2
    convolution = Conv2d(
        channel, filter, stride=stride, padding=padding, groups=groups, ignore_bias=True, initializer=HeNormal()
    )
    layers = [convolution, BatchNormalization()]
    return layers if activation is None else [*layers, activation()]

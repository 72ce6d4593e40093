"""DenseNet."""

from ..initializers import HeNormal
from ..layer import Layer
from ..layers.average_pool2d import AveragePool2d
from ..layers.concat import concat
from ..layers.conv2d import Conv2d
from ..layers.dense import Dense
from ..layers.flatten import Flatten
from ..layers.global_average_pool2d import GlobalAveragePool2d
from ..layers.max_pool2d import MaxPool2d
from ..layers.normalization import BatchNormalization
from ..layers.relu import Relu
from ..model import Model, Sequential
from ..variable import Variable
from .blocks import is_small, normalized

#: Channels that each layer adds, and how many times as many its first convolution has.
_GROWTH, _BOTTLENECK = 32, 4


class DenseLayer(Model):
    """A layer whose result is joined to its input: the next one sees all that came before."""

    def __init__(self) -> None:
        super().__init__()
        self.layers_added = Sequential([*_before(_BOTTLENECK * _GROWTH, 1), *_before(_GROWTH, 3)])

    def forward(self, x: Variable) -> Variable:
        """x (N, C, H, W) -> (N, C + 32, H, W)."""
        return concat([x, self.layers_added(x)], axis=1)


def densenet121(image_shape: tuple[int, int, int], classes: int) -> Sequential:
    """Return DenseNet with 121 layers of weights.

    Small images keep their pixels in the first layer, which has kernels of 3x3 with step 1 and no pooling after it.
    Source: Huang, Liu, van der Maaten and Weinberger, "Densely connected convolutional networks" (2017), table 1.

    Parameters
    ----------
    image_shape : (int, int, int)
        (C, H, W)
    classes : int
        The number of logits.
    """
    channels = 2 * _GROWTH
    layers: list[Layer] = []
    if is_small(image_shape):
        layers += [Conv2d(channels, 3, padding=1, ignore_bias=True, initializer=HeNormal())]
    else:
        layers += [*normalized(channels, 7, stride=2), MaxPool2d(3, padding=1, stride=2)]
    depths = (6, 12, 24, 16)
    for stage, depth in enumerate(depths):
        layers += [DenseLayer() for _ in range(depth)]
        channels += depth * _GROWTH
        if stage < len(depths) - 1:
            channels //= 2
            layers += [*_before(channels, 1), AveragePool2d(2, stride=2)]
    return Sequential([*layers, BatchNormalization(), Relu(), GlobalAveragePool2d(), Flatten(), Dense(classes)])


def _before(channel, filter):
    """Return batch normalisation and rectifier, which stand before the convolution here, and that."""
    convolution = Conv2d(channel, filter, padding=filter // 2, ignore_bias=True, initializer=HeNormal())
    return [BatchNormalization(), Relu(), convolution]

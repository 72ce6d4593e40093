"""SqueezeNet."""

from ..initializers import HeNormal
from ..layers.concat import concat
from ..layers.conv2d import Conv2d
from ..layers.dropout import Dropout
from ..layers.flatten import Flatten
from ..layers.global_average_pool2d import GlobalAveragePool2d
from ..layers.max_pool2d import MaxPool2d
from ..layers.relu import Relu
from ..model import Model, Sequential
from ..variable import Variable
from .blocks import is_small


class Fire(Model):
    """A convolution of 1x1 pixels to few channels, and from these two of 1x1 and 3x3, whose channels are joined.

    Parameters
    ----------
    squeeze, expand : int
        Channels of the first convolution, and of each of the two.
    """

    def __init__(self, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = Sequential(_convolution(squeeze, 1))
        self.expand1, self.expand3 = Sequential(_convolution(expand, 1)), Sequential(_convolution(expand, 3))

    def forward(self, x: Variable) -> Variable:
        """x (N, C, H, W) -> (N, 2 expand, H, W)."""
        x = self.squeeze(x)
        return concat([self.expand1(x), self.expand3(x)], axis=1)


def squeezenet(image_shape: tuple[int, int, int], classes: int) -> Sequential:
    """Return SqueezeNet 1.1, which needs less work than that of the paper.

    Small images keep their pixels in the first layer, which has step 1 and no pooling after it. Source: Iandola et
    al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and < 0.5 MB model size" (2016), and the authors'
    release of version 1.1.

    Parameters
    ----------
    image_shape : (int, int, int)
        (C, H, W)
    classes : int
        The number of logits.
    """
    if is_small(image_shape):
        first = _convolution(64, 3)
    else:
        first = [Conv2d(64, 3, stride=2, initializer=HeNormal()), Relu(), _pool()]
    return Sequential(
        [
            *first,
            *(Fire(16, 64) for _ in range(2)),
            _pool(),
            *(Fire(32, 128) for _ in range(2)),
            _pool(),
            *(Fire(48, 192) for _ in range(2)),
            *(Fire(64, 256) for _ in range(2)),
            Dropout(0.5),
            Conv2d(classes, 1),
            Relu(),
            GlobalAveragePool2d(),
            Flatten(),
        ]
    )


def _convolution(channel, filter):
    return [Conv2d(channel, filter, padding=filter // 2, initializer=HeNormal()), Relu()]


def _pool():
    return MaxPool2d(3, stride=2, ceil_mode=True)

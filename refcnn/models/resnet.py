"""Residual networks."""

from ..layers.dense import Dense
from ..layers.flatten import Flatten
from ..layers.global_average_pool2d import GlobalAveragePool2d
from ..layers.max_pool2d import MaxPool2d
from ..layers.relu import relu
from ..model import Model, Sequential
from ..variable import Variable
from .blocks import is_small, normalized


class Residual(Model):
    """What a block adds to its input, and the rectifier after that: y = relu(block(x) + shortcut(x)).

    Parameters
    ----------
    layers : list of Layer
        The block.
    shortcut : list of Layer
        What brings the input to the shape of the block's result; empty if it has that shape.
    """

    def __init__(self, layers: list, shortcut: list) -> None:
        super().__init__()
        self.block = Sequential(layers)
        self.shortcut = Sequential(shortcut) if shortcut else None

    def forward(self, x: Variable) -> Variable:
        """x (N, C, H, W) -> the shape of the block's result."""
        return relu(self.block(x) + (x if self.shortcut is None else self.shortcut(x)))


def resnet18(image_shape: tuple[int, int, int], classes: int) -> Sequential:
    """Return the residual network with 18 layers of weights, as :func:`resnet50`."""
    return _resnet((2, 2, 2, 2), _basic, image_shape, classes)


def resnet34(image_shape: tuple[int, int, int], classes: int) -> Sequential:
    """Return the residual network with 34 layers of weights, as :func:`resnet50`."""
    return _resnet((3, 4, 6, 3), _basic, image_shape, classes)


def resnet50(image_shape: tuple[int, int, int], classes: int) -> Sequential:
    """Return the residual network with 50 layers of weights.

    Where a block halves the image, its 3x3 convolution does, as most implementations have it; in the paper it is the
    first 1x1 one. Small images keep their pixels in the first layer, which has kernels of 3x3 with step 1 and no
    pooling after it, as the paper does it with images of 32x32. Source: He, Zhang, Ren and Sun, "Deep residual learning
    for image recognition" (2016), table 1 and section 4.2.

    Parameters
    ----------
    image_shape : (int, int, int)
        (C, H, W)
    classes : int
        The number of logits.
    """
    return _resnet((3, 4, 6, 3), _bottleneck, image_shape, classes)


def _resnet(depths, block, image_shape, classes):
    small = is_small(image_shape)
    layers = normalized(64, 3) if small else [*normalized(64, 7, stride=2), MaxPool2d(3, padding=1, stride=2)]
    channels = 64
    for stage, depth in enumerate(depths):
        for number in range(depth):
            stride = 2 if stage and not number else 1
            body, result = block(64 * 2**stage, stride)
            changes = stride > 1 or channels != result
            layers.append(Residual(body, normalized(result, 1, stride=stride, activation=None) if changes else []))
            channels = result
    return Sequential([*layers, GlobalAveragePool2d(), Flatten(), Dense(classes)])


def _basic(width, stride):
    """Return a block of two convolutions, and its channels."""
    return [*normalized(width, stride=stride), *normalized(width, activation=None)], width


def _bottleneck(width, stride):
    """Return a block whose 3x3 convolution has a fourth of the channels, and its channels."""
    return [
        *normalized(width, 1),
        *normalized(width, stride=stride),
        *normalized(4 * width, 1, activation=None),
    ], 4 * width

"""The networks of the Visual Geometry Group."""

from ..initializers import HeNormal
from ..layers.conv2d import Conv2d
from ..layers.dense import Dense
from ..layers.dropout import Dropout
from ..layers.flatten import Flatten
from ..layers.max_pool2d import MaxPool2d
from ..layers.relu import Relu
from ..model import Sequential
from .blocks import is_small


def vgg11(image_shape: tuple[int, int, int], classes: int) -> Sequential:
    """Return VGG with 11 layers of weights, as :func:`vgg16`: configuration A of the paper."""
    return _vgg((1, 1, 2, 2, 2), image_shape, classes)


def vgg16(image_shape: tuple[int, int, int], classes: int) -> Sequential:
    """Return VGG with 16 layers of weights: configuration D of the paper.

    For small images the hidden layers have 512 units in place of 4096, and an odd row or column at the end of an image
    is pooled too, so that images of 28x28 pixels are taken. Source: Simonyan and Zisserman, "Very deep convolutional
    networks for large-scale image recognition" (2015), table 1.

    Parameters
    ----------
    image_shape : (int, int, int)
        (C, H, W)
    classes : int
        The number of logits.
    """
    return _vgg((2, 2, 3, 3, 3), image_shape, classes)


def _vgg(depths, image_shape, classes):
    small = is_small(image_shape)
    units = 512 if small else 4096
    layers = []
    for depth, channel in zip(depths, (64, 128, 256, 512, 512), strict=True):
        for _ in range(depth):
            layers += [Conv2d(channel, 3, padding=1, initializer=HeNormal()), Relu()]
        layers.append(MaxPool2d(2, stride=2, ceil_mode=small))
    layers.append(Flatten())
    for _ in range(2):
        layers += [Dense(units, initializer=HeNormal()), Relu(), Dropout(0.5)]
    return Sequential([*layers, Dense(classes)])

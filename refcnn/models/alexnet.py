"""AlexNet."""

from ..initializers import HeNormal
from ..layers.conv2d import Conv2d
from ..layers.dense import Dense
from ..layers.dropout import Dropout
from ..layers.flatten import Flatten
from ..layers.max_pool2d import MaxPool2d
from ..layers.relu import Relu
from ..model import Sequential
from .blocks import is_small


def alexnet(image_shape: tuple[int, int, int], classes: int) -> Sequential:
    """Return AlexNet in the widths of its second publication, for images of 224x224 pixels or others.

    Small images keep their pixels in the first layer, which has kernels of 5x5 with step 1 in place of 11x11 with
    step 4, and hidden layers have 1024 units in place of 4096. Source: Krizhevsky, "One weird trick for
    parallelizing convolutional neural networks" (2014); Krizhevsky, Sutskever and Hinton (2012).

    Parameters
    ----------
    image_shape : (int, int, int)
        (C, H, W)
    classes : int
        The number of logits.
    """
    small = is_small(image_shape)
    first = _convolution(64, 5, padding=2) if small else _convolution(64, 11, stride=4, padding=2)
    units = 1024 if small else 4096
    return Sequential(
        [
            *first,
            MaxPool2d(3, stride=2),
            *_convolution(192, 5, padding=2),
            MaxPool2d(3, stride=2),
            *_convolution(384, 3, padding=1),
            *_convolution(256, 3, padding=1),
            *_convolution(256, 3, padding=1),
            MaxPool2d(3, stride=2),
            Flatten(),
            Dropout(0.5),
            Dense(units, initializer=HeNormal()),
            Relu(),
            Dropout(0.5),
            Dense(units, initializer=HeNormal()),
            Relu(),
            Dense(classes),
        ]
    )


def _convolution(channel, filter, *, stride=1, padding):
    return [Conv2d(channel, filter, stride=stride, padding=padding, initializer=HeNormal()), Relu()]

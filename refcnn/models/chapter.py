"""The network of the tutorial chapter."""

from ..layers.conv2d import Conv2d
from ..layers.dense import Dense
from ..layers.dropout import Dropout
from ..layers.flatten import Flatten
from ..layers.max_pool2d import MaxPool2d
from ..layers.relu import Relu
from ..model import Sequential


def chapter(image_shape: tuple[int, int, int], classes: int) -> Sequential:
    """Return the network of the tutorial chapter; images of any size and number of channels.

    Parameters
    ----------
    image_shape : (int, int, int)
        (C, H, W); the parameters take their shapes from the first image.
    classes : int
        The number of logits.
    """
    return Sequential(
        [
            Conv2d(channel=32, filter=3, padding=1),
            Relu(),
            Conv2d(channel=64, filter=3, padding=1),
            Relu(),
            MaxPool2d(filter=2, stride=2),
            Dropout(0.5),
            Flatten(),
            Dense(128),
            Relu(),
            Dense(classes),
        ]
    )

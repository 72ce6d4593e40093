"""MobileNets: networks of convolutions of each channel by itself, and then of each pixel by itself."""

from ..layers.activation import Clip
from ..layers.dense import Dense
from ..layers.dropout import Dropout
from ..layers.flatten import Flatten
from ..layers.global_average_pool2d import GlobalAveragePool2d
from ..model import Model, Sequential
from ..variable import Variable
from .blocks import is_small, normalized

#: Output channels and step of each pair of convolutions of the first version.
_PAIRS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))

#: Widening, output channels, number of blocks and first step of each stage of the second version.
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class InvertedResidual(Model):
    """A block that widens its input, convolves each channel by itself, and narrows it again without an activation.

    Where input and result are of one shape their sum is returned.

    Parameters
    ----------
    inputs, channel, stride : int
        Channels of the input and the result; step of the window.
    widening : int
        How many times as many channels there are in between.
    """

    def __init__(self, inputs: int, channel: int, stride: int, widening: int) -> None:
        super().__init__()
        wide = widening * inputs
        self.block = Sequential(
            [
                *(normalized(wide, 1, activation=_relu6) if widening > 1 else []),
                *normalized(wide, stride=stride, groups=wide, activation=_relu6),
                *normalized(channel, 1, activation=None),
            ]
        )
        self.adds = stride == 1 and inputs == channel

    def forward(self, x: Variable) -> Variable:
        """x (N, inputs, H, W) -> (N, channel, out_h, out_w)."""
        return x + self.block(x) if self.adds else self.block(x)


def mobilenet_v1(image_shape: tuple[int, int, int], classes: int) -> Sequential:
    """Return the first MobileNet, in its full width.

    Small images keep their pixels in the first layer, whose step is 1. Source: Howard et al., "MobileNets: efficient
    convolutional neural networks for mobile vision applications" (2017), table 1.

    Parameters
    ----------
    image_shape : (int, int, int)
        (C, H, W)
    classes : int
        The number of logits.
    """
    layers = normalized(32, stride=1 if is_small(image_shape) else 2)
    channels = 32
    for channel, stride in _PAIRS:
        layers += normalized(channels, stride=stride, groups=channels) + normalized(channel, 1)
        channels = channel
    return Sequential([*layers, GlobalAveragePool2d(), Flatten(), Dense(classes)])


def mobilenet_v2(image_shape: tuple[int, int, int], classes: int) -> Sequential:
    """Return the second MobileNet, in its full width.

    For small images the steps of the first layer and of the second stage are 1. Source: Sandler et al., "MobileNetV2:
    inverted residuals and linear bottlenecks" (2018), table 2.

    Parameters
    ----------
    image_shape : (int, int, int)
        (C, H, W)
    classes : int
        The number of logits.
    """
    small = is_small(image_shape)
    layers = normalized(32, stride=1 if small else 2, activation=_relu6)
    channels = 32
    for stage, (widening, channel, depth, first) in enumerate(_STAGES):
        for number in range(depth):
            stride = 1 if number or small and stage == 1 else first
            layers.append(InvertedResidual(channels, channel, stride, widening))
            channels = channel
    layers += normalized(1280, 1, activation=_relu6)
    return Sequential([*layers, GlobalAveragePool2d(), Flatten(), Dropout(0.2), Dense(classes)])


def _relu6():
    return Clip(0.0, 6.0)

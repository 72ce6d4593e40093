"""LeNet-5."""

from ..layers.conv2d import Conv2d
from ..layers.dense import Dense
from ..layers.flatten import Flatten
from ..layers.max_pool2d import MaxPool2d
from ..layers.relu import Relu
from ..model import Sequential

#: The side of the field that LeNet-5 centres its images in, in pixels.
LENET5_FIELD = 32


def lenet5(image_shape: tuple[int, int, int], classes: int) -> Sequential:
    """Return LeNet-5 with rectifiers, max pooling and a linear output in place of the paper's units.

    The paper centres its 28x28 images in a field of 32x32. Here the first
    convolution's padding does that, 32 - size pixels along each axis, so that
    smaller images, 8x8 digits among them, are taken too; larger ones get none.
    Source: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied
    to document recognition" (1998), section II.B.

    Parameters
    ----------
    image_shape : (int, int, int)
        (C, H, W)
    classes : int
        The number of logits.
    """
    missing = [max(0, LENET5_FIELD - size) for size in image_shape[1:]]
    padding = *(pixels // 2 for pixels in missing), *(pixels - pixels // 2 for pixels in missing)
    return Sequential(
        [
            Conv2d(channel=6, filter=5, padding=padding),
            Relu(),
            MaxPool2d(filter=2, stride=2),
            Conv2d(channel=16, filter=5),
            Relu(),
            MaxPool2d(filter=2, stride=2),
            Conv2d(channel=120, filter=5),
            Relu(),
            Flatten(),
            Dense(84),
            Relu(),
            Dense(classes),
        ]
    )

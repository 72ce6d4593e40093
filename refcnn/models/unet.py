"""U-Net."""

from ..errors import ShapeError
from ..layers.concat import concat
from ..layers.conv2d import Conv2d
from ..layers.conv_transpose2d import ConvTranspose2d
from ..layers.max_pool2d import MaxPool2d
from ..model import Model, Sequential
from ..variable import Variable
from .blocks import normalized


class UNet(Model):
    """A network that gives logits for each pixel: down to coarse images, and up again beside those of the way down.

    Parameters
    ----------
    classes : int
        The number of logits of a pixel.
    channel : int
        Channels of the finest images; with each halving there are twice as many.
    depth : int
        How many times the images are halved.
    """

    def __init__(self, classes: int, channel: int = 32, depth: int = 3) -> None:
        super().__init__()
        widths = [channel * 2**level for level in range(depth + 1)]
        self.down = [Sequential(normalized(width) + normalized(width)) for width in widths]
        self.pool = MaxPool2d(2, stride=2)
        self.widen = [ConvTranspose2d(width, filter=2, stride=2) for width in widths[:-1]]
        self.up = [Sequential(normalized(width) + normalized(width)) for width in widths[:-1]]
        self.output = Conv2d(classes, 1)

    def forward(self, x: Variable) -> Variable:
        """x (N, C, H, W) -> (N, classes, H, W); 2^depth divides H and W."""
        depth = len(self.up)
        if len(x.shape) != 4 or any(side % 2**depth for side in x.shape[2:]):
            raise ShapeError(
                f"UNet: the input has shape {x.shape}. Give images (N, C, H, W) whose height and width are multiples "
                f"of {2**depth}, since they are halved {depth} times; refcnn.pad makes them larger."
            )
        passed = []
        for level, block in enumerate(self.down):
            x = block(self.pool(x) if level else x)
            passed.append(x)
        for level in reversed(range(depth)):
            x = self.up[level](concat([passed[level], self.widen[level](x)], axis=1))
        return self.output(x)


def unet(image_shape: tuple[int, int, int], classes: int) -> UNet:
    """Return a small U-Net, which gives logits for each pixel (N, classes, H, W).

    Three halvings and 32 channels at first, where the paper has four and 64; its convolutions keep the image's size,
    and are followed by batch normalisation. Source: Ronneberger, Fischer and Brox, "U-Net: convolutional networks for
    biomedical image segmentation" (2015), figure 1.

    Parameters
    ----------
    image_shape : (int, int, int)
        (C, H, W); H and W multiples of 8.
    classes : int
        The number of logits of a pixel.
    """
    return UNet(classes)

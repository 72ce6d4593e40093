"""Ready networks by name, and the user's own."""

from .alexnet import alexnet
from .building import NAMED, OF_PIXELS, build
from .chapter import chapter
from .densenet import densenet121
from .lenet5 import LENET5_FIELD, lenet5
from .mobilenet import mobilenet_v1, mobilenet_v2
from .resnet import resnet18, resnet34, resnet50
from .squeezenet import squeezenet
from .unet import UNet, unet
from .vgg import vgg11, vgg16

__all__ = [
    "LENET5_FIELD",
    "NAMED",
    "OF_PIXELS",
    "UNet",
    "alexnet",
    "build",
    "chapter",
    "densenet121",
    "lenet5",
    "mobilenet_v1",
    "mobilenet_v2",
    "resnet18",
    "resnet34",
    "resnet50",
    "squeezenet",
    "unet",
    "vgg11",
    "vgg16",
]

"""Data sets: digits, MNIST, and the user's own in arrays, IDX, .npz and .npy files or folders of images."""

from . import augment, idx
from .arrays import one_hot
from .catalog import NAMES, digits, load
from .dataset import DataSet, from_arrays, split
from .mnist_files import fetch_mnist, mnist
from .preprocessing import Preprocessing
from .remarks import remarks, require_classes

__all__ = [
    "NAMES",
    "DataSet",
    "Preprocessing",
    "augment",
    "digits",
    "fetch_mnist",
    "from_arrays",
    "idx",
    "load",
    "mnist",
    "one_hot",
    "remarks",
    "require_classes",
    "split",
]

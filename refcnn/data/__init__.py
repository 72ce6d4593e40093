"""Data sets: digits, MNIST, and the user's own in IDX files, .npz files or folders of images."""

from . import idx
from .arrays import one_hot
from .catalog import NAMES, digits, load
from .dataset import DataSet, Preprocessing, split
from .mnist_files import fetch_mnist, mnist
from .remarks import remarks, require_classes

__all__ = [
    "NAMES",
    "DataSet",
    "Preprocessing",
    "digits",
    "fetch_mnist",
    "idx",
    "load",
    "mnist",
    "one_hot",
    "remarks",
    "require_classes",
    "split",
]

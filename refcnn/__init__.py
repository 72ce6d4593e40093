"""Convolutional neural networks that people can read and trust."""

import sys

# "python -m refcnn" looks for modules in the current folder first, which may hold data of strangers. While the package
# is imported for that, sys.argv[0] is "-m", and what stands before the arguments in the whole command is the module.
_module = sys.orig_argv[-len(sys.argv)].removeprefix("-m") if sys.argv[:1] == ["-m"] else ""
if _module.partition(".")[0] == "refcnn" and not sys.flags.safe_path:
    del sys.path[0]

from . import data, errors
from .backend import set_opencl_active, use_backend
from .initializers import GlorotNormal, GlorotUniform, HeNormal
from .layer import Layer
from .layers.add import add
from .layers.average_pool2d import AveragePool2d, average_pool2d
from .layers.conv2d import Conv2d, conv2d
from .layers.dense import Dense, dense, matmul
from .layers.dropout import Dropout, dropout
from .layers.flatten import Flatten, flatten
from .layers.max_pool2d import MaxPool2d, max_pool2d
from .layers.relu import Relu, relu
from .layers.reshape import reshape
from .layers.slice import slice
from .layers.softmax import Softmax, softmax
from .layers.softmax_cross_entropy import softmax_cross_entropy
from .layers.transpose import transpose
from .model import Model, Sequential
from .optimizers.adam import Adam
from .optimizers.sgd import Sgd
from .philox import set_seed
from .variable import Grads, Parameter, Variable
from .version import __version__

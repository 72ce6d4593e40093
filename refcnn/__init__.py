"""Convolutional neural networks that people can read and trust."""

import sys

# "python -m refcnn" looks for modules in the current folder first, which may hold data of strangers. While the package
# is imported for that, sys.argv[0] is "-m", and what stands before the arguments in the whole command is the module.
_module = sys.orig_argv[-len(sys.argv)].removeprefix("-m") if sys.argv[:1] == ["-m"] else ""
if _module.partition(".")[0] == "refcnn" and not sys.flags.safe_path:
    del sys.path[0]

from typing import TYPE_CHECKING

from . import data, errors
from .backend import set_opencl_active, use_backend
from .initializers import GlorotNormal, GlorotUniform, HeNormal
from .layer import Layer
from .layers.activation import (
    LeakyRelu,
    Sigmoid,
    Softplus,
    Tanh,
    absolute,
    leaky_relu,
    negative,
    sigmoid,
    softplus,
    tanh,
)
from .layers.arithmetic import add, divide, multiply, power, subtract
from .layers.average_pool2d import AveragePool2d, average_pool2d
from .layers.cast import cast
from .layers.conv2d import Conv2d, conv2d
from .layers.dense import Dense, dense
from .layers.dropout import Dropout, dropout
from .layers.flatten import Flatten, flatten
from .layers.local_response_normalization import LocalResponseNormalization, local_response_normalization
from .layers.matmul import matmul
from .layers.max_pool2d import MaxPool2d, max_pool2d
from .layers.normalization import (
    BatchNormalization,
    GroupNormalization,
    InstanceNormalization,
    LayerNormalization,
    RMSNormalization,
    batch_normalization,
    group_normalization,
    instance_normalization,
    layer_normalization,
    rms_normalization,
)
from .layers.reduction import reduce_max, reduce_mean, reduce_sum
from .layers.relu import Relu, relu
from .layers.reshape import reshape
from .layers.slice import slice
from .layers.softmax import Softmax, softmax
from .layers.softmax_cross_entropy import softmax_cross_entropy
from .layers.spatial_dropout import SpatialDropout, spatial_dropout
from .layers.transpose import transpose
from .model import Model, Sequential
from .optimizers.adam import Adam
from .optimizers.optimizer import Optimizer
from .optimizers.sgd import Sgd
from .philox import set_seed
from .variable import Buffer, Grads, Parameter, Variable
from .version import __version__

if TYPE_CHECKING:
    from . import models, onnx

__all__ = [
    "Adam",
    "AveragePool2d",
    "BatchNormalization",
    "Buffer",
    "Conv2d",
    "Dense",
    "Dropout",
    "Flatten",
    "GlorotNormal",
    "GlorotUniform",
    "Grads",
    "GroupNormalization",
    "HeNormal",
    "InstanceNormalization",
    "Layer",
    "LayerNormalization",
    "LeakyRelu",
    "LocalResponseNormalization",
    "MaxPool2d",
    "Model",
    "Optimizer",
    "Parameter",
    "RMSNormalization",
    "Relu",
    "Sequential",
    "Sgd",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "SpatialDropout",
    "Tanh",
    "Variable",
    "absolute",
    "add",
    "average_pool2d",
    "batch_normalization",
    "cast",
    "conv2d",
    "data",
    "dense",
    "divide",
    "dropout",
    "errors",
    "flatten",
    "group_normalization",
    "instance_normalization",
    "layer_normalization",
    "leaky_relu",
    "local_response_normalization",
    "matmul",
    "max_pool2d",
    "models",
    "multiply",
    "negative",
    "onnx",
    "power",
    "reduce_max",
    "reduce_mean",
    "reduce_sum",
    "relu",
    "reshape",
    "rms_normalization",
    "set_opencl_active",
    "set_seed",
    "sigmoid",
    "slice",
    "softmax",
    "softmax_cross_entropy",
    "softplus",
    "spatial_dropout",
    "subtract",
    "tanh",
    "transpose",
    "use_backend",
]


def _overview():
    """Return the public names by kind, for ``help(refcnn)``."""
    import inspect
    import textwrap

    found = {name: globals()[name] for name in __all__ if name in globals()}
    classes = {name: entry for name, entry in found.items() if inspect.isclass(entry)}
    kinds = {
        "Layers": [name for name, entry in classes.items() if issubclass(entry, Layer)],
        "Functions": [name for name, entry in found.items() if inspect.isfunction(entry)],
        "Optimizers": [name for name, entry in classes.items() if issubclass(entry, Optimizer)],
    }
    kinds["And"] = sorted(set(__all__).difference(*kinds.values()))
    lines = (
        textwrap.wrap(f"{kind}: {', '.join(names)}", 88, subsequent_indent="    ") for kind, names in kinds.items()
    )
    return "\n".join(line for wrapped in lines for line in wrapped)


__doc__ = f"{__doc__}\n\n{_overview()}\n"


def __getattr__(name):
    # Not needed to train, so that they are imported when they are first used.
    if name in ("models", "onnx"):
        import importlib

        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return [*__all__, *(name for name in globals() if name.startswith("__"))]

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
from .fitting import Callback, callbacks, evaluate, fit, predict, schedules
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
from .layers.cast import cast, cast_like
from .layers.concat import concat
from .layers.conv2d import Conv1d, Conv2d, Conv3d, conv1d, conv2d, conv3d
from .layers.dense import Dense, dense
from .layers.depth_to_space import depth_to_space
from .layers.dropout import Dropout, dropout
from .layers.expand import expand
from .layers.flatten import Flatten, flatten
from .layers.gather import gather
from .layers.gather_elements import gather_elements
from .layers.global_average_pool2d import (
    GlobalAveragePool1d,
    GlobalAveragePool2d,
    GlobalAveragePool3d,
    global_average_pool1d,
    global_average_pool2d,
    global_average_pool3d,
)
from .layers.global_max_pool2d import (
    GlobalMaxPool1d,
    GlobalMaxPool2d,
    GlobalMaxPool3d,
    global_max_pool1d,
    global_max_pool2d,
    global_max_pool3d,
)
from .layers.matmul import matmul
from .layers.max_pool2d import MaxPool2d, max_pool2d
from .layers.normalization import BatchNormalization, batch_normalization
from .layers.one_hot import one_hot
from .layers.pad import pad
from .layers.reduction import reduce_max, reduce_mean, reduce_sum
from .layers.relu import Relu, relu
from .layers.reshape import reshape, squeeze, unsqueeze
from .layers.resize import Upsample2d, resize
from .layers.slice import slice
from .layers.softmax import Softmax, softmax
from .layers.softmax_cross_entropy import softmax_cross_entropy
from .layers.space_to_depth import space_to_depth
from .layers.split import split
from .layers.tile import tile
from .layers.transpose import transpose
from .model import Model, Sequential
from .optimizers.adadelta import Adadelta
from .optimizers.adagrad import Adagrad
from .optimizers.adam import Adam
from .optimizers.adamax import Adamax
from .optimizers.adamw import AdamW
from .optimizers.optimizer import Optimizer
from .optimizers.rmsprop import RmsProp
from .optimizers.sgd import Sgd
from .philox import set_seed
from .variable import Buffer, Grads, Parameter, Variable
from .version import __version__

if TYPE_CHECKING:
    from . import models, onnx

__all__ = [
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "AveragePool2d",
    "BatchNormalization",
    "Buffer",
    "Callback",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAveragePool1d",
    "GlobalAveragePool2d",
    "GlobalAveragePool3d",
    "GlobalMaxPool1d",
    "GlobalMaxPool2d",
    "GlobalMaxPool3d",
    "GlorotNormal",
    "GlorotUniform",
    "Grads",
    "HeNormal",
    "Layer",
    "LeakyRelu",
    "MaxPool2d",
    "Model",
    "Optimizer",
    "Parameter",
    "Relu",
    "RmsProp",
    "Sequential",
    "Sgd",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
    "Upsample2d",
    "Variable",
    "absolute",
    "add",
    "average_pool2d",
    "batch_normalization",
    "callbacks",
    "cast",
    "cast_like",
    "concat",
    "conv1d",
    "conv2d",
    "conv3d",
    "data",
    "dense",
    "depth_to_space",
    "divide",
    "dropout",
    "errors",
    "evaluate",
    "expand",
    "fit",
    "flatten",
    "gather",
    "gather_elements",
    "global_average_pool1d",
    "global_average_pool2d",
    "global_average_pool3d",
    "global_max_pool1d",
    "global_max_pool2d",
    "global_max_pool3d",
    "leaky_relu",
    "matmul",
    "max_pool2d",
    "models",
    "multiply",
    "negative",
    "one_hot",
    "onnx",
    "pad",
    "power",
    "predict",
    "reduce_max",
    "reduce_mean",
    "reduce_sum",
    "relu",
    "reshape",
    "schedules",
    "resize",
    "set_opencl_active",
    "set_seed",
    "sigmoid",
    "slice",
    "softmax",
    "softmax_cross_entropy",
    "softplus",
    "space_to_depth",
    "split",
    "squeeze",
    "subtract",
    "tanh",
    "tile",
    "transpose",
    "unsqueeze",
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

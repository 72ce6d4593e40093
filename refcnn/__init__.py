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
from .fitting import Callback, TrainingStep, callbacks, evaluate, find_learning_rate, fit, predict, schedules
from .initializers import GlorotNormal, GlorotUniform, HeNormal
from .layer import Layer
from .layers.activation import (
    Celu,
    Clip,
    Elu,
    Gelu,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    Mish,
    Relu6,
    Selu,
    Sigmoid,
    Softplus,
    Softsign,
    Swish,
    Tanh,
    celu,
    clip,
    elu,
    gelu,
    hard_sigmoid,
    hard_swish,
    leaky_relu,
    mish,
    relu6,
    selu,
    sigmoid,
    softplus,
    softsign,
    swish,
    tanh,
)
from .layers.arithmetic import PRelu, add, divide, maximum, mean_of, minimum, multiply, power, prelu, subtract, sum_of
from .layers.average_pool2d import (
    AveragePool1d,
    AveragePool2d,
    AveragePool3d,
    average_pool1d,
    average_pool2d,
    average_pool3d,
)
from .layers.cast import cast, cast_like
from .layers.concat import concat
from .layers.conv2d import Conv1d, Conv2d, Conv3d, conv1d, conv2d, conv3d
from .layers.conv_transpose2d import (
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from .layers.dense import Dense, dense
from .layers.depth_to_space import depth_to_space
from .layers.dropout import Dropout, dropout
from .layers.elementary import absolute, ceil, erf, exp, floor, log, negative, reciprocal, round, sign, sqrt
from .layers.expand import expand
from .layers.flatten import Flatten, flatten
from .layers.gather import gather
from .layers.gather_elements import gather_elements
from .layers.gemm import gemm
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
from .layers.local_response_normalization import LocalResponseNormalization, local_response_normalization
from .layers.log_softmax import LogSoftmax, log_softmax
from .layers.logic import (
    equal,
    greater,
    greater_or_equal,
    less,
    less_or_equal,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    not_equal,
)
from .layers.loss import mean_squared_error, sigmoid_cross_entropy, smoothed_l1
from .layers.lp_pool2d import LpPool1d, LpPool2d, LpPool3d, lp_pool1d, lp_pool2d, lp_pool3d
from .layers.matmul import matmul
from .layers.max_pool2d import MaxPool1d, MaxPool2d, MaxPool3d, max_pool1d, max_pool2d, max_pool3d
from .layers.max_unpool2d import MaxUnpool1d, MaxUnpool2d, MaxUnpool3d, max_unpool1d, max_unpool2d, max_unpool3d
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
from .layers.one_hot import one_hot
from .layers.pad import pad
from .layers.reduction import (
    arg_max,
    arg_min,
    reduce_l1,
    reduce_l2,
    reduce_log_sum,
    reduce_log_sum_exp,
    reduce_max,
    reduce_mean,
    reduce_min,
    reduce_prod,
    reduce_sum,
    reduce_sum_square,
)
from .layers.relu import Relu, relu
from .layers.renom import BatchNormalize, Deconv2d, Lrn
from .layers.reshape import reshape, squeeze, unsqueeze
from .layers.resize import Upsample2d, resize
from .layers.size import size
from .layers.slice import slice
from .layers.softmax import Softmax, softmax
from .layers.softmax_cross_entropy import softmax_cross_entropy
from .layers.space_to_depth import space_to_depth
from .layers.spatial_dropout import SpatialDropout, spatial_dropout
from .layers.split import split
from .layers.tile import tile
from .layers.transpose import transpose
from .layers.where import where
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
from .stored import Buffer, Parameter
from .variable import Grads, Variable
from .version import __version__

if TYPE_CHECKING:
    from . import models, onnx

__all__ = [
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "AveragePool1d",
    "AveragePool2d",
    "AveragePool3d",
    "BatchNormalization",
    "BatchNormalize",
    "Buffer",
    "Callback",
    "Celu",
    "Clip",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "Deconv2d",
    "Dense",
    "Dropout",
    "Elu",
    "Flatten",
    "Gelu",
    "GlobalAveragePool1d",
    "GlobalAveragePool2d",
    "GlobalAveragePool3d",
    "GlobalMaxPool1d",
    "GlobalMaxPool2d",
    "GlobalMaxPool3d",
    "GlorotNormal",
    "GlorotUniform",
    "Grads",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "HeNormal",
    "InstanceNormalization",
    "Layer",
    "LayerNormalization",
    "LeakyRelu",
    "LocalResponseNormalization",
    "LogSoftmax",
    "Lrn",
    "LpPool1d",
    "LpPool2d",
    "LpPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
    "Mish",
    "Model",
    "Optimizer",
    "PRelu",
    "Parameter",
    "RMSNormalization",
    "Relu",
    "Relu6",
    "RmsProp",
    "Selu",
    "Sequential",
    "Sgd",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "SpatialDropout",
    "Swish",
    "Tanh",
    "TrainingStep",
    "Upsample2d",
    "Variable",
    "absolute",
    "add",
    "arg_max",
    "arg_min",
    "average_pool1d",
    "average_pool2d",
    "average_pool3d",
    "batch_normalization",
    "callbacks",
    "cast",
    "cast_like",
    "ceil",
    "celu",
    "clip",
    "concat",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "data",
    "dense",
    "depth_to_space",
    "divide",
    "dropout",
    "elu",
    "equal",
    "erf",
    "errors",
    "evaluate",
    "exp",
    "expand",
    "find_learning_rate",
    "fit",
    "flatten",
    "floor",
    "gather",
    "gather_elements",
    "gelu",
    "gemm",
    "global_average_pool1d",
    "global_average_pool2d",
    "global_average_pool3d",
    "global_max_pool1d",
    "global_max_pool2d",
    "global_max_pool3d",
    "greater",
    "greater_or_equal",
    "group_normalization",
    "hard_sigmoid",
    "hard_swish",
    "instance_normalization",
    "layer_normalization",
    "leaky_relu",
    "less",
    "less_or_equal",
    "local_response_normalization",
    "log",
    "log_softmax",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "matmul",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "maximum",
    "mean_of",
    "mean_squared_error",
    "minimum",
    "mish",
    "models",
    "multiply",
    "negative",
    "not_equal",
    "one_hot",
    "onnx",
    "pad",
    "power",
    "predict",
    "prelu",
    "reciprocal",
    "reduce_l1",
    "reduce_l2",
    "reduce_log_sum",
    "reduce_log_sum_exp",
    "reduce_max",
    "reduce_mean",
    "reduce_min",
    "reduce_prod",
    "reduce_sum",
    "reduce_sum_square",
    "relu",
    "relu6",
    "reshape",
    "resize",
    "rms_normalization",
    "round",
    "schedules",
    "selu",
    "set_opencl_active",
    "set_seed",
    "sigmoid",
    "sigmoid_cross_entropy",
    "sign",
    "size",
    "slice",
    "smoothed_l1",
    "softmax",
    "softmax_cross_entropy",
    "softplus",
    "softsign",
    "space_to_depth",
    "spatial_dropout",
    "split",
    "sqrt",
    "squeeze",
    "subtract",
    "sum_of",
    "swish",
    "tanh",
    "tile",
    "transpose",
    "unsqueeze",
    "use_backend",
    "where",
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

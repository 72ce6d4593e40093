"""Reading ONNX's normalisations."""

import math

from ..errors import DataError, ShapeError, UnsupportedError
from ..mode import is_training
from ..stored import Buffer
from ..variable import as_variable
from .elementary import reciprocal, sqrt
from .normalization import (
    batch_normalization,
    group_normalization,
    instance_normalization,
    layer_normalization,
    rms_normalization,
)
from .reduction import reduce_mean


def read_batch(
    x,
    scale,
    b,
    mean: Buffer,
    variance: Buffer,
    *,
    epsilon=1e-5,
    momentum=0.9,
    spatial=1,
    training_mode=0,
    outputs=(True,),
    version=15,
):
    """Read ONNX's BatchNormalization.

    Where a model is trained, that of a file for inference takes the statistics of the batch too, and keeps the running
    ones.
    """
    if not spatial:
        raise ShapeError(
            "BatchNormalization: spatial is 0, statistics for each pixel. Export the model with spatial=1."
        )
    _check_outputs(len(outputs), bool(training_mode), version)
    is_kept = isinstance(mean, Buffer) and isinstance(variance, Buffer)
    training = bool(training_mode) or any(outputs[1:]) or (is_training() and is_kept)
    options = {"epsilon": epsilon, "momentum": momentum, "training": training}
    if not training:
        return batch_normalization(x, scale, b, mean, variance, **options)
    results = batch_normalization(x, scale, b, mean, variance, **options)
    if is_training() and is_kept:
        mean.set(results[1])
        variance.set(results[2])
    return results


def _check_outputs(count, training, version):
    if version < 14 and count > 1:
        raise UnsupportedError(
            f"it has {count} outputs, as exports for training had before opset 14. Export the model for inference."
        )
    if training and count != 3:
        raise DataError(
            f"training_mode is 1, with which it has 3 outputs, but here are {count}. Export the model anew."
        )


def read_instance(x, scale, b, *, epsilon=1e-5):
    """Read ONNX's InstanceNormalization."""
    return instance_normalization(x, scale, b, epsilon=epsilon)


def read_groups(x, scale, bias, *, num_groups, epsilon=1e-5, version=21):
    """Read ONNX's GroupNormalization, whose scale and bias were of each group before version 21."""
    channels = x.shape[1]
    if version < 21:
        scale, bias = (
            (entry.reshape((-1, 1)) * _ones(channels // num_groups)).reshape((-1,)) for entry in (scale, bias)
        )
    return group_normalization(x, scale, bias, groups=num_groups, epsilon=epsilon)


def read_layer(x, scale, b=None, *, axis=-1, epsilon=1e-5, outputs=(True,)):
    """Read ONNX's LayerNormalization, with the mean and the reciprocal of the deviation where they are wanted."""
    b = [0.0] * math.prod(scale.shape) if b is None else b
    y = layer_normalization(x, scale, as_variable(b).reshape(scale.shape), axis=axis, epsilon=epsilon)
    if not any(outputs[1:]):
        return y
    axes = tuple(range(axis % len(x.shape), len(x.shape)))
    mean = reduce_mean(x, axes=axes, keepdims=True)
    variance = reduce_mean((x - mean) * (x - mean), axes=axes, keepdims=True)
    return y, mean, reciprocal(sqrt(variance + epsilon))


def read_root_mean_square(x, scale, *, axis=-1, epsilon=1e-5):
    """Read ONNX's RMSNormalization."""
    return rms_normalization(x, scale, axis=axis, epsilon=epsilon)


def _ones(count):
    return [[1.0] * count]


FROM_ONNX = {
    "BatchNormalization": read_batch,
    "InstanceNormalization": read_instance,
    "GroupNormalization": read_groups,
    "LayerNormalization": read_layer,
    "RMSNormalization": read_root_mean_square,
}

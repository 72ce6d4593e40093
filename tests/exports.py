"""Networks as PyTorch exports them, with weights and examples that are the same everywhere.

``tools/pytorch_training.py`` writes their files, without weights, and the numbers that PyTorch's training ends with, to
which the tests hold refcnn.
"""

import json
import math

import numpy as np
import onnx
from onnx import numpy_helper

from . import networks

FOLDER = networks.NUMBERS / "exports"

STEPS, BATCH = 10, 32
#: Of refcnn's ``Sgd``, and of PyTorch's.
LR, MOMENTUM = 0.001, 0.9


def model_file(name):
    """Return where the file of a network lies."""
    return FOLDER / f"{name}.onnx"


def numbers_file(name):
    """Return where PyTorch's numbers of a network lie."""
    return FOLDER / f"{name}.json"


def load(name):
    """Return PyTorch's numbers of a network, as ``tools/pytorch_training.py`` describes them."""
    return json.loads(numbers_file(name).read_text(encoding="utf-8"))


def model(name):
    """Return the ModelProto of a network with its weights."""
    found = onnx.load(model_file(name))
    for number, entry in enumerate(found.graph.initializer):
        if is_drawn(entry):
            entry.CopyFrom(numpy_helper.from_array(_weights(number, entry.name, tuple(entry.dims)), entry.name))
    return found


def is_drawn(entry):
    """Return whether an initializer is a weight or a statistic, which the file leaves out."""
    return entry.data_type == onnx.TensorProto.FLOAT and len(entry.dims) > 0


def _weights(number, name, shape):
    between = networks.between(number, shape)
    if len(shape) > 1:
        # The variance of He et al. (2015) for rectifiers, of numbers that are uniformly distributed.
        limit = math.sqrt(6 / math.prod(shape[1:]))
        return between(-limit, limit)
    # Of vectors these are batch normalisation's scales and variances.
    return between(0.5, 1.5) if name.endswith((".weight", ".running_var")) else between(-0.2, 0.2)


def examples(step):
    """Return the images and labels of a step."""
    several = [networks.examples("exports", step * BATCH + number) for number in range(BATCH // networks.BATCH)]
    images, labels = map(np.concatenate, zip(*several, strict=True))
    return images, labels

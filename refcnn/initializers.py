"""Initial weights, drawn from refcnn's own generator: the same bits on every backend."""

import math

import numpy as np

from .arguments import Written
from .formats import FLOAT32
from .philox import generator


def _fans(shape):
    """Inputs and outputs that one weight's unit touches: w (in, out) of Dense, (K, C/groups, kh, kw) of Conv2d."""
    if len(shape) == 2:
        return shape
    taps = math.prod(shape[2:])
    return shape[1] * taps, shape[0] * taps


class GlorotNormal(Written):
    """Normal with variance 2 / (fan_in + fan_out). Source: Glorot and Bengio (2010)."""

    def __call__(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return float32 weights of a shape."""
        return (generator.normal(shape) * math.sqrt(2 / sum(_fans(shape)))).astype(FLOAT32.dtype)


class GlorotUniform(Written):
    """Uniform in +-sqrt(6 / (fan_in + fan_out)). Source: Glorot and Bengio (2010), equation 16."""

    def __call__(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return float32 weights of a shape."""
        return ((2 * generator.uniform(shape) - 1) * math.sqrt(6 / sum(_fans(shape)))).astype(FLOAT32.dtype)


class HeNormal(Written):
    """Normal with variance 2 / fan_in, for layers before a rectifier. Source: He et al. (2015), equation 10."""

    def __call__(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return float32 weights of a shape."""
        return (generator.normal(shape) * math.sqrt(2 / _fans(shape)[0])).astype(FLOAT32.dtype)

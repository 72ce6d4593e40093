"""The operations as formulas of NumPy's functions, for libraries that have these under the same names."""

import math

import numpy as np

from ...shapes import reached_padding, reshaped
from ..subjects.base import NotExpressible

#: Operations that are functions of NumPy's, by its names.
OF_NUMPY = {
    "absolute": "abs",
    "add": "add",
    "ceil": "ceil",
    "equal": "equal",
    "exp": "exp",
    "floor": "floor",
    "greater": "greater",
    "greater_or_equal": "greater_equal",
    "less": "less",
    "less_or_equal": "less_equal",
    "log": "log",
    "logical_and": "logical_and",
    "logical_not": "logical_not",
    "logical_or": "logical_or",
    "logical_xor": "logical_xor",
    "matmul": "matmul",
    "maximum": "maximum",
    "minimum": "minimum",
    "multiply": "multiply",
    "negative": "negative",
    "not_equal": "not_equal",
    "reciprocal": "reciprocal",
    "round": "round",
    "sign": "sign",
    "sqrt": "sqrt",
    "subtract": "subtract",
    "tanh": "tanh",
    "where": "where",
}


class Formulas:
    """The operations of a library with NumPy's functions.

    Parameters
    ----------
    xp : module
        Such as ``autograd.numpy``.
    special : module
        With functions as those of ``scipy.special``.
    constant : callable
        Given an array, it returns what no gradient goes through.
    """

    def __init__(self, xp, special, constant):
        self.xp, self.special, self.constant = xp, special, constant

    def __getattr__(self, name):
        if name not in OF_NUMPY:
            raise AttributeError(name)
        return getattr(self.xp, OF_NUMPY[name])

    def is_float(self, x):
        """Tell whether an array's numbers are floats."""
        return x.dtype.kind == "f"

    # Elementary functions and activations.

    def erf(self, x):
        return self.special.erf(x)

    def divide(self, a, b):
        if not self.is_float(a):
            raise NotExpressible("NumPy's division of integers is another")
        return a / b

    def power(self, a, b):
        if not self.is_float(a) and (np.asarray(b) < 0).any():
            raise NotExpressible("NumPy has no negative powers of integers")
        return a**b

    def relu(self, x):
        return self.xp.where(x <= 0, 0, x)

    def leaky_relu(self, x, *, alpha):
        return self.xp.where(x > 0, x, alpha * x)

    def prelu(self, x, slope):
        return self.xp.where(x > 0, x, x * slope)

    def elu(self, x, *, alpha):
        return self.xp.where(x > 0, x, alpha * self.xp.expm1(self._up_to_0(x)))

    def celu(self, x, *, alpha):
        return self.xp.where(x > 0, x, alpha * self.xp.expm1(self._up_to_0(x) / alpha))

    def selu(self, x, *, alpha, gamma):
        return gamma * self.elu(x, alpha=alpha)

    def clip(self, x, *, min, max):
        return self.xp.clip(x, min, max)

    def sigmoid(self, x):
        return self.special.expit(x)

    def softplus(self, x):
        return self.xp.logaddexp(x, 0 * x)

    def softsign(self, x):
        return x / (1 + self.xp.abs(x))

    def swish(self, x, *, alpha):
        return x * self.sigmoid(alpha * x)

    def mish(self, x):
        return x * self.xp.tanh(self.softplus(x))

    def gelu(self, x, *, approximate):
        if approximate == "tanh":
            return 0.5 * x * (1 + self.xp.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
        return 0.5 * x * self.special.erfc(-math.sqrt(0.5) * x)

    def hard_sigmoid(self, x, *, alpha, beta):
        return self.xp.clip(alpha * x + beta, 0, 1)

    def hard_swish(self, x):
        return x * self.xp.clip(x / 6 + 0.5, 0, 1)

    def _up_to_0(self, x):
        # Where x is above 0 nothing overflows that is not taken.
        return self.xp.where(x > 0, 0, x)

    # Reductions.

    def reduce_sum(self, x, *, axes, keepdims):
        return self.xp.sum(x, axis=axes, keepdims=keepdims, dtype=x.dtype)

    def reduce_mean(self, x, *, axes, keepdims):
        return self.xp.mean(x, axis=axes, keepdims=keepdims)

    def reduce_prod(self, x, *, axes, keepdims):
        y = self.xp.prod(x, axis=axes, keepdims=keepdims)
        return y if self.is_float(x) else y.astype(x.dtype)

    def reduce_l1(self, x, **how):
        return self.reduce_sum(self.xp.abs(x), **how)

    def reduce_l2(self, x, **how):
        return self.xp.sqrt(self.reduce_sum(x * x, **how))

    def reduce_sum_square(self, x, **how):
        return self.reduce_sum(x * x, **how)

    def reduce_log_sum(self, x, **how):
        return self.xp.log(self.reduce_sum(x, **how))

    def reduce_log_sum_exp(self, x, *, axes, keepdims):
        self._refuse_no_elements(x, axes)
        return self.special.logsumexp(x, axis=axes, keepdims=keepdims)

    def reduce_max(self, x, *, axes, keepdims):
        self._refuse_no_elements(x, axes)
        return self.xp.max(x, axis=axes, keepdims=keepdims)

    def reduce_min(self, x, *, axes, keepdims):
        self._refuse_no_elements(x, axes)
        return self.xp.min(x, axis=axes, keepdims=keepdims)

    def arg_max(self, x, **how):
        return self._place(self.xp.argmax, x, **how)

    def arg_min(self, x, **how):
        return self._place(self.xp.argmin, x, **how)

    def _place(self, function, x, *, axis, keepdims, select_last_index):
        if select_last_index:
            return x.shape[axis] - 1 - function(self.xp.flip(x, axis), axis=axis, keepdims=keepdims)
        return function(x, axis=axis, keepdims=keepdims)

    def _refuse_no_elements(self, x, axes):
        if not math.prod(x.shape[axis] for axis in axes):
            raise NotExpressible("NumPy has no such number of no elements")

    # Softmax, losses.

    def softmax(self, x, *, axis):
        powers = self.xp.exp(self._below_largest(x, axis))
        return powers / powers.sum(axis=axis, keepdims=True)

    def log_softmax(self, x, *, axis):
        below = self._below_largest(x, axis)
        return below - self.xp.log(self.xp.exp(below).sum(axis=axis, keepdims=True))

    def softmax_cross_entropy(self, x, t, *, reduce_sum):
        return self._mean_of_first(-t * self.log_softmax(x, axis=1), reduce_sum)

    def mean_squared_error(self, x, t, *, reduce_sum):
        return self._mean_of_first((x - t) ** 2, reduce_sum)

    def smoothed_l1(self, x, t, *, delta, reduce_sum):
        distance = self.xp.abs(x - t)
        near = self.xp.where(distance < delta, distance, delta)
        return self._mean_of_first(near * (distance - 0.5 * near), reduce_sum)

    def sigmoid_cross_entropy(self, x, t, *, reduce_sum):
        return self._mean_of_first(t * self.softplus(-x) + (1 - t) * self.softplus(x), reduce_sum)

    def _mean_of_first(self, loss, reduce_sum):
        return self.xp.sum(loss) / len(loss) if reduce_sum else loss

    def _below_largest(self, x, axis):
        return x - self.constant(x).max(axis=axis, keepdims=True)

    # Normalisation.

    def batch_normalization(self, x, scale, bias, mean, variance, *, epsilon, momentum, training):
        form = (-1, *[1] * (x.ndim - 2))
        if not training:
            deviation = self.xp.sqrt(variance + epsilon).reshape(form)
            return scale.reshape(form) * ((x - mean.reshape(form)) / deviation) + bias.reshape(form)
        axes = tuple(axis for axis in range(x.ndim) if axis != 1)
        y, *of_batch = self._normalized(x, axes, epsilon)
        pairs = zip((mean, variance), of_batch, strict=True)
        running = (momentum * former + (1 - momentum) * new.reshape(-1) for former, new in pairs)
        return scale.reshape(form) * y + bias.reshape(form), *running

    def instance_normalization(self, x, scale, bias, *, epsilon):
        return self.group_normalization(x, scale, bias, groups=x.shape[1], epsilon=epsilon)

    def group_normalization(self, x, scale, bias, *, groups, epsilon):
        y, _, _ = self._normalized(x.reshape(len(x), groups, -1), (2,), epsilon)
        form = (-1, *[1] * (x.ndim - 2))
        return scale.reshape(form) * y.reshape(x.shape) + bias.reshape(form)

    def layer_normalization(self, x, scale, bias, *, axis, epsilon):
        return scale * self._normalized(x, tuple(range(axis, x.ndim)), epsilon)[0] + bias

    def rms_normalization(self, x, scale, *, axis, epsilon):
        squares = self.xp.mean(x * x, axis=tuple(range(axis, x.ndim)), keepdims=True)
        return scale * (x / self.xp.sqrt(squares + epsilon))

    def local_response_normalization(self, x, *, size, alpha, beta, bias):
        before, channels = (size - 1) // 2, x.shape[1]
        around = self.xp.pad(x * x, ((0, 0), (before, size // 2), *[(0, 0)] * (x.ndim - 2)), "constant")
        sums = sum(around[:, first : first + channels] for first in range(size))
        return x / (bias + alpha / size * sums) ** beta

    def _normalized(self, x, axes, epsilon):
        mean = self.xp.mean(x, axis=axes, keepdims=True)
        variance = self.xp.mean((x - mean) ** 2, axis=axes, keepdims=True)
        return (x - mean) / self.xp.sqrt(variance + epsilon), mean, variance

    # Shapes and places.

    def cast(self, x, *, dtype):
        return x if self.is_float(x) and np.dtype(dtype).kind == "f" else x.astype(dtype)

    def concat(self, *xs, axis):
        return self.xp.concatenate(xs, axis)

    def dense(self, x, w, b):
        y = self.xp.matmul(x, w)
        return y if b is None else y + b

    def depth_to_space(self, x, *, block, mode):
        n, c, h, w = x.shape
        c //= block * block
        if mode == "DCR":
            y = x.reshape(n, block, block, c, h, w).transpose((0, 3, 4, 1, 5, 2))
        else:
            y = x.reshape(n, c, block, block, h, w).transpose((0, 1, 4, 2, 5, 3))
        return y.reshape(n, c, h * block, w * block)

    def space_to_depth(self, x, *, block, mode):
        n, c, h, w = x.shape
        y = x.reshape(n, c, h // block, block, w // block, block)
        y = y.transpose((0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4))
        return y.reshape(n, c * block * block, h // block, w // block)

    def expand(self, x, *, shape):
        return self.xp.broadcast_to(x, np.broadcast_shapes(x.shape, shape))

    def flatten(self, x):
        return x.reshape(len(x), math.prod(x.shape[1:]))

    def gather(self, x, indices, *, axis):
        return x[(slice(None),) * axis + (indices,)]

    def gather_elements(self, x, indices, *, axis):
        places = list(np.indices(indices.shape, sparse=True))
        places[axis] = indices
        return x[tuple(places)]

    def one_hot(self, indices, *, depth, axis, off, on, dtype):
        places = np.arange(depth).reshape(-1, *[1] * (indices.ndim - axis))
        indices = self.xp.expand_dims(self.xp.where(indices < 0, indices + depth, indices), axis)
        return self.xp.where(indices == places, on, off).astype(dtype)

    def pad(self, x, *, pads, mode, constant_value):
        pairs = list(zip(pads[: x.ndim], pads[x.ndim :], strict=True))
        kept = tuple(slice(max(0, -b), n - max(0, -a)) for n, (b, a) in zip(x.shape, pairs, strict=True))
        widths = [(max(0, b), max(0, a)) for b, a in pairs]
        if mode == "constant":
            return self.xp.pad(x[kept], widths, mode, constant_values=constant_value)
        # Each element of y is one of x.
        places = np.pad(np.arange(math.prod(x.shape)).reshape(x.shape)[kept], widths, mode)
        return x.reshape(-1)[places]

    def reshape(self, x, *, shape):
        return x.reshape(reshaped(x.shape, shape))

    def size(self, x):
        return np.array(math.prod(x.shape), np.int64)

    def slice(self, x, *, starts, stops, steps):
        return x[tuple(map(slice, starts, stops, steps))]

    def split(self, x, *, axis, sizes):
        ends = np.cumsum(sizes)
        return [x[(slice(None),) * axis + (slice(end - size, end),)] for end, size in zip(ends, sizes, strict=True)]

    def tile(self, x, *, repeats):
        return self.xp.tile(x, repeats)

    def transpose(self, x, *, axes):
        return self.xp.transpose(x, axes)


def reached(image, *, kernel, stride, padding, dilation, ceil_mode):
    """Return padding with which every place of a window lies in the padded image, whatever is rounded up."""
    return reached_padding(image, kernel, stride, padding, dilation, ceil_mode)

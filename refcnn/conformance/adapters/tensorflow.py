"""TensorFlow: ``refcnn conform --device tensorflow``, or ``tensorflow:GPU:0``.

TensorFloat-32 is off. What slides over pixels has the channels last, as TensorFlow wants it on processors.
"""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow.experimental.numpy as tnp
from tensorflow import nn

from ...shapes import sides
from ..subjects.base import NotExpressible
from .differentiating import Differentiating, only
from .formulas import Formulas

tf.config.experimental.enable_tensor_float_32_execution(False)
# One order of sums.
tf.config.experimental.enable_op_determinism()
tnp.experimental_enable_numpy_behavior()


class TensorFlow(Differentiating):
    """TensorFlow's operations on one of its devices.

    Parameters
    ----------
    device : str
        As TensorFlow names it: ``"CPU"``, ``"GPU:0"``.
    """

    # Its threads flush them.
    denormals = False
    version = tf.__version__

    def __init__(self, device):
        self.name, self.operations, self._device = (
            f"TensorFlow on {device}",
            _Operations(tnp, _Special, tf.stop_gradient),
            device,
        )

    def tensor(self, array):
        with tf.device(self._device):
            return tf.constant(array)

    def array(self, tensor):
        # The gradient of what is gathered is one of some rows alone.
        return tf.convert_to_tensor(tensor).numpy()

    def gradients(self, function, inputs, dys):
        with tf.device(self._device), tf.GradientTape() as tape:
            tape.watch(inputs)
            ys = function(*inputs)
        return tape.gradient(ys, inputs, dys, unconnected_gradients="zero")


class _Special:
    """TensorFlow's under the names of SciPy."""

    erf = staticmethod(tf.math.erf)
    erfc = staticmethod(tf.math.erfc)
    expit = staticmethod(tf.sigmoid)

    @staticmethod
    def logsumexp(x, axis, keepdims):
        return tf.reduce_logsumexp(x, axis, keepdims)


def _channels_last(x):
    return tf.transpose(x, (0, *range(2, x.ndim), 1))


def _channels_second(x):
    return tf.transpose(x, (0, x.ndim - 1, *range(1, x.ndim - 1)))


def _refuse_what_skips(kernel, stride, dilation):
    if any(step > size for step, size in zip(stride, kernel, strict=True)) or (max(stride) > 1 and max(dilation) > 1):
        raise NotExpressible("TensorFlow has no stride beyond the window, nor one where it has a dilation")


def _at_once(padding):
    """Return padding of all axes of images with the channels last."""
    return ((0, 0), *sides(padding), (0, 0))


class _Operations(Formulas):
    """Functions of tf.nn and tf.math where there are such ones, else formulas of NumPy's functions."""

    # What only layers of Keras have.
    celu: Any = None
    hard_sigmoid: Any = None
    hard_swish: Any = None
    mish: Any = None

    absolute = staticmethod(tf.abs)
    reciprocal = staticmethod(tf.math.reciprocal)
    relu = staticmethod(nn.relu)
    round = staticmethod(tf.round)
    selu = staticmethod(only("TensorFlow", nn.selu, alpha=1.6732632423543772, gamma=1.0507009873554805))
    sign = staticmethod(tf.sign)
    softplus = staticmethod(nn.softplus)
    softsign = staticmethod(nn.softsign)

    def is_float(self, x):
        return x.dtype.is_floating

    def elu(self, x, *, alpha):
        if alpha != 1:
            raise NotExpressible("TensorFlow's constant is 1")
        return nn.elu(x)

    def gelu(self, x, *, approximate):
        return nn.gelu(x, approximate == "tanh")

    def leaky_relu(self, x, *, alpha):
        return nn.leaky_relu(x, alpha)

    def swish(self, x, *, alpha):
        return nn.silu(x, alpha)

    def softmax(self, x, *, axis):
        return nn.softmax(x, axis)

    def log_softmax(self, x, *, axis):
        return nn.log_softmax(x, axis)

    def conv2d(self, x, w, b, *, stride, padding, dilation, groups):
        if max(stride) > 1 and max(dilation) > 1:
            raise NotExpressible("TensorFlow has no stride where it has a dilation")
        x = tf.pad(_channels_last(x), _at_once(padding))
        w = tf.transpose(w, (*range(2, w.ndim), 1, 0))
        y = _channels_second(nn.convolution(x, w, stride, "VALID", dilations=dilation))
        return y if b is None else y + b

    def max_pool2d(self, x, *, kernel, stride, padding, dilation, ceil_mode):
        if ceil_mode:
            raise NotExpressible("TensorFlow has no windows that reach beyond the padding")
        _refuse_what_skips(kernel, stride, dilation)
        x = _channels_last(x)
        if any(padding):
            x = tf.pad(x, _at_once(padding), constant_values=-np.inf)
        return _channels_second(nn.pool(x, kernel, "MAX", stride, "VALID", dilations=dilation))

    def average_pool2d(self, x, *, kernel, stride, padding, dilation, ceil_mode, count_include_padding):
        if ceil_mode or any(padding) and not count_include_padding:
            raise NotExpressible("TensorFlow's padding counts, and its windows do not reach beyond it")
        _refuse_what_skips(kernel, stride, dilation)
        x = tf.pad(_channels_last(x), _at_once(padding))
        return _channels_second(nn.pool(x, kernel, "AVG", stride, "VALID", dilations=dilation))

    def local_response_normalization(self, x, *, size, alpha, beta, bias):
        if size % 2 == 0 or x.ndim != 4:
            raise NotExpressible("TensorFlow takes as many neighbours on both sides, of images")
        y = nn.local_response_normalization(_channels_last(x), size // 2, bias, alpha / size, beta)
        return _channels_second(y)

    def sigmoid_cross_entropy(self, x, t, *, reduce_sum):
        return self._mean_of_first(nn.sigmoid_cross_entropy_with_logits(t, x), reduce_sum)

    def sgd(self, w, g, v, *, lr, momentum, nesterov):
        if momentum == 0:
            raise NotExpressible("Keras has no velocity without a momentum")
        # Keras' velocity has the other sign.
        w, v = _updated(keras.optimizers.SGD(lr, momentum, nesterov), w, g, -v)
        return w, -v

    def adadelta(self, w, g, *states, lr, rho, epsilon):
        return _updated(keras.optimizers.Adadelta(lr, rho, epsilon), w, g, *states)

    def adam(self, w, g, *states, lr, beta1, beta2, epsilon, step):
        epsilon *= math.sqrt(1 - beta2**step)
        return _updated(keras.optimizers.Adam(lr, beta1, beta2, epsilon), w, g, *states, step=step)

    def adamw(self, w, g, *states, lr, beta1, beta2, epsilon, step, weight_decay):
        epsilon *= math.sqrt(1 - beta2**step)
        return _updated(keras.optimizers.AdamW(lr, weight_decay, beta1, beta2, epsilon), w, g, *states, step=step)

    def arg_max(self, x, **how):
        return self._place(_with_axis(tf.argmax), x, **how)

    def arg_min(self, x, **how):
        return self._place(_with_axis(tf.argmin), x, **how)

    def global_average_pool2d(self, x):
        return tf.reduce_mean(x, tuple(range(2, x.ndim)), keepdims=True)

    def global_max_pool2d(self, x):
        return tf.reduce_max(x, tuple(range(2, x.ndim)), keepdims=True)

    def gather(self, x, indices, *, axis):
        return tf.gather(x, tf.where(indices < 0, indices + x.shape[axis], indices), axis=axis)

    def gather_elements(self, x, indices, *, axis):
        raise NotExpressible("TensorFlow has no such gathering")

    def depth_to_space(self, x, *, block, mode):
        if mode != "DCR" or block == 1:
            raise NotExpressible("TensorFlow has this order alone, and blocks of two pixels at least")
        return _channels_second(nn.depth_to_space(_channels_last(x), block))

    def space_to_depth(self, x, *, block, mode):
        if mode != "DCR" or block == 1:
            raise NotExpressible("TensorFlow has this order alone, and blocks of two pixels at least")
        return _channels_second(nn.space_to_depth(_channels_last(x), block))

    def one_hot(self, indices, *, depth, axis, off, on, dtype):
        if (np.asarray(indices) < 0).any():
            raise NotExpressible("TensorFlow counts no index from the end")
        return tf.one_hot(indices, depth, np.array(on, dtype), np.array(off, dtype), axis, dtype)

    def pad(self, x, *, pads, mode, constant_value):
        if mode not in ("constant", "reflect") or min(pads, default=0) < 0:
            raise NotExpressible("TensorFlow does not pad so")
        pairs = list(zip(pads[: x.ndim], pads[x.ndim :], strict=True))
        if mode == "reflect":
            if any(max(pair) >= size for pair, size in zip(pairs, x.shape, strict=True)):
                raise NotExpressible("TensorFlow mirrors once")
            return tf.pad(x, pairs, "REFLECT")
        return tf.pad(x, pairs, constant_values=np.array(constant_value, x.dtype.as_numpy_dtype))


def _updated(optimizer, w, g, *states, step=1):
    """Return a parameter and its states after a step; Keras adds epsilon before what corrects the moments."""
    parameter = keras.Variable(w)
    optimizer.build([parameter])
    optimizer.iterations.assign(step - 1)
    # Behind the number of steps and the learning rate.
    for own, former in zip(optimizer.variables[2:], states, strict=True):
        own.assign(former)
    optimizer.apply([g], [parameter])
    return tuple(one.value for one in (parameter, *optimizer.variables[2:]))


def _with_axis(function):
    return lambda x, axis, keepdims: tf.expand_dims(function(x, axis), axis) if keepdims else function(x, axis)


def make(device=None):
    """Return TensorFlow on one of its devices, the processor as a rule."""
    return TensorFlow(device or "CPU")

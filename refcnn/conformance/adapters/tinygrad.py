"""tinygrad: ``refcnn conform --device tinygrad``, or ``tinygrad:CPU``, ``tinygrad:CL``."""

from importlib import metadata

from tinygrad import Context, Device, Tensor, dtypes
from tinygrad.nn import optim

from ...shapes import reshaped
from ..subjects.base import NotExpressible
from .differentiating import Differentiating


class Tinygrad(Differentiating):
    """tinygrad's operations on one of its devices.

    Parameters
    ----------
    device : str
        As tinygrad names it.
    """

    # OpenCL's kernels may flush them.
    denormals = False
    version = metadata.version("tinygrad")

    def __init__(self, device):
        self.name, self.operations, self._device = f"tinygrad on {device}", _Operations, device
        # It opens the device, or says why it cannot.
        Tensor([1.0], device=device).realize()

    def tensor(self, array):
        return Tensor(array, device=self._device)

    def array(self, tensor):
        # What is constant has no device, and would be compiled for the processor.
        return (
            tensor
            if tensor.device is not None
            else tensor + Tensor.zeros(*tensor.shape, device=self._device).contiguous()
        ).numpy()

    def gradients(self, function, inputs, dys):
        found = [y.gradient(*inputs, gradient=dy) for y, dy in zip(function(*inputs), dys, strict=True)]
        return [sum(gradients[1:], gradients[0]) for gradients in zip(*found, strict=True)]


def _around(padding):
    """Return padding as tinygrad has it: of the last axis first, each with what is before and behind."""
    axes = len(padding) // 2
    return tuple(
        count for both in zip(padding[axes - 1 :: -1], padding[: axes - 1 : -1], strict=True) for count in both
    )


def _conv2d(x, w, b, *, stride, padding, dilation, groups):
    b = None if b is None else b.reshape(-1)
    return x.conv2d(w, b, groups, stride, dilation, _around(padding))


def _conv_transpose2d(x, w, b, *, stride, padding, output_padding, dilation, groups):
    """tinygrad cuts off as much on opposite sides: what is cut is a part of the whole."""
    axes, b = len(stride), None if b is None else b.reshape(-1)
    y = x.conv_transpose2d(w, b, groups, stride, dilation, 0, output_padding)
    sides = zip(padding[:axes], padding[axes:], y.shape[2:], strict=True)
    return y.shrink((None, None, *((before, size - after) for before, after, size in sides)))


def _max_pool2d(x, *, kernel, stride, padding, dilation, ceil_mode):
    return x.max_pool2d(kernel, stride, dilation, _around(padding), ceil_mode)


def _average_pool2d(x, *, kernel, stride, padding, dilation, ceil_mode, count_include_padding):
    return x.avg_pool2d(kernel, stride, dilation, _around(padding), ceil_mode, count_include_padding)


def _dense(x, w, b):
    return x.linear(w, None if b is None else b.reshape(-1))


def _layer_normalization(x, scale, bias, *, axis, epsilon):
    return x.layernorm(tuple(range(axis, x.ndim)), epsilon) * scale + bias


def _group_normalization(x, scale, bias, *, groups, epsilon):
    form = (1, -1, *[1] * (x.ndim - 2))
    y = x.reshape(x.shape[0], groups, -1).layernorm(eps=epsilon).reshape(x.shape)
    return y * scale.reshape(form) + bias.reshape(form)


def _instance_normalization(x, scale, bias, *, epsilon):
    return _group_normalization(x, scale, bias, groups=x.shape[1], epsilon=epsilon)


def _batch_normalization(x, scale, bias, mean, variance, *, epsilon, momentum, training):
    if training:
        raise NotExpressible("tinygrad's layer alone keeps running statistics")
    return x.batchnorm(scale, bias, mean, (variance + epsilon).rsqrt())


def _reduced(function):
    """Return the reduction of a function of a tensor and its axes; where there are none tinygrad takes all."""

    def operation(x, *, axes, keepdims):
        if not axes:
            raise NotExpressible("tinygrad reduces along one axis at least")
        return function(x, axes, keepdims)

    return operation


def _log_sum_exp(x, axes, keepdims):
    if len(axes) > 1:
        raise NotExpressible("tinygrad takes it along one axis")
    return x.logsumexp(axes[0], keepdims)


def _place(function):
    def operation(x, *, axis, keepdims, select_last_index):
        if not select_last_index:
            return function(x, axis, keepdims).cast(dtypes.int64)
        return (x.shape[axis] - 1 - function(x.flip(axis), axis, keepdims)).cast(dtypes.int64)

    return operation


def _of_floats(function):
    def operation(a, b):
        if not a.is_floating_point():
            raise NotExpressible("of integers it is another")
        return function(a, b)

    return operation


def _swish(x, *, alpha):
    return x.silu() if alpha == 1 else x * (alpha * x).sigmoid()


def _gather(x, indices, *, axis):
    return x[(slice(None),) * axis + (indices,)]


def _gather_elements(x, indices, *, axis):
    return x.gather(axis, (indices < 0).where(indices + x.shape[axis], indices))


def _pad(x, *, pads, mode, constant_value):
    modes = {"constant": "constant", "edge": "replicate", "reflect": "reflect", "wrap": "circular"}
    if mode != "constant" and min(pads, default=0) < 0:
        raise NotExpressible("tinygrad pads by more elements alone in this mode")
    pairs = tuple(zip(pads[: x.ndim], pads[x.ndim :], strict=True))
    try:
        return x.pad(pairs, modes[mode], constant_value or 0)
    except (NotImplementedError, ValueError) as error:
        # Mirrored, or repeated, more than once.
        raise NotExpressible(str(error)) from None


def _clip(x, *, min, max):
    return x.clip(min, max)


def _celu(x, *, alpha):
    return x.celu(alpha)


def _elu(x, *, alpha):
    return x.elu(alpha)


def _selu(x, *, alpha, gamma):
    return x.selu(alpha, gamma)


def _gelu(x, *, approximate):
    return x.gelu(approximate)


def _hard_sigmoid(x, *, alpha, beta):
    return x.hardsigmoid(alpha, beta)


def _leaky_relu(x, *, alpha):
    return x.leaky_relu(alpha)


def _softmax(x, *, axis):
    return x.softmax(axis)


def _log_softmax(x, *, axis):
    return x.log_softmax(axis)


def _concat(*xs, axis):
    return xs[0].cat(*xs[1:], dim=axis)


def _transpose(x, *, axes):
    return x.permute(axes)


def _reshape(x, *, shape):
    return x.reshape(reshaped(x.shape, shape))


def _flatten(x):
    return x.reshape(x.shape[0], -1)


def _tile(x, *, repeats):
    return x.repeat(repeats)


def _split(x, *, axis, sizes):
    return x.split(list(sizes), axis)


def _slice(x, *, starts, stops, steps):
    return x[tuple(map(slice, starts, stops, steps))]


def _sgd(w, g, v, *, lr, momentum, nesterov):
    if momentum == 0:
        raise NotExpressible("tinygrad has no velocity without a momentum")
    made = optim.SGD([w], lr, momentum, nesterov=nesterov, classic=True)
    made.b[0].assign(v)
    return _updated(made, w, g), made.b[0]


def _adam(w, g, m, r, *, lr, beta1, beta2, epsilon, step, weight_decay=0.0):
    made = optim.AdamW([w], lr, beta1, beta2, epsilon, weight_decay)
    for place, former in (
        (made.m[0], m),
        (made.v[0], r),
        (made.b1_t, beta1 ** (step - 1)),
        (made.b2_t, beta2 ** (step - 1)),
    ):
        place.assign(former if isinstance(former, Tensor) else Tensor([former], device=w.device))
    return _updated(made, w, g), made.m[0], made.v[0]


def _updated(made, w, g):
    w.grad = g
    with Context(TRAINING=1):
        made.step()
    return w


def _global_average_pool2d(x):
    return x.mean(tuple(range(2, x.ndim)), keepdim=True)


def _global_max_pool2d(x):
    return x.max(tuple(range(2, x.ndim)), keepdim=True)


class _Operations:
    """tinygrad's forward of each operation, under its name in refcnn."""

    absolute = Tensor.abs
    adam = _adam
    adamw = _adam
    add = Tensor.add
    arg_max = _place(Tensor.argmax)
    arg_min = _place(Tensor.argmin)
    average_pool2d = _average_pool2d
    batch_normalization = _batch_normalization
    ceil = Tensor.ceil
    celu = _celu
    clip = _clip
    concat = _concat
    conv2d = _conv2d
    conv_transpose2d = _conv_transpose2d
    dense = _dense
    divide = _of_floats(Tensor.div)
    elu = _elu
    equal = Tensor.eq
    erf = Tensor.erf
    exp = Tensor.exp
    flatten = _flatten
    floor = Tensor.floor
    gather = _gather
    gather_elements = _gather_elements
    gelu = _gelu
    global_average_pool2d = _global_average_pool2d
    global_max_pool2d = _global_max_pool2d
    greater = Tensor.__gt__
    greater_or_equal = Tensor.__ge__
    group_normalization = _group_normalization
    hard_sigmoid = _hard_sigmoid
    hard_swish = Tensor.hardswish
    instance_normalization = _instance_normalization
    layer_normalization = _layer_normalization
    leaky_relu = _leaky_relu
    less = Tensor.__lt__
    less_or_equal = Tensor.__le__
    log = Tensor.log
    log_softmax = _log_softmax
    logical_not = Tensor.logical_not
    matmul = Tensor.matmul
    max_pool2d = _max_pool2d
    maximum = Tensor.maximum
    minimum = Tensor.minimum
    mish = Tensor.mish
    multiply = Tensor.mul
    negative = Tensor.neg
    not_equal = Tensor.ne
    pad = _pad
    power = _of_floats(Tensor.pow)
    reciprocal = Tensor.reciprocal
    reduce_log_sum_exp = _reduced(_log_sum_exp)
    reduce_max = _reduced(Tensor.max)
    reduce_mean = _reduced(Tensor.mean)
    reduce_min = _reduced(Tensor.min)
    reduce_prod = _reduced(lambda x, axes, keepdims: x.prod(axes, keepdims, x.dtype))
    reduce_sum = _reduced(lambda x, axes, keepdims: x.sum(axes, keepdims, x.dtype))
    relu = Tensor.relu
    reshape = _reshape
    round = Tensor.round
    selu = _selu
    sigmoid = Tensor.sigmoid
    sgd = _sgd
    sign = Tensor.sign
    slice = _slice
    softmax = _softmax
    softplus = Tensor.softplus
    softsign = Tensor.softsign
    split = _split
    sqrt = Tensor.sqrt
    subtract = Tensor.sub
    swish = _swish
    tanh = Tensor.tanh
    tile = _tile
    transpose = _transpose
    where = Tensor.where


def make(device=None):
    """Return tinygrad on one of its devices, its own choice as a rule."""
    return Tinygrad(device or Device.DEFAULT)

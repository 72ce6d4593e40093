"""PyTorch: ``refcnn conform --device pytorch``, or ``pytorch:cuda``."""

import functools

import numpy as np
import torch
from torch.nn import functional

from ...shapes import reshaped
from ..subjects.base import NotExpressible
from . import pytorch_windows as windows
from .differentiating import Differentiating, only


class PyTorch(Differentiating):
    """PyTorch's operations on one of its devices.

    Parameters
    ----------
    device : str
        As PyTorch names it: ``"cpu"``, ``"cuda"``, ``"mps"``.
    """

    def __init__(self, device="cpu"):
        self.device, self.operations = torch.device(device), _Operations
        self.name, self.version = f"PyTorch on {device}", torch.__version__
        # TensorFloat-32 is no float32: it keeps ten bits of the fraction.
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False

    def __getattr__(self, name):
        update = vars(_Updates).get(name)
        return super().__getattr__(name) if update is None else functools.partial(self._update, *update)

    def tensor(self, array):
        return torch.tensor(array, device=self.device)

    def array(self, tensor):
        return tensor.detach().cpu().numpy()

    def gradients(self, function, inputs, dys):
        wanted = [tensor.requires_grad_() for tensor in inputs]
        # What is constant has no gradient.
        pairs = [pair for pair in zip(function(*wanted), dys, strict=True) if pair[0].requires_grad]
        ys, dys = zip(*pairs, strict=True) if pairs else ((), ())
        return torch.autograd.grad(ys, wanted, dys, allow_unused=True, materialize_grads=True)

    def _update(self, optimizer, names, options, w, g, *states, step=1, **attributes):
        parameter = torch.nn.Parameter(self.tensor(w))
        parameter.grad = self.tensor(g)
        made = optimizer([parameter], **{options.get(name, name): value for name, value in _paired(attributes)})
        made.state[parameter] = {
            "step": torch.tensor(float(step - 1)),
            **dict(zip(names, map(self.tensor, states), strict=True)),
        }
        made.step()
        return tuple(map(self.array, (parameter, *(made.state[parameter][name] for name in names))))


def _paired(attributes):
    """Yield attributes by name, of which PyTorch has two decays as one pair."""
    betas = tuple(value for name, value in attributes.items() if name.startswith("beta"))
    yield from ((name, value) for name, value in attributes.items() if not name.startswith("beta"))
    if betas:
        yield "betas", betas


def _divide(a, b):
    if a.is_floating_point():
        return a / b
    if not b.all():
        raise NotExpressible("PyTorch divides no integer by 0")
    return torch.div(a, b, rounding_mode="trunc")


def _power(a, b):
    if not a.is_floating_point() and (b < 0).any():
        raise NotExpressible("PyTorch has no negative powers of integers")
    return torch.pow(a, b)


def _prelu(x, slope):
    shape = (1,) * (x.ndim - slope.ndim) + tuple(slope.shape)
    channels = x.shape[1] if x.ndim > 1 else 1
    if (
        slope.ndim > x.ndim
        or torch.Size(shape).numel() not in (1, channels)
        or shape[1:2] not in ((slope.numel(),), ())
    ):
        raise NotExpressible("PyTorch has a slope for each channel, or one")
    return functional.prelu(x, slope.reshape(-1))


def _rows(x, axes):
    """Return x with all of some axes in the last one."""
    return x.movedim(axes, tuple(range(-len(axes), 0))).flatten(-len(axes)) if axes else x[..., None]


def _reduced(function):
    """Return the reduction of a function of a tensor and its axes, which PyTorch takes for all where there are none."""

    def operation(x, *, axes, keepdims):
        y = function(_rows(x, axes), -1)
        return y.reshape(
            [1 if axis in axes else size for axis, size in enumerate(x.shape) if keepdims or axis not in axes]
        )

    return operation


def _sum(x, axis):
    return x.sum(axis, dtype=x.dtype)


def _extreme(function):
    def of_rows(rows, axis):
        if not rows.shape[axis]:
            raise NotExpressible("PyTorch has no extreme of no elements")
        return function(rows, axis).values

    return _reduced(of_rows)


def _place(function):
    def operation(x, *, axis, keepdims, select_last_index):
        if x.dtype == torch.bool:
            raise NotExpressible("PyTorch finds no place among truth values")
        if not select_last_index:
            return function(x, axis, keepdim=keepdims)
        return x.shape[axis] - 1 - function(x.flip(axis), axis, keepdim=keepdims)

    return operation


def _batch_normalization(x, scale, bias, mean, variance, *, epsilon, momentum, training):
    if training:
        y = functional.batch_norm(x, None, None, scale, bias, True, 0.0, epsilon)
        # PyTorch keeps the variance of the sample.
        axes = [axis for axis in range(x.ndim) if axis != 1]
        of_batch = reversed(torch.var_mean(x, axes, correction=0))
        pairs = zip((mean, variance), of_batch, strict=True)
        return y, *(momentum * former + (1 - momentum) * new for former, new in pairs)
    if mean.requires_grad:
        raise NotExpressible("PyTorch has no gradient of running statistics")
    return functional.batch_norm(x, mean, variance, scale, bias, False, 0.0, epsilon)


def _instance_normalization(x, scale, bias, *, epsilon):
    return functional.instance_norm(x, weight=scale, bias=bias, eps=epsilon)


def _group_normalization(x, scale, bias, *, groups, epsilon):
    return functional.group_norm(x, groups, scale, bias, epsilon)


def _layer_normalization(x, scale, bias, *, axis, epsilon):
    return functional.layer_norm(x, x.shape[axis:], scale, bias, epsilon)


def _rms_normalization(x, scale, *, axis, epsilon):
    return functional.rms_norm(x, x.shape[axis:], scale, epsilon)


def _dense(x, w, b):
    return functional.linear(x, w.T, None if b is None else b.reshape(-1))


def _slice(x, *, starts, stops, steps):
    if min(steps, default=1) < 0:
        raise NotExpressible("PyTorch has no negative steps")
    return x[tuple(map(slice, starts, stops, steps))]


def _one_hot(indices, *, depth, axis, off, on, dtype):
    if ((indices < -depth) | (indices >= depth)).any():
        raise NotExpressible("PyTorch refuses indices beyond the depth")
    is_on = functional.one_hot(indices.long() % depth, depth).movedim(-1, axis).bool()
    return torch.where(is_on, torch.tensor(on), torch.tensor(off)).to(_dtype(dtype))


def _dtype(name):
    return torch.from_numpy(np.zeros(0, name)).dtype


def _cast(x, *, dtype):
    return x if x.is_floating_point() and np.dtype(dtype).kind == "f" else x.to(_dtype(dtype))


def _softmax_cross_entropy(x, t, *, reduce_sum):
    log_p = functional.log_softmax(x, 1)
    # A target of 0 takes no part, nor does a row of them: not in the gradient of x, and not where log p is not finite.
    unused = ((t == 0) & ~log_p.isfinite()).detach()
    log_p = functional.log_softmax(torch.where(unused.all(1, keepdim=True), 0, x), 1)
    log_p = torch.where(unused, 0, log_p)
    loss = torch.where(unused, 0, -t * torch.where(t == 0, log_p.detach(), log_p))
    return loss.sum() / len(x) if reduce_sum else loss


def _sparse_softmax_cross_entropy(x, t, *, class_weight, label_smoothing, ignore_index, reduce_sum):
    return functional.cross_entropy(
        x,
        t,
        None if class_weight is None else torch.tensor(class_weight, dtype=x.dtype, device=x.device),
        ignore_index=-100 if ignore_index is None else ignore_index,
        label_smoothing=label_smoothing,
        reduction="mean" if reduce_sum else "none",
    )


def _loss(function):
    """Return a loss whose mean is over the first axis alone."""

    def operation(x, t, *, reduce_sum, **attributes):
        loss = function(x, t, reduction="sum" if reduce_sum else "none", **attributes)
        return loss / len(x) if reduce_sum else loss

    return operation


def _log_softmax(x, *, axis):
    return functional.log_softmax(x, axis)


def _softmax(x, *, axis):
    return functional.softmax(x, axis)


def _concat(*xs, axis):
    return torch.cat(xs, axis)


def _expand(x, *, shape):
    return torch.broadcast_to(x, torch.broadcast_shapes(x.shape, shape))


def _flatten(x):
    return x.reshape(len(x), -1)


def _gather(x, indices, *, axis):
    return x[(slice(None),) * axis + (indices,)]


def _gather_elements(x, indices, *, axis):
    return x.gather(axis, indices % x.shape[axis] if indices.numel() else indices)


def _global_average_pool2d(x):
    return x.mean(tuple(range(2, x.ndim)), keepdim=True)


def _global_max_pool2d(x):
    return x.flatten(2).max(2).values.reshape(*x.shape[:2], *[1] * (x.ndim - 2))


def _leaky_relu(x, *, alpha):
    return functional.leaky_relu(x, alpha)


def _reshape(x, *, shape):
    return x.reshape(reshaped(x.shape, shape))


def _size(x):
    return torch.tensor(x.numel())


def _split(x, *, axis, sizes):
    return torch.split(x, sizes, axis)


def _swish(x, *, alpha):
    return functional.silu(x) if alpha == 1 else x * torch.sigmoid(alpha * x)


def _tile(x, *, repeats):
    return x.tile(repeats)


def _transpose(x, *, axes):
    return x.permute(axes)


class _Updates:
    """Of each optimizer PyTorch's class, the names of the states in their order, and those of attributes."""

    adadelta = torch.optim.Adadelta, ("square_avg", "acc_delta"), {"epsilon": "eps"}
    adagrad = torch.optim.Adagrad, ("sum",), {"epsilon": "eps"}
    adam = torch.optim.Adam, ("exp_avg", "exp_avg_sq"), {"epsilon": "eps"}
    adamax = torch.optim.Adamax, ("exp_avg", "exp_inf"), {"epsilon": "eps"}
    adamw = torch.optim.AdamW, ("exp_avg", "exp_avg_sq"), {"epsilon": "eps"}


class _Operations:
    """PyTorch's forward of each operation, under its name in refcnn."""

    absolute = torch.abs
    add = torch.add
    arg_max = _place(torch.argmax)
    arg_min = _place(torch.argmin)
    average_pool2d = windows.average_pool2d
    batch_normalization = _batch_normalization
    cast = _cast
    ceil = torch.ceil
    celu = functional.celu
    clip = torch.clamp
    concat = _concat
    conv2d = windows.conv2d
    conv_transpose2d = windows.conv_transpose2d
    dense = _dense
    depth_to_space = windows.depth_to_space
    divide = _divide
    elu = functional.elu
    equal = torch.eq
    erf = torch.erf
    exp = torch.exp
    expand = _expand
    flatten = _flatten
    floor = torch.floor
    gather = _gather
    gather_elements = _gather_elements
    gelu = functional.gelu
    global_average_pool2d = _global_average_pool2d
    global_max_pool2d = _global_max_pool2d
    greater = torch.gt
    greater_or_equal = torch.ge
    group_normalization = _group_normalization
    hard_sigmoid = only("PyTorch", functional.hardsigmoid, alpha=1 / 6, beta=0.5)
    hard_swish = functional.hardswish
    instance_normalization = _instance_normalization
    layer_normalization = _layer_normalization
    leaky_relu = _leaky_relu
    less = torch.lt
    less_or_equal = torch.le
    local_response_normalization = windows.local_response_normalization
    log = torch.log
    log_softmax = _log_softmax
    logical_and = torch.logical_and
    logical_not = torch.logical_not
    logical_or = torch.logical_or
    logical_xor = torch.logical_xor
    lp_pool2d = windows.lp_pool2d
    matmul = torch.matmul
    max_pool2d = windows.max_pool2d
    max_pool2d_with_indices = windows.max_pool2d_with_indices
    max_unpool2d = windows.max_unpool2d
    maximum = torch.maximum
    mean_squared_error = _loss(functional.mse_loss)
    minimum = torch.minimum
    mish = functional.mish
    multiply = torch.mul
    negative = torch.neg
    not_equal = torch.ne
    one_hot = _one_hot
    pad = windows.pad
    power = _power
    prelu = _prelu
    reciprocal = torch.reciprocal
    reduce_l1 = _reduced(lambda x, axis: _sum(x.abs(), axis))
    reduce_l2 = _reduced(lambda x, axis: torch.linalg.vector_norm(x, 2, axis))
    reduce_log_sum = _reduced(lambda x, axis: x.sum(axis).log())
    reduce_log_sum_exp = _reduced(torch.logsumexp)
    reduce_max = _extreme(torch.max)
    reduce_mean = _reduced(torch.mean)
    reduce_min = _extreme(torch.min)
    reduce_prod = _reduced(lambda x, axis: x.prod(axis, dtype=x.dtype))
    reduce_sum = _reduced(_sum)
    reduce_sum_square = _reduced(lambda x, axis: _sum(x.square(), axis))
    relu = functional.relu
    reshape = _reshape
    resize = windows.resize
    rms_normalization = _rms_normalization
    round = torch.round
    selu = only("PyTorch", functional.selu, alpha=1.6732632423543772, gamma=1.0507009873554805)
    sigmoid = torch.sigmoid
    sigmoid_cross_entropy = _loss(functional.binary_cross_entropy_with_logits)
    sign = torch.sign
    size = _size
    slice = _slice
    smoothed_l1 = _loss(functional.huber_loss)
    softmax = _softmax
    softmax_cross_entropy = _softmax_cross_entropy
    softplus = functional.softplus
    softsign = functional.softsign
    space_to_depth = windows.space_to_depth
    sparse_softmax_cross_entropy = _sparse_softmax_cross_entropy
    split = _split
    sqrt = torch.sqrt
    subtract = torch.sub
    swish = _swish
    tanh = torch.tanh
    tile = _tile
    transpose = _transpose
    where = torch.where


def make(device=None):
    """Return PyTorch on one of its devices: its GPU, if it has one."""
    return PyTorch(device or ("cuda" if torch.cuda.is_available() else "cpu"))

"""PyTorch as an implementation under test, and an example of an adapter for anyone's own.

``refcnn conform --device refcnn.conformance.adapters.pytorch:implementation``

An adapter is an object with a function for each operation that it offers,
named as in :mod:`refcnn.reference`: ``conv2d(x, w, b, *, stride, ...)``
returns y, ``conv2d_backward(dy, x, w, b, *, stride, ...)`` the gradient of each
array input (None for an input that is None). Arrays are float32 NumPy arrays,
attributes are those of the reference. What is missing is not tested.
"""

import functools

import torch
from torch.nn import functional

from ...shapes import reached_padding


class PyTorch:
    """PyTorch's operations on one of its devices.

    Parameters
    ----------
    device : str
        As PyTorch names it: ``"cpu"``, ``"cuda"``, ``"mps"``.
    """

    def __init__(self, device="cpu"):
        self.device = torch.device(device)
        self.name = f"PyTorch {torch.__version__} on {device}"
        # TensorFloat-32 is no float32: it keeps ten bits of the fraction.
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False

    def __getattr__(self, name):
        operation = name.removesuffix("_backward")
        forward = vars(_Operations).get(operation)
        if operation.startswith("_") or forward is None:
            raise AttributeError(name)
        return functools.partial(self._backward if name != operation else self._forward, forward)

    def _forward(self, operation, *inputs, **attributes):
        with torch.no_grad():
            return operation(*(self._tensor(array) for array in inputs), **attributes).cpu().numpy()

    def _backward(self, operation, dy, *inputs, **attributes):
        tensors = [self._tensor(array) for array in inputs]
        wanted = [tensor.requires_grad_() for tensor in tensors if tensor is not None]
        y = operation(*tensors, **attributes)
        gradients = iter(torch.autograd.grad(y, wanted, self._tensor(dy)))
        return tuple(None if tensor is None else next(gradients).cpu().numpy() for tensor in tensors)

    def _tensor(self, array):
        return None if array is None else torch.tensor(array, device=self.device)


def _pad(x, padding, value=0.0):
    axes = len(padding) // 2
    # The last axis comes first, each with what is before and behind.
    around = [count for both in zip(padding[axes - 1 :: -1], padding[: axes - 1 : -1], strict=True) for count in both]
    return functional.pad(x, around, value=value)


def _conv2d(x, w, b, *, stride, padding, dilation, groups):
    b = None if b is None else b.reshape(-1)
    convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[x.ndim - 3]
    return convolve(_pad(x, padding), w, b, stride, 0, dilation, groups)


def _conv_transpose2d(x, w, b, *, stride, padding, output_padding, dilation, groups):
    axes, b = len(stride), None if b is None else b.reshape(-1)
    spread = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)[axes - 1]
    # PyTorch cuts off as much on opposite sides.
    y = spread(x, w, b, stride, 0, output_padding, groups, dilation)
    for axis, (before, after) in enumerate(zip(padding[:axes], padding[axes:], strict=True), start=2):
        y = y.narrow(axis, before, y.shape[axis] - before - after)
    return y


def _dense(x, w, b):
    return functional.linear(x, w.T, None if b is None else b.reshape(-1))


def _flatten(x):
    return x.reshape(len(x), -1)


def _max_pool2d(x, *, kernel, stride, padding, dilation, ceil_mode):
    pool = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)[x.ndim - 3]
    # PyTorch pads opposite sides alike only. Here the padding is the least of all, less than a pixel of -infinity too.
    reached = reached_padding(x.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    ranked = _pad(x.detach().clamp(min=torch.finfo(x.dtype).min), reached, -torch.inf)
    _, winner = pool(ranked, kernel, stride, 0, dilation, return_indices=True)
    return _pad(x, reached).flatten(2).gather(2, winner.flatten(2)).reshape(winner.shape)


def _average_pool2d(x, *, kernel, stride, padding, dilation, ceil_mode, count_include_padding):
    # PyTorch leaves out padding of its own only, which is the same on opposite sides.
    reached = reached_padding(x.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    counted = _pad(torch.ones_like(x[:1, :1]), padding, float(count_include_padding))
    behind = tuple(far - near for far, near in zip(reached, padding, strict=True))
    sums, counts = (
        _sum_of_windows(entry, kernel, stride, dilation) for entry in (_pad(x, reached), _pad(counted, behind))
    )
    return sums / counts


def _sum_of_windows(x, kernel, stride, dilation):
    if x.ndim == 3:
        sums = _sum_of_windows(x.unsqueeze(2), *((1, *numbers) for numbers in (kernel, stride, dilation)))
        return sums.squeeze(2)
    if set(dilation) == {1}:
        pool = functional.avg_pool2d if x.ndim == 4 else functional.avg_pool3d
        return pool(x, kernel, stride, divisor_override=1)
    # PyTorch's mean has no dilation: channel by channel its convolution with a kernel of ones.
    convolve = functional.conv2d if x.ndim == 4 else functional.conv3d
    sums = convolve(x.reshape(-1, 1, *x.shape[2:]), x.new_ones(1, 1, *kernel), None, stride, 0, dilation)
    return sums.reshape(*x.shape[:2], *sums.shape[2:])


def _global_average_pool2d(x):
    return x.mean(tuple(range(2, x.ndim)), keepdim=True)


def _softmax_cross_entropy(x, t, *, reduce_sum):
    log_p = functional.log_softmax(x, 1)
    # A target of 0 takes no part, nor does a row of them: not in the gradient of x, and not where log p is not finite.
    unused = ((t == 0) & ~log_p.isfinite()).detach()
    log_p = functional.log_softmax(torch.where(unused.all(1, keepdim=True), 0, x), 1)
    log_p = torch.where(unused, 0, log_p)
    loss = torch.where(unused, 0, -t * torch.where(t == 0, log_p.detach(), log_p))
    return loss.sum() / len(x) if reduce_sum else loss


class _Operations:
    """PyTorch's forward of each operation, under its name in refcnn."""

    add = torch.add
    average_pool2d = _average_pool2d
    conv2d = _conv2d
    conv_transpose2d = _conv_transpose2d
    dense = _dense
    flatten = _flatten
    global_average_pool2d = _global_average_pool2d
    max_pool2d = _max_pool2d
    relu = functional.relu
    softmax = functools.partial(functional.softmax, dim=1)
    softmax_cross_entropy = _softmax_cross_entropy


def __getattr__(name):
    """Make ``implementation`` when it is first asked for."""
    if name != "implementation":
        raise AttributeError(name)
    return PyTorch("cuda" if torch.cuda.is_available() else "cpu")

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


def _dense(x, w, b):
    return functional.linear(x, w.T, None if b is None else b.reshape(-1))


def _flatten(x):
    return x.reshape(len(x), -1)


def _max_pool2d(x, *, kernel, stride, padding):
    # PyTorch pads opposite sides alike only. Here the padding is the least of all, less than a pixel of -infinity too.
    ranked = _pad(x.detach().clamp(min=torch.finfo(x.dtype).min), padding, -torch.inf)
    _, winner = functional.max_pool2d(ranked, kernel, stride, return_indices=True)
    return _pad(x, padding).flatten(2).gather(2, winner.flatten(2)).reshape(winner.shape)


def _average_pool2d(x, *, kernel, stride, padding, count_include_padding):
    mean = functional.avg_pool2d(_pad(x, padding), kernel, stride)
    if count_include_padding:
        return mean
    # PyTorch leaves out padding of its own only, which is the same on opposite sides.
    ones = _pad(torch.ones_like(x[:1, :1]), padding)
    return functional.avg_pool2d(_pad(x, padding), kernel, stride, divisor_override=1) / functional.avg_pool2d(
        ones, kernel, stride, divisor_override=1
    )


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
    dense = _dense
    flatten = _flatten
    max_pool2d = _max_pool2d
    relu = functional.relu
    softmax = functools.partial(functional.softmax, dim=1)
    softmax_cross_entropy = _softmax_cross_entropy


def __getattr__(name):
    """Make ``implementation`` when it is first asked for."""
    if name != "implementation":
        raise AttributeError(name)
    return PyTorch("cuda" if torch.cuda.is_available() else "cpu")

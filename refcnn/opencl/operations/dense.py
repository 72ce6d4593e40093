"""A fully connected layer on a device: three matrix products."""

import functools

from ..shared import matrices, matrix_product
from ..shared.fusion import Pending
from ..variants import GENERAL, variant

VARIANTS = GENERAL
FUSED = {"relu": ("cpu", "gpu"), "clip": ("cpu", "gpu")}
KERNELS = matrix_product.KERNELS

_PLAIN_GROUP = 64


def forward(x, w, b):
    """x (N, in), w (in, out), b (1, out) or None -> y (N, out)."""
    device, shape = x.device, (x.shape[0], w.shape[1])
    if variant(device) == "plain":
        y = device.empty(shape)
        _launch_plain(x, w, b, y, stack=1)
        return y, (x, w)
    return Pending(device, shape, functools.partial(_forward, x.computed(), w, b)).array(), (x, w)


def _forward(x, w, b, limits):
    partial = matrices.chunks_of_products(x, w, stack=1)
    return matrix_product.sum_chunks(partial, b, limits)


def products(x, w):
    """Return the products (stack, N, out) of two stacks of matrices, x (stack, N, in) and w (stack, in, out)."""
    stack, N, _ = x.shape
    if variant(x.device) == "plain":
        y = x.device.empty((stack, N, w.shape[2]))
        _launch_plain(x, w, None, y, stack)
        return y
    partial = matrices.chunks_of_products(x, w, stack)
    return matrix_product.sum_chunks(partial).reshape((stack, N, w.shape[2]))


def _launch_plain(x, w, b, y, stack):
    (N, inputs), outputs = x.shape[-2:], w.shape[-1]
    arrays = {"x": x, "w": w, "b": b, "y": y}
    sizes = {"has_bias": int(b is not None), "STACK": stack, "N": N, "IN": inputs, "OUT": outputs}
    x.device.launch("dense", "forward", (outputs, N, stack), (_PLAIN_GROUP, 1, 1), **arrays, **sizes)


def backward(dy, saved, needs):
    """dy (N, out) -> dx = dy w^T, dw = x^T dy, db = the sum of dy over the batch."""
    x, w = saved
    dx = _backward_x(dy, w) if needs[0] else None
    dw = _backward_w(x, dy) if needs[1] else None
    return dx, dw, _backward_b(dy) if needs[2] else None


def _backward_x(dy, w):
    device, (N, outputs), inputs = dy.device, dy.shape, w.shape[0]
    if variant(device) == "plain":
        dx = device.empty((N, inputs))
        sizes = {"N": N, "IN": inputs, "OUT": outputs}
        device.launch("dense", "backward_x", (inputs, N), (_PLAIN_GROUP, 1), dy=dy, w=w, dx=dx, **sizes)
        return dx
    return matrices.times_transposed(dy, w)


def _backward_w(x, dy):
    device, (N, outputs), inputs = dy.device, dy.shape, x.shape[1]
    if variant(device) == "plain":
        dw = device.empty((inputs, outputs))
        sizes = {"N": N, "IN": inputs, "OUT": outputs}
        device.launch("dense", "backward_w", (outputs, inputs), (_PLAIN_GROUP, 1), x=x, dy=dy, dw=dw, **sizes)
        return dw
    return matrices.transposed_times(x, dy)


def _backward_b(dy):
    device, (N, outputs) = dy.device, dy.shape
    db = device.empty((1, outputs))
    device.launch("dense", "backward_b", (outputs,), (_PLAIN_GROUP,), dy=dy, db=db, N=N, OUT=outputs)
    return db

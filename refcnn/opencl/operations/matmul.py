"""The product of matrices, or of stacks of them, on a device."""

import math

from ...shapes import broadcast_shape, matrix_product_shape, repeated_axes
from ..shared import matrix_product
from ..shared.moving import expanded, transposed
from ..shared.reduction import sum_over
from ..variants import GENERAL
from . import dense

VARIANTS = GENERAL
# On GPUs no sum of a small product is cut, and none has a bias.
KERNELS = {**matrix_product.KERNELS, "matrix_product": ("cpu",), "dense": ("plain",)}


def forward(a, b):
    """a (..., rows, n) or (n,), b (..., n, columns) or (n,) -> y (..., rows, columns)."""
    left, right = _as_matrices(a, b)
    shape = matrix_product_shape(a.shape, b.shape)
    if right.ndim == 2:
        # All rows of the stack are rows of one matrix.
        y, _ = dense.forward(_flat(left), right, None)
        # What is put off may be fused, as long as it is not asked for.
        return y if y.shape == shape else y.reshape(shape), (a, b)
    return _product(left, right).reshape(shape), (a, b)


def backward(dy, saved, needs):
    """da = dy b^T, db = a^T dy, each summed over the stack along which a or b was repeated."""
    left, right = _as_matrices(*saved)
    stack = broadcast_shape(left.shape[:-2], right.shape[:-2])
    dy = dy.reshape((*stack, left.shape[-2], right.shape[-1]))
    if right.ndim == 2:
        gradients = dense.backward(_flat(dy), (_flat(left), right), (*needs, False))[:2]
    else:
        da = _product(dy, _turned(right)) if needs[0] else None
        gradients = da, _product(_turned(left), dy) if needs[1] else None
    rows = zip(gradients, (left, right), saved, strict=True)
    return tuple(
        None if gradient is None else _summed(gradient, one.shape).reshape(x.shape) for gradient, one, x in rows
    )


def _as_matrices(a, b):
    left = a.reshape((1, *a.shape)) if a.ndim == 1 else a
    return left, b.reshape((*b.shape, 1)) if b.ndim == 1 else b


def _flat(x):
    return x if x.ndim == 2 else x.reshape((x.size // x.shape[-1], x.shape[-1]))


def _turned(x):
    """Return each matrix of a stack transposed."""
    return transposed(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def _summed(gradient, shape):
    if gradient.size == math.prod(shape):
        return gradient
    return sum_over(gradient, repeated_axes(shape, gradient.shape))


def _product(a, b):
    """Return the products of two stacks, either of which may be repeated for the other."""
    stack = broadcast_shape(a.shape[:-2], b.shape[:-2])
    a, b = (expanded(x, (*stack, *x.shape[-2:])) if x.shape[:-2] != stack else x for x in (a, b))
    y = dense.products(*(x.reshape((math.prod(stack), *x.shape[-2:])) for x in (a, b)))
    return y.reshape((*stack, *y.shape[-2:]))

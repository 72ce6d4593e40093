"""The product of matrices, or of stacks of them, which are broadcast as in NumPy.

    y[..., r, c] = sum over i of a[..., r, i] b[..., i, c]

A vector is a matrix of one row, or as b of one column; y has no such axis. Source: numpy.matmul; ONNX operator
specification, MatMul.
"""

import numpy as np

from ..shapes import broadcast_shape, matrix_product_shape
from . import dense
from .arithmetic import unbroadcast


def forward(a, b):
    """a (..., rows, n) or (n,), b (..., n, columns) or (n,) -> y (..., rows, columns)."""
    left, right, stack = _stacks(a, b)
    y = np.zeros((*stack, left.shape[-2], right.shape[-1]), a.dtype)
    for index in np.ndindex(stack):
        y[index], _ = dense.forward(left[index], right[index], None)
    return y.reshape(matrix_product_shape(a.shape, b.shape)), (a, b)


def backward(dy, saved, needs):
    """da = dy b^T, db = a^T dy, each summed over the stack along which a or b was repeated."""
    a, b = saved
    left, right, stack = _stacks(a, b)
    dy = dy.reshape(*stack, left.shape[-2], right.shape[-1])
    da, db = (
        np.zeros(array.shape, array.dtype) if need else None for array, need in zip((left, right), needs, strict=True)
    )
    for index in np.ndindex(stack):
        gradients = dense.backward(dy[index], (left[index], right[index]), (*needs, False))
        for of_stack, gradient in zip((da, db), gradients[:2], strict=True):
            if of_stack is not None:
                of_stack[index] = gradient
    rows = zip((da, db), _as_matrices(a, b), (a, b), strict=True)
    return tuple(
        None if of_stack is None else unbroadcast(of_stack, matrix.shape).reshape(array.shape)
        for of_stack, matrix, array in rows
    )


def _as_matrices(a, b):
    return a[None] if a.ndim == 1 else a, b[:, None] if b.ndim == 1 else b


def _stacks(a, b):
    """Return a and b as matrices, each repeated for the whole stack, and the shape of that."""
    a, b = _as_matrices(a, b)
    stack = broadcast_shape(a.shape[:-2], b.shape[:-2])
    return np.broadcast_to(a, (*stack, *a.shape[-2:])), np.broadcast_to(b, (*stack, *b.shape[-2:])), stack

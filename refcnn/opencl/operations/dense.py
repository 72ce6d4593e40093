"""A fully connected layer on a device: three matrix products."""

import functools

from ..shared import matrix_product
from ..shared.fusion import Pending
from ..shared.matrix_product import Places
from ..variants import GENERAL, variant

VARIANTS = GENERAL
FUSED = {"relu": ("cpu", "gpu"), "clip": ("cpu", "gpu")}
KERNELS = matrix_product.KERNELS

_PLAIN_GROUP = 64
# How often each element of a factor must be used for it to be worthwhile to copy it for faster rows.
_LEAST_USES = 128
# Terms of a sum that one work-item adds up before the partial sums are added: for parallel work, and for accuracy.
_TERMS_PER_CHUNK = 512


def forward(x, w, b):
    """x (N, in), w (in, out), b (1, out) or None -> y (N, out)."""
    device, shape = x.device, (x.shape[0], w.shape[1])
    if variant(device) == "plain":
        y = device.empty(shape)
        _launch_plain(x, w, b, y, stack=1)
        return y, (x, w)
    return Pending(device, shape, functools.partial(_forward, x.computed(), w, b)).array(), (x, w)


def _forward(x, w, b, limits):
    partial = _chunks_of_products(x, w, stack=1)
    return matrix_product.sum_chunks(partial, b, limits)


def products(x, w):
    """Return the products (stack, N, out) of two stacks of matrices, x (stack, N, in) and w (stack, in, out)."""
    stack, N, _ = x.shape
    if variant(x.device) == "plain":
        y = x.device.empty((stack, N, w.shape[2]))
        _launch_plain(x, w, None, y, stack)
        return y
    partial = _chunks_of_products(x, w, stack)
    return matrix_product.sum_chunks(partial).reshape((stack, N, w.shape[2]))


def _launch_plain(x, w, b, y, stack):
    (N, inputs), outputs = x.shape[-2:], w.shape[-1]
    arrays = {"x": x, "w": w, "b": b, "y": y}
    sizes = {"has_bias": int(b is not None), "STACK": stack, "N": N, "IN": inputs, "OUT": outputs}
    x.device.launch("dense", "forward", (outputs, N, stack), (_PLAIN_GROUP, 1, 1), **arrays, **sizes)


def _chunks_of_products(x, w, stack):
    """Return (chunks, stack N, out): the products of some matrices, each chunk of terms by itself."""
    device, (N, inputs), outputs = x.device, x.shape[-2:], w.shape[-1]
    chunks = _chunks(inputs)
    partial = device.empty((chunks, stack * N, outputs))
    factor, stride = _columns(w.reshape((stack * inputs, outputs)), uses=N)
    matrix_product.product(
        device,
        x,
        factor,
        matrix_product.regular_offsets(device, inputs, stride),
        partial,
        _matrix_places(outputs),
        rows=N,
        terms=inputs,
        a_row=inputs,
        a_term=1,
        c_row=outputs,
        groups=stack,
        a_group=N * inputs,
        b_group=inputs * stride,
        c_group=N * outputs,
        chunks=chunks,
        c_chunk=stack * N * outputs,
    )
    return partial


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
    # Computed transposed, with the batch along the vectors, since w lies as it is needed for that.
    stride = matrix_product.row_stride(N)
    transposed = matrix_product.copy_matrix(
        dy, rows=outputs, columns=N, row_stride=1, column_stride=outputs, copy_columns=stride
    )
    chunks = _chunks(outputs)
    partial = device.empty((chunks, N, inputs))
    matrix_product.product(
        device,
        w,
        transposed,
        matrix_product.regular_offsets(device, outputs, stride),
        partial,
        Places(N, 0, N, N, c_y=0, c_x=inputs),
        rows=inputs,
        terms=outputs,
        a_row=outputs,
        a_term=1,
        c_row=1,
        chunks=chunks,
        c_chunk=N * inputs,
    )
    return matrix_product.sum_chunks(partial)


def _backward_w(x, dy):
    device, (N, outputs), inputs = dy.device, dy.shape, x.shape[1]
    if variant(device) == "plain":
        dw = device.empty((inputs, outputs))
        sizes = {"N": N, "IN": inputs, "OUT": outputs}
        device.launch("dense", "backward_w", (outputs, inputs), (_PLAIN_GROUP, 1), x=x, dy=dy, dw=dw, **sizes)
        return dw
    factor, stride = _columns(dy, uses=inputs)
    chunks = _chunks(N)
    partial = device.empty((chunks, inputs, outputs))
    matrix_product.product(
        device,
        x,
        factor,
        matrix_product.regular_offsets(device, N, stride),
        partial,
        _matrix_places(outputs),
        rows=inputs,
        terms=N,
        a_row=1,
        a_term=inputs,
        c_row=outputs,
        chunks=chunks,
        c_chunk=inputs * outputs,
    )
    return matrix_product.sum_chunks(partial)


def _backward_b(dy):
    device, (N, outputs) = dy.device, dy.shape
    db = device.empty((1, outputs))
    device.launch("dense", "backward_b", (outputs,), (_PLAIN_GROUP,), dy=dy, db=db, N=N, OUT=outputs)
    return db


def _columns(matrix, uses):
    """The matrix, or a copy, and the length of its rows: a vector's at least, and a fast one if that is worthwhile."""
    rows, columns = matrix.shape
    stride = matrix_product.row_stride(columns)
    if stride == columns or (columns >= matrix_product.LARGEST_VECTOR and uses < _LEAST_USES):
        return matrix, columns
    return matrix_product.copy_matrix(
        matrix, rows=rows, columns=columns, row_stride=columns, column_stride=1, copy_columns=stride
    ), stride


def _chunks(terms):
    return -(-terms // _TERMS_PER_CHUNK)


def _matrix_places(columns):
    return Places(columns, 0, columns, columns, c_y=0)

"""A fully connected layer on a device: three matrix products."""

import functools

from ..shared import matrix_product
from ..shared.fusion import Pending
from ..shared.matrix_product import Places
from ..variants import GENERAL, variant

VARIANTS = GENERAL
FUSED = {"relu": ("cpu", "gpu")}
KERNELS = matrix_product.KERNELS

_PLAIN_GROUP = 64
# How often each element of a factor must be used for it to be worthwhile to copy it for faster rows.
_LEAST_USES = 128
# Terms of a sum that one work-item adds up before the partial sums are added: for parallel work, and for accuracy.
_TERMS_PER_CHUNK = 512


def forward(x, w, b):
    """x (N, in), w (in, out), b (1, out) or None -> y (N, out)."""
    device, (N, inputs), outputs = x.device, x.shape, w.shape[1]
    if variant(device) == "plain":
        y = device.empty((N, outputs))
        device.launch(
            "dense",
            "forward",
            (outputs, N),
            (_PLAIN_GROUP, 1),
            x=x,
            w=w,
            b=b,
            has_bias=int(b is not None),
            y=y,
            N=N,
            IN=inputs,
            OUT=outputs,
        )
        return y, (x, w)
    return Pending(x.device, (N, outputs), functools.partial(_forward, x.computed(), w, b)).array(), (x, w)


def _forward(x, w, b, rectify):
    device, (N, inputs), outputs = x.device, x.shape, w.shape[1]
    chunks = -(-inputs // _TERMS_PER_CHUNK)
    partial = device.empty((chunks, N, outputs))
    factor, stride = _columns(w, uses=N)
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
        chunks=chunks,
        c_chunk=N * outputs,
    )
    return matrix_product.sum_chunks(partial, b, rectify)


def backward(dy, saved, needs):
    """dy (N, out) -> dx = dy w^T, dw = x^T dy, db = the sum of dy over the batch."""
    x, w = saved
    dx = _backward_x(dy, w) if needs[0] else None
    dw = _backward_w(x, dy) if needs[1] else None
    return dx, dw, _backward_b(dy) if needs[2] else None


def _backward_x(dy, w):
    device, (N, outputs), inputs = dy.device, dy.shape, w.shape[0]
    dx = device.empty((N, inputs))
    if variant(device) == "plain":
        sizes = {"N": N, "IN": inputs, "OUT": outputs}
        device.launch("dense", "backward_x", (inputs, N), (_PLAIN_GROUP, 1), dy=dy, w=w, dx=dx, **sizes)
        return dx
    # Computed transposed, with the batch along the vectors, since w lies as it is needed for that.
    stride = matrix_product.row_stride(N)
    transposed = matrix_product.copy_matrix(
        dy, rows=outputs, columns=N, row_stride=1, column_stride=outputs, copy_columns=stride
    )
    matrix_product.product(
        device,
        w,
        transposed,
        matrix_product.regular_offsets(device, outputs, stride),
        dx,
        Places(N, 0, N, N, c_y=0, c_x=inputs),
        rows=inputs,
        terms=outputs,
        a_row=outputs,
        a_term=1,
        c_row=1,
    )
    return dx


def _backward_w(x, dy):
    device, (N, outputs), inputs = dy.device, dy.shape, x.shape[1]
    dw = device.empty((inputs, outputs))
    if variant(device) == "plain":
        sizes = {"N": N, "IN": inputs, "OUT": outputs}
        device.launch("dense", "backward_w", (outputs, inputs), (_PLAIN_GROUP, 1), x=x, dy=dy, dw=dw, **sizes)
        return dw
    factor, stride = _columns(dy, uses=inputs)
    matrix_product.product(
        device,
        x,
        factor,
        matrix_product.regular_offsets(device, N, stride),
        dw,
        _matrix_places(outputs),
        rows=inputs,
        terms=N,
        a_row=1,
        a_term=inputs,
        c_row=outputs,
    )
    return dw


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


def _matrix_places(columns):
    return Places(columns, 0, columns, columns, c_y=0)

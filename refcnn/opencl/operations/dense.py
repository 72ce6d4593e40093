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
    device, (N, inputs), outputs = dy.device, x.shape, w.shape[1]
    plain = variant(device) == "plain"
    group, sizes = (_PLAIN_GROUP, 1), {"N": N, "IN": inputs, "OUT": outputs}
    dx = dw = db = None
    if needs[0]:
        dx = device.empty(x.shape)
        if plain:
            device.launch("dense", "backward_x", (inputs, N), group, dy=dy, w=w, dx=dx, **sizes)
        else:
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
    if needs[1]:
        dw = device.empty(w.shape)
        if plain:
            device.launch("dense", "backward_w", (outputs, inputs), group, x=x, dy=dy, dw=dw, **sizes)
        else:
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
    if needs[2]:
        db = device.empty((1, outputs))
        device.launch("dense", "backward_b", (outputs,), (_PLAIN_GROUP,), dy=dy, db=db, N=N, OUT=outputs)
    return dx, dw, db


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

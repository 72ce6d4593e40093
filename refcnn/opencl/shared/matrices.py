"""Products of whole matrices, of which one may be transposed, from small ones on."""

from ..variants import variant
from . import matrix_product
from .fusion import UNLIMITED
from .matrix_product import LARGEST_VECTOR, Places
from .moving import transposed

# How often each element of a factor must be used for it to be worthwhile to rearrange it first.
_LEAST_USES = 256
# Columns of a panel, of which the first is taken that divides all: as many as a block has, or a little less.
_PANELS = (48, 32, 64, 40)


def chunks_of_products(x, w, stack=1):
    """Return (chunks, stack N, out): the products of matrices x (N, in) and w (in, out), by chunks of the terms."""
    device, (N, inputs), outputs = x.device, x.shape[-2:], w.shape[-1]
    chunks = matrix_product.chunks_for(device, N, outputs, inputs, stack)
    partial = device.empty((chunks, stack * N, outputs))
    panel = next((size for size in _PANELS if outputs % size == 0), None)
    if stack == 1 and panel is not None and variant(device) == "cpu" and device.computes_once(w):
        _multiply_by_panels(x, w, panel, partial)
        return partial
    factor, stride = _columns(w.reshape((stack * inputs, outputs)))
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


def _multiply_by_panels(x, w, panel, partial):
    """Fill the partial sums of x w from panels of w, so many columns each: what a work-item reads lies in one piece."""
    device, (N, inputs), outputs = x.device, x.shape, w.shape[1]
    panels = transposed(w.reshape((inputs, outputs // panel, panel)), (1, 0, 2))
    matrix_product.product(
        device,
        x,
        panels,
        matrix_product.regular_offsets(device, inputs, panel),
        partial,
        _matrix_places(panel),
        rows=N,
        terms=inputs,
        a_row=inputs,
        a_term=1,
        c_row=outputs,
        groups=outputs // panel,
        b_group=inputs * panel,
        c_group=panel,
        chunks=partial.shape[0],
        c_chunk=N * outputs,
    )


def times_transposed(x, w, bias=None, limits=UNLIMITED):
    """Return x w^T, of x (N, terms) and w (rows, terms), with a bias (rows,), within limits: an array (N, rows)."""
    device, (N, terms), rows = x.device, x.shape, w.shape[0]
    if variant(device) == "gpu":
        # Both are read along their rows, as they lie.
        y = matrix_product.dot_product(
            device,
            x,
            w,
            matrix_product.regular_offsets(device, rows, terms),
            rows=N,
            columns=rows,
            places=terms,
            images=1,
            a_row=terms,
            a_image=0,
            b_image=0,
            bias=bias,
            limits=limits,
        )
        return y.reshape((N, rows))
    # Computed transposed, with the batch along the vectors, since w lies as it is needed for that.
    stride = max(N, LARGEST_VECTOR)
    transposed = matrix_product.copy_matrix(
        x, rows=terms, columns=N, row_stride=1, column_stride=terms, copy_columns=stride
    )
    chunks = matrix_product.chunks_for(device, rows, N, terms)
    partial = device.empty((chunks, N, rows))
    matrix_product.product(
        device,
        w,
        transposed,
        matrix_product.regular_offsets(device, terms, stride),
        partial,
        Places(N, 0, N, N, c_y=0, c_x=rows),
        rows=rows,
        terms=terms,
        a_row=terms,
        a_term=1,
        c_row=1,
        chunks=chunks,
        c_chunk=N * rows,
        **({"bias": bias, "limits": limits} if chunks == 1 else {}),
    )
    return partial.reshape((N, rows)) if chunks == 1 else matrix_product.sum_chunks(partial, bias, limits)


def transposed_times(x, dy):
    """Return x^T dy, of x (N, rows) and dy (N, columns): an array (rows, columns)."""
    device, (N, columns), rows = dy.device, dy.shape, x.shape[1]
    factor, stride = _columns(dy)
    chunks = matrix_product.chunks_for(device, rows, columns, N)
    partial = device.empty((chunks, rows, columns))
    a, where = x, {"a_row": 1, "a_term": rows}
    if variant(device) == "cpu" and columns >= _LEAST_USES:
        # Terms that are far from each other contend for the few places that a cache has for them.
        sources = matrix_product.regular_offsets(device, N, rows)
        a, where = matrix_product.pack_factor(x, sources, rows=rows, groups=1, factor_group=0, factor_row=1)
    matrix_product.product(
        device,
        a,
        factor,
        matrix_product.regular_offsets(device, N, stride),
        partial,
        _matrix_places(columns),
        rows=rows,
        terms=N,
        **where,
        c_row=columns,
        chunks=chunks,
        c_chunk=rows * columns,
    )
    return matrix_product.sum_chunks(partial)


def _columns(matrix):
    """Return the matrix and the length of its rows; on CPUs, where those are of a vector at least, perhaps a copy's."""
    rows, columns = matrix.shape
    if variant(matrix.device) == "gpu" or columns >= LARGEST_VECTOR:
        return matrix, columns
    return matrix_product.copy_matrix(
        matrix, rows=rows, columns=columns, row_stride=columns, column_stride=1, copy_columns=LARGEST_VECTOR
    ), LARGEST_VECTOR


def _matrix_places(columns):
    return Places(columns, 0, columns, columns, c_y=0)

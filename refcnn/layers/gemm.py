"""ONNX's Gemm, of which a fully connected layer is the case that has an operation: a function of others."""

from .. import attributes as attribute
from ..errors import ShapeError
from ..shapes import broadcast_shape
from ..variable import Input, Variable, as_variable
from .dense import dense
from .transpose import transpose


def gemm(
    a: Input,
    b: Input,
    c: Input | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transpose_a: bool = False,
    transpose_b: bool = False,
) -> Variable:
    """Return alpha a b + beta c, as ONNX's Gemm does, with either matrix transposed if that is asked for.

    It is made of :func:`refcnn.dense`, :func:`refcnn.transpose`, :func:`refcnn.multiply` and :func:`refcnn.add`, and is
    exported as these.

    Parameters
    ----------
    a : Variable or array_like, (rows, n), or (n, rows) if it is transposed
    b : Variable or array_like, (n, columns), or (columns, n) if it is transposed
    c : Variable or array_like, optional
        Is broadcast to (rows, columns).
    alpha, beta : float
        Finite numbers.
    transpose_a, transpose_b : bool

    Returns
    -------
    Variable, (rows, columns)

    Raises
    ------
    ArgumentError
        If alpha or beta is no finite number.
    ShapeError
        If a or b is no matrix, a size is zero, or the shapes do not fit.
    """
    a, b, c = as_variable(a), as_variable(b), None if c is None else as_variable(c)
    alpha, beta = (attribute.number("gemm", name, value) for name, value in (("alpha", alpha), ("beta", beta)))
    flags = (("transpose_a", transpose_a), ("transpose_b", transpose_b))
    transpose_a, transpose_b = (attribute.flag("gemm", name, value) for name, value in flags)
    rows, n = a.shape[:: -1 if transpose_a else 1] if len(a.shape) == 2 else (0, 0)
    terms, columns = b.shape[:: -1 if transpose_b else 1] if len(b.shape) == 2 else (0, 0)
    if not rows * n * columns or n != terms:
        raise ShapeError(
            f"gemm: a has shape {a.shape}{' and is transposed' * transpose_a}, b has shape {b.shape}"
            f"{' and is transposed' * transpose_b}. Give matrices (rows, n) and (n, columns), no size zero."
        )
    if c is not None and not _fits(c.shape, (rows, columns)):
        raise ShapeError(f"gemm: c has shape {c.shape}. Give what can be broadcast to {(rows, columns)}.")
    a, b = (transpose(x) if turned else x for x, turned in ((a, transpose_a), (b, transpose_b)))
    is_bias = c is not None and c.shape == (1, columns) and alpha == beta == 1
    y = dense(a, b, c if is_bias else None)
    y = y if alpha == 1 else y * alpha
    if c is None or is_bias:
        return y
    return y + (c if beta == 1 else c * beta)


def _fits(shape, to):
    try:
        return broadcast_shape(shape, to) == to
    except ShapeError:
        return False


def from_onnx(a, b, c=None, *, alpha=1.0, beta=1.0, transA=0, transB=0, broadcast=1):
    """Read ONNX's Gemm."""
    return gemm(a, b, c, alpha=alpha, beta=beta, transpose_a=bool(transA), transpose_b=bool(transB))


def _stored_shapes(a, b, c=None):
    """A bias of one axis is kept as the row that it is of dense layers."""
    return a, b, (1, *c) if c is not None and len(c) == 1 else c


FROM_ONNX = {"Gemm": from_onnx}
STORED_SHAPES = {"Gemm": _stored_shapes}
COUNTS = {"Gemm": lambda a, b, c=None, *, transA=0, transB=0, **_: a[1 if transA else 0] * b[0 if transB else 1]}

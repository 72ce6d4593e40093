"""The product of matrices, or of stacks of them: the function and the ONNX mapping."""

import math

from ..errors import ShapeError
from ..function import apply
from ..shapes import matrix_product_shape
from ..variable import Input, Variable, as_variable

FAMILY = "arithmetic"
KEEPS_INPUT = True

IN_PLACE_OF_NUMPY = dict.fromkeys(("dot", "inner", "vdot"), "refcnn.matmul(a, b)")


def matmul(a: Input, b: Input) -> Variable:
    """Return the product a @ b, as NumPy's ``matmul`` does: of two matrices, of stacks of them, or of vectors.

    Parameters
    ----------
    a : Variable or array_like, (..., rows, n) or (n,)
    b : Variable or array_like, (..., n, columns) or (n,)
        The axes before the last two are broadcast. A vector is a matrix of one row, or behind the operator of one
        column, and has no such axis in the result.

    Returns
    -------
    Variable, (..., rows, columns)

    Raises
    ------
    ShapeError
        If one is a single number, a size is zero, or the shapes do not fit.
    """
    a, b = as_variable(a), as_variable(b)
    try:
        matrix_product_shape(a.shape, b.shape)
    except ShapeError as error:
        raise ShapeError(f"matmul: {error}") from None
    return apply("matmul", a, b)


def to_onnx(graph, a, b):
    """Write ONNX's MatMul."""
    return graph.node("MatMul", [graph.tensor(a), graph.tensor(b)])


def flop(a, b):
    """One product for each term of each sum."""
    return 2 * math.prod(matrix_product_shape(a, b)) * a[-1]


def from_onnx(a, b):
    """Read ONNX's MatMul."""
    return matmul(a, b)


FROM_ONNX = {"MatMul": from_onnx}
COUNTS = {"MatMul": lambda a, b: math.prod(matrix_product_shape(a, b))}

"""The product of two matrices: the function, which is a fully connected layer without a bias."""

from ..errors import ShapeError
from ..function import apply
from ..variable import Input, Variable, as_variable


def matmul(a: Input, b: Input) -> Variable:
    """Return the product of two matrices, a @ b.

    Parameters
    ----------
    a : Variable or array_like, (rows, n)
    b : Variable or array_like, (n, columns)

    Returns
    -------
    Variable, (rows, columns)

    Raises
    ------
    ShapeError
        If one is no matrix, or their sizes do not fit.
    """
    a, b = as_variable(a), as_variable(b)
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[1:] != b.shape[:1] or 0 in (*a.shape, *b.shape):
        raise ShapeError(
            f"matmul: the shapes are {a.shape} and {b.shape}. Give two matrices of shapes (rows, n) and (n, columns), "
            "no size zero; reshape() makes matrices of arrays with other axes."
        )
    return apply("dense", a, b, None)

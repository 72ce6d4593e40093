"""The same numbers in another dtype: the function and the ONNX mapping."""

from .. import backend as backends
from .. import formats
from ..errors import UnsupportedError
from ..function import apply
from ..typing import DTypeLike
from ..variable import Input, Variable, as_variable

FAMILY = "shape"

#: It takes whatever there is.
DTYPES = (formats.ANY,)


def cast(x: Input, dtype: DTypeLike) -> Variable:
    """Return x as a Variable of another dtype; :meth:`refcnn.Variable.astype` is the same.

    To integers what stands behind the point is cut off, towards zero, as NumPy does it; to bool everything but zero is
    True, NaN included. A float that an integer cannot hold, or NaN, becomes any integer; an int64 that int32 cannot
    hold keeps its last 32 bits. There is a gradient between floats alone.

    Parameters
    ----------
    x : Variable or array_like
    dtype : str, type or numpy dtype
        int64, int32, bool, or any float, which stands for the floats of the backend: float32, or float64 on
        ``reference:float64``.

    Returns
    -------
    Variable
        x itself if it has the dtype.

    Raises
    ------
    ArgumentError
        If no tensor has that dtype.
    """
    x, dtype = as_variable(x).as_given(), formats.named(dtype, backends.active().dtype)
    if x.dtype == dtype or (x.dtype.kind == dtype.kind == "f"):
        return x
    return apply("cast", x, dtype=dtype.name)


def cast_like(x: Input, like: Input) -> Variable:
    """Return x as a Variable of the dtype of another array, as :func:`cast` does.

    Parameters
    ----------
    x, like : Variable or array_like
    """
    return cast(x, as_variable(like).as_given().dtype)


def to_onnx(graph, x, *, dtype):
    """Write ONNX's Cast."""
    return graph.node("Cast", [graph.tensor(x)], to=graph.type_of(dtype))


#: By ONNX's number of a type, the dtype that it has here: every float is the backend's.
_BY_NUMBER = {1: "float32", 6: "int32", 7: "int64", 9: "bool", 10: "float32", 11: "float32", 16: "float32"}


def _read_cast(x, *, to):
    """Read ONNX's Cast, to a number of its list of types."""
    if to not in _BY_NUMBER:
        raise UnsupportedError(f"Cast makes numbers of ONNX's type {to}, which no backend has.")
    return cast(x, _BY_NUMBER[to])


def _read_cast_like(x, like):
    """Read ONNX's CastLike."""
    return cast_like(x, like)


FROM_ONNX = {"Cast": _read_cast, "CastLike": _read_cast_like}

"""Size: the function and the ONNX mapping."""

from ..formats import ANY
from ..function import apply
from ..variable import Input, Variable, as_variable

FAMILY = "shape"

#: It counts whatever there is.
DTYPES = (ANY,)


def size(x: Input) -> Variable:
    """Return how many elements an array has, as a Variable of a single int64.

    A file that is exported with it counts the elements that it is given, so that they may depend on the batch.

    Parameters
    ----------
    x : Variable or array_like
    """
    return apply("size", as_variable(x))


def to_onnx(graph, x):
    """Write ONNX's Size."""
    return graph.node("Size", [graph.tensor(x)])

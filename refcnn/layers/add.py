"""The sum of two variables: the function and the ONNX mapping."""

from ..errors import ShapeError
from ..function import apply
from ..variable import as_variable


def add(a, b):
    """Return a + b as a Variable; both have one shape.

    Raises
    ------
    ShapeError
        If the shapes differ.
    """
    a, b = as_variable(a), as_variable(b)
    if a.shape != b.shape:
        raise ShapeError(f"add: the shapes are {a.shape} and {b.shape}. Give two variables of one shape.")
    return apply("add", a, b)


def to_onnx(graph, a, b):
    """Write ONNX's Add."""
    return graph.node("Add", [graph.tensor(a), graph.tensor(b)])

"""A choice between two arrays by truth values: the function and the ONNX mapping."""

from ..formats import ANY, TRUTH_VALUES
from ..function import apply
from ..shapes import broadcast_count
from ..variable import Input, Variable
from .page import broadcast

FAMILY = "shape"

#: The condition's, then those of what is chosen.
DTYPES = (TRUTH_VALUES, ANY)
ALIKE_FROM = 1


def where(condition: Input, a: Input, b: Input) -> Variable:
    """Return a where a condition is true and b elsewhere, element by element; the shapes are broadcast as in NumPy.

    Parameters
    ----------
    condition : Variable or array_like of bool
    a, b : Variable or array_like
        Of one dtype.

    Returns
    -------
    Variable, of the dtype of a and b
        NaN that is not chosen does no harm, not in the gradient either.

    Raises
    ------
    ArgumentError
        If the condition is not of truth values, or a and b are Variables of different dtypes.
    ShapeError
        If the shapes cannot be broadcast.
    """
    return apply("where", *broadcast("where", condition, a, b))


def to_onnx(graph, condition, a, b):
    """Write ONNX's Where.

    Of truth values onnxruntime has none: it is (condition and a) or (not condition and b) there.
    """
    is_logic = a.dtype in TRUTH_VALUES
    condition, a, b = (graph.tensor(entry) for entry in (condition, a, b))
    if not is_logic:
        return graph.node("Where", [condition, a, b])
    otherwise = graph.node("And", [graph.node("Not", [condition]), b])
    return graph.node("Or", [graph.node("And", [condition, a]), otherwise])


def from_onnx(condition, x, y):
    """Read ONNX's Where."""
    return where(condition, x, y)


FROM_ONNX = {"Where": from_onnx}
COUNTS = {"Where": broadcast_count}

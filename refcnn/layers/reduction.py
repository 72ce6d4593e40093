"""Reductions: for each its function and its card."""

from collections.abc import Sequence

from .. import attributes as attribute
from ..function import apply
from ..variable import Input, Variable, as_variable
from .page import Card


def reduce_sum(x: Input, axes: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Variable:
    """Return the sum over some axes of x as a Variable; of no elements 0.

    Parameters
    ----------
    x : Variable or array_like
    axes : int or sequence of int, optional
        Counted from the last one if negative; all axes as a rule.
    keepdims : bool
        Whether the axes stay, with one element each. As in NumPy they do not as a rule; by ONNX's operator they do.

    Raises
    ------
    ArgumentError
        If there is no such axis, or it is named twice.
    """
    return _reduced("reduce_sum", x, axes, keepdims)


def reduce_mean(x: Input, axes: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Variable:
    """Return the mean over some axes of x as a Variable; of no elements NaN.

    Parameters and errors as :func:`reduce_sum`.
    """
    return _reduced("reduce_mean", x, axes, keepdims)


def reduce_max(x: Input, axes: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Variable:
    """Return the largest over some axes of x as a Variable; of no elements -infinity, and NaN where one is NaN.

    Of several that are the largest the first in row-major order gets the gradient, and the first NaN where there are
    some, as in max pooling. Parameters and errors as :func:`reduce_sum`.
    """
    return _reduced("reduce_max", x, axes, keepdims)


def _reduced(operation, x, axes, keepdims):
    x = as_variable(x)
    return apply(operation, x, axes=attribute.axes(operation, axes, len(x.shape)), keepdims=bool(keepdims))


class _Reduction(Card):
    def to_onnx(self, graph, x, *, axes, keepdims):
        """Write the operator."""
        if not axes:
            # To the operator no axes mean all.
            return graph.node("Identity", [graph.tensor(x)])
        return super().to_onnx(graph, x, axes=axes, keepdims=int(keepdims))


OPERATIONS = {
    "reduce_max": _Reduction(reduce_max, "ReduceMax", max="refcnn.reduce_max", amax="refcnn.reduce_max"),
    "reduce_mean": _Reduction(reduce_mean, "ReduceMean", mean="refcnn.reduce_mean", average="refcnn.reduce_mean"),
    "reduce_sum": _Reduction(reduce_sum, "ReduceSum", sum="refcnn.reduce_sum"),
}

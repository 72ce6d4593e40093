"""Reductions: for each its function and its card."""

import math
from collections.abc import Sequence

from .. import attributes as attribute
from ..errors import ShapeError
from ..formats import ANY, BOOL, FLOATS, INT32, INTEGERS
from ..function import apply
from ..variable import Input, Variable, as_variable
from .page import Card
from .reshape import reshape

Axes = int | Sequence[int] | None


def reduce_sum(x: Input, axes: Axes = None, *, keepdims: bool = False) -> Variable:
    """Return the sum over some axes of x as a Variable; of no elements 0.

    Long sums of floats are made of sums of parts, so that the error grows far less than that of one term after the
    other. Integers stay integers of their dtype, and wrap around where that cannot hold the sum.

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
        If there is no such axis, or it is named twice, or x is of another dtype than the operation takes.
    """
    return _reduced("reduce_sum", x, axes, keepdims)


def reduce_mean(x: Input, axes: Axes = None, *, keepdims: bool = False) -> Variable:
    """Return the mean over some axes of x, floats, as a Variable; of no elements NaN.

    Parameters and errors as :func:`reduce_sum`.
    """
    return _reduced("reduce_mean", x, axes, keepdims)


def reduce_max(x: Input, axes: Axes = None, *, keepdims: bool = False) -> Variable:
    """Return the largest over some axes of x as a Variable; of no elements -infinity, and NaN where one is NaN.

    Of integers and truth values it is one of those, of no elements the least of their dtype. Of several that are the
    largest the first in row-major order gets the gradient, and the first NaN where there are some, as in max pooling.
    Parameters and errors as :func:`reduce_sum`.
    """
    return _reduced("reduce_max", x, axes, keepdims)


def reduce_min(x: Input, axes: Axes = None, *, keepdims: bool = False) -> Variable:
    """Return the smallest over some axes of x as a Variable: as :func:`reduce_max`, of no elements +infinity."""
    return _reduced("reduce_min", x, axes, keepdims)


def reduce_prod(x: Input, axes: Axes = None, *, keepdims: bool = False) -> Variable:
    """Return the product over some axes of x as a Variable; of no elements 1.

    Its gradient is right where some are 0, too. Parameters and errors as :func:`reduce_sum`.
    """
    return _reduced("reduce_prod", x, axes, keepdims)


def reduce_l1(x: Input, axes: Axes = None, *, keepdims: bool = False) -> Variable:
    """Return the sum of |x| over some axes as a Variable; parameters and errors as :func:`reduce_sum`."""
    return _reduced("reduce_l1", x, axes, keepdims)


def reduce_l2(x: Input, axes: Axes = None, *, keepdims: bool = False) -> Variable:
    """Return the root of the sum of squares over some axes of x, floats, as a Variable.

    Its gradient is 0 where it is 0. Parameters and errors as :func:`reduce_sum`.
    """
    return _reduced("reduce_l2", x, axes, keepdims)


def reduce_sum_square(x: Input, axes: Axes = None, *, keepdims: bool = False) -> Variable:
    """Return the sum of squares over some axes of x as a Variable; parameters and errors as :func:`reduce_sum`."""
    return _reduced("reduce_sum_square", x, axes, keepdims)


def reduce_log_sum(x: Input, axes: Axes = None, *, keepdims: bool = False) -> Variable:
    """Return the logarithm of the sum over some axes of x, floats, as a Variable; of no elements -infinity.

    Parameters and errors as :func:`reduce_sum`.
    """
    return _reduced("reduce_log_sum", x, axes, keepdims)


def reduce_log_sum_exp(x: Input, axes: Axes = None, *, keepdims: bool = False) -> Variable:
    """Return log(sum of e^x) over some axes of x, floats, as a Variable; of no elements -infinity.

    It is computed so that no e^x overflows. Parameters and errors as :func:`reduce_sum`.
    """
    return _reduced("reduce_log_sum_exp", x, axes, keepdims)


def arg_max(x: Input, axis: int | None = None, *, keepdims: bool = False, select_last_index: bool = False) -> Variable:
    """Return where along an axis the largest element of x is, as a Variable of int64, which has no gradient.

    NaN is larger than all numbers, as in NumPy.

    Parameters
    ----------
    x : Variable or array_like
    axis : int, optional
        Counted from the last one if negative. Without it all elements are one row, as in NumPy; by ONNX's operator it
        is 0 as a rule.
    keepdims : bool
        Whether the axis stays, with one element. As in NumPy it does not as a rule; by ONNX's operator it does.
    select_last_index : bool
        Of several that are the largest give the last one; the first as a rule.

    Raises
    ------
    ArgumentError
        If there is no such axis, or x is of truth values.
    ShapeError
        If the axis has no elements.
    """
    return _place("arg_max", x, axis, keepdims, select_last_index)


def arg_min(x: Input, axis: int | None = None, *, keepdims: bool = False, select_last_index: bool = False) -> Variable:
    """Return where along an axis the smallest element of x is: as :func:`arg_max`, and NaN is smaller, too."""
    return _place("arg_min", x, axis, keepdims, select_last_index)


def _reduced(operation, x, axes, keepdims):
    x, keepdims = as_variable(x), attribute.flag(operation, "keepdims", keepdims)
    return apply(operation, x, axes=attribute.axes(operation, axes, len(x.shape)), keepdims=keepdims)


def _place(operation, x, axis, keepdims, select_last_index):
    x, keepdims = as_variable(x), attribute.flag(operation, "keepdims", keepdims)
    select_last_index = attribute.flag(operation, "select_last_index", select_last_index)
    if axis is None:
        shape = (1,) * len(x.shape) if keepdims else ()
        return reshape(_place(operation, reshape(x, (-1,)), 0, False, select_last_index), shape)
    axis = attribute.axis(operation, axis, len(x.shape))
    if not x.shape[axis]:
        raise ShapeError(
            f"{operation}: x has shape {x.shape}, with nothing along axis {axis}. Give at least one element."
        )
    return apply(operation, x, axis=axis, keepdims=keepdims, select_last_index=select_last_index)


class _Reduction(Card):
    """The card of a reduction.

    Parameters
    ----------
    function, onnx, **in_place_of_numpy
        As of any card.
    without_axes : str
        The operator that says the same of single elements: to ONNX's own no axes mean all.
    others : frozenset of numpy dtype
        What it takes beside floats.
    """

    def __init__(self, function, onnx, *, without_axes="Identity", others=INTEGERS, **in_place_of_numpy):
        super().__init__(function, onnx, **in_place_of_numpy)
        self._without_axes, self.DTYPES = without_axes, (FLOATS | others,)

    def to_onnx(self, graph, x, *, axes, keepdims):
        """Write the operator, for truth values that of integers, which older versions have alone."""
        tensor = graph.tensor(x)
        if not axes:
            return graph.node(self._without_axes, [tensor] * (1 + (self._without_axes == "Mul")))
        if x.dtype != BOOL.dtype:
            return graph.node(self._onnx, [tensor], axes=axes, keepdims=int(keepdims))
        numbers = graph.node("Cast", [tensor], to=graph.type_of(INT32.dtype))
        y = graph.node(self._onnx, [numbers], axes=axes, keepdims=int(keepdims))
        return graph.node("Cast", [y], to=graph.type_of(BOOL.dtype))


class _Place(Card):
    DTYPES = (FLOATS | INTEGERS,)

    def to_onnx(self, graph, x, *, axis, keepdims, select_last_index):
        """Write the operator."""
        chosen = {"keepdims": int(keepdims), "select_last_index": int(select_last_index)}
        return super().to_onnx(graph, x, axis=axis, **chosen)


_NONE = frozenset()

OPERATIONS = {
    "arg_max": _Place(arg_max, "ArgMax", argmax="refcnn.arg_max"),
    "arg_min": _Place(arg_min, "ArgMin", argmin="refcnn.arg_min"),
    "reduce_l1": _Reduction(reduce_l1, "ReduceL1", without_axes="Abs"),
    "reduce_l2": _Reduction(reduce_l2, "ReduceL2", without_axes="Abs", others=_NONE, norm="refcnn.reduce_l2"),
    "reduce_log_sum": _Reduction(reduce_log_sum, "ReduceLogSum", without_axes="Log", others=_NONE),
    "reduce_log_sum_exp": _Reduction(reduce_log_sum_exp, "ReduceLogSumExp", others=_NONE),
    "reduce_max": _Reduction(
        reduce_max, "ReduceMax", others=ANY, max="refcnn.reduce_max", amax="refcnn.reduce_max", any="refcnn.reduce_max"
    ),
    "reduce_mean": _Reduction(
        reduce_mean, "ReduceMean", others=_NONE, mean="refcnn.reduce_mean", average="refcnn.reduce_mean"
    ),
    "reduce_min": _Reduction(
        reduce_min, "ReduceMin", others=ANY, min="refcnn.reduce_min", amin="refcnn.reduce_min", all="refcnn.reduce_min"
    ),
    "reduce_prod": _Reduction(reduce_prod, "ReduceProd", prod="refcnn.reduce_prod"),
    "reduce_sum": _Reduction(reduce_sum, "ReduceSum", sum="refcnn.reduce_sum"),
    "reduce_sum_square": _Reduction(reduce_sum_square, "ReduceSumSquare", without_axes="Mul"),
}


def _over_axes(function):
    def read(data, *, axes=None, keepdims=1, noop_with_empty_axes=0):
        axes = (axes,) if isinstance(axes, int) else axes
        if not axes:
            axes = () if noop_with_empty_axes else None
        return function(data, axes, keepdims=bool(keepdims))

    return read


def _of_place(function):
    def read(data, *, axis=0, keepdims=1, select_last_index=0):
        return function(data, axis, keepdims=bool(keepdims), select_last_index=bool(select_last_index))

    return read


FROM_ONNX = {
    "ArgMax": _of_place(arg_max),
    "ArgMin": _of_place(arg_min),
    "ReduceL1": _over_axes(reduce_l1),
    "ReduceL2": _over_axes(reduce_l2),
    "ReduceLogSum": _over_axes(reduce_log_sum),
    "ReduceLogSumExp": _over_axes(reduce_log_sum_exp),
    "ReduceMax": _over_axes(reduce_max),
    "ReduceMean": _over_axes(reduce_mean),
    "ReduceMin": _over_axes(reduce_min),
    "ReduceProd": _over_axes(reduce_prod),
    "ReduceSum": _over_axes(reduce_sum),
    "ReduceSumSquare": _over_axes(reduce_sum_square),
}


def _count(data, **_):
    """Of nothing along an axis of size zero there is a result, whatever the others are."""
    return math.prod(filter(None, data))


COUNTS = dict.fromkeys(FROM_ONNX, _count)

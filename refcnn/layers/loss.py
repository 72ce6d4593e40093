"""Losses of numbers: for each its function, which is its card."""

import types

from .. import attributes as attribute
from ..errors import ShapeError
from ..function import apply
from ..variable import Input, Variable, as_variable


def mean_squared_error(output: Input, target: Input, *, reduce_sum: bool = True) -> Variable:
    """Return (output - target)^2, summed over all but the batch.

    Parameters
    ----------
    output, target : Variable or array_like, (N, ...)
        Both of one shape.
    reduce_sum : bool
        Take the sum of all terms divided by N. Otherwise the terms stand by themselves.

    Returns
    -------
    Variable, () or of the shape of the output

    Raises
    ------
    ShapeError
        If the shapes differ, or there is no example.
    """
    return _applied("mean_squared_error", output, target, reduce_sum)


def smoothed_l1(output: Input, target: Input, *, delta: float = 1.0, reduce_sum: bool = True) -> Variable:
    """Return Huber's loss: d^2 / 2 where d = |output - target| is up to delta, and delta (d - delta / 2) beyond.

    Parameters
    ----------
    output, target, reduce_sum
        As of :func:`mean_squared_error`.
    delta : float
        More than 0.

    Returns
    -------
    Variable, () or of the shape of the output

    Raises
    ------
    ShapeError
        If the shapes differ, or there is no example.
    ArgumentError
        If delta is out of range.
    """
    delta = attribute.number("smoothed_l1", "delta", delta, above=0)
    return _applied("smoothed_l1", output, target, reduce_sum, delta=delta)


def sigmoid_cross_entropy(output: Input, target: Input, *, reduce_sum: bool = True) -> Variable:
    """Return the cross entropy between targets and the logistic function of logits, each a question by itself.

    -target log p - (1 - target) log(1 - p), p = 1 / (1 + e^-output), computed stably. What has the factor 0 takes no
    part, so that a logit of infinity has no loss where the target is 1.

    Parameters
    ----------
    output : Variable or array_like, (N, ...)
        Logits.
    target : Variable or array_like, of the shape of the output
        Probabilities, such as 0 and 1.
    reduce_sum
        As of :func:`mean_squared_error`.

    Returns
    -------
    Variable, () or of the shape of the output

    Raises
    ------
    ShapeError
        If the shapes differ, or there is no example.
    """
    return _applied("sigmoid_cross_entropy", output, target, reduce_sum)


def _applied(operation, output, target, reduce_sum, **attributes):
    output, target = as_variable(output), as_variable(target)
    if output.shape != target.shape or 0 in output.shape or not output.shape:
        raise ShapeError(
            f"{operation}: the output has shape {output.shape} and the target {target.shape}. Give both in one shape "
            "(N, ...), of N examples, none of its sizes 0."
        )
    return apply(
        operation, output, target, **attributes, reduce_sum=attribute.flag(operation, "reduce_sum", reduce_sum)
    )


OPERATIONS = {
    function.__name__: types.SimpleNamespace(**{function.__name__: function})
    for function in (mean_squared_error, sigmoid_cross_entropy, smoothed_l1)
}

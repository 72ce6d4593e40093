"""The loss of classification: cross entropy of the softmax of logits."""

import functools

import numpy as np

from .. import attributes as attribute
from .. import repeating
from ..errors import ArgumentError, OutOfRangeError, ShapeError
from ..formats import INT64
from ..function import apply
from ..host_arrays import host_array
from ..typing import ArrayLike
from ..variable import Input, Variable, as_variable
from .arithmetic import add, divide, multiply
from .cast import cast
from .elementary import negative
from .gather import gather
from .gather_elements import gather_elements
from .log_softmax import log_softmax
from .logic import equal
from .reduction import reduce_sum as total_of
from .reshape import reshape, squeeze, unsqueeze
from .transpose import transpose
from .where import where

FAMILY = "loss"


def softmax_cross_entropy(
    output: Input,
    target: Input,
    *,
    label_smoothing: float = 0.0,
    class_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    reduce_sum: bool = True,
) -> Variable:
    """Return the cross entropy between targets and the softmax of logits along the second axis.

    A target of 0 takes no part, so that classes may be excluded by logits of -infinity: their probability is 0, and
    with a target of 0 so is what they add to the loss. With any other target the loss is infinite.

    Parameters
    ----------
    output : Variable or array_like, (N, K) or (N, K, ...)
        Logits of K classes, for each of N examples, or for each place of it, such as the pixels of an image.
    target : Variable or array_like, (N, K, ...) or (N, ...)
        Probabilities of the classes in the shape of the output, one-hot rows for example; or the number of the class
        of each example or place, an integer from 0 to K - 1.
    label_smoothing : float
        The share of a target that is given to all classes alike, (1 - label_smoothing) target + label_smoothing / K; in
        [0, 1).
    class_weight : array_like of K numbers, optional
        By which each class's target is multiplied, 0 at least; they are constants.
    ignore_index : int, optional
        With numbers of classes: a number, of a class or another, at whose places there is neither loss nor gradient.
    reduce_sum : bool
        Sum over the classes and take the mean over all examples and their places. With numbers of classes that is the
        sum divided by the sum of the weights of their classes, without those that are ignored, as ONNX and PyTorch
        have it: NaN if all are. With probabilities it is divided by the number of examples and places, whatever the
        weights are, as in PyTorch. Otherwise each loss stands by itself, in the shape of the target: of numbers of
        classes that of each place, of probabilities the terms of each class.

    Returns
    -------
    Variable, () or of the shape of the target

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    ArgumentError
        If an option is out of range or does not go with such a target, a class has no weight or there is one too many,
        or numbers of classes are no integers.
    OutOfRangeError
        If there is no class of such a number.
    """
    output = as_variable(output)
    if len(output.shape) < 2 or 0 in output.shape:
        raise ShapeError(
            f"softmax_cross_entropy: the output has shape {output.shape}. Give logits of shape (N, K) or (N, K, ...), "
            "none of these 0."
        )
    given, target = target, as_variable(target)
    smoothing = attribute.number("softmax_cross_entropy", "label_smoothing", label_smoothing, minimum=0, below=1)
    reduce_sum = attribute.flag("softmax_cross_entropy", "reduce_sum", reduce_sum)
    weights = None if class_weight is None else _class_weight(class_weight, output.shape[1])
    if target.shape == (output.shape[0], *output.shape[2:]):
        return _of_numbers(output, given, smoothing, weights, ignore_index, reduce_sum)
    if target.shape != output.shape:
        raise ShapeError(
            f"softmax_cross_entropy: the output has shape {output.shape} and the target {target.shape}. Give targets "
            f"of the output's shape, the probabilities of {output.shape[1]} classes, or of shape "
            f"{(output.shape[0], *output.shape[2:])}, the numbers of the classes."
        )
    if ignore_index is not None:
        raise ArgumentError(
            f"softmax_cross_entropy: ignore_index is {ignore_index!r}, but the target holds probabilities. Give "
            "targets of 0 for what is to be left out, or the numbers of the classes."
        )
    return _of_probabilities(output, target, smoothing, weights, reduce_sum)


def _of_numbers(output, target, smoothing, weights, ignore_index, reduce_sum):
    if ignore_index is not None:
        limits = np.iinfo(INT64.dtype)
        ignore_index = attribute.integer("softmax_cross_entropy", "ignore_index", ignore_index, limits.min, limits.max)
    return apply(
        "sparse_softmax_cross_entropy",
        output,
        _numbers_of_classes(target, output.shape[1], ignore_index),
        class_weight=weights,
        label_smoothing=smoothing,
        ignore_index=ignore_index,
        reduce_sum=reduce_sum,
    )


def _of_probabilities(output, target, smoothing, weights, reduce_sum):
    batch, classes, *further = output.shape
    if smoothing:
        target = add(multiply(target, 1 - smoothing), smoothing / classes)
    if weights is not None:
        target = multiply(target, np.reshape(weights, (classes, *[1] * len(further))))
    if not further:
        return apply("softmax_cross_entropy", output, target, reduce_sum=reduce_sum)
    axes = range(len(output.shape))
    rows = [reshape(transpose(entry, (0, *axes[2:], 1)), (-1, classes)) for entry in (output, target)]
    loss = apply("softmax_cross_entropy", *rows, reduce_sum=reduce_sum)
    if reduce_sum:
        return loss
    return transpose(reshape(loss, (batch, *further, classes)), (0, axes[-1], *axes[1:-1]))


def _numbers_of_classes(target, classes, ignore_index):
    """Return numbers of classes as a Variable of int64."""
    host = target.as_ndarray() if isinstance(target, Variable) else np.asarray(target)
    if host.dtype.kind not in "iu":
        raise ArgumentError(
            f"softmax_cross_entropy: the target of shape {host.shape} is {host.dtype}, but numbers of classes are "
            'integers. Give integers, such as target.astype("int64"), or the probabilities of all classes.'
        )
    host = repeating.made_of(host, functools.partial(_checked_numbers, classes, ignore_index))
    is_ready = isinstance(target, Variable) and target.dtype == INT64.dtype
    return target if is_ready else Variable(host, dtype=INT64.dtype)


def _checked_numbers(classes, ignore_index, host):
    """Return numbers of classes as they are, if each is one."""
    is_wrong = (host < 0) | (host >= classes)
    if ignore_index is not None:
        is_wrong &= host != ignore_index
    if is_wrong.any():
        place = tuple(np.argwhere(is_wrong)[0].tolist())
        raise OutOfRangeError(
            f"softmax_cross_entropy: the target is {host[place]} at {place}, but the output has the classes 0 to "
            f"{classes - 1}. Give numbers of these, or leave out others by ignore_index."
        )
    return host


def _class_weight(value, classes):
    """Return the weights of the classes, a tuple of float."""
    host = value.as_ndarray() if isinstance(value, Variable) else host_array(value)
    if host.shape != (classes,):
        raise ArgumentError(
            f"softmax_cross_entropy: class_weight has shape {host.shape}, but the output has {classes} classes. Give "
            "one number for each class."
        )
    return tuple(
        attribute.number("softmax_cross_entropy", f"class_weight[{index}]", weight, minimum=0)
        for index, weight in enumerate(host.tolist())
    )


def _read_cross_entropy(scores, labels, *, weights=None, ignore_index=None, reduction="mean", outputs=(True,)):
    """Read ONNX's SoftmaxCrossEntropyLoss, with the logarithms of the probabilities where they are wanted."""
    loss = softmax_cross_entropy(
        scores, labels, class_weight=weights, ignore_index=ignore_index, reduce_sum=reduction == "mean"
    )
    if reduction == "sum":
        loss = total_of(loss)
    return (loss, log_softmax(scores, axis=1)) if any(outputs[1:]) else loss


def _read_negative_log_likelihood(x, target, weight=None, *, ignore_index=None, reduction="mean"):
    """Read ONNX's NegativeLogLikelihoodLoss, of the logarithms of probabilities."""
    target = cast(target, "int64")
    counted = as_variable(np.ones(target.shape)) if weight is None else None
    if ignore_index is not None:
        is_ignored = equal(target, Variable(np.int64(ignore_index)))
        target = where(is_ignored, Variable(np.zeros(target.shape, np.int64)), target)
    if counted is None:
        counted = gather(weight, target)
    if ignore_index is not None:
        counted = where(is_ignored, Variable(np.zeros(target.shape)), counted)
    loss = multiply(negative(squeeze(gather_elements(x, unsqueeze(target, 1), axis=1), 1)), counted)
    if reduction == "none":
        return loss
    total = total_of(loss)
    return total if reduction == "sum" else divide(total, total_of(counted))


FROM_ONNX = {"SoftmaxCrossEntropyLoss": _read_cross_entropy, "NegativeLogLikelihoodLoss": _read_negative_log_likelihood}

"""The card of the loss of classification by the numbers of classes: :func:`refcnn.softmax_cross_entropy` applies it."""

import numpy as np

from ..formats import FLOATS, INT64
from .softmax_cross_entropy import softmax_cross_entropy

FAMILY = "loss"
DTYPES = (FLOATS, frozenset({INT64.dtype}))
FUNCTION = softmax_cross_entropy


def to_onnx(graph, x, t, *, class_weight, label_smoothing, ignore_index, reduce_sum):
    """Write ONNX's SoftmaxCrossEntropyLoss, or what stands for it with label smoothing or weights of 0."""
    x_name, t_name = graph.tensor(x), graph.tensor(t)
    u = np.ones(x.shape[1], np.float32) if class_weight is None else np.array(class_weight, np.float32)
    ignored = {} if ignore_index is None else {"ignore_index": ignore_index}
    if not label_smoothing and u.all():
        weights = [] if class_weight is None else [graph.constant(u)]
        reduction = "mean" if reduce_sum else "none"
        return graph.node("SoftmaxCrossEntropyLoss", [x_name, t_name, *weights], reduction=reduction, **ignored)
    zero, own = graph.constant(np.float32(0)), t_name
    if ignore_index is not None:
        is_ignored = graph.node("Equal", [t_name, graph.constant(np.int64(ignore_index))])
        own = graph.node("Where", [is_ignored, graph.constant(np.int64(0)), t_name])
    weight = graph.node("Gather", [graph.constant(u), own])
    if ignore_index is not None:
        weight = graph.node("Where", [is_ignored, zero, weight])
    # A weight of 0 takes no part, even with an infinite logarithm or NaN.
    losses = graph.node("SoftmaxCrossEntropyLoss", [x_name, t_name], reduction="none", **ignored)
    losses = graph.node("Mul", [losses, graph.node("Mul", [weight, graph.constant(np.float32(1 - label_smoothing))])])
    losses = graph.node("Where", [graph.node("Equal", [weight, zero]), zero, losses])
    if label_smoothing:
        share = _share_of_all_classes(graph, x_name, u * np.float32(-label_smoothing / u.size), len(x.shape), zero)
        if ignore_index is not None:
            share = graph.node("Where", [is_ignored, zero, share])
        losses = graph.node("Add", [losses, share])
    if not reduce_sum:
        return losses
    return graph.node("Div", [graph.node("ReduceSum", [entry], keepdims=0) for entry in (losses, weight)])


def _share_of_all_classes(graph, x, factors, axes, zero):
    """Write the sum of the logarithms of the probabilities of so many axes times factors of the classes."""
    factors = factors.reshape(-1, *[1] * (axes - 2))
    terms = graph.node("LogSoftmax", [x], axis=1)
    terms = graph.node("Mul", [terms, graph.constant(factors)])
    terms = graph.node("Where", [graph.constant(factors != 0), terms, zero])
    return graph.node("ReduceSum", [terms], axes=[1], keepdims=0)

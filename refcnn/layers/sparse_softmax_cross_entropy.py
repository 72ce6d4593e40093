"""The card of the loss of classification by the numbers of classes: :func:`refcnn.softmax_cross_entropy` applies it."""

import numpy as np

from ..formats import FLOATS, INT64

DTYPES = (FLOATS, frozenset({INT64.dtype}))


def to_onnx(graph, x, t, *, class_weight, label_smoothing, ignore_index, reduce_sum):
    """Write ONNX's SoftmaxCrossEntropyLoss, with label smoothing what that gives all classes beside it."""
    operands, weights = [graph.tensor(x), graph.tensor(t)], []
    if class_weight is not None:
        weights = [graph.constant(np.array(class_weight, np.float32))]
    attributes = {} if ignore_index is None else {"ignore_index": ignore_index}
    reduction = "mean" if reduce_sum and not label_smoothing else "none"
    losses = graph.node("SoftmaxCrossEntropyLoss", [*operands, *weights], reduction=reduction, **attributes)
    if not label_smoothing:
        return losses
    u = np.ones(x.shape[1]) if class_weight is None else np.array(class_weight)
    zero, keeps_places = graph.constant(np.float32(0)), {"axes": [1], "keepdims": 0}
    factors = (-label_smoothing / u.size * u).astype(np.float32).reshape(-1, *[1] * (len(x.shape) - 2))
    terms = graph.node("Mul", [graph.node("LogSoftmax", operands[:1], axis=1), graph.constant(factors)])
    # A weight of 0 takes no part, even with an infinite logarithm.
    terms = graph.node("Where", [graph.constant(factors != 0), terms, zero])
    of_all_classes, own = graph.node("ReduceSum", [terms], **keeps_places), operands[1]
    if ignore_index is not None:
        is_ignored = graph.node("Equal", [own, graph.constant(np.int64(ignore_index))])
        of_all_classes = graph.node("Where", [is_ignored, zero, of_all_classes])
        own = graph.node("Where", [is_ignored, graph.constant(np.int64(0)), own])
    losses = graph.node("Mul", [losses, graph.constant(np.float32(1 - label_smoothing))])
    losses = graph.node("Add", [losses, of_all_classes])
    if not reduce_sum:
        return losses
    weight = graph.node("Gather", [graph.constant(u.astype(np.float32)), own])
    if ignore_index is not None:
        weight = graph.node("Where", [is_ignored, zero, weight])
    return graph.node("Div", [graph.node("ReduceSum", [entry], keepdims=0) for entry in (losses, weight)])

"""How normalisations are written in ONNX: by its operators, or by their formulas in versions that lack these."""

import numpy as np

from ..formats import FLOAT32


def write_batch(graph, x, *of_channels, epsilon, momentum, training):
    """Write ONNX's BatchNormalization, or in training, which that has from opset 14 on, its formula before."""
    if training and graph.opset < 14:
        return _write_batch_formula(graph, x, *of_channels, epsilon=epsilon, momentum=momentum)
    inputs = [graph.tensor(entry) for entry in (x, *of_channels)]
    in_training = {"training_mode": 1, "outputs": 3} if training else {}
    return graph.node("BatchNormalization", inputs, epsilon=epsilon, momentum=momentum, **in_training)


def batch_per_channel(scale, bias, mean, variance, *, epsilon, training, **others):
    """Outside training each channel is scale / sqrt(variance + epsilon) times as large, and moved."""
    if training:
        return None
    factor = scale / np.sqrt(variance + epsilon)
    return factor, bias - mean * factor, np.abs(bias) + np.abs(mean * factor)


def _write_batch_formula(graph, x, scale, bias, *running, epsilon, momentum):
    axes = [axis for axis in range(len(x.shape)) if axis != 1]
    xhat, *statistics = _write_normalised(graph, graph.tensor(x), axes, epsilon)
    y = _write_shifted(graph, xhat, scale, bias, (-1, *[1] * (len(x.shape) - 2)))
    kept, share = (graph.constant(np.float32(weight)) for weight in (momentum, 1 - momentum))
    results = []
    for former, of_batch in zip(running, statistics, strict=True):
        of_batch = graph.node("Reshape", [of_batch], shape=(-1,))
        products = [graph.node("Mul", pair) for pair in ([graph.tensor(former), kept], [of_batch, share])]
        results.append(graph.node("Add", products))
    return y, *results


def write_groups(graph, x, scale, bias, *, groups, epsilon):
    """Write an InstanceNormalization of groups in place of channels.

    GroupNormalization, which ONNX has from opset 21 on, is defined by mean(x^2) - mean(x)^2, and onnxruntime computes
    that: of 10,000 and 10,001 it makes -158 and 158 in place of -1 and 1, and NaN of ten times as much.
    """
    rows = graph.node("Reshape", [graph.tensor(x)], shape=(0, groups, -1))
    ones, zeros = (graph.constant(np.full(groups, value, FLOAT32.dtype)) for value in (1, 0))
    xhat = graph.node("InstanceNormalization", [rows, ones, zeros], epsilon=epsilon)
    # In place of the first size, 0 means that of xhat, which is the batch.
    xhat = graph.node("Reshape", [xhat], shape=(0, *x.shape[1:]))
    return _write_shifted(graph, xhat, scale, bias, (-1, *[1] * (len(x.shape) - 2)))


def write_layer(graph, x, scale, bias, *, axis, epsilon):
    """Write ONNX's LayerNormalization, or its formula before opset 17."""
    if graph.opset >= 17:
        inputs = [graph.tensor(entry) for entry in (x, scale, bias)]
        return graph.node("LayerNormalization", inputs, axis=axis, epsilon=epsilon)
    xhat, _, _ = _write_normalised(graph, graph.tensor(x), list(range(axis, len(x.shape))), epsilon)
    return _write_shifted(graph, xhat, scale, bias)


def write_root_mean_square(graph, x, scale, *, axis, epsilon):
    """Write ONNX's RMSNormalization, or its formula before opset 23."""
    if graph.opset >= 23:
        inputs = [graph.tensor(x), graph.tensor(scale)]
        return graph.node("RMSNormalization", inputs, axis=axis, epsilon=epsilon)
    axes, x = list(range(axis, len(x.shape))), graph.tensor(x)
    square = graph.node("ReduceMean", [graph.node("Mul", [x, x])], axes=axes, keepdims=1)
    return graph.node("Mul", [_write_divided(graph, x, square, epsilon), graph.tensor(scale)])


def _write_shifted(graph, xhat, scale, bias, form=None):
    """Write scale xhat + bias."""
    y = graph.node("Mul", [xhat, graph.tensor(scale, form)])
    return graph.node("Add", [y, graph.tensor(bias, form)])


def _write_normalised(graph, x, axes, epsilon):
    """Write (x - mean) / sqrt(variance + epsilon) with the statistics over some axes; return it and those, (kept)."""
    mean = graph.node("ReduceMean", [x], axes=axes, keepdims=1)
    difference = graph.node("Sub", [x, mean])
    square = graph.node("Mul", [difference, difference])
    variance = graph.node("ReduceMean", [square], axes=axes, keepdims=1)
    return _write_divided(graph, difference, variance, epsilon), mean, variance


def _write_divided(graph, difference, square, epsilon):
    deviation = graph.node("Sqrt", [graph.node("Add", [square, graph.constant(np.float32(epsilon))])])
    return graph.node("Div", [difference, deviation])

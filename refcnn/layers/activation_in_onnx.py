"""How activations are written in ONNX: by its operators, or by their formulas in versions that lack these."""

import math

import numpy as np

from ..formats import FLOAT32


def _constant(graph, number):
    return graph.constant(np.array(number, FLOAT32.dtype))


def write_gelu(graph, x, *, approximate):
    """Write ONNX's Gelu, which it has from opset 20 on, or its formula."""
    x = graph.tensor(x)
    if graph.opset >= 20:
        return graph.node("Gelu", [x], approximate=approximate)
    if approximate == "tanh":
        cube = graph.node("Mul", [graph.node("Mul", [x, x]), x])
        inner = graph.node("Add", [x, graph.node("Mul", [cube, _constant(graph, 0.044715)])])
        function = graph.node("Tanh", [graph.node("Mul", [inner, _constant(graph, math.sqrt(2 / math.pi))])])
    else:
        function = graph.node("Erf", [graph.node("Div", [x, _constant(graph, math.sqrt(2))])])
    # Halved first: twice the largest numbers overflow.
    half = graph.node("Mul", [x, _constant(graph, 0.5)])
    return graph.node("Mul", [half, graph.node("Add", [function, _constant(graph, 1)])])


def write_hard_swish(graph, x):
    """Write ONNX's HardSwish, which it has from opset 14 on, or its formula."""
    x = graph.tensor(x)
    if graph.opset >= 14:
        return graph.node("HardSwish", [x])
    return graph.node("Mul", [x, graph.node("HardSigmoid", [x], alpha=1 / 6, beta=0.5)])


def write_mish(graph, x):
    """Write ONNX's Mish, which it has from opset 18 on, or its formula."""
    x = graph.tensor(x)
    if graph.opset >= 18:
        return graph.node("Mish", [x])
    return graph.node("Mul", [x, graph.node("Tanh", [graph.node("Softplus", [x])])])


def write_swish(graph, x, *, alpha):
    """Write the formula of Swish; ONNX has an operator of that name from version 24 on."""
    x = graph.tensor(x)
    scaled = x if alpha == 1 else graph.node("Mul", [x, _constant(graph, alpha)])
    return graph.node("Mul", [x, graph.node("Sigmoid", [scaled])])

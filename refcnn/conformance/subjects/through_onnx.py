"""What computes ONNX models as an implementation: forward of all that ONNX's operators express, as the cards say."""

import functools

from ...onnx import operators
from ...onnx.writing.graph import build_alone


class ThroughOnnx:
    """An implementation of which a function that computes a model makes all operations with an ONNX mapping.

    Parameters
    ----------
    compute : callable
        Given an onnx.ModelProto and its inputs, ndarrays by name, it returns the results in the model's order.
    name : str
        For reports.
    version : str
    """

    # Neither ONNX nor most of its runtimes say that subnormal numbers are kept.
    denormals = False

    def __init__(self, compute, name, version):
        self._compute, self.name, self.version = compute, name, version

    def __getattr__(self, name):
        if name.startswith("_") or not operators.is_mapped(name):
            raise AttributeError(name)
        return functools.partial(computed_alone, self._compute, name)


def computed_alone(compute, operation, *inputs, **attributes):
    """Return the result of an operation, or a tuple of results, from a model of that operation alone.

    Parameters
    ----------
    compute : callable
        As :class:`ThroughOnnx` has it.
    operation : str
    *inputs : ndarray or None
    **attributes
    """
    model, feeds = build_alone(operation, inputs, attributes)
    results = compute(model, feeds)
    return results[0] if model.graph.output[0].name == "y" else tuple(results)

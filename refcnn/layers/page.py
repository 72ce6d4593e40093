"""The cards of operations that stand together on a page: one line for each."""

import functools
import math

from ..errors import ShapeError
from ..formats import FLOATS
from ..shapes import broadcast_count, broadcast_shape
from ..variable import as_variable


class Card:
    """What a module of an operation would have: its function, under its name, and its ONNX mapping.

    Parameters
    ----------
    function : callable
        Named as the operation.
    onnx : str or callable
        The ONNX operator, which takes the same inputs and attributes; or a ``to_onnx`` of its own.
    dtypes : set of numpy dtype
        Those of the inputs.
    **in_place_of_numpy
        What stands in the place of functions of NumPy, for messages.
    """

    #: Those that are of several inputs take arrays of one dtype.
    ALIKE_FROM = 0

    def __init__(self, function, onnx, dtypes=FLOATS, **in_place_of_numpy):
        setattr(self, function.__name__, function)
        self._onnx, self.DTYPES, self.IN_PLACE_OF_NUMPY = onnx, (dtypes,), in_place_of_numpy

    def to_onnx(self, graph, *inputs, **attributes):
        """Write the operator."""
        if callable(self._onnx):
            return self._onnx(graph, *inputs, **attributes)
        return graph.node(self._onnx, [graph.tensor(entry) for entry in inputs], **attributes)


def broadcast(operation, *given):
    """Return array_likes as Variables that can be broadcast.

    Raises
    ------
    ShapeError
        If their shapes do not fit.
    """
    variables = [as_variable(entry) for entry in given]
    shape = variables[0].shape
    for entry in variables:
        if entry.shape != shape:
            _check_broadcast(operation, [entry.shape for entry in variables])
            break
    return variables


def _check_broadcast(operation, shapes):
    try:
        functools.reduce(broadcast_shape, shapes)
    except ShapeError as error:
        raise ShapeError(f"{operation}: {error}") from None


def reader_of_one(function):
    """Return how an operator of ONNX is read that takes one array."""

    def read(x):
        return function(x)

    return read


def reader_of_two(function):
    """Return how an operator of ONNX is read that takes two arrays, of which old versions may place the second."""

    def read(a, b, *, axis=None, broadcast=0):
        return function(a, aligned(a, b, axis))

    return read


def count_of_two(a, b, *, axis=None, **_):
    """Return how many numbers the result of such an operator has, for the arrays' shapes."""
    return broadcast_count(a, b) if axis is None else math.prod(a)


def aligned(a, b, axis):
    """Return b with axes of size 1 behind its own, as ``axis`` placed them in ONNX before version 7."""
    if axis is None:
        return b
    behind = len(a.shape) - axis % len(a.shape) - len(b.shape)
    return b.reshape((*b.shape, *(1,) * behind))

"""The cards of operations that stand together on a page: one line for each."""

from ..errors import ShapeError
from ..shapes import broadcast_shape
from ..variable import as_variable


class Card:
    """What a module of an operation would have: its function, under its name, and its ONNX mapping.

    Parameters
    ----------
    function : callable
        Named as the operation.
    onnx : str or callable
        The ONNX operator, which takes the same inputs and attributes; or a ``to_onnx`` of its own.
    **in_place_of_numpy
        What stands in the place of functions of NumPy, for messages.
    """

    def __init__(self, function, onnx, **in_place_of_numpy):
        setattr(self, function.__name__, function)
        self._onnx, self.IN_PLACE_OF_NUMPY = onnx, in_place_of_numpy

    def to_onnx(self, graph, *inputs, **attributes):
        """Write the operator."""
        if callable(self._onnx):
            return self._onnx(graph, *inputs, **attributes)
        return graph.node(self._onnx, [graph.tensor(entry) for entry in inputs], **attributes)


def broadcast(operation, a, b):
    """Return two array_likes as Variables that can be broadcast.

    Raises
    ------
    ShapeError
        If their shapes do not fit.
    """
    a, b = as_variable(a), as_variable(b)
    if a.shape == b.shape:
        return a, b
    try:
        broadcast_shape(a.shape, b.shape)
    except ShapeError as error:
        raise ShapeError(f"{operation}: {error}") from None
    return a, b

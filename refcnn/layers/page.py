"""The cards of operations that stand together on a page: one line for each."""

import functools

from ..errors import ArgumentError, ShapeError
from ..formats import FLOATS
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
    dtypes : set of numpy dtype
        Those of the inputs.
    **in_place_of_numpy
        What stands in the place of functions of NumPy, for messages.
    """

    def __init__(self, function, onnx, dtypes=FLOATS, **in_place_of_numpy):
        setattr(self, function.__name__, function)
        self._onnx, self.DTYPES, self.IN_PLACE_OF_NUMPY = onnx, (dtypes,), in_place_of_numpy

    def to_onnx(self, graph, *inputs, **attributes):
        """Write the operator."""
        if callable(self._onnx):
            return self._onnx(graph, *inputs, **attributes)
        return graph.node(self._onnx, [graph.tensor(entry) for entry in inputs], **attributes)


def broadcast(operation, *given):
    """Return array_likes as Variables of one dtype that can be broadcast.

    Beside a Variable of integers or truth values, whole numbers that are given are taken as such.

    Raises
    ------
    ArgumentError
        If the Variables have several dtypes, or a number that is given is none of the Variable's dtype.
    ShapeError
        If their shapes do not fit.
    """
    variables = [as_variable(entry) for entry in given]
    if any(entry.dtype.kind != "f" for entry in variables):
        variables = alike(operation, variables)
    check_broadcast(operation, *variables)
    return variables


def check_broadcast(operation, first, *others):
    """Raise ShapeError unless Variables can be broadcast."""
    if any(entry.shape != first.shape for entry in others):
        try:
            functools.reduce(broadcast_shape, [entry.shape for entry in others], first.shape)
        except ShapeError as error:
            raise ShapeError(f"{operation}: {error}") from None


def alike(operation, variables):
    """Return Variables in the dtype of those that were not made of whole numbers or truth values.

    Raises
    ------
    ArgumentError
        As :func:`broadcast`.
    """
    found = {entry.dtype for entry in variables if not entry.is_stand_in}
    dtypes = sorted(found, key=lambda dtype: (dtype.kind != "f", dtype.name))
    if len(dtypes) > 1:
        names = [dtype.name for dtype in dtypes]
        raise ArgumentError(
            f"{operation}: arrays of {' and '.join(names)} meet, but all must have one dtype. Convert what is meant "
            f'to be another: x.astype("{names[0]}").'
        )
    return [entry.as_given(*dtypes) for entry in variables]

"""The program of a foreign ONNX graph on some inputs, whose results bear the names of the graph's tensors."""

import numpy as np

from ...errors import DataError
from ...mode import recording
from ...program import recorded
from ...variable import Variable


def traced(model, arrays):
    """Return the :class:`~refcnn.program.Program` of a model on some inputs.

    What is known without their values, such as shapes, is computed while it is traced, and is a number in the program.

    Parameters
    ----------
    model : ImportedModel
    arrays : sequence of ndarray

    Raises
    ------
    DataError
        If nothing of the outputs is computed from the inputs.
    """
    given = dict(zip(model.input_names, map(Variable, arrays), strict=True))
    with recording(), np.errstate(all="ignore"):
        tensors = model.recorded(given)
    outputs = [tensors[name] for name in model.output_names]
    if not any(isinstance(entry, Variable) and entry.node is not None for entry in outputs):
        raise DataError("its outputs follow from shapes and constants alone, so that there is nothing to verify.")
    outputs = [entry if isinstance(entry, Variable) else Variable(entry) for entry in outputs]
    of_graph = {name: entry for name, entry in tensors.items() if isinstance(entry, Variable) and name not in given}
    constants = [(name, entry) for name, entry in of_graph.items() if entry.node is None]
    return recorded(given, outputs, constants, {name: one for name, one in of_graph.items() if one.node is not None})

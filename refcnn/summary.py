"""What one example costs in each layer of a model: the shape of its output, operations and memory."""

import dataclasses
import math

from .backend import results_of
from .errors import GradientError
from .layer import watched
from .mode import recording
from .tape import tape
from .variable import Variable


@dataclasses.dataclass
class Cost:
    """What a layer computes itself, without the layers in it.

    Attributes
    ----------
    shape : str
        Of the output, with N for the number of examples.
    flop : int
        Multiplications and additions of the forward pass, by the formulas.
    memory : int
        Bytes of the results of all operations, which training holds until their gradients are computed.
    """

    shape: str = ""
    flop: int = 0
    memory: int = 0


def costs(model, inputs):
    """Run a model once and return the :class:`Cost` of each layer by its id, and whether they tell more than shapes.

    Parameters
    ----------
    model : Model
    inputs : sequence of ndarray
        One example of each.
    """
    try:
        with recording():
            return _costs(model, inputs), True
    except GradientError:
        # It computes with NumPy in between: it cannot be trained, but has shapes.
        return _costs(model, inputs), False


def _costs(model, inputs):
    found, counted = {}, {}

    def note(layer, given, y):
        cost = found.setdefault(id(layer), Cost())
        results = results_of(y)
        cost.shape = ", ".join(f"({', '.join(map(str, ('N', *entry.shape[1:])))})" for entry in results)
        for node in _nodes(results) - _nodes(given) - counted.keys():
            counted[node] = True
            cost.flop += node.flop()
            cost.memory += sum(size(entry) for entry in node.results() if entry is not None)

    with watched(note):
        model(*inputs)
    return found


def _nodes(entries):
    return {node for entry in entries if isinstance(entry, Variable) for node in tape(entry)}


def size(variable):
    """Return how many bytes a variable takes."""
    return math.prod(variable.shape) * variable.dtype.itemsize


def written(count):
    """Return a number of bytes as text."""
    if count < 1024:
        return f"{count} B"
    amount, units = count / 1024, ["KiB", "MiB", "GiB", "TiB"]
    while amount >= 1024 and len(units) > 1:
        amount, units = amount / 1024, units[1:]
    return f"{amount:.1f} {units[0]}"

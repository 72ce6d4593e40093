"""The summary of a model for a page: its layers, or the operators of an ONNX file, with what each holds and costs."""

import contextlib

import numpy as np

from ... import summary
from ...errors import RefcnnError
from ...mode import recording
from ...model import layer_costs
from ...reading import printable
from ...tape import tape
from ...variable import Variable

#: So many rows are shown at most.
MOST_ROWS = 400
_MOST_CHARACTERS = 160


def told(model, shape, dtype="float32"):
    """Return what is told of a model, a dict as ``report.schema.json`` has it.

    Parameters
    ----------
    model : Model
    shape : tuple of int or None
        Of one example; None where it is not known.
    dtype : str
        Of the input.
    """
    rows, has_costs = _rows(model, shape, dtype)
    *layers, total = rows
    return {
        "input": None if shape is None else list(shape),
        "has_costs": has_costs,
        "layers": layers[:MOST_ROWS],
        "left_out": max(0, len(layers) - MOST_ROWS),
        "total": total,
    }


def _rows(model, shape, dtype):
    """Return the rows, that of the sum last, and whether they tell what an example costs."""
    if shape is not None:
        # A file may declare images that it cannot compute.
        with contextlib.suppress(RefcnnError):
            x = np.zeros((1, *shape), dtype)
            costs, has_costs = summary.costs(model, [x])
            return _rows_of(model, costs, x if has_costs else None), has_costs
    return _rows_of(model, {}, None), False


def _rows_of(model, costs, x):
    from ...onnx.reading.imported import ImportedModel

    rows = [_row(*one) for one in layer_costs(model, costs)]
    return [*_operators(model, x), rows[-1]] if isinstance(model, ImportedModel) else rows


def _row(name, layer, shape, parameters, buffers, flop, memory):
    return {
        "name": printable(name, _MOST_CHARACTERS),
        "layer": printable(layer, _MOST_CHARACTERS),
        "shape": printable(shape, _MOST_CHARACTERS),
        "parameters": parameters,
        "buffers": buffers,
        "flop": int(flop),
        "memory": int(memory),
    }


def _operators(model, x):
    """Return a row for each operator of a model that was read from an ONNX file; ``x`` may be None."""
    values = {}
    if x is not None:
        (name,) = model.input_names
        with recording():
            values = model.recorded({name: Variable(x)})
    counted, seen, rows = {}, set(), []
    for node in model.nodes:
        results = [values[one] for one in node.outputs if isinstance(values.get(one), Variable)]
        recorded = {step: None for result in results for step in tape(result) if step not in counted}
        counted |= recorded
        made = [entry for step in recorded for entry in step.results() if entry is not None]
        stored = {one for one in node.inputs if one not in seen and one in model.params | model.buffers}
        seen |= stored
        of_kind = [[kept[one] for one in stored if one in kept] for kept in (model.params, model.buffers)]
        rows.append(
            _row(
                node.label,
                node.op_type,
                ", ".join(f"({', '.join(map(str, ('N', *result.shape[1:])))})" for result in results),
                *(sum(int(np.prod(entry.shape)) for entry in kept) for kept in of_kind),
                sum(step.flop() for step in recorded),
                sum(map(summary.size, [*made, *of_kind[0], *of_kind[1]])),
            )
        )
    return rows

"""Functions that an ONNX model defines for itself: put in the place of their calls, if they end."""

import onnx
import onnx.inliner

from ...errors import DataError
from .checks import messages

#: Nodes that a model may have once its functions are in place: calls of calls double them with each function.
_MOST_NODES = 10**5


def inlined(model):
    """Return a model without calls of functions of its own.

    Parameters
    ----------
    model : onnx.ModelProto

    Raises
    ------
    DataError
        If functions call each other in a circle, or would become too many nodes.
    """
    if not model.functions:
        return model
    counts, nodes = {}, {(entry.domain, entry.name): _nodes(entry) for entry in model.functions}
    for key in nodes:
        _count(key, nodes, counts)
    if sum(counts.get(call, 1) for call in _calls(_nodes(model.graph))) > _MOST_NODES:
        raise DataError(f"with its functions in place it has more than {_MOST_NODES:,} nodes.")
    return onnx.inliner.inline_local_functions(model)


def _count(key, nodes, counts):
    """Enter how many nodes a function becomes, and those that it calls, by a walk without recursion."""
    stack, open_ = [key], []
    while stack:
        name = stack[-1]
        missing = [call for call in _calls(nodes[name]) if call in nodes and call not in counts]
        if name in counts or not missing:
            stack.pop()
            open_ = [entry for entry in open_ if entry != name]
            # More than anybody may have are as good as any number.
            total = sum(counts.get(call, 1) for call in _calls(nodes[name]))
            counts[name] = min(total, _MOST_NODES + 1)
            continue
        open_.append(name)
        if any(call in open_ for call in missing):
            raise DataError(f"its function {name[1]} calls itself, in the end.")
        stack += missing


def _nodes(holder):
    """Return the nodes of a function or graph, and of the graphs inside them."""
    return [entry for entry in messages(holder) if isinstance(entry, onnx.NodeProto)]


def _calls(nodes):
    return [(node.domain, node.op_type) for node in nodes]

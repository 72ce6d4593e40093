"""What stands in ONNX for refcnn's operations: the cards' mappings, and ONNX's operators in each of their versions.

A card says in ``to_onnx(graph, *inputs, **attributes)`` which operators compute the operation; nothing else does. Which
of an operator's parameters are attributes in a version, and which are inputs, ONNX's own schemas say: what is an
attribute on a card may be either.
"""

from .. import rooms
from ..errors import ExportError, OpsetError

#: Operator versions in which every mapping of refcnn means the same.
OPSETS = range(13, 23)
DEFAULT_OPSET = 17


def is_mapped(operation):
    """Return whether an operation has an ONNX mapping."""
    return hasattr(rooms.card(operation), "to_onnx")


def mapping(operation):
    """Return the card's ``to_onnx`` of an operation.

    Raises
    ------
    ExportError
        If it has none.
    """
    if not is_mapped(operation):
        raise ExportError(
            f"the model uses {operation}, which has no ONNX mapping. Export the model without it, or define to_onnx in "
            f"{rooms.path(rooms.LAYERS, operation)}."
        )
    return rooms.card(operation).to_onnx


def schema(op_type, opset):
    """Return what ONNX says of an operator in a version: the names and types of its inputs and attributes.

    Parameters
    ----------
    op_type : str
        Such as ``"Conv"``.
    opset : int

    Returns
    -------
    onnx.defs.OpSchema

    Raises
    ------
    ExportError
        If that version has no such operator.
    """
    from onnx import defs

    if defs.has(op_type, opset, ""):
        return defs.get_schema(op_type, opset, "")
    later = next((version for version in OPSETS if version > opset and defs.has(op_type, version, "")), None)
    what = f"opset {opset} of ONNX has no operator {op_type}"
    if later is None:
        raise ExportError(f"{what}. Correct its name in to_onnx.")
    raise OpsetError(what, later)


def arguments(node, opset, values):
    """Return what an ONNX node takes, by ONNX's names, whether its version has them as attributes or as inputs.

    It is the way back of :meth:`refcnn.onnx.writing.graph.Graph.node`.

    Parameters
    ----------
    node : onnx.NodeProto
    opset : int
    values : dict of str to ndarray
        Of tensors that have a fixed value what it is.

    Returns
    -------
    dict
        Of an input its value or else the tensor's name, and a list of what takes several; of an attribute its value.
    """
    from onnx import defs, helper

    found, inputs = {}, schema(node.op_type, opset).inputs
    for place, tensor in enumerate(node.input):
        entry, value = inputs[min(place, len(inputs) - 1)], values.get(tensor, tensor)
        if entry.option == defs.OpSchema.FormalParameterOption.Variadic:
            found.setdefault(entry.name, []).append(value)
        elif tensor:
            found[entry.name] = value
    return found | {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}

"""The nodes of a foreign ONNX graph, in an order in which they can be computed, without those that nothing needs."""

import collections
import dataclasses

import numpy as np
import onnx

from ...errors import DataError, UnsupportedError
from ...reading import printable
from .. import operators
from . import readers

#: Of messages in which a file's own words stand, and of what they call a node.
MESSAGE_CHARACTERS, _LABEL_CHARACTERS = 4000, 300
#: Domains of ONNX's own operators.
DOMAINS = ("", "ai.onnx")


@dataclasses.dataclass(frozen=True, eq=False)
class Node:
    """One operator.

    Attributes
    ----------
    label : str
        What messages call it: its name, or else its operator and first output.
    op_type : str
    version : int
        The version of the operator.
    inputs, outputs : tuple of str
        Names of tensors, ``""`` for what is left out.
    attributes : dict
        Those that are given and those that the version has a default for.
    input_names : tuple of str
        What ONNX calls each input in this version.
    """

    label: str
    op_type: str
    version: int
    inputs: tuple
    outputs: tuple
    attributes: dict
    input_names: tuple

    def __str__(self):
        return f"{self.op_type} ({self.label})"

    @property
    def reader(self):
        """How it is computed, a :class:`refcnn.onnx.reading.readers.Reader`."""
        return readers.reader(self.op_type)

    @property
    def buffers(self):
        """The tensors among the inputs that are stored and not trained, a tuple."""
        named = zip(self.input_names, self.inputs, strict=True)
        tensors = [tensor for name, tensor in named if name not in self.reader.known]
        return tuple(tensor for place, tensor in enumerate(tensors) if self.reader.is_buffer(place))

    def with_inputs(self, inputs):
        """Return the node with other tensors in the place of its inputs."""
        return dataclasses.replace(self, inputs=inputs)


def sorted_nodes(graph, known, wanted, opsets):
    """Return the nodes that the wanted tensors need, each after those that it needs.

    Parameters
    ----------
    graph : onnx.GraphProto
        Without calls of functions.
    known : set of str
        Tensors that are given: inputs and initializers.
    wanted : list of str
    opsets : dict of str to int
        The version of each domain.

    Returns
    -------
    list of Node

    Raises
    ------
    DataError
        If a tensor is missing or has two values, or nodes need each other.
    UnsupportedError
        If operators are needed that refcnn does not read; all are named.
    """
    makers = _makers(graph, known)
    order = _order(graph.node, makers, known, wanted)
    _check_operators([graph.node[place] for place in order], opsets)
    return [_node(graph.node[place], opsets) for place in order]


def label(proto):
    """Return what messages call a node."""
    return printable(proto.name or next(filter(None, proto.output), proto.op_type), _LABEL_CHARACTERS)


def _makers(graph, known):
    makers = {}
    for place, proto in enumerate(graph.node):
        for name in filter(None, proto.output):
            if name in makers or name in known:
                raise DataError(f"the tensor {name!r} has two values: the node {label(proto)} gives it again.")
            makers[name] = place
    return makers


def _order(protos, makers, known, wanted):
    """Return the places of the nodes that are needed, by a walk from the outputs without recursion."""
    order, done, open_, late = [], set(), set(), []
    stack = [(name, None) for name in reversed(wanted)]
    while stack:
        name, user = stack.pop()
        if isinstance(name, int):
            open_.discard(name)
            done.add(name)
            order.append(name)
            continue
        if not name or name in known:
            continue
        if name not in makers:
            whose = "an output of the graph" if user is None else f"an input of the node {label(protos[user])}"
            raise DataError(f"the tensor {name!r}, {whose}, is given by no node, input or initializer.")
        place = makers[name]
        if user is not None and place > user:
            late.append((name, place, user))
        if place in done:
            continue
        if place in open_:
            raise DataError(f"the node {label(protos[place])} needs its own output {name!r}: the graph has a cycle.")
        open_.add(place)
        stack.append((place, None))
        stack += [(entry, place) for entry in reversed(protos[place].input)]
    for name, place, user in late:
        raise DataError(
            f"the node {label(protos[user])} stands before {label(protos[place])}, whose output {name!r} it needs."
        )
    return order


def _check_operators(protos, opsets):
    missing = collections.Counter()
    for proto in protos:
        version = opsets.get(proto.domain)
        if proto.domain not in DOMAINS or readers.reader(proto.op_type) is None:
            where = f"{proto.domain}." * (proto.domain not in DOMAINS)
            missing[f"{where}{proto.op_type} (opset {'not given' if version is None else version})"] += 1
        elif any(entry.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for entry in proto.attribute):
            missing[f"{proto.op_type} with a graph inside"] += 1
        elif not onnx.defs.has(proto.op_type, version, ""):
            missing[f"{proto.op_type} (opset {version}, which has none)"] += 1
    if missing:
        names = ", ".join(f"{name} {count} times" if count > 1 else name for name, count in sorted(missing.items()))
        raise UnsupportedError(
            f"the model needs what refcnn does not read: {names}. Export it without these, or run it by onnxruntime."
        )


def _node(proto, opsets):
    schema = operators.schema(proto.op_type, opsets[proto.domain])
    attributes = {}
    for entry in schema.attributes.values():
        if entry.default_value.type != onnx.AttributeProto.UNDEFINED:
            attributes[entry.name] = _value(entry.default_value)
    for entry in proto.attribute:
        try:
            _check_type(schema, entry)
            attributes[entry.name] = _value(entry)
        except UnsupportedError:
            raise
        except ValueError as error:
            raise DataError(f"the node {label(proto)} has no valid attribute {entry.name}: {error}") from None
    names = [entry.name for entry in schema.inputs]
    # The last of an operator that takes any number stands for all that follow.
    names += names[-1:] * (len(proto.input) - len(names))
    attributes = readers.reader(proto.op_type).checked(
        label(proto), attributes, list(zip(names, proto.input, strict=False))
    )
    return Node(
        label(proto),
        proto.op_type,
        schema.since_version,
        tuple(proto.input),
        tuple(proto.output),
        attributes,
        tuple(names[: len(proto.input)]),
    )


def _check_type(schema, entry):
    expected = schema.attributes.get(entry.name)
    if expected is not None and entry.type != expected.type.value:
        found = onnx.AttributeProto.AttributeType.Name(entry.type)
        raise DataError(f"it is {found}, but {expected.type.name} is expected.")


def _value(entry):
    value = onnx.helper.get_attribute_value(entry)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, onnx.TensorProto):
        # onnx would look for it from the current folder on.
        if value.data_location == onnx.TensorProto.EXTERNAL:
            raise UnsupportedError(f"the attribute {entry.name} keeps its data in another file.")
        return onnx.numpy_helper.to_array(value)
    if isinstance(value, np.ndarray | list) or hasattr(value, "__len__") and not isinstance(value, str):
        return tuple(one.decode() if isinstance(one, bytes) else one for one in value)
    return value

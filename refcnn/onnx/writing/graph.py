"""Writing a program as an ONNX graph; each operation's card says which ONNX operators stand for it."""

import json

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ... import rooms
from ...backend import results_of
from ...errors import ExportError
from ...program import IMAGE, named
from ...version import __version__

CLASSES_KEY, PREPROCESSING_KEY = "refcnn.classes", "refcnn.preprocessing"
PRODUCER = "refcnn"


class Graph:
    """The graph being written, as the cards' ``to_onnx(graph, *inputs, **attributes)`` see it.

    Parameters
    ----------
    program : Program
    output_name : str
        The name of the output.
    opset : int

    Attributes
    ----------
    opset : int
        The version of ONNX's operators that is written.
    nodes : list of onnx.NodeProto
    initializers : dict of str to ndarray
    tensor_names : dict of str to str
        For the name of each result of a step that of its tensor in the graph.
    """

    def __init__(self, program, output_name, opset):
        self.opset, self.nodes, self.initializers, self.tensor_names = opset, [], {}, {}
        self._constants = program.constants
        self._names = {id(variable): name for name, variable in program.variables.items()}
        for step in program.steps:
            self._write(program, step, output_name)

    def tensor(self, variable, shape=None):
        """Return the name of a variable's tensor: the graph's input, an earlier result, or an initializer.

        Parameters
        ----------
        variable : Variable
            One of the operation's inputs.
        shape : tuple of int, optional
            A shape to give it, -1 for what follows from the others.
        """
        name = self._names[id(variable)]
        if name in self._constants:
            array = self._constants[name]
            return self.constant(array if shape is None else array.reshape(shape), name)
        name = self.tensor_names.get(name, name)
        return name if shape is None else self.node("Reshape", [name, self.constant(np.array(shape, np.int64))])

    def constant(self, array, name=None):
        """Return the name of an initializer that holds an array; the same name and shape give the same one."""
        name = name or f"{self._label}.constant"
        candidate, number = name, 1
        while candidate in self.initializers and not _identical(self.initializers[candidate], array):
            number += 1
            candidate = f"{name}.{number}"
        self.initializers[candidate] = array
        return candidate

    def node(self, op_type, inputs, *, outputs=None, **attributes):
        """Add an ONNX operator and return the name of its output.

        Parameters
        ----------
        op_type : str
            Such as ``"Conv"``.
        inputs : list of str or None
            Names of tensors; None for an optional input that is left out.
        outputs : int, optional
            How many outputs it has; a tuple of their names is returned then.
        **attributes
            The operator's attributes.
        """
        name = f"{self._label}.{len(self.nodes) - self._first + 1}"
        inputs = ["" if entry is None else entry for entry in inputs]
        names = [name] if outputs is None else [f"{name}:{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(op_type, inputs, names, name=name, **attributes))
        return name if outputs is None else tuple(names)

    def _write(self, program, step, output_name):
        self._label, self._first = step.label, len(self.nodes)
        inputs = [None if name is None else program.variables[name] for name in step.inputs]
        tensors = _card(step.operation).to_onnx(self, *inputs, **step.attributes)
        results = named(step, results_of(tensors))
        renamed = {}
        for result, tensor in results.items():
            # What the operation hands on as it is, or gives twice, has no name of its own yet.
            if tensor in renamed or not any(tensor in node.output for node in self.nodes[self._first :]):
                tensor = self.node("Identity", [tensor])
            renamed[tensor] = output_name if result == program.output else result
            self.tensor_names[result] = renamed[tensor]
        own = self.nodes[self._first :]
        if len(own) == 1:
            own[0].name = step.label
        for node in own:
            node.input[:] = [renamed.get(name, name) for name in node.input]
            node.output[:] = [renamed.get(name, name) for name in node.output]


def build(program, shapes, *, name, opset, output_name, classes, preprocessing):
    """Return a program as an ONNX model.

    Parameters
    ----------
    program : Program
    shapes : dict of str to tuple
        For the image and each result its shape: numbers, ``"N"`` for the batch size, None for other sizes that change
        with it.
    name : str
        The graph's name.
    opset : int
    output_name : str
    classes : tuple of str or None
    preprocessing : refcnn.data.Preprocessing or None

    Returns
    -------
    model : onnx.ModelProto
    outputs : dict of str to onnx.ValueInfoProto
        For the name of each result the type of its tensor.

    Raises
    ------
    ExportError
        If an operation has no ONNX mapping.
    """
    graph = Graph(program, output_name, opset)
    outputs = {name: _tensor_type(tensor, shapes[name]) for name, tensor in graph.tensor_names.items()}
    inner = [value for name, value in outputs.items() if name != program.output]
    proto = helper.make_graph(
        graph.nodes,
        name,
        [_tensor_type(IMAGE, shapes[IMAGE])],
        [outputs[program.output]],
        [numpy_helper.from_array(np.asarray(array, order="C"), key) for key, array in graph.initializers.items()],
        value_info=inner,
    )
    version = helper.make_operatorsetid("", opset)
    model = helper.make_model(
        proto,
        opset_imports=[version],
        producer_name=PRODUCER,
        producer_version=__version__,
        # The oldest that these operators allow, so that every runtime that knows the operators reads the file.
        ir_version=helper.find_min_ir_version_for([version]),
        doc_string=f"{name}, written by refcnn {__version__}: {IMAGE} {_text(shapes[IMAGE])} -> {output_name} "
        f"{_text(shapes[program.output])}, float32.",
    )
    metadata = {}
    if classes is not None:
        metadata[CLASSES_KEY] = json.dumps(list(classes), ensure_ascii=False)
    if preprocessing is not None:
        metadata[PREPROCESSING_KEY] = json.dumps(preprocessing.to_json())
    helper.set_model_props(model, metadata)
    return model, outputs


def _card(operation):
    card = rooms.card(operation)
    if not hasattr(card, "to_onnx"):
        raise ExportError(
            f"the model uses {operation}, which has no ONNX mapping. Export the model without it, or define to_onnx in "
            f"{rooms.path(rooms.LAYERS, operation)}."
        )
    return card


def _identical(first, second):
    return first.dtype == second.dtype and first.shape == second.shape and np.array_equal(first, second)


def _tensor_type(name, shape):
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)


def _text(shape):
    return "(" + ", ".join(map(str, shape)) + ")"

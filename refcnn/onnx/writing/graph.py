"""Writing a program as an ONNX graph; each operation's card says which ONNX operators stand for it.

A card's ``to_onnx`` gets the graph, the operation's inputs and its attributes, and returns the name of the result::

    def to_onnx(graph, x, *, axes):
        return graph.node("ReduceSum", [graph.tensor(x)], axes=axes, keepdims=0)

Arrays are ``inputs``; whatever is an attribute on the card goes by ONNX's name for it. Whether ONNX wants it as an
attribute or as an input, as it does of ReduceSum's ``axes``, ReduceMean's from opset 18 on, Reshape's ``shape``,
Slice's ``starts`` and ``ends``, Clip's ``min`` and ``max`` or Pad's ``pads``, :meth:`Graph.node` finds out from ONNX's
schema of the version that is written.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ... import backend as backends
from ...errors import OpsetError
from ...formats import FLOAT16, FLOAT32, kept
from ...program import Step
from ...variable import Variable
from ...version import __version__
from .. import metadata, operators

PRODUCER = "refcnn"


class Graph:
    """The graph being written, as the cards' ``to_onnx(graph, *inputs, **attributes)`` see it.

    Parameters
    ----------
    constants : dict of str to ndarray
    variables : dict of str to Variable
        By name what was recorded: the image, the constants and the results.
    opset : int
    halves : collection of str
        Names of constants that are stored as float16.

    Attributes
    ----------
    opset : int
        The version of ONNX's operators that is written.
    nodes : list of onnx.NodeProto
    casts : list of onnx.NodeProto
        What makes float32 of those that are stored as float16: it comes before all other nodes.
    initializers : dict of str to ndarray
    constants : dict of str to str
        For each initializer that is one of the constants its name among them.
    """

    def __init__(self, constants, variables, opset, halves=()):
        self.opset, self.nodes, self.casts, self.initializers, self.constants = opset, [], [], {}, {}
        self._halves, self._widened = halves, {}
        self._constants, self._names = constants, {id(variable): name for name, variable in variables.items()}

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
            array = array.astype(FLOAT16.dtype) if name in self._halves else array
            initializer = self.constant(array if shape is None else array.reshape(shape), name)
            self.constants[initializer] = name
            return self._in_float32(initializer) if name in self._halves else initializer
        return name if shape is None else self.node("Reshape", [name], shape=shape)

    def _in_float32(self, initializer):
        """Return the name of the tensor in float32 of an initializer in float16."""
        if initializer not in self._widened:
            name = f"{initializer}.float32"
            while name in self.initializers or name in self._constants:
                name += "'"
            to = self.type_of(FLOAT32.dtype)
            self.casts.append(helper.make_node("Cast", [initializer], [name], name=name, to=to))
            self._widened[initializer] = name
        return self._widened[initializer]

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
            What else the operator takes, by ONNX's names: its attributes, and inputs of a fixed value, which become
            initializers of ONNX's type: numbers, lists, or ndarrays whose dtype counts. What is None is left out.

        Raises
        ------
        ExportError
            If the version that is written has no such operator.
        """
        name = f"{self._label}.{len(self.nodes) - self._first + 1}"
        inputs = ["" if entry is None else entry for entry in inputs]
        for place, entry in enumerate(operators.schema(op_type, self.opset).inputs):
            value = attributes.pop(entry.name, None)
            if value is not None:
                inputs += [""] * (place + 1 - len(inputs))
                inputs[place] = self.constant(_as_array(value, entry.types), f"{self._label}.{entry.name}")
        names = [name] if outputs is None else [f"{name}:{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(op_type, inputs, names, name=name, **attributes))
        return name if outputs is None else tuple(names)

    def require(self, opset, what):
        """Raise OpsetError if the version that is written is before one that first says something.

        Parameters
        ----------
        opset : int
        what : str
            Such as ``"Pad with the mode wrap"``.
        """
        if self.opset < opset:
            raise OpsetError(f"opset {self.opset} of ONNX has no {what}", opset)

    def type_of(self, dtype):
        """Return ONNX's number of a tensor's type; every float is float32 in files, as in :class:`Program`."""
        return _element_type(dtype)

    def write(self, step, inputs, name_results):
        """Write a step.

        Parameters
        ----------
        step : Step
        inputs : list of Variable or None
        name_results : callable
            Given what the card returned, the name of a tensor or a tuple of several, it returns what each is to be
            called; None leaves one as it is, which nothing reads.
        """
        self._label, self._first = step.label, len(self.nodes)
        tensors = operators.mapping(step.operation)(self, *inputs, **step.attributes)
        renamed = {}
        for name, tensor in zip(name_results(tensors), backends.results_of(tensors), strict=True):
            if name is None:
                continue
            # What the operation hands on as it is, or gives twice, has no name of its own yet.
            if tensor in renamed or not any(tensor in node.output for node in self.nodes[self._first :]):
                tensor = self.node("Identity", [tensor])
            renamed[tensor] = name
        own = self.nodes[self._first :]
        if len(own) == 1:
            own[0].name = step.label
        for node in own:
            node.input[:] = [renamed.get(name, name) for name in node.input]
            node.output[:] = [renamed.get(name, name) for name in node.output]


def build(program, shapes, *, name, opset, output_names, classes, preprocessing, halves=(), store=None):
    """Return a program as an ONNX model.

    Parameters
    ----------
    program : Program
    shapes : dict of str to tuple
        For each input and result its shape: numbers, ``"N"`` for the batch size, None for other sizes that change
        with it.
    name : str
        The graph's name.
    opset : int or None
        None: the default one, or the first later one that can say all.
    output_names : sequence of str
    classes : tuple of str or None
    preprocessing : refcnn.data.Preprocessing or None
    halves : collection of str
        Names of constants that are stored as float16.
    store : callable, optional
        Given the initializers, ndarrays by name, it returns a TensorProto of each; without it they hold their data.

    Returns
    -------
    model : onnx.ModelProto
    outputs : dict of str to onnx.ValueInfoProto
        For the name of each result the type of its tensor.

    Raises
    ------
    ExportError
        If an operation has no ONNX mapping, or none in this opset.
    """
    results = {entry for step in program.steps for entry in step.results if entry is not None}
    tensor_names, again = {}, []
    for entry, output in zip(program.outputs, output_names, strict=True):
        # An input or a constant keeps its own name, and so does a result that is an output already.
        if entry not in results or tensor_names.setdefault(entry, output) != output:
            again.append((entry, output))
    graph = _written(program, tensor_names, opset, halves)
    opset = graph.opset
    copies = [
        helper.make_node("Identity", [graph.tensor(program.variables[entry])], [output], name=output)
        for entry, output in again
    ]

    def tensor_type(entry, tensor=None):
        return _tensor_type(tensor or tensor_names.get(entry, entry), shapes[entry], program.variables[entry].dtype)

    outputs = {entry: tensor_type(entry) for step in program.steps for entry in step.results if entry is not None}
    proto = helper.make_graph(
        [*graph.casts, *graph.nodes, *copies],
        name,
        list(map(tensor_type, program.inputs)),
        list(map(tensor_type, program.outputs, output_names)),
        (store or _initializers)(graph.initializers),
        value_info=[value for entry, value in outputs.items() if entry not in program.outputs],
    )
    about = f"{_described(program.inputs, program.inputs, shapes)} -> "
    about += _described(output_names, program.outputs, shapes)
    model = _model(
        proto,
        opset,
        producer_name=PRODUCER,
        producer_version=__version__,
        doc_string=f"{name}, written by refcnn {__version__}: {about}, {FLOAT32.name}.",
    )
    helper.set_model_props(model, metadata.entries(classes, preprocessing, proto))
    return model, outputs


def _written(program, tensor_names, opset, halves):
    """Return the :class:`Graph` of a program, in which some results have other names."""
    if opset is None:
        opset = operators.DEFAULT_OPSET
        while True:
            try:
                return _written(program, tensor_names, opset, halves)
            except OpsetError as error:
                opset = error.needed
    variables = {tensor_names.get(name, name): variable for name, variable in program.variables.items()}
    graph = Graph(program.constants, variables, opset, halves)
    for step in program.steps:
        inputs = [None if entry is None else program.variables[entry] for entry in step.inputs]
        graph.write(step, inputs, lambda tensors, step=step: [tensor_names.get(entry, entry) for entry in step.results])
    return graph


def _described(names, entries, shapes):
    return ", ".join(f"{name} {_text(shapes[entry])}" for name, entry in zip(names, entries, strict=True))


def build_alone(operation, inputs, attributes, opset=None):
    """Return one operation as an ONNX model whose inputs are its arrays, and what the model is to be fed.

    Parameters
    ----------
    operation : str
    inputs : sequence of (ndarray or None)
    attributes : dict
    opset : int, optional
        If it is not given the default one, or the first later one that can say it.

    Returns
    -------
    model : onnx.ModelProto
        Its inputs are ``input_0`` and so on, or of an array that the mapping takes in a second shape ``input_0.2``;
        its output is ``y``, or of several results ``y:0`` and so on.
    feeds : dict of str to ndarray
        The arrays in the shapes of the model's inputs.

    Raises
    ------
    ExportError
        If the operation has no ONNX mapping, or none in this opset.
    """
    if opset is None:
        try:
            return build_alone(operation, inputs, attributes, operators.DEFAULT_OPSET)
        except OpsetError as error:
            return build_alone(operation, inputs, attributes, error.needed)
    arrays = {f"input_{number}": array for number, array in enumerate(inputs) if array is not None}
    names = tuple(None if array is None else f"input_{number}" for number, array in enumerate(inputs))
    reference = backends.find("reference")
    variables = {name: Variable.of(reference, array) for name, array in arrays.items()}
    graph, outputs = Graph(arrays, variables, opset), []

    def name_results(tensors):
        outputs.extend([f"y:{index}" for index in range(len(tensors))] if isinstance(tensors, tuple) else ["y"])
        return outputs

    step = Step(operation, operation, names, attributes, ())
    graph.write(step, [variables.get(name) for name in names], name_results)
    feeds = {name: array for name, array in graph.initializers.items() if name in graph.constants}
    proto = helper.make_graph(
        graph.nodes,
        operation,
        [_tensor_type(name, array.shape, array.dtype) for name, array in feeds.items()],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        _initializers({name: array for name, array in graph.initializers.items() if name not in feeds}),
    )
    model = _model(proto, opset)
    for output, inferred in zip(model.graph.output, onnx.shape_inference.infer_shapes(model).graph.output, strict=True):
        # The shape follows from those of the inputs, and it is for onnxruntime to find it.
        dtype = inferred.type.tensor_type.elem_type
        output.CopyFrom(helper.make_tensor_value_info(output.name, dtype, None))
    return model, feeds


def printed(model):
    """Return a model's nodes as lines for people, and the version of ONNX's operators that they are of."""
    return [*map(helper.printable_node, model.graph.node), f"opset {model.opset_import[0].version}"]


def _model(graph, opset, **fields):
    version = helper.make_operatorsetid("", opset)
    return helper.make_model(
        graph,
        opset_imports=[version],
        # The oldest that these operators allow, so that every runtime that knows the operators reads the file.
        ir_version=helper.find_min_ir_version_for([version]),
        **fields,
    )


def _initializers(arrays):
    return [numpy_helper.from_array(np.asarray(array, order="C"), name) for name, array in arrays.items()]


def _as_array(value, types):
    """Return a value as an array of a type that an input takes: floats in float32, indices in int64."""
    if isinstance(value, (np.ndarray, np.generic)):
        return np.asarray(value)
    kinds = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(bool)": np.bool_}
    return np.asarray(value, next(kind for name, kind in kinds.items() if name in types))


def _identical(first, second):
    # To the bit: NaN is not equal to itself, and 0 is equal to -0.
    return first.dtype == second.dtype and first.shape == second.shape and first.tobytes() == second.tobytes()


def _tensor_type(name, shape, dtype):
    return helper.make_tensor_value_info(name, _element_type(dtype), shape)


def _element_type(dtype):
    return helper.np_dtype_to_tensor_dtype(kept(np.dtype(dtype), FLOAT32.dtype))


def _text(shape):
    return "(" + ", ".join(map(str, shape)) + ")"

"""Making of a file's graph a classifier that is trained further: its logits, and a last layer for other classes."""

import dataclasses
import math
from typing import NamedTuple

import numpy as np
import onnx

from ...data import Preprocessing
from ...errors import ArgumentError, DataError, ShapeError, UnsupportedError
from ...formats import FLOAT32
from ...variable import Variable
from . import foreign, loading
from .checks import MOST_ELEMENTS
from .imported import Graph, ImportedModel
from .new_layer import RESHAPING, backwards, with_new_layer
from .nodes import Node

#: What makes probabilities of logits.
_PROBABILITIES = ("Softmax", "LogSoftmax", "Sigmoid")
_SHOWN = 6


@dataclasses.dataclass(frozen=True)
class File:
    """An ONNX file that a training starts from.

    Attributes
    ----------
    name : str
        What messages call it.
    content : bytes
        The same as one file: without functions, and with all the data that it keeps beside itself.
    graph : Graph
    sizes : tuple of (int or None)
        The sizes of its images as declared, (C, H, W), None for those that are free.
    classes : tuple of str or None
        Their names, where the file holds them.
    preprocessing : Preprocessing or None
    """

    name: str
    content: bytes
    graph: Graph
    sizes: tuple
    classes: tuple | None
    preprocessing: Preprocessing | None

    def model(self, image_shape, classes):
        """Return a model for classes of these names, and the :class:`Changes`, as :func:`classifier`."""
        has_other_classes = self.classes is not None and self.classes != tuple(classes)
        try:
            return classifier(self.graph, image_shape, len(classes), has_other_classes)
        except (ArgumentError, DataError, ShapeError) as error:
            raise type(error)(f"{self.name}: {error}") from None
        except (ArithmeticError, LookupError, MemoryError, TypeError, ValueError) as error:
            # A file may hold anything, of which not all is foreseen.
            raise DataError(
                f"{self.name}: no classifier can be made of it ({type(error).__name__}: {error}). Give another file."
            ) from error


def open_file(path):
    """Read the ONNX file of a classifier of images.

    Raises
    ------
    DataError
        As of :func:`refcnn.onnx.load`, and if what refcnn wrote into it about its classes and images does not fit it.
    UnsupportedError
        If it takes something else than images, or has several outputs.
    """
    return foreign.read_with(path, lambda model, folder: _file(path, foreign.whole(model, folder)))


def _file(path, model):
    graph = foreign.graph_of(model, None, rebatch=True)
    _check_names(graph)
    sizes = _sizes(next(entry for entry in model.graph.input if entry.name == graph.inputs[0]))
    classes, preprocessing = loading.checked_metadata(model, sizes, _of_example(model.graph.output[0]))
    return File(str(path), model.SerializeToString(deterministic=True), graph, sizes, classes, preprocessing)


def _check_names(graph):
    for what, names in (("input", graph.inputs), ("output", graph.outputs)):
        if len(names) != 1:
            raise UnsupportedError(
                f"it has {len(names)} {what}s{': ' * bool(names)}{_listed(names)}. A classifier that is trained takes "
                "images alone, and gives one row of logits for each. Export it so."
            )


def _sizes(entry):
    """Return the sizes of an image as the graph's input declares them."""
    tensor = entry.type.tensor_type
    if tensor.elem_type not in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE):
        name = onnx.TensorProto.DataType.Name(tensor.elem_type)
        raise UnsupportedError(f"it takes images of the type {name}. Export it for images of floats.")
    if not tensor.HasField("shape"):
        return (None, None, None)
    sizes = _of_example(entry)
    if len(sizes) != 3:
        raise UnsupportedError(
            f"it takes arrays of {len(sizes) + 1} axes, but images are of shape (N, C, H, W). Give a file that takes "
            "these."
        )
    if math.prod(filter(None, sizes)) > MOST_ELEMENTS:
        raise UnsupportedError(
            f"it declares images of the sizes {sizes}, but at most {MOST_ELEMENTS:,} elements are computed."
        )
    return sizes


def _of_example(entry):
    """Return the sizes of an input or output but for the first, None for those that are free."""
    return tuple(size.dim_value if size.dim_value > 0 else None for size in entry.type.tensor_type.shape.dim[1:])


class Changes(NamedTuple):
    """What of a file was changed.

    Attributes
    ----------
    classes : int
        How many it tells apart.
    left_out : tuple of str
        The operators that made probabilities of logits.
    renewed : tuple of str
        The parameters and buffers that were made anew, for other classes.
    """

    classes: int
    left_out: tuple
    renewed: tuple


def classifier(graph, image_shape, classes, has_other_classes):
    """Return a model that computes one logit for each class, and the :class:`Changes` to the file.

    The operators that make probabilities at its end are left out, since losses take logits. Where there are other
    classes the last layer is made anew, with weights as of :class:`refcnn.Dense` and a bias of zeros. Whether batch
    normalisation takes the statistics of the batch, and Dropout drops, is no longer said by the file, but follows from
    ``model.train()``.

    Parameters
    ----------
    graph : Graph
        With one input and one output.
    image_shape : (int, int, int)
    classes : int
    has_other_classes : bool
        Whether they are known to be others, be it as many.

    Raises
    ------
    UnsupportedError
        If the graph is no classifier of images, or there are other classes and its last layer is none that can be made
        anew.
    ShapeError
        If it does not take images of that shape.
    """
    graph = graph._replace(nodes=[_of_any_mode(node, graph) for node in graph.nodes])
    graph, left_out = _with_logits(graph)
    shape = _output_shape(graph, image_shape)
    if len(shape) < 2 or shape[0] != 1 or set(shape[2:]) - {1}:
        raise UnsupportedError(
            f"it is no classifier: for one image of shape {tuple(image_shape)} its output {graph.outputs[0]!r} has "
            f"shape {shape}, but (1, CLASSES) is expected. Export the network up to its logits."
        )
    renewed = ()
    if shape[1] != classes or has_other_classes:
        graph, renewed = with_new_layer(graph, shape[1], classes)
    if len(shape) > 2:
        graph = _flat(graph)
    return ImportedModel(*graph), Changes(shape[1], left_out, renewed)


def _output_shape(graph, image_shape):
    output = ImportedModel(*graph)(Variable(np.zeros((1, *image_shape), FLOAT32.dtype)))
    return tuple(output.shape)


def _of_any_mode(node, graph):
    """Return a node that does in training and outside what ``model.train()`` says."""
    if node.op_type not in ("BatchNormalization", "Dropout") or _is_read(node.outputs[1:], graph):
        return node
    kept = [place for place, name in enumerate(node.input_names) if name != "training_mode"]
    names, inputs = (tuple(entry[place] for place in kept) for entry in (node.input_names, node.inputs))
    attributes = {name: value for name, value in node.attributes.items() if name != "training_mode"}
    return dataclasses.replace(node, input_names=names, inputs=inputs, attributes=attributes, outputs=node.outputs[:1])


def _is_read(tensors, graph):
    tensors = set(filter(None, tensors))
    return bool(tensors.intersection(graph.outputs)) or any(tensors.intersection(node.inputs) for node in graph.nodes)


def _with_logits(graph):
    """Return a graph without what makes probabilities at its end, and which operators these were."""
    left_out = []
    while (found := _probabilities(graph)) is not None:
        left_out.append(found.op_type)
        graph = _without(graph, found)
    return graph, tuple(left_out)


def _probabilities(graph):
    for node in backwards(graph):
        if node.op_type in _PROBABILITIES:
            return node
        if node.op_type not in RESHAPING:
            return None
    return None


def _without(graph, node):
    """Return a graph in which what a node computes is its first input."""
    former, name = node.outputs[0], node.inputs[0]
    nodes = [
        entry.with_inputs(tuple(name if tensor == former else tensor for tensor in entry.inputs))
        for entry in graph.nodes
        if entry is not node
    ]
    outputs = tuple(name if output == former else output for output in graph.outputs)
    return graph._replace(nodes=nodes, outputs=outputs)


def _flat(graph):
    """Return a graph whose output has no axes but those of images and classes."""
    (name,) = graph.outputs
    flat = f"{name}/flat"
    node = Node(flat, "Flatten", 13, (name,), (flat,), {"axis": 1}, ("input",))
    return graph._replace(nodes=[*graph.nodes, node], outputs=(flat,))


def _listed(names):
    return ", ".join(names[:_SHOWN]) + ", ..." * (len(names) > _SHOWN)

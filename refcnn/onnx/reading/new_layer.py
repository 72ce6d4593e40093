"""The last layer of a file's graph made anew, for other classes."""

import collections
import dataclasses

import numpy as np

from ...errors import UnsupportedError
from ...formats import FLOAT32
from ...initializers import GlorotNormal

#: What only gives another shape.
RESHAPING = ("Identity", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Dropout")
#: What may stand behind the last layer, and does the same for each class, however many there are.
_OF_EACH_CLASS = (
    *("Relu", "LeakyRelu", "Clip", "GlobalAveragePool", "GlobalMaxPool", "AveragePool", "MaxPool", "ReduceMean"),
    *RESHAPING,
)
#: What may stand there with a number for each class: that of its first input, and what leaves logits as they are.
_NEUTRAL = {"Add": 0, "Sub": 0, "Mul": 1, "Div": 1}
_NEUTRAL_STATISTICS = (1, 0, 0, 1)
#: What may stand between the last layer and its weights.
_OF_WEIGHTS = ("Identity", "Cast", "Transpose", "Reshape")


def backwards(graph):
    """Yield the nodes from the output on backwards, along what is computed of the image."""
    makers, name = {name: node for node in graph.nodes for name in node.outputs}, graph.outputs[0]
    of_image = _of_image(graph)
    while name in makers:
        node = makers[name]
        yield node
        name = next((tensor for tensor in node.inputs if tensor in of_image), None)


def _of_image(graph):
    """Return the names of the tensors that follow from the image."""
    found = set(graph.inputs)
    for node in graph.nodes:
        if found.intersection(node.inputs):
            found.update(node.outputs)
    return found


def with_new_layer(graph, former, classes):
    """Return a graph whose last layer is made anew for so many classes in place of the former number, and the names."""
    new = _NewLayer(graph, former, classes)
    if not any(new.is_made_by(node) for node in backwards(graph)):
        raise new.refusal("no dense layer or convolution makes its output")
    return graph._replace(nodes=new.nodes(), constants=graph.constants | new.constants), new.names


class _NewLayer:
    """A last layer for other classes: what is made in the place of constants, on the way from the output to it."""

    def __init__(self, graph, former, classes):
        self._graph, self._former, self._classes = graph, former, classes
        self._makers = {name: node for node in graph.nodes for name in node.outputs}
        self._uses = collections.Counter(name for node in graph.nodes for name in node.inputs)
        self._of_image = _of_image(graph)
        self.constants, self._changed = {}, {}

    @property
    def names(self):
        """Which parameters and buffers are new, as in the file."""
        return tuple(name for name, array in self.constants.items() if array.dtype.kind == "f")

    def nodes(self):
        """Return the graph's nodes, with those that are changed."""
        return [self._changed.get(node, node) for node in self._graph.nodes]

    def is_made_by(self, node):
        """Make anew what a node behind or in the last layer has for each class; return whether it is that layer."""
        if node.op_type in ("Gemm", "MatMul", "Conv"):
            self._renew_layer(node)
            return True
        if node.op_type in _NEUTRAL:
            terms = sorted(set(node.inputs) - self._of_image)
            if not terms:
                raise self.refusal(f"it ends with {node} of what several layers compute")
            self._renew_term(node, terms[0], _NEUTRAL[node.op_type])
        elif node.op_type == "BatchNormalization":
            for name, value in zip(node.inputs[1:], _NEUTRAL_STATISTICS, strict=True):
                self._renew_each(node, name, value)
        elif node.op_type == "Reshape":
            self._renew_shape(node)
        elif node.op_type not in _OF_EACH_CLASS:
            raise self.refusal(f"it ends with {node}, behind which no layer is looked for")
        return False

    def _renew_layer(self, node):
        axis = {"Gemm": 0 if node.attributes.get("transB") else 1, "MatMul": 1, "Conv": 0}[node.op_type]
        if node.attributes.get("group", 1) != 1:
            raise self.refusal(f"{node} computes in groups")
        reader, name, axis = self._constant(node, node.inputs[1], axis)
        weights = self._graph.constants[name]
        is_matrix = sum(size > 1 for size in weights.shape) <= 2
        if node.op_type != "Conv" and not is_matrix or weights.shape[axis] != self._former:
            raise self.refusal(f"{node} has weights {name!r} of shape {weights.shape}")
        shape = tuple(self._classes if place == axis else size for place, size in enumerate(weights.shape))
        of_layer = shape if node.op_type == "Conv" else (weights.size // self._former, self._classes)
        self._enter(reader, name, GlorotNormal()(of_layer).reshape(shape))
        if len(node.inputs) > 2 and node.inputs[2]:
            self._renew_term(node, node.inputs[2], 0)

    def _constant(self, node, name, axis=0):
        """Find the constant behind a tensor that a node reads, be it cast, transposed or of other axes on the way.

        Returns
        -------
        reader : Node
            Which reads the constant itself.
        name : str
        axis : int
            Which of its axes is meant.
        """
        while name not in self._graph.constants:
            maker = self._makers.get(name)
            if maker is None or maker.op_type not in _OF_WEIGHTS or self._uses[name] > 1:
                raise self.refusal(f"{node} takes weights that are computed")
            if maker.op_type == "Transpose":
                # Of matrices alone it may be left out, and turns them.
                axis = maker.attributes.get("perm", (1, 0))[axis]
            elif maker.op_type == "Reshape":
                self._renew_shape(maker, axis)
                axis = self._axis_before(maker, axis)
            node, name = maker, maker.inputs[0]
        return node, name, axis

    def _axis_before(self, node, axis):
        """Return which axis of a constant becomes that one by a Reshape that only adds or drops axes of one."""
        constants = self._graph.constants
        shapes = [constants[name].shape if name in constants else () for name in node.inputs[:1]]
        shapes += [tuple(constants.get(name, ())) for name in node.inputs[1:]]
        places = [[place for place, size in enumerate(shape) if size != 1] for shape in shapes]
        sizes = [[shape[place] for place in kept] for shape, kept in zip(shapes, places, strict=True)]
        if len(shapes) != 2 or sizes[0] != sizes[1] or axis not in places[1]:
            raise self.refusal(f"{node} gives weights another shape")
        return places[0][places[1].index(axis)]

    def _renew_term(self, node, name, value):
        """Make anew what stands for each class; a single number for all, such as a factor, stays."""
        _, constant, _ = self._constant(node, name)
        if self._graph.constants[constant].size > 1 or self._former == 1 and value == 0:
            self._renew_each(node, name, value)

    def _renew_each(self, node, name, value):
        reader, name, _ = self._constant(node, name)
        array = self._graph.constants[name]
        if array.size != self._former or max(array.shape, default=0) != self._former:
            raise self.refusal(f"{node} has {name!r} of shape {array.shape}")
        shape = tuple(self._classes if size == self._former else 1 for size in array.shape)
        # Of a single class all sizes are one.
        shape = shape if self._former > 1 else (*array.shape[:-1], self._classes)
        self._enter(reader, name, np.full(shape, value, FLOAT32.dtype))

    def _renew_shape(self, node, axis=None):
        """Change the classes' number in the shape that a Reshape gives, at that axis or where it stands once."""
        places = [place for place, name in enumerate(node.input_names) if name == "shape"]
        shape = self._graph.constants.get(node.inputs[places[0]]) if places else node.attributes.get("shape")
        shape = [] if shape is None else [int(size) for size in shape]
        if axis is None and shape.count(self._former) != 1:
            return
        shape[shape.index(self._former) if axis is None else axis] = self._classes
        if not places:
            self._changed[node] = dataclasses.replace(node, attributes=node.attributes | {"shape": tuple(shape)})
            return
        # Others may read the former one.
        name = f"{node.outputs[0]}/shape"
        self.constants[name] = np.array(shape, np.int64)
        self._changed[node] = node.with_inputs((node.inputs[0], name))

    def _enter(self, node, name, array):
        array = array.astype(self._graph.constants[name].dtype)
        if self._uses[name] > 1:
            # The former one stays for others, to which it was tied.
            former, name = name, f"{name}/new"
            node_now = self._changed.get(node, node)
            self._changed[node] = node_now.with_inputs(
                tuple(name if tensor == former else tensor for tensor in node_now.inputs)
            )
        self.constants[name] = array

    def refusal(self, reason):
        """Return an UnsupportedError that tells why it cannot be made."""
        return UnsupportedError(
            f"its last layer cannot be made anew for {self._classes} classes in place of {self._former}: {reason}. "
            "Give a network that ends with a dense layer or a convolution, or data of as many classes."
        )

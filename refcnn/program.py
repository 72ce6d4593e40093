"""What a model computes, read off the tape: its operations in order, their inputs by name, and its constants."""

import collections
import dataclasses
import inspect

import numpy as np

from . import rooms
from .backend import results_of
from .errors import ExportError, GradientError, ShapeError
from .formats import FLOAT32, kept
from .layers.softmax import softmax as softmax_of
from .mode import recording
from .model import describe_unlisted, unlisted
from .tape import tape
from .variable import Variable

IMAGE = "image"
#: What the output is called, without and with the softmax.
OUTPUTS = ("logits", "probabilities")


@dataclasses.dataclass(frozen=True)
class Step:
    """One operation of a program.

    Attributes
    ----------
    label : str
        The stem and a running number, such as ``conv2d_2``.
    operation : str
        The operation's stem.
    inputs : tuple of str or None
        Names: ``image``, constants, results of earlier steps.
    attributes : dict
    results : tuple of str or None
        The names of the results: the label, or of an operation with several results ``split_1:0``, ``split_1:1``...;
        None for one that nothing reads.
    """

    label: str
    operation: str
    inputs: tuple
    attributes: dict
    results: tuple


@dataclasses.dataclass(frozen=True)
class Program:
    """The operations of one forward pass.

    Attributes
    ----------
    steps : tuple of Step
        In an order in which they can be run.
    constants : dict of str to ndarray
        Parameters and buffers under their names in the model (``parameter.`` before those that the graph needs for
        something else), then ``constant.1``...; floats in float32, as in the file.
    variables : dict of str to Variable
        What was recorded, by name.
    output : str
        The name of the output, a result of the last step.
    """

    steps: tuple
    constants: dict
    variables: dict
    output: str

    def run(self, backend, constants, image):
        """Compute every step on a backend from arrays of that backend; return all arrays by name."""
        arrays = {**constants, IMAGE: image}
        for step in self.steps:
            inputs = [None if name is None else arrays[name] for name in step.inputs]
            y, _ = backend.operation(step.operation).forward(*inputs, **step.attributes)
            arrays |= named(step, results_of(y))
        return arrays

    def describe(self, step):
        """Return which operation a step is, for messages: its label, parameters and place."""
        names = ", ".join(name for name in step.inputs if name in self.constants)
        place = f"operation {self.steps.index(step) + 1} of {len(self.steps)}"
        return f"{step.label} ({f'with {names}, ' * bool(names)}{place})"


def named(step, values):
    """Return a dict of what belongs to each result of a step, by its name, without results that nothing reads."""
    return {name: value for name, value in zip(step.results, values, strict=True) if name is not None}


def trace(model, image, softmax):
    """Run a model once in evaluation mode and return what it computed.

    Parameters
    ----------
    model : Model
    image : ndarray, (N, ...)
    softmax : bool
        Whether the softmax of the model's output is taken too.

    Returns
    -------
    Program

    Raises
    ------
    ExportError
        If the output is not computed from the input by recorded operations, or from parameters that the model does
        not list.
    """
    _check_one_input(model)
    variable = Variable(image)
    output = _recorded_output(model, variable, softmax)
    found = unlisted(model, output)
    if found:
        raise ExportError(f"the model cannot be written: {describe_unlisted(found)}")
    nodes = tape(output)
    variables = {IMAGE: variable, **dict(_read_only(nodes, variable, _renamed(model.named_state(), nodes)))}
    constants = {name: _constant(entry) for name, entry in variables.items() if name != IMAGE}
    steps = _steps(nodes, variables, output)
    if not any(IMAGE in step.inputs for step in steps):
        raise ExportError(
            "the model's output does not depend on its input by refcnn's operations. Compute it from the Variable that "
            "forward(self, x) is given, without as_ndarray() in between."
        )
    return Program(steps, constants, variables, next(name for name, entry in variables.items() if entry is output))


def _recorded_output(model, variable, softmax):
    """Run a model on a recorded Variable; return its output, which is the result of recorded operations."""
    # A proof draws numbers with which a model may overflow; what comes of it is judged, so NumPy need not warn.
    try:
        with recording(), np.errstate(all="ignore"):
            output = model(variable)
            if softmax:
                output = softmax_of(output)
    except GradientError as error:
        raise ExportError(f"the model cannot be written as a graph: {error}") from None
    if isinstance(output, tuple) and len(output) > 1:
        raise ExportError(
            f"the model has {len(output)} results, but a file has one output. Export a model whose forward returns one "
            "of them."
        )
    if not isinstance(output, Variable) or output.node is None:
        raise ExportError(
            f"the model's output, a {type(output).__name__}, is not the result of refcnn's operations, so there is "
            "nothing to write. Let forward return what the layers gave."
        )
    return output


def _read_only(nodes, image, state):
    """Yield (name, Variable) of what operations read and none computed, but for the image, in the order of reading."""
    names = {id(entry): name for name, entry in state}
    seen = {id(image)}.union(id(entry) for node in nodes for entry in node.results())
    unnamed = 0
    for entry in (entry for node in nodes for entry in node.inputs):
        if entry is None or id(entry) in seen:
            continue
        seen.add(id(entry))
        unnamed += id(entry) not in names
        yield names.get(id(entry), f"constant.{unnamed}"), entry


def _constant(variable):
    # Floats in float32, since that is what the file holds: those trained in float64 are rounded here.
    with np.errstate(over="ignore"):
        return variable.as_ndarray().astype(kept(variable.dtype, FLOAT32.dtype))


def _steps(nodes, variables, output):
    """Return the Step of each node, and enter what is read of their results into the variables by name."""
    names = {id(entry): name for name, entry in variables.items()}
    read = {id(output)}.union(id(entry) for node in nodes for entry in node.inputs if entry is not None)
    steps = []
    for node, label in zip(nodes, _labels(nodes), strict=True):
        inputs = tuple(None if entry is None else names[id(entry)] for entry in node.inputs)
        results = [entry if id(entry) in read else None for entry in node.results()]
        # No parameter, nor what lies between the operators of one operation, has a colon in its name.
        given = [f"{label}:{index}" for index in range(len(results))] if node.has_several_results else [label]
        given = tuple(None if entry is None else name for name, entry in zip(given, results, strict=True))
        step = Step(label, node.operation, inputs, node.attributes, given)
        steps.append(step)
        variables |= named(step, results)
        names |= {id(entry): name for name, entry in named(step, results).items()}
    return tuple(steps)


def _check_one_input(model):
    try:
        inspect.signature(model.forward).bind(IMAGE)
    except TypeError:
        raise ExportError(
            f"the model is called as forward{inspect.signature(model.forward)}, but a file has one input. Export a "
            "model whose forward(self, x) takes one, and calls this one."
        ) from None


def _labels(nodes):
    """Return the labels of recorded operations: each stem with a running number."""
    count, labels = collections.Counter(), []
    for node in nodes:
        count[node.operation] += 1
        labels.append(f"{node.operation}_{count[node.operation]}")
    return labels


def _renamed(state, nodes):
    """Yield (name, Parameter or Buffer), with another name where the graph needs it for something else."""
    taken = {IMAGE, *OUTPUTS, *_labels(nodes)}
    state = list(state)
    used = {name for name, _ in state}
    for name, entry in state:
        stem, _, number = name.rpartition(".")
        # What an operation of several operators has between them is numbered, and so are constants without a name.
        if name in taken or (number.isdecimal() and (stem in taken or stem == "constant")):
            name = f"parameter.{name}"
            while name in used:
                name = f"parameter.{name}"
            used.add(name)
        yield name, entry


def for_any_batch(program, other):
    """Return a program with attributes that hold for any batch size, as a trace of another batch shows them.

    Sizes that follow from the batch, as in ``x.reshape(x.shape[0], -1)``, are numbers when they are recorded. The cards
    of operations with such attributes know how they follow: the traits ``for_any_batch`` and ``at_shapes``.

    Parameters
    ----------
    program, other : Program
        Traces of one model.
    """
    pairs = zip(program.steps, other.steps, strict=False)
    steps = tuple(_for_any_batch(step, program, twin, other) for step, twin in pairs)
    return dataclasses.replace(program, steps=steps + program.steps[len(steps) :])


def _for_any_batch(step, program, twin, other):
    if step == twin or not _have_same_inputs(step, twin):
        return step
    find = rooms.trait(rooms.LAYERS, step.operation, "for_any_batch")
    found = find(_shapes(step, program), step.attributes, _shapes(twin, other), twin.attributes)
    general = step if found is None else dataclasses.replace(step, attributes=found)
    return general if _is_same(general, step, program) and _is_same(general, twin, other) else step


def _is_same(step, twin, trace):
    """Return whether a step does what another does, which is one of a trace."""
    if step == twin or not _have_same_inputs(step, twin):
        return step == twin
    at_shapes, shapes = rooms.trait(rooms.LAYERS, step.operation, "at_shapes"), _shapes(twin, trace)
    try:
        return at_shapes(*shapes, **step.attributes) == at_shapes(*shapes, **twin.attributes)
    except ShapeError:
        return False


def _have_same_inputs(step, twin):
    return dataclasses.replace(step, attributes={}) == dataclasses.replace(twin, attributes={})


def _shapes(step, trace):
    return [None if name is None else trace.variables[name].shape for name in step.inputs]


def require_same(program, other, what):
    """Raise ExportError unless two traces of a model show the same operations on the same constants.

    Parameters
    ----------
    program, other : Program
        The first may have been made by :func:`for_any_batch`.
    what : str
        What the second run was given, for the message.
    """
    advice = (
        "An ONNX file holds one fixed sequence of operations: let forward(self, x) decide nothing by the batch size or "
        "the values of x, and compute only with refcnn's operations."
    )
    for number, (step, twin) in enumerate(zip(program.steps, other.steps, strict=False)):
        if not _is_same(step, twin, other):
            raise ExportError(
                f"the model's operation {number + 1} is {_call(step)}, but {_call(twin)} when run on {what}. {advice}"
            )
    if len(program.steps) != len(other.steps):
        raise ExportError(
            f"the model has {len(program.steps)} operations, but {len(other.steps)} when run on {what}. {advice}"
        )
    for name, value in program.constants.items():
        if not np.array_equal(value, other.constants[name], equal_nan=True):
            user = next(step for step in program.steps if name in step.inputs)
            raise ExportError(
                f"{name}, which {program.describe(user)} reads, has other values or another shape when the model is "
                f"run on {what}. {advice}"
            )


def _call(step):
    attributes = ", ".join(f"{name}={value}" for name, value in step.attributes.items())
    return f"{step.operation}({', '.join(map(str, step.inputs))}{', ' * bool(attributes)}{attributes})"

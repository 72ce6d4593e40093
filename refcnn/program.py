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
        Names: inputs of the program, constants, results of earlier steps.
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
    inputs, outputs : tuple of str
        The names of what is given, ``image`` where that is one array, and of what is returned.
    """

    steps: tuple
    constants: dict
    variables: dict
    inputs: tuple
    outputs: tuple

    def run(self, backend, constants, inputs, each=lambda arrays: None):
        """Compute every step on a backend from arrays of that backend; return all arrays by name.

        Parameters
        ----------
        backend : Backend
        constants : dict of str to array
        inputs : sequence of array
        each : callable, optional
            Given the results of each step by name before the next is computed.
        """
        arrays = {**constants, **dict(zip(self.inputs, inputs, strict=True))}
        for step in self.steps:
            given = [None if name is None else arrays[name] for name in step.inputs]
            y, _ = backend.operation(step.operation).forward(*given, **step.attributes)
            results = named(step, results_of(y))
            each(results)
            arrays |= results
        return arrays

    def describe(self, step):
        """Return which operation a step is, for messages: its label, parameters and place."""
        names = ", ".join(name for name in step.inputs if name in self.constants)
        place = f"operation {self.steps.index(step) + 1} of {len(self.steps)}"
        return f"{step.label} ({f'with {names}, ' * bool(names)}{place})"


def named(step, values):
    """Return a dict of what belongs to each result of a step, by its name, without results that nothing reads."""
    return {name: value for name, value in zip(step.results, values, strict=True) if name is not None}


def trace(model, inputs, softmax=False):
    """Run a model once in evaluation mode and return what it computed.

    Parameters
    ----------
    model : Model
    inputs : ndarray, (N, ...), or sequence of several
    softmax : bool
        Whether the softmax of the model's output is taken too.

    Returns
    -------
    Program

    Raises
    ------
    ExportError
        If no output is computed from the inputs by recorded operations, or one from parameters that the model does not
        list.
    """
    inputs = [inputs] if isinstance(inputs, np.ndarray) else inputs
    given = dict(zip(_input_names(model, len(inputs)), map(Variable, inputs), strict=True))
    outputs = _recorded_outputs(model, tuple(given.values()), softmax)
    found = unlisted(model, *outputs)
    if found:
        raise ExportError(f"the model cannot be written: {describe_unlisted(found)}")
    program = recorded(given, outputs, model.named_state())
    if not any(name in step.inputs for step in program.steps for name in program.inputs):
        raise ExportError(
            "the model's output does not depend on its input by refcnn's operations. Compute it from the Variable that "
            "forward(self, x) is given, without as_ndarray() in between."
        )
    return program


def recorded(given, outputs, state=(), names=None):
    """Return what was computed on the tape.

    Parameters
    ----------
    given : dict of str to Variable
        The inputs by name.
    outputs : sequence of Variable
    state : iterable of (str, Parameter or Buffer)
    names : dict of str to Variable, optional
        What some of the results are to be called.

    Returns
    -------
    Program
    """
    nodes = tape(*outputs)
    reserved = {*given, *OUTPUTS, *_labels(nodes), *(names or ())}
    variables = {**given, **dict(_read_only(nodes, given, _renamed(state, reserved)))}
    for entry in outputs:
        # An output that nothing computes is a constant that nothing reads, or an input.
        if entry.node is None and not any(entry is other for other in variables.values()):
            variables[f"constant.output_{len(variables)}"] = entry
    constants = {name: _constant(entry) for name, entry in variables.items() if name not in given}
    steps = _steps(nodes, variables, outputs, {id(entry): name for name, entry in (names or {}).items()})
    by_identity = {id(entry): name for name, entry in variables.items()}
    return Program(steps, constants, variables, tuple(given), tuple(by_identity[id(entry)] for entry in outputs))


def _input_names(model, count):
    """Return what the inputs of a model are called: the image, or as its ``forward`` calls several."""
    if count == 1:
        names = [IMAGE]
    else:
        names = getattr(model, "input_names", None) or list(inspect.signature(model.forward).parameters)
    try:
        inspect.signature(model.forward).bind(*names)
    except TypeError:
        names = []
    if len(names) != count:
        raise ExportError(
            f"the model is called as forward{inspect.signature(model.forward)}, but it is given {count} "
            f"input{'s' * (count > 1)}. Give input_shape for each of its inputs."
        )
    return names


def _recorded_outputs(model, variables, softmax):
    """Run a model on recorded Variables; return its outputs, which are results of recorded operations, a tuple."""
    # A proof draws numbers with which a model may overflow; what comes of it is judged, so NumPy need not warn.
    try:
        with recording(), np.errstate(all="ignore"):
            outputs = model(*variables)
            if softmax:
                outputs = softmax_of(outputs)
    except GradientError as error:
        raise ExportError(f"the model cannot be written as a graph: {error}") from None
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    is_computed = [isinstance(output, Variable) and output.node is not None for output in outputs]
    for output in outputs:
        # Beside others an input may be one as it is, or a constant.
        if not isinstance(output, Variable) or not any(is_computed):
            raise ExportError(
                f"the model's output, a {type(output).__name__}, is not the result of refcnn's operations, so there is "
                "nothing to write. Let forward return what the layers gave."
            )
    return outputs


def _read_only(nodes, given, state):
    """Yield (name, Variable) of what operations read and none computed, but for the inputs, in the order of reading."""
    names = {id(entry): name for name, entry in state}
    seen = set(map(id, given.values())).union(id(entry) for node in nodes for entry in node.results())
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
        return variable.as_ndarray().astype(kept(variable.dtype, FLOAT32.dtype), copy=False)


def _steps(nodes, variables, outputs, wanted):
    """Return the Step of each node, and enter what is read of their results into the variables by name.

    ``wanted`` says by the id of a Variable what it is to be called.
    """
    names = {id(entry): name for name, entry in variables.items()}
    read = set(map(id, outputs)).union(id(entry) for node in nodes for entry in node.inputs if entry is not None)
    taken = {*names.values(), *wanted.values()}
    steps = []
    for node, label in zip(nodes, _labels(nodes), strict=True):
        while label in taken:
            label += "'"
        inputs = tuple(None if entry is None else names[id(entry)] for entry in node.inputs)
        results = [entry if id(entry) in read else None for entry in node.results()]
        # No parameter, nor what lies between the operators of one operation, has a colon in its name.
        given = [f"{label}:{index}" for index in range(len(results))] if node.has_several_results else [label]
        given = tuple(
            None if entry is None else wanted.get(id(entry), name) for name, entry in zip(given, results, strict=True)
        )
        step = Step(label, node.operation, inputs, node.attributes, given)
        steps.append(step)
        variables |= named(step, results)
        names |= {id(entry): name for name, entry in named(step, results).items()}
    return tuple(steps)


def _labels(nodes):
    """Return the labels of recorded operations: each stem with a running number."""
    count, labels = collections.Counter(), []
    for node in nodes:
        count[node.operation] += 1
        labels.append(f"{node.operation}_{count[node.operation]}")
    return labels


def _renamed(state, taken):
    """Yield (name, Parameter or Buffer), with another name where the graph needs it for something else."""
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
        # Weights are many, and hardly ever NaN.
        twin = other.constants[name]
        if not np.array_equal(value, twin) and not np.array_equal(value, twin, equal_nan=True):
            user = next(step for step in program.steps if name in step.inputs)
            raise ExportError(
                f"{name}, which {program.describe(user)} reads, has other values or another shape when the model is "
                f"run on {what}. {advice}"
            )


def _call(step):
    attributes = ", ".join(f"{name}={value}" for name, value in step.attributes.items())
    return f"{step.operation}({', '.join(map(str, step.inputs))}{', ' * bool(attributes)}{attributes})"

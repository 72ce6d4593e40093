"""An operation with choices of one's own, computed while somebody waits for it."""

import dataclasses

import numpy as np

from .. import rooms
from ..backend import results_of
from ..conformance.theory.examples import Example, numbers
from ..conformance.theory.strategies import Case
from ..errors import ArgumentError
from ..formats import FLOAT32
from ..version import __version__
from .calling import call_of
from .choices import Choices, array_for, check_size, check_sizes, text_of, value_of
from .curves import curve
from .explaining import FORMAT, case_data
from .facts import onnx_nodes
from .playback import number
from .recording import input_names, of_at_most, results_and_saved

#: So many products a recording has at most, each of which is told apart.
MOST_PRODUCTS = 20_000
#: So many lines that run for a result, or for its gradients.
MOST_STEPS = 6_000


def computed(operation, choices=None):
    """Return what a page plays of an operation with some choices, as ``explain.schema.json`` describes it.

    Parameters
    ----------
    operation : str
    choices : Choices, optional
        Those of the form as it is at first, if they are not given.

    Raises
    ------
    RefcnnError
        If the operation does not take them, or so much would come of them that it cannot be shown.
    """
    call = call_of(operation)
    choices = Choices(arguments=offered(call)) if choices is None else choices
    case = _case(call, choices)
    sources = {}
    with of_at_most(MOST_STEPS):
        found = case_data(operation, Example({}, case), sources)
    found |= {
        "call": call.written(choices.arguments),
        "onnx": onnx_nodes(operation, case),
        "inputs": _inputs(operation, case),
    }
    drawn = curve(operation, case)
    if drawn is not None:
        found["curve"] = dataclasses.asdict(drawn)
    data = {"name": operation, "choices": {}, "sources": sources, "cases": [found]}
    return {"format": FORMAT, "version": __version__, "operations": [data]}


def _inputs(operation, case):
    """Return the numbers that an operation was given, by name, each as short as tells it from others in its format."""
    given = zip(input_names(operation, len(case.inputs)), case.inputs, strict=True)
    return {name: [number(str(value * 1), 9) for value in array.ravel()] for name, array in given if array is not None}


def offered(call):
    """Return the arguments of a call that are offered at first, by name, as they are when they were typed."""
    defaults = {name: one.default for name, one in call.arguments.items() if one.default is not None}
    return {name: one if isinstance(one, bool) else value_of(text_of(one)) for name, one in defaults.items()}


def _case(call, choices):
    names = input_names(call.operation, len(call.example.inputs))
    for said, known in ((choices.shapes, call.inputs), (choices.values, names)):
        for name in said.keys() - set(known):
            raise ArgumentError(f"{call.operation} is given no {name!r}, but {', '.join(known)}.")
    for name, value in choices.arguments.items():
        # One number that is no size may be as large as it wants.
        if name not in call.arguments or call.arguments[name].kind != "float" or isinstance(value, tuple):
            check_sizes(name, value)
    given = []
    for place, (name, example) in enumerate(zip(call.inputs, call.example.inputs, strict=False)):
        given.append(array_for(name, example, choices.shapes.get(name, example.shape), place, choices))
    inputs, attributes = call.caught(given, choices.arguments, choices.seed, _weights)
    inputs = _filled(call, inputs, len(given), choices)
    _check_work(call.operation, inputs, attributes)
    return Case(tuple(inputs), attributes, _gradient(call, inputs, attributes, choices.seed))


def _weights(shape):
    """Return weights of a shape, none of which would be too many."""
    check_size("w", shape)
    return np.zeros(shape, FLOAT32.dtype)


def _filled(call, inputs, given, choices):
    """Return the inputs with numbers like the example's in those that a layer made itself, in its shapes."""
    names = input_names(call.operation, len(inputs))
    for place in range(given, len(inputs)):
        if inputs[place] is not None:
            shape, example = inputs[place].shape, call.example.inputs[place]
            check_size(names[place], shape)
            inputs[place] = array_for(names[place], example, shape, place, choices)
    return inputs


def _check_work(operation, inputs, attributes):
    shapes = [None if one is None else one.shape for one in inputs]
    products = rooms.trait(rooms.LAYERS, operation, "flop")(*shapes, **attributes) // 2
    if products > MOST_PRODUCTS:
        raise ArgumentError(
            f"{operation}: this takes {products:,} multiplications, and more than {MOST_PRODUCTS:,} are not shown. "
            "Choose fewer pixels, channels or kernels, or a larger stride."
        )


def _gradient(call, inputs, attributes, seed):
    """Return a gradient of the result, None where there is none; ArgumentError if the result is too large."""
    room = rooms.require(rooms.REFERENCE, call.operation)
    with np.errstate(all="ignore"):
        y, _ = results_and_saved(call.operation, room.forward(*inputs, **attributes))
    results = [np.asarray(one) for one in results_of(y)]
    for one in results:
        check_size("The result", one.shape)
        if not one.size:
            raise ArgumentError(f"{call.operation}: the result has no numbers, so that there is nothing to show.")
    has_gradient = rooms.trait(rooms.CONFORMANCE, call.operation, "HAS_GRADIENT") and hasattr(room, "backward")
    if not has_gradient or all(one.dtype.kind != "f" for one in results):
        return None
    made = tuple(_like(one, call.example.dy, place, seed) for place, one in enumerate(results))
    return made if isinstance(y, tuple) else made[0]


def _like(result, example, place, seed):
    if result.dtype.kind != "f":
        return None
    example = example[place] if isinstance(example, tuple) and place < len(example) else example
    if seed == 0 and isinstance(example, np.ndarray) and example.shape == result.shape:
        return example
    return numbers(result.shape, [seed, 9 + place])

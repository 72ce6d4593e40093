"""What each result of a network did to a loss: all gradients, and the shares that they are sums of."""

import contextlib
import dataclasses
from typing import Any, NamedTuple

import numpy as np

from .. import backend as backends
from ..backend import results_of
from ..mode import recording
from ..program import Step, named

#: What a loss is: the cross entropy of the softmax of logits, that of probabilities, or the score itself.
CROSS_ENTROPY, NEGATIVE_LOG, SCORE = "softmax cross entropy", "negative log", "score"
#: The loss by what the scores of classes are.
LOSSES = {"logits": CROSS_ENTROPY, "probabilities": NEGATIVE_LOG, "independent": SCORE}


class Share(NamedTuple):
    """What one step hands back to one of its inputs.

    Attributes
    ----------
    step : int
        Its number.
    position : int
        Of the input.
    gradient : array of the backend
    """

    step: int
    position: int
    gradient: Any


@dataclasses.dataclass
class Descent:
    """A network's results for an input, and their gradients.

    Attributes
    ----------
    arrays : dict of str to array of the backend
        Constants, inputs and results by name.
    gradients : dict of str to array of the backend
        Of all on which the loss depends by operations that have gradients.
    shares : dict of str to list of Share
        What each gradient is the sum of, in this order; of the loss itself there is none.
    dy : dict of int to (array of the backend, or tuple)
        By the number of a step what it was given backwards.
    """

    arrays: dict
    gradients: dict
    shares: dict
    dy: dict


def with_loss(program, output, number, loss):
    """Return a program that computes a loss of the scores of classes as its one output.

    Parameters
    ----------
    program : Program
        Of a network on one image.
    output : str
        The name of the scores, (1, K) or of as many numbers.
    number : int
        Of the class.
    loss : str
        :data:`CROSS_ENTROPY`, :data:`NEGATIVE_LOG` or :data:`SCORE`.

    Returns
    -------
    Program
        Its first steps are those of the other.
    """
    shape = program.variables[output].shape
    steps, constants = [], dict(program.constants)
    taken = {*program.variables, *program.constants, *program.inputs}

    def free(name):
        while name in taken:
            name += "'"
        taken.add(name)
        return name

    def then(operation, name, *inputs, **attributes):
        label = free(name)
        steps.append(Step(label, operation, inputs, attributes, (label,)))
        return label

    count = int(np.prod(shape))
    scores = output if tuple(shape) == (1, count) else then("reshape", "scores", output, shape=(1, count))
    if loss == CROSS_ENTROPY:
        target = free("target")
        constants[target] = np.eye(1, count, number, np.float32)
        found = then("softmax_cross_entropy", "loss", scores, target, reduce_sum=True)
    else:
        found = then("slice", "score", scores, starts=(0, number), stops=(1, number + 1), steps=(1, 1))
        if loss == NEGATIVE_LOG:
            found = then("negative", "loss", then("log", "log", found))
    return dataclasses.replace(program, steps=(*program.steps, *steps), constants=constants, outputs=(found,))


def descent(program, backend, inputs, constants=None):
    """Return the :class:`Descent` of a program; the rest as of :func:`in_pieces`."""
    pieces = in_pieces(program, backend, inputs, constants)
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            return end.value


def in_pieces(program, backend, inputs, constants=None):
    """Compute a program, and back from its output all gradients.

    Parameters
    ----------
    program : Program
        Whose one output is a single number, such as :func:`with_loss` makes.
    backend : Backend
    inputs : sequence of ndarray
    constants : dict of str to array of the backend, optional
        Those that are on the backend already.

    Yields
    ------
    None
        After each step of either way.

    Returns
    -------
    Descent
    """
    others = program.constants.keys() - (constants or {}).keys()
    constants = {**(constants or {}), **{name: backend.array(program.constants[name]) for name in others}}
    given = dict(zip(program.inputs, map(backend.array, inputs), strict=True))
    found = Descent({**constants, **given}, {}, {}, {})
    results, saved = [], []
    for step in program.steps:
        with _computing(backend):
            arrays = [None if name is None else found.arrays[name] for name in step.inputs]
            y, kept = backend.operation(step.operation).forward(*arrays, **step.attributes)
        results.append(y)
        saved.append(kept)
        # Each is given on as if nobody had computed it: what knows to come after a rectifier may hand back a gradient
        # that is made 0 already where that will.
        apart = (backend.array(backend.to_host(one)) for one in results_of(y))
        found.arrays |= named(step, tuple(apart))
        yield
    (output,) = program.outputs
    loss = found.arrays[output]
    found.gradients[output] = backend.array(np.ones(loss.shape, loss.dtype))
    for number in reversed(range(len(program.steps))):
        with _computing(backend):
            _hand_back(program, backend, number, results.pop(), saved.pop(), found)
        yield
    return found


@contextlib.contextmanager
def _computing(backend):
    # As if it were recorded: what is fused for a result alone keeps nothing for the gradients.
    with backends.use_backend(backend), recording(), np.errstate(all="ignore"):
        yield


def _hand_back(program, backend, number, y, saved, found):
    """Give the inputs of one step their shares of its gradient."""
    step = program.steps[number]
    dy = _gradient(backend, step, y, found.gradients)
    needs = tuple(
        name is not None and name not in program.constants and found.arrays[name].dtype.kind == "f"
        for name in step.inputs
    )
    if dy is None or not any(needs):
        return
    found.dy[number] = dy
    operation, add = backend.operation(step.operation), backend.operation("add").forward
    shares = operation.backward(dy, saved, needs, **step.attributes)
    for position, (name, share) in enumerate(zip(step.inputs, shares, strict=True)):
        if needs[position] and share is not None:
            former = found.gradients.get(name)
            found.gradients[name] = share if former is None else add(former, share)[0]
            found.shares.setdefault(name, []).append(Share(number, position, share))


def _gradient(backend, step, y, gradients):
    """Return what backward is given, with zeros for a result from which nothing was computed; None if nothing was."""
    found = [None if name is None else gradients.get(name) for name in step.results]
    if all(one is None for one in found):
        return None
    if not isinstance(y, tuple):
        return found[0]
    return tuple(
        backend.array(np.zeros(array.shape, array.dtype)) if one is None and array.dtype.kind == "f" else one
        for one, array in zip(found, y, strict=True)
    )

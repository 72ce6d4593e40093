"""The page that explains a run's network, layer by layer, with its own numbers and an image of its validation data."""

import dataclasses
import json
import math

import numpy as np

from .. import backend, program, rooms
from ..conformance.theory.examples import Example
from ..conformance.theory.strategies import Case
from ..pages import pixels
from ..runs.run_data import validation_set
from .cutting import cut
from .descending import CROSS_ENTROPY, Descent, descent, with_loss
from .explaining import case_data, write
from .facts import described, kernels

#: So many maps of a layer are drawn at most, so many pixels of their sides, and so many layers have an animation.
MOST_MAPS, MOST_PIXELS, MOST_PLAYED = 32, 56, 40
#: So many characters the data of all animations have at most, that of a layer that would be more is left out.
MOST_CHARACTERS = 2_000_000
_TOO_MANY = "Its numbers are too many to be animated."


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer on the page.

    Attributes
    ----------
    label, operation, summary : str
    formulas : list of str
    shape : tuple of int
        Of its result.
    parameters : list of (str, tuple of int)
    maps, kernels : str or None
        Pictures as data URLs.
    limit : float
        The magnitude at the ends of the maps' scale.
    shown : str
        Which of its numbers are animated, or why none is.
    number : int or None
        Among the page's data.
    """

    label: str
    operation: str
    summary: str
    formulas: list
    shape: tuple
    parameters: list
    maps: str | None
    kernels: str | None
    limit: float
    shown: str
    number: int | None


def write_run(run, path):
    """Write the page of a run.

    Parameters
    ----------
    run : RunFolder
    path : str or os.PathLike

    Raises
    ------
    CheckpointError, DataError, ArgumentError
        If the run has no checkpoint yet, its data are gone, or the model is code that was not named.
    FileWriteError
        If the page cannot be written.
    """
    configuration = run.configuration
    with backend.use_backend("reference"):
        model = run.best_model()
        validation = validation_set(configuration)
        stored = validation.x[0]
        x = configuration.preprocessing.apply(stored)[None]
        traced = program.trace(model, x)
        (output, *_) = traced.outputs
        label, names = int(validation.y[0]), configuration.classes
        is_scored = math.prod(traced.variables[output].shape) == len(names)
        if is_scored:
            traced = with_loss(traced, output, label, CROSS_ENTROPY)
            found = descent(traced, backend.find("reference"), [x])
        else:
            found = Descent(traced.run(backend.find("reference"), traced.constants, [x]), {}, {}, {})
    layers, data = _layers(traced, found)
    scores = np.asarray(found.arrays[output])[0].ravel()
    write(
        path,
        "run.html.jinja",
        data,
        images=True,
        run=str(run.path),
        model=configuration.model,
        picture=_image(stored),
        label=str(names[label]),
        predicted=str(names[int(scores.argmax())]) if is_scored else None,
        layers=layers,
    )


def _image(stored):
    low, high = float(np.min(stored)), float(np.max(stored))
    grey = (np.asarray(stored, np.float32).mean(axis=0) - low) / ((high - low) or 1)
    return pixels.picture(pixels.reduced(grey, 2 * MOST_PIXELS))


def _layers(traced, found):
    """Return the layers, and what the page plays of them: the results of all that there is room for, then gradients."""
    layers, data, gradients, known, room = [], [], [], set(), MOST_CHARACTERS
    for number, step in enumerate(traced.steps):
        inputs = [None if name is None else np.asarray(found.arrays[name]) for name in step.inputs]
        y = np.asarray(found.arrays[step.results[0]])
        piece = None
        if len(data) < MOST_PLAYED:
            piece = cut(step.operation, inputs, step.attributes, y, found.dy.get(number))
        played, gradient = (None, None) if piece is None else _played(step, piece, known)
        if played is not None and (length := len(json.dumps(played))) <= room:
            known.add(step.operation)
            data.append(played)
            gradients.append(gradient)
            room -= length
        else:
            piece = None
        place = None if piece is None else len(data) - 1
        layers.append(_layer(traced, step, inputs, y, _TOO_MANY if piece is None else piece.text, place))
    for played, gradient in zip(data, gradients, strict=True):
        if gradient is not None and (length := len(json.dumps(gradient))) <= room:
            played["cases"][0]["runs"].append(gradient["run"])
            played["sources"] |= gradient["sources"]
            room -= length
    return layers, data


def _layer(traced, step, inputs, y, shown, number):
    summary, formulas, _ = described(step.operation)
    maps, limit = _maps(y)
    parameters = [(name, traced.constants[name].shape) for name in step.inputs if name in traced.constants]
    return Layer(
        step.label,
        step.operation,
        summary,
        formulas[:1],
        y.shape[1:],
        parameters,
        maps,
        _kernels(step, inputs),
        limit,
        shown,
        number,
    )


def _played(step, piece, known):
    """Return what a page plays of a layer, and apart from it of its gradients; None where there are none."""
    found = {}
    case = case_data(step.operation, Example({}, Case(piece.inputs, piece.attributes, piece.dy)), found)
    result, *gradients = case["runs"]
    case["runs"] = [result]
    own = {one["source"] for one in result["steps"]}
    data = {
        "name": step.label,
        "choices": {},
        "sources": {name: source for name, source in found.items() if name in own},
        "cases": [case],
    }
    # Layers of one kind launch one kernel, whose text a page holds once.
    if step.operation not in known:
        files = kernels(step.operation)
        if files:
            data["kernel"] = dict(zip(("path", "text"), files[0], strict=True))
    others = {name: source for name, source in found.items() if name not in own}
    return data, {"run": gradients[0], "sources": others} if gradients else None


def _maps(y):
    """Return the picture of a layer's maps, or None where they are no images, and the ends of its scale."""
    limit = float(np.abs(y[np.isfinite(y)]).max(initial=0))
    if y.ndim != 4 or max(y.shape[2:]) == 1:
        return None, limit
    shown = pixels.reduced(y[0, :MOST_MAPS].astype(np.float64), MOST_PIXELS)
    return pixels.diverging(pixels.side_by_side(np.pad(shown, ((0, 0), (0, 0), (0, 1)))), limit), limit


def _kernels(step, inputs):
    place = rooms.trait(rooms.LAYERS, step.operation, "KERNELS")
    if place is None or inputs[place] is None or inputs[place].ndim != 4:
        return None
    weights = inputs[place][:MOST_MAPS, 0].astype(np.float64)
    return pixels.diverging(
        pixels.side_by_side(np.pad(weights, ((0, 0), (0, 0), (0, 1)))), np.abs(weights).max(initial=0)
    )

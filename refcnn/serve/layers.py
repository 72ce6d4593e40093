"""What each layer of a network makes of an image, and where each of its numbers comes from."""

import time

import numpy as np

from ..explain import Formula, cutting
from ..explain.recording import input_names
from ..explain.walking import of_piece
from ..explain.wording import in_words, short
from ..pages import pixels
from .quantising import finite, on_one_scale
from .refusing import Refusal

#: Maps of a layer that are sent at most, pixels of their sides, and numbers of all layers that are sent unasked.
MOST_MAPS, MOST_PIXELS, MOST_UNASKED = 256, 64, 1 << 20
#: Numbers along a row in which those of a vector are shown, of a short one and of one that is longer than this.
_ROW, _LONG, _LONG_ROW = 64, 1 << 12, 1 << 8
#: Numbers that may be noted for one of them to be followed, and terms that are told one by one.
_MOST_FOLLOWED, MOST_TERMS = 1 << 21, 600
#: Formulas whose first part is the answer, because of the others.
_CHOICES = ("taken", "chosen")


class Layers:
    """The steps of a network, computed one by one on a backend.

    Attributes
    ----------
    constants : dict of str to array of the backend

    Parameters
    ----------
    program : Program
        Of the network on one image.
    backend : Backend
    """

    def __init__(self, program, backend):
        self._program, self._backend = program, backend
        self.constants = {name: backend.array(array) for name, array in program.constants.items()}
        self._names = [next(filter(None, step.results)) for step in program.steps]

    def maps(self, x, wanted=None):
        """Return what all layers make of an input.

        Parameters
        ----------
        x : ndarray, (1, ...)
        wanted : collection of int, optional
            The numbers of those whose maps are wanted; all, if they are not too many numbers.
        """
        begin = time.perf_counter()
        results = list(self._arrays(x, self._names).values())
        if wanted is None:
            numbers = sum(result.size for result in results)
            wanted = range(len(results)) if numbers <= MOST_UNASKED else ()
        return {
            "layers": [self._layer(number, result, number in wanted) for number, result in enumerate(results)],
            "seconds": time.perf_counter() - begin,
        }

    def _arrays(self, x, names):
        with np.errstate(all="ignore"):
            arrays = self._program.run(self._backend, self.constants, [self._backend.array(x)])
        return {name: self._backend.to_host(arrays[name]) for name in names}

    def _layer(self, number, result, is_wanted):
        step = self._program.steps[number]
        return {
            "name": self._names[number],
            "operation": step.operation,
            "inputs": [name for name in step.inputs if name is not None],
            **shown(result, is_wanted),
        }

    def walk(self, x, number, index):
        """Return where one number of a layer's result comes from.

        Parameters
        ----------
        x : ndarray, (1, ...)
        number : int
            Of the layer.
        index : sequence of int
            In the result of one image.

        Raises
        ------
        Refusal
            If there is no such number, or it comes from too many.
        """
        if number >= len(self._names):
            raise Refusal("There is no such layer.")
        step, index = self._program.steps[number], (0, *index)
        arrays = self._arrays(x, [*filter(None, step.inputs), self._names[number]])
        inputs = [None if name is None else arrays[name] for name in step.inputs]
        y = arrays[self._names[number]]
        require_in(index, y.shape)
        found = followed(step, inputs, index)
        return {
            "layer": number,
            "name": self._names[number],
            "operation": step.operation,
            "index": list(index[1:]),
            "input": step.inputs[0],
            **terms(found.formula, per_image(self._program, step)),
            "window": _window(found, step, inputs),
            **measures(found),
            "on_device": finite(y[index]),
            "device": self._backend.name,
        }


def shown(result, is_wanted):
    """Return the shape of what was computed for one image, and its maps, in the form of the answers."""
    maps = as_maps(result)
    found = {"shape": list(result.shape[1:]), "has_maps": maps is not None}
    if maps is not None and is_wanted:
        most = MOST_PIXELS if result.ndim > 2 else _LONG_ROW
        reduced = pixels.reduced(maps[:MOST_MAPS].astype(np.float64), most)
        found["maps"] = {**on_one_scale(reduced), "count": len(maps), "pixels": -(-max(maps.shape[1:]) // most)}
    return found


def require_in(index, shape):
    """Raise Refusal unless there is such a number."""
    if len(index) != len(shape) or not all(0 <= one < size for one, size in zip(index, shape, strict=True)):
        raise Refusal(f"The layer has the shape {'x'.join(map(str, shape[1:]))}, in which that number is not.")


def followed(step, inputs, index, dy=None, result=None):
    """Return the :class:`refcnn.explain.Walk` to a number of a step; the rest as of :func:`refcnn.explain.walk`.

    Raises
    ------
    Refusal
        If it comes from too many.
    """
    piece = cutting.at(step.operation, inputs, step.attributes, index, dy, result)
    if piece.numbers(step.operation) > _MOST_FOLLOWED:
        raise Refusal("The layer has too many numbers to follow one of them.")
    return of_piece(step.operation, piece, index, result)


def per_image(program, step):
    """Return what the reference calls those arrays of a step that have an axis of images, which is one image here."""
    names = zip(input_names(step.operation, len(step.inputs)), step.inputs, strict=True)
    of_results = {"y", "winner", "dy", *(f"dy{number}" for number in range(len(step.results)))}
    return {name for name, given in names if given not in program.constants} | of_results


def measures(walk):
    """Return how far a number is off, in the form of the answers."""
    return {name: finite(getattr(walk, name)) for name in ("exact", "computed", "error", "bound")}


def as_maps(result):
    """Return a result of one image, (1, ...), as maps (C, H, W); a vector in rows; None where it is no image."""
    shape = result.shape[1:]
    if result.shape[:1] != (1,) or result.dtype.kind != "f" or not result.size or len(shape) not in (1, 2, 3):
        return None
    if len(shape) == 1:
        length = min(result.size, _ROW if result.size <= _LONG else _LONG_ROW)
        return np.pad(result[0], (0, -result.size % length)).reshape(1, -1, length)
    return result[0] if len(shape) == 3 else result


def _window(found, step, inputs):
    """Return all that was looked at of the layer's input, with what stands there; of padding nothing does."""
    name, *_ = input_names(step.operation, len(inputs))
    shape = inputs[0].shape
    indices = found.looked_at.get(name, [])[:MOST_TERMS]
    are_there = [all(0 <= one < size for one, size in zip(index, shape, strict=True)) for index in indices]
    return [
        {"index": list(index[1:]), "value": finite(inputs[0][index]) if is_there else None}
        for index, is_there in zip(indices, are_there, strict=True)
    ]


def terms(formula, images):
    """Return the name of a formula and its parts, in the form of the answers; of what is chosen not why it is.

    Parameters
    ----------
    formula : refcnn.explain.Number or refcnn.explain.Formula
    images : collection of str
        The arrays whose first axis is that of images, which answers leave out.
    """
    parts = formula.parts if isinstance(formula, Formula) else (formula,)
    parts = parts[:1] if isinstance(formula, Formula) and formula.name in _CHOICES else parts
    told, others = parts[:MOST_TERMS], parts[MOST_TERMS:]
    return {
        "formula": formula.name if isinstance(formula, Formula) else "copy",
        "names": in_words(formula, lambda number: _called(number, images)),
        "numbers": in_words(formula, lambda number: short(number.value)),
        "terms": [
            {"value": finite(part.value), "factors": [_number(one, images) for one in _factors(part)]} for part in told
        ],
        "others": {"count": len(others), "sum": finite(sum(part.value for part in others))},
    }


def _called(number, images):
    if number.array is None:
        return short(number.value)
    index = _own(number, images)
    return f"{number.array}[{', '.join(map(str, index))}]" if index else number.array


def _factors(part):
    if isinstance(part, Formula) and part.name in _CHOICES:
        return _factors(part.parts[0])
    return part.parts if isinstance(part, Formula) else (part,)


def _number(part, images):
    is_read = not isinstance(part, Formula) and part.array is not None
    return {
        "value": finite(part.value),
        "array": part.array if is_read else None,
        "index": _own(part, images) if is_read else None,
        "is_padding": is_read and part.is_padding,
    }


def _own(number, images):
    """Return the index of a number in what belongs to one image; None where none is known."""
    if number.index is None:
        return None
    return list(number.index[1:] if number.array in images else number.index)

"""What each number that a network computes of an image did to its loss, and where each gradient comes from."""

import math
import time

import numpy as np

from ..explain import walk
from ..explain.descending import LOSSES, in_pieces, with_loss
from ..explain.recording import input_names
from .layers import MOST_TERMS, MOST_UNASKED, followed, measures, per_image, require_in, shown, terms
from .quantising import finite
from .refusing import Refusal

#: Why there is no gradient.
_NO_FLOATS, _APART = (
    "Only floating-point numbers have gradients.",
    "The loss does not depend on it by operations that have gradients.",
)


class LossGradients:
    """The gradients of a loss with respect to all that a network computes.

    Parameters
    ----------
    program : Program
        Of the network on one image.
    backend : Backend
    output : str
        The name of the scores.
    kind : str
        What they are, one of :data:`refcnn.onnx.metadata.SCORES`.
    channels : int
        The axis of channels in a batch of images.
    constants : dict of str to array of the backend, optional
        The program's, where they are there already.
    """

    def __init__(self, program, backend, output, kind, channels=1, constants=None):
        self._program, self._backend, self._output = program, backend, output
        self._loss, self._channels, self._constants = LOSSES[kind], channels, constants
        self._names = [next(filter(None, step.results)) for step in program.steps]

    def maps(self, x, number, wanted=None):
        """Return the gradients of all layers, as a generator does at its end.

        Parameters
        ----------
        x : ndarray, (1, ...)
        number : int
            Of the class.
        wanted : collection of int, optional
            The layers whose maps are wanted; all, if they are not too many numbers.
        """
        begin = time.perf_counter()
        found = yield from in_pieces(self._with_loss(number), self._backend, [x], self._constants)
        arrays = [found.arrays[name] for name in self._names]
        if wanted is None:
            is_few = sum(math.prod(array.shape) for array in arrays) <= MOST_UNASKED
            wanted = range(len(arrays)) if is_few else ()
        image = {"name": self._program.inputs[0], **self._shown(found, self._program.inputs[0], True)}
        names = enumerate(self._names)
        return {
            "loss": self._told(found, number),
            "image": image,
            "layers": [{"name": name, **self._shown(found, name, number in wanted)} for number, name in names],
            "seconds": time.perf_counter() - begin,
        }

    def _with_loss(self, number):
        return with_loss(self._program, self._output, number, self._loss)

    def _told(self, found, number):
        """Return what the loss is."""
        (output,) = self._with_loss(number).outputs
        (value,) = np.ravel(self._backend.to_host(found.arrays[output]))
        return {"name": self._loss, "class": number, "value": finite(value)}

    def _shown(self, found, name, is_wanted):
        gradient = found.gradients.get(name)
        if gradient is None:
            return {
                **shown(self._in_order(found, name, found.arrays), False),
                "has_maps": False,
                "why": self._why(found, name),
            }
        return shown(self._in_order(found, name, found.gradients), is_wanted)

    def _in_order(self, found, name, arrays):
        """Return an array on the host, of the image with its channels first."""
        array = self._backend.to_host(arrays[name])
        return np.moveaxis(array, self._channels, 1) if name == self._program.inputs[0] else array

    def _why(self, found, name):
        return _APART if found.arrays[name].dtype.kind == "f" else _NO_FLOATS

    def walk(self, x, number, layer, index):
        """Return what one number did to the loss and where its gradient comes from, as a generator does at its end.

        Parameters
        ----------
        x : ndarray, (1, ...)
        number : int
            Of the class.
        layer : int or None
            None of the image.
        index : sequence of int
            In the result of one image; of the image its channel, row and column.

        Raises
        ------
        Refusal
            If there is no such number, it has no gradient, or that comes from too many.
        """
        if layer is not None and layer >= len(self._names):
            raise Refusal("There is no such layer.")
        name = self._program.inputs[0] if layer is None else self._names[layer]
        program = self._with_loss(number)
        found = yield from in_pieces(program, self._backend, [x], self._constants)
        place = (0, *index)
        require_in(place, self._in_order(found, name, found.arrays).shape)
        if name not in found.gradients:
            raise Refusal(self._why(found, name))
        if layer is None:
            place = (0, *np.insert(index[1:], self._channels - 1, index[0]).tolist())
        parts = []
        for share in found.shares[name]:
            parts.append(self._part(program, found, share, place))
            yield
        return {
            "layer": layer,
            "name": name,
            "index": list(index),
            "loss": self._told(found, number),
            "value": self._number(found.arrays[name], place),
            "gradient": self._number(found.gradients[name], place),
            "sum": _sum([part["on_device"] for part in parts]) if len(parts) > 1 else None,
            "parts": parts,
            "device": self._backend.name,
        }

    def _number(self, array, place):
        return finite(self._backend.to_host(array)[place])

    def _part(self, program, found, share, place):
        """Return where the share comes from that one step hands back."""
        step, to_host = program.steps[share.step], self._backend.to_host
        inputs = [None if name is None else to_host(found.arrays[name]) for name in step.inputs]
        dy = found.dy[share.step]
        dy = tuple(None if one is None else to_host(one) for one in dy) if isinstance(dy, tuple) else to_host(dy)
        result = f"d{input_names(step.operation, len(inputs))[share.position]}"
        walked = followed(step, inputs, place, dy, result)
        return {
            "layer": share.step if share.step < len(self._names) else None,
            "name": next(filter(None, step.results)),
            "operation": step.operation,
            **terms(walked.formula, per_image(program, step)),
            "window": _window(walked, dy),
            **measures(walked),
            "on_device": self._number(share.gradient, place),
        }


def _window(walked, dy):
    """Return all of the result's gradient that was looked at, with what stands there."""
    if isinstance(dy, tuple):
        return []
    lie_there = {one: None for name in ("dy", "winner", "y") for one in walked.looked_at.get(name, ())}
    indices = [one for one in lie_there if len(one) == dy.ndim][:MOST_TERMS]
    return [{"index": list(one[1:]), "value": finite(dy[one])} for one in indices]


def _sum(shares):
    """Return how far the sum of shares is off that float32 makes one after the other."""
    if None in shares:
        return None
    total, bound = np.float32([shares[0]]), 0.0
    for share in shares[1:]:
        added = walk("add", (total, np.float32([share])), {}, (0,))
        total, bound = np.float32([added.computed]), bound + added.bound
    exact = math.fsum(shares)
    measured = {"exact": exact, "computed": float(total[0]), "error": abs(float(total[0]) - exact), "bound": bound}
    return {name: finite(one) for name, one in measured.items()}

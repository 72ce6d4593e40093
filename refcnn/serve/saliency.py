"""On which pixels the score of a class depends: three answers, each by its formula."""

import numpy as np

from .. import rooms
from ..explain.descending import SCORE, descent, with_loss
from .refusing import Refusal

#: A patch is so small a part of the image's shorter side, and moves by half of its own.
_PATCHES, _SMALLEST_PATCH = 7, 2
#: Images that are computed at once.
_BATCH = 32


def occlusion(scores, x, number, axes):
    """Return by how much the score falls when a patch around a pixel is covered with the image's mean.

    A pixel has the mean of the patches that cover it. It is computed in pieces: this is a generator, which returns it.

    Parameters
    ----------
    scores : callable
        Of a batch, float64 (N, K).
    x : ndarray, (1, ...)
        The network's input.
    number : int
        Of the class.
    axes : (int, int)
        Of height and width.

    Yields
    ------
    None
        After each batch.

    Returns
    -------
    ndarray, (H, W)
    """
    height, width = (x.shape[axis] for axis in axes)
    side = max(_SMALLEST_PATCH, min(height, width) // _PATCHES)
    places = [(top, left) for top in _steps(height, side) for left in _steps(width, side)]
    total, count = np.zeros((height, width)), np.zeros((height, width))
    mean = x.mean(axis=axes, keepdims=True).astype(x.dtype)
    whole = scores(x)[0, number]
    for begin in range(0, len(places), _BATCH):
        part = places[begin : begin + _BATCH]
        covered = np.repeat(x, len(part), axis=0)
        for one, place in zip(covered, part, strict=True):
            window = [slice(None)] * one.ndim
            for axis, first in zip(axes, place, strict=True):
                window[axis - 1] = slice(first, first + side)
            one[tuple(window)] = mean[0]
        for (top, left), found in zip(part, scores(covered)[:, number], strict=True):
            total[top : top + side, left : left + side] += whole - found
            count[top : top + side, left : left + side] += 1
        yield
    return total / count


def _steps(size, side):
    """Return where patches begin along an axis, such that each pixel is covered."""
    return sorted({*range(0, size - side + 1, max(1, side // 2)), size - side})


class Gradients:
    """The gradients of scores through a program.

    Parameters
    ----------
    program : Program
        Of the network on one image.
    backend : Backend
    output : str
        The name of the scores.
    """

    def __init__(self, program, backend, output):
        self._program, self._backend, self._output = program, backend, output

    def of(self, x, number, name):
        """Return the value of a tensor, and the gradient of a score with respect to it.

        Parameters
        ----------
        x : ndarray, (1, ...)
        number : int
            Of the class.
        name : str
            Of the input or of a step's result.

        Raises
        ------
        Refusal
            If the score does not depend on it by operations that have gradients.
        """
        found = descent(with_loss(self._program, self._output, number, SCORE), self._backend, [x])
        if found.arrays[name].dtype.kind != "f":
            raise Refusal("The network takes whole numbers, which have no gradient.")
        if name not in found.gradients:
            raise Refusal("The score does not depend on that by operations that have gradients.")
        return tuple(self._backend.to_host(arrays[name]) for arrays in (found.arrays, found.gradients))

    def times_input(self, x, number):
        """Return the gradient of a score with respect to each number of the input, times that number."""
        value, gradient = self.of(x, number, self._program.inputs[0])
        return value * gradient

    def class_activation(self, x, number, layer):
        """Return Grad-CAM of a layer, (H, W): its maps weighted by their mean gradients, where the sum is positive.

        The maps are taken after the activation, as they are passed on.

        Parameters
        ----------
        x : ndarray, (1, ...)
        number : int
            Of the class.
        layer : int or None
            Of a step; the last convolution if none is given.
        """
        layers = self.convolutions()
        if not layers or (layer is not None and layer not in layers):
            raise Refusal("Grad-CAM is of a convolution, which that is not.")
        maps, gradient = self.of(x, number, self._passed_on(layers[-1] if layer is None else layer))
        weights = gradient.mean(axis=(2, 3), keepdims=True, dtype=np.float64)
        return np.maximum((weights * maps)[0].sum(axis=0), 0)

    def _passed_on(self, number):
        """Return the name of a layer's maps after what is done to each number alone, such as its activation."""
        name, variables = self._program.steps[number].results[0], self._program.variables
        while True:
            readers = [step for step in self._program.steps if name in step.inputs]
            if len(readers) != 1 or name in self._program.outputs or self._has_kernels(readers[0]):
                return name
            others = {one for one in readers[0].inputs if one is not None} - {name} - self._program.constants.keys()
            result = readers[0].results[0]
            if others or result is None or variables[result].shape != variables[name].shape:
                return name
            name = result

    def _has_kernels(self, step):
        return rooms.trait(rooms.LAYERS, step.operation, "KERNELS") is not None

    def convolutions(self):
        """Return the numbers of the steps that have kernels over images."""
        return [
            number
            for number, step in enumerate(self._program.steps)
            if self._has_kernels(step) and len(self._program.variables[step.results[0]].shape) == 4
        ]

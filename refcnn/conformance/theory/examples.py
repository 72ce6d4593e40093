"""Cases that show people what an operation does: few numbers that are easily read."""

import dataclasses
import functools
import itertools

import numpy as np
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.errors import NoSuchExample

from ... import rooms
from ...backend import results_of
from ...errors import ShapeError
from ...shapes import transposed_output_shape, window_output_shape
from . import hypothesis_folder
from .strategies import Case

#: How many numbers the largest array of a case has that is drawn, and how many it should have at least.
_MOST, _LEAST = 24, 6
_QUIET = settings(
    max_examples=300,
    database=None,
    derandomize=True,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


@dataclasses.dataclass(frozen=True, eq=False)
class Example:
    """A case, and what is chosen in it.

    Attributes
    ----------
    choices : dict of str to (int or str)
        By the name of what can be chosen, the same names in all examples of an operation.
    case : Case
    """

    choices: dict
    case: Case


def examples(operation):
    """Return the examples of an operation, its own or one that is drawn, always the same ones.

    Returns
    -------
    list of Example
    """
    own = rooms.trait(rooms.CONFORMANCE, operation, "examples")
    return [_drawn(operation)] if own is None else list(own())


def numbers(shape, seed, least=-9, most=9):
    """Return numbers of one decimal, float32: ``least / 10`` to ``most / 10``."""
    return (np.random.default_rng(seed).integers(least, most + 1, shape) / 10).astype(np.float32)


def choosing(**options):
    """Yield a dict for each combination of options that are given by name."""
    for combination in itertools.product(*options.values()):
        yield dict(zip(options, combination, strict=True))


def of_shapes(*inputs, dy=None, least=-9, **attributes):
    """Return the trait ``examples`` of one case.

    Parameters
    ----------
    *inputs : tuple of int, or ndarray
        The shapes of the inputs, or what they are.
    dy : tuple of int, or tuple of ndarray, optional
        The shape of the gradient of the result, or of several results what these are.
    least : int
        Numbers are from a tenth of that on.
    **attributes
        As the backends take them.
    """

    def examples():
        """One case of few numbers."""
        arrays = [
            entry if isinstance(entry, np.ndarray) else numbers(entry, seed, least)
            for seed, entry in enumerate(inputs, 1)
        ]
        is_given = dy is None or any(isinstance(one, np.ndarray) for one in dy)
        yield Example({}, Case(tuple(arrays), attributes, dy if is_given else numbers(dy, 9)))

    return examples


def convolutions(kernels_shape, sizes=(5, 6), **attributes):
    """Yield examples of convolutions with one kernel over images of one channel, or with two of each in groups.

    Parameters
    ----------
    kernels_shape : callable
        Given channels, kernels and groups it returns the first two sizes of the weights.
    sizes : sequence of int
        Of the images.
    **attributes
        The operation's further ones; with them it is a transposed one.
    """
    chosen = choosing(pixels=sizes, kernel=(3, 2), padding=(0, 1), stride=(1, 2), dilation=(1, 2), groups=(1, 2))
    for choices in chosen:
        size, groups, kernel = choices["pixels"], choices["groups"], (choices["kernel"],) * 2
        if groups > 1 and size != sizes[0]:
            continue
        window = {"stride": (choices["stride"],) * 2, "padding": (choices["padding"],) * 4}
        window |= {"dilation": (choices["dilation"],) * 2}
        try:
            if attributes:
                shape = {"output_padding": attributes["output_padding"]}
                out = transposed_output_shape((size, size), kernel, **window, **shape)
            else:
                out = window_output_shape((size, size), kernel, **window)
        except ShapeError:
            continue
        x, w = numbers((1, groups, size, size), 1, 0, 9), numbers((*kernels_shape(groups, groups, groups), *kernel), 2)
        b, dy = numbers((1, groups, 1, 1), 3), numbers((1, groups, *out), 4)
        yield Example(choices, Case((x, w, b), {**window, "groups": groups, **attributes}, dy))


def pools(**attributes):
    """Yield examples of windows that pool an image of one channel."""
    for choices in choosing(pixels=(5, 6), kernel=(2, 3), padding=(0, 1), stride=(1, 2), dilation=(1, 2)):
        image, kernel = (choices["pixels"],) * 2, (choices["kernel"],) * 2
        window = {"kernel": kernel, "stride": (choices["stride"],) * 2, "padding": (choices["padding"],) * 4}
        window |= {"dilation": (choices["dilation"],) * 2}
        try:
            out = window_output_shape(image, **window)
        except ShapeError:
            continue
        case = Case((numbers((1, 1, *image), 1, 0, 9),), {**window, **attributes}, numbers((1, 1, *out), 4))
        yield Example(choices, case)


@functools.cache
def _drawn(operation):
    """Return an example with the simplest attributes and shapes that are drawn, of numbers of one decimal."""
    cases = rooms.require(rooms.CONFORMANCE, operation).cases("tiny")
    has_gradient = rooms.trait(rooms.CONFORMANCE, operation, "HAS_GRADIENT")
    has_gradient = has_gradient and _saves(operation)
    for least in (_LEAST, 1, 0):
        try:
            with hypothesis_folder.in_the_cache(), np.errstate(all="ignore"):
                case = find(cases, lambda case, least=least: _is_small(case, least, has_gradient), settings=_QUIET)
        except NoSuchExample:
            continue
        return Example({}, _readable(operation, case))
    raise AssertionError(f"{operation} has no small case: give it examples() among its traits")


def _saves(operation):
    """Return whether forward saves something for a gradient, beside its result."""
    return hasattr(rooms.require(rooms.REFERENCE, operation), "backward")


def _is_small(case, least, has_gradient):
    sizes = [one.size for one in case.arrays]
    has_all = case.dy is not None or not has_gradient
    return bool(sizes) and least <= max(sizes) <= _MOST and min(sizes) > 0 and has_all and not case.integers


def _readable(operation, case):
    """Return a case of the same shapes whose numbers are easily read and whose result is finite, where one is."""
    for least in (-9, 1):
        inputs = tuple(_number_like(one, seed, least) for seed, one in enumerate(case.inputs))
        with np.errstate(all="ignore"):
            y = rooms.require(rooms.REFERENCE, operation).forward(*inputs, **case.attributes)
        found = [one for one in results_of(y[0] if _saves(operation) else y) if isinstance(one, np.ndarray)]
        if all(np.isfinite(one).all() for one in found if one.dtype.kind == "f"):
            break
    dy = case.dy
    if dy is not None:
        several = tuple(_number_like(one, 9 + place, -9) for place, one in enumerate(results_of(dy)))
        dy = several if isinstance(dy, tuple) else several[0]
    return Case(inputs, case.attributes, dy)


def _number_like(array, seed, least):
    if array is None or array.dtype.kind != "f":
        return array
    return numbers(array.shape, seed + 1, least) * np.float32(2)

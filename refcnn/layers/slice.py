"""Slices of arrays: the function, Python's ``x[...]``, and the ONNX mapping."""

import builtins
import contextlib
import operator
from collections.abc import Sequence

import numpy as np

from .. import attributes as attribute
from ..errors import ArgumentError, OutOfRangeError
from ..formats import ANY
from ..function import apply
from ..shapes import parts
from ..variable import Input, Variable, as_variable
from .reshape import reshape

FAMILY = "shape"

#: It moves whatever there is.
DTYPES = (ANY,)
#: What stands in the place of functions of NumPy, for messages.
IN_PLACE_OF_NUMPY = {"flip": "x[::-1]", "flipud": "x[::-1]", "fliplr": "x[:, ::-1]"}

_WHOLE = (None, None, 1)
# ONNX has no None: what lies beyond any axis is cut to its end.
_BEFORE_THE_FIRST, _AFTER_THE_LAST = np.iinfo(np.int64).min, np.iinfo(np.int64).max


def slice(
    x: Input,
    starts: int | Sequence[int | None] | None,
    stops: int | Sequence[int | None] | None,
    steps: int | Sequence[int | None] | None = None,
) -> Variable:
    """Take a part along each of the first axes, as NumPy's ``x[start:stop:step, ...]`` does.

    Parameters
    ----------
    x : Variable or array_like
    starts, stops : int or None, or sequence of these
        The first index and the one before which the last lies; negative ones count from the end, and None is where an
        axis begins or ends. One for each of the first axes of x; the others are taken whole.
    steps : int or sequence of int, optional
        From one index to the next, not 0; 1 as a rule. With negative steps the order is reversed.

    Returns
    -------
    Variable, of the dtype of x

    Raises
    ------
    ArgumentError
        If these are no integers, are not as many, or a step is 0.
    OutOfRangeError
        If there are more than axes.
    """
    x = as_variable(x)
    starts, stops = attribute.entries(starts), attribute.entries(stops)
    steps = (1,) * len(starts) if steps is None else attribute.entries(steps)
    if not len(starts) == len(stops) == len(steps):
        raise ArgumentError(
            f"slice: starts has {len(starts)} entries, stops {len(stops)} and steps {len(steps)}. Give one of each "
            "for each of the first axes."
        )
    _check_count(len(starts), x.shape)
    return _apply(x, [_normal(builtins.slice(*entry)) for entry in zip(starts, stops, steps, strict=True)])


def item(x, key):
    """Return ``x[key]`` as NumPy's basic indexing has it.

    Parameters
    ----------
    x : Variable
    key : int, slice, Ellipsis or None, or a tuple of these
        An int takes its axis away, None makes one of size 1, Ellipsis stands for all axes that are not named.

    Returns
    -------
    Variable

    Raises
    ------
    ArgumentError
        If something else is among them, such as an array of indices or a mask.
    OutOfRangeError
        If an index lies outside of its axis, or there are more than axes.
    """
    entries = _without_ellipsis(key if isinstance(key, tuple) else (key,), x.shape)
    slices, sizes, axis = [], [], 0
    for entry in entries:
        if entry is None:
            sizes.append(1)
            continue
        if isinstance(entry, builtins.slice):
            slices.append(_normal(entry))
            sizes.append(len(range(x.shape[axis])[builtins.slice(*slices[-1])]))
        else:
            slices.append(_single(entry, axis, x.shape))
        axis += 1
    shape = (*sizes, *x.shape[axis:])
    if any(entry != _WHOLE for entry in slices) or shape == x.shape:
        x = _apply(x, slices)
    return x if shape == x.shape else reshape(x, shape)


def _apply(x, slices):
    while slices and slices[-1] == _WHOLE:
        slices = slices[:-1]
    starts, stops, steps = zip(*slices, strict=True) if slices else ((), (), ())
    return apply("slice", x, starts=starts, stops=stops, steps=steps)


def _normal(entry):
    """Return (start, stop, step) of a slice, None or ints."""
    try:
        start, stop = (None if end is None else operator.index(end) for end in (entry.start, entry.stop))
        step = 1 if entry.step is None else operator.index(entry.step)
    except TypeError:
        raise ArgumentError(f"slice: {entry} has something other than integers and None in it. Use those.") from None
    if step == 0:
        raise ArgumentError(f"slice: {entry} has the step 0. Use another; negative ones reverse the order.")
    return start, stop, step


def _single(index, axis, shape):
    """Return the slice of one index."""
    number = _integer(index)
    if number not in range(-shape[axis], shape[axis]):
        raise OutOfRangeError(f"the index {number} is outside of axis {axis} of an array of shape {shape}.")
    return number, None if number == -1 else number + 1, 1


def _integer(index):
    is_one = not isinstance(index, (bool, np.bool_, Variable)) and getattr(index, "ndim", 0) == 0
    with contextlib.suppress(TypeError):
        if is_one:
            return operator.index(index)
    raise ArgumentError(
        f"a Variable was indexed by {type(index).__name__}, but it takes integers, slices, Ellipsis and None. For "
        "chosen rows or a mask, index the data before they become a Variable, as in model(images[rows]), or "
        "as_ndarray() where no gradient is asked for."
    )


def _without_ellipsis(entries, shape):
    """Return an index with a whole slice for each axis that an Ellipsis stands for."""
    places = [place for place, entry in enumerate(entries) if entry is Ellipsis]
    named = sum(entry is not None and entry is not Ellipsis for entry in entries)
    _check_count(named, shape)
    if not places:
        return entries
    if len(places) > 1:
        raise ArgumentError("an index has more than one Ellipsis, so that it is open which axes each stands for.")
    whole = (builtins.slice(None),) * (len(shape) - named)
    return (*entries[: places[0]], *whole, *entries[places[0] + 1 :])


def _check_count(count, shape):
    if count > len(shape):
        raise OutOfRangeError(
            f"there are {count} indices or slices for an array of shape {shape}, of {len(shape)} axes."
        )


def for_any_batch(shapes, attributes, other_shapes, other_attributes):
    """Return attributes that say in any batch what was said in two, or None: the trait of :mod:`refcnn.layers`.

    A place that changes with the batch is as far from the beginning or from the end of its axis in both.
    """
    (x,), (other_x,) = shapes, other_shapes
    found = {"steps": attributes["steps"]}
    for name in ("starts", "stops"):
        ends, other_ends = attributes[name], other_attributes[name]
        if len(ends) != len(other_ends):
            return None
        found[name] = tuple(map(_for_any_size, ends, x, other_ends, other_x))
    return found if attributes["steps"] == other_attributes["steps"] else None


def _for_any_size(end, size, other_end, other_size):
    if end == other_end or None in (end, other_end):
        return end
    place, other_place = (one + length * (one < 0) for one, length in ((end, size), (other_end, other_size)))
    if place == other_place:
        return place
    return place - size if place < size else None


def at_shapes(x, *, starts, stops, steps):
    """Return the attributes with every place as a number, for x of a shape."""
    return {"parts": parts(x, starts, stops, steps)}


def to_onnx(graph, x, *, starts, stops, steps):
    """Write ONNX's Slice over the axes of which a part is taken."""
    slices = {axis: entry for axis, entry in enumerate(zip(starts, stops, steps, strict=True)) if entry != _WHOLE}
    if not slices:
        return graph.tensor(x)
    return graph.node(
        "Slice",
        [graph.tensor(x)],
        starts=[_end(start, step < 0) for start, _, step in slices.values()],
        ends=[_end(stop, step > 0) for _, stop, step in slices.values()],
        axes=list(slices),
        steps=[step for *_, step in slices.values()],
    )


def _end(place, is_last):
    return (_AFTER_THE_LAST if is_last else _BEFORE_THE_FIRST) if place is None else place


def from_onnx(data, *, starts, ends, axes=None, steps=None):
    """Read ONNX's Slice."""
    starts, ends, axes, steps = (
        entry if entry is None or isinstance(entry, tuple) else (entry,) for entry in (starts, ends, axes, steps)
    )
    axes, steps = range(len(starts)) if axes is None else axes, (1,) * len(starts) if steps is None else steps
    taken = [builtins.slice(None)] * len(data.shape)
    for axis, *entry in zip(axes, starts, ends, steps, strict=True):
        taken[attribute.axis("slice", axis, len(taken))] = builtins.slice(*entry)
    return item(data, tuple(taken))


FROM_ONNX = {"Slice": from_onnx}

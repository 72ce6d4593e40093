"""Along which axes an operation does with a slice what it does with the whole: found by trying it on small arrays."""

import numpy as np

from .. import rooms
from ..errors import RefcnnError
from .recording import results_and_saved

#: The lengths of the small arrays' axes, of a single one, and how near to each other their numbers are to be.
_LENGTH, _SINGLE, _NEAR = 5, 32, 1e-9
#: What the axis is called along which a product of matrices adds.
_INNER = "inner"
#: What comes of arrays that do not fit to each other or to the attributes.
_UNFIT = RefcnnError, IndexError, TypeError, ValueError


def separated(operation, inputs, attributes, index, dy=None, wanted=None):
    """Return the slices of all arrays from which one number alone is computed, or None where they would be the whole.

    Parameters
    ----------
    operation : str
    inputs : sequence of (ndarray or None)
    attributes : dict
    index : tuple of int
        Of the number in the result, or in the gradient of an input.
    dy : ndarray, optional
        The gradient of the result, for a number of a gradient.
    wanted : int, optional
        Of which input's gradient.

    Returns
    -------
    (list of (tuple of slice), tuple of slice) or None
        Of the inputs, and of the result.
    """
    if any(one is not None and one.dtype.kind not in "fb" for one in inputs):
        return None
    axes = len(index) if dy is None else dy.ndim
    found = []
    for names in _names(inputs, axes):
        trial = _Trial(operation, inputs, attributes, names, axes, wanted)
        own = dict(zip(trial.own, index, strict=False))
        slices = {name: slice(own[name], own[name] + 1) for name in trial.separate() & own.keys()}
        found.append(([_slices(one, slices) for one in names], _slices(range(axes), slices)))
    # Of several ways that in which least is left.
    left, best = min((_left(inputs, of_inputs), number) for number, (of_inputs, _) in enumerate(found))
    is_part = 0 < left < sum(one.size for one in inputs if one is not None)
    return found[best] if is_part else None


def _left(inputs, slices):
    """Return how many numbers of the inputs are left; 0 where the place lies outside of one."""
    sizes = [one[own].size for one, own in zip(inputs, slices, strict=True) if one is not None]
    return sum(sizes) if all(sizes) else 0


def _slices(names, slices):
    return tuple(slices.get(name, slice(None)) for name in names)


def _names(inputs, axes):
    """Yield what the axes of the inputs may be called, each after the axis of the result to which it belongs.

    None is one of a single number, which belongs to all of the result.
    """
    yield [_aligned(one, axes) for one in inputs]
    if axes > 1:
        # What there is of each channel lies along the second axis.
        yield [(1,) if one is not None and one.ndim == 1 else _aligned(one, axes) for one in inputs]
    if axes > 1 and len(inputs) > 1 and all(one is None or one.ndim > 1 for one in inputs):
        a, b, *others = (_aligned(one, axes) for one in inputs)
        yield [(*a[:-1], _INNER), (*b[:-2], _INNER, *b[-1:]), *others]


def _aligned(array, axes):
    if array is None:
        return ()
    names = range(axes - array.ndim, axes)
    return tuple(None if size == 1 else name for name, size in zip(names, array.shape, strict=True))


class _Trial:
    """A call on small arrays, whose axes are called like those of the large ones."""

    def __init__(self, operation, inputs, attributes, names, axes, wanted):
        self._operation, self._attributes, self._wanted = operation, attributes, wanted
        self._names, self._axes = names, range(axes)
        self.own = self._axes if wanted is None else names[wanted]
        length = _SINGLE if len({name for one in names for name in one} - {None}) == 1 else _LENGTH
        draw = np.random.default_rng(0)
        self._inputs = [None if one is None else _drawn(draw, one, length) for one in inputs]
        self._draw = draw

    def separate(self):
        """Return the names of the axes along which a slice of what the whole gives is what slices give."""
        try:
            dy = None if self._wanted is None else _drawn(self._draw, self._run(self._inputs, None), _SINGLE)
            whole = self._run(self._inputs, dy)
        except _UNFIT:
            return set()
        result = whole if dy is None else dy
        if (result.ndim, whole.ndim) != (len(self._axes), len(self.own)):
            return set()
        of_arrays = [*zip(self._names, self._inputs, strict=True), (self._axes, result)]
        lengths = [dict(zip(names, one.shape, strict=True)) if one is not None else {} for names, one in of_arrays]
        there = {name for names in self._names for name in names} & set(self.own) - {None}
        return {name for name in there if self._is_separate(name, dy, whole, lengths)}

    def _is_separate(self, name, dy, whole, lengths):
        length, *others = {one[name] for one in lengths if name in one}
        return not others and all(self._gives(whole, dy, {name: slice(place, place + 1)}) for place in range(length))

    def _gives(self, whole, dy, slices):
        expected = whole[_slices(self.own, slices)]
        named = zip(self._names, self._inputs, strict=True)
        parts = [None if one is None else one[_slices(names, slices)] for names, one in named]
        try:
            found = self._run(parts, None if dy is None else dy[_slices(self._axes, slices)])
        except _UNFIT:
            return False
        return found.shape == expected.shape and np.allclose(found, expected, rtol=_NEAR, atol=0, equal_nan=True)

    def _run(self, inputs, dy):
        """Return the result, or the gradient that is wanted once there is one of the result."""
        room = rooms.require(rooms.REFERENCE, self._operation)
        with np.errstate(all="ignore"):
            y, saved = results_and_saved(self._operation, room.forward(*inputs, **self._attributes))
            if not isinstance(y, np.ndarray):
                raise TypeError
            if dy is None:
                return y
            needs = tuple(number == self._wanted for number in range(len(inputs)))
            return np.asarray(room.backward(dy, saved, needs, **self._attributes)[self._wanted], np.float64)


def _drawn(draw, array, length):
    """Return numbers around one, or truth values, in the shape of an array whose axes are not longer than some."""
    shape = tuple(min(size, length) for size in array.shape)
    return draw.random(shape) < 0.5 if array.dtype.kind == "b" else 0.5 + draw.random(shape)

"""Inputs of a foreign graph: their shapes, as far as the file fixes them, and numbers of their types."""

import math

import numpy as np
from hypothesis import strategies as st

from ... import npz
from ...errors import ArgumentError, DataError, UnsupportedError
from ...reading import open_plain, reading
from ..reading.description import dtype_of
from .drawing import BATCHES, Drawn, numbers

#: Sizes that are tried where the file leaves one open that is not the batch: what many networks halve often.
_FREE_SIZES = (32, 64, 96)


class Feeds:
    """What a graph is fed.

    Parameters
    ----------
    model : ImportedModel
    whole : onnx.ModelProto
    shapes : dict of str to tuple
        Of inputs by name, None for a size that is drawn.

    Raises
    ------
    ArgumentError
        If there is no such input, or the file fixes another size.
    UnsupportedError
        If an input is of a type that cannot be drawn.
    """

    def __init__(self, model, whole, shapes):
        declared = {entry.name: entry for entry in whole.graph.input}
        unknown = shapes.keys() - set(model.input_names)
        if unknown:
            raise ArgumentError(
                f"the model has no input {min(unknown)!r} that must be given. It has {', '.join(model.input_names)}."
            )
        self._names = model.input_names
        self._inputs = [_input(declared[name], shapes.get(name)) for name in model.input_names]

    def arranged(self, file, content):
        """Return what a file holds as the model's inputs, a tuple of ndarrays.

        Parameters
        ----------
        file : str
        content : ndarray or dict of str to ndarray
            As :func:`read` returned it.

        Raises
        ------
        DataError
            If an input is missing, or of another type or number of axes.
        """
        names = ", ".join(self._names)
        if not isinstance(content, dict):
            content = dict.fromkeys(self._names[:1], content)
        if content.keys() != set(self._names):
            raise DataError(f"{file} holds {', '.join(content) or 'nothing'}, but the model's inputs are {names}.")
        for name, (shape, dtype) in zip(self._names, self._inputs, strict=True):
            found = content[name]
            if found.ndim != len(shape) or not np.can_cast(found.dtype, dtype, "same_kind"):
                raise DataError(
                    f"{file}: {name} is of {found.dtype} and shape {found.shape}, but the model takes {dtype} with "
                    f"{len(shape)} axes."
                )
        pairs = zip(self._names, self._inputs, strict=True)
        return tuple(np.ascontiguousarray(content[name], dtype) for name, (_, dtype) in pairs)

    def strategy(self, patterns):
        """Return a Hypothesis strategy of Drawn, of some patterns; the first axis of what is open is the batch."""
        return _drawn(self._inputs, patterns)


@st.composite
def _drawn(draw, inputs, patterns):
    """Draw numbers of one pattern for all inputs, and the sizes that are open."""
    sizes, arrays, batch, pattern = {}, [], draw(st.sampled_from(BATCHES)), draw(st.sampled_from(patterns))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    for shape, dtype in inputs:
        drawn = tuple(_size(draw, entry, place, batch, sizes) for place, entry in enumerate(shape))
        if dtype.kind == "f":
            largest = np.finfo(dtype).max
            values = np.clip(numbers(pattern, random, math.prod(drawn)), -largest, largest)
        else:
            values = random.integers(0, 256 if dtype == np.uint8 else 2, math.prod(drawn))
        arrays.append(values.astype(dtype).reshape(drawn))
    return Drawn.of(arrays, pattern)


def read(file):
    """Return what a user's file holds: the array of an ``.npy`` file, or those of an ``.npz`` file by name.

    Raises
    ------
    DataError
        If it is missing or broken, or needs pickle.
    """
    with reading(file, "an .npy or .npz file of arrays", DataError, "Give one that numpy.save or numpy.savez wrote."):
        if str(file).endswith(".npz"):
            return npz.read(file)
        with open_plain(file) as stream:
            return np.load(stream, allow_pickle=False)


def _input(entry, wanted):
    """Return the sizes of an input, numbers or what open ones are called, and its dtype."""
    tensor = entry.type.tensor_type
    dtype = dtype_of(entry)
    if dtype.kind not in "fiub":
        raise UnsupportedError(f"the input {entry.name!r} is of {dtype}, which cannot be drawn. Give data of your own.")
    sizes = [axis.dim_value if axis.dim_value > 0 else axis.dim_param or None for axis in tensor.shape.dim]
    if wanted is None:
        return sizes, dtype
    if tensor.HasField("shape") and len(sizes) != len(wanted):
        raise ArgumentError(f"the input {entry.name!r} has {len(sizes)} axes, but --shape gives {len(wanted)}.")
    return [axis if size is None else size for size, axis in zip(wanted, sizes or wanted, strict=True)], dtype


def _size(draw, entry, place, batch, sizes):
    if isinstance(entry, int):
        return entry
    if place == 0:
        return batch
    if entry not in sizes or entry is None:
        sizes[entry] = draw(st.sampled_from(_FREE_SIZES))
    return sizes[entry]

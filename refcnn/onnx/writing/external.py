"""Weights beside an ONNX file, where it would be too large in one piece.

The data's name tells its contents: a model that was replaced, or of which the writing was cut off, never finds the data
of another.
"""

import contextlib
import hashlib
import re

import numpy as np
import onnx
from onnx import helper, numpy_helper

#: Where each array begins in the file: at a multiple of it, which a runtime can map into memory. What takes less stays
#: in the model.
ALIGNMENT = 4096
_DIGITS = 16


def location(name, digest):
    """Return what the data of a model's file is called: the model's name, then digits of the data's own."""
    return f"{name}.{digest[:_DIGITS]}.data"


def writer(folder, name):
    """Return a function that writes initializers beside a model and returns what the model says of each.

    Parameters
    ----------
    folder : pathlib.Path
        Where the data is written.
    name : str
        The name of the model's file.

    Returns
    -------
    callable
        Given ndarrays by name it returns a list of onnx.TensorProto.
    """

    def store(arrays):
        large = {entry: array for entry, array in arrays.items() if array.nbytes >= ALIGNMENT}
        offsets, digest = _write(large, folder / "data")
        if large:
            (folder / "data").rename(folder / location(name, digest))
        else:
            (folder / "data").unlink()
        return [
            _outside(array, entry, location(name, digest), offsets[entry])
            if entry in large
            else numpy_helper.from_array(np.asarray(array, order="C"), entry)
            for entry, array in arrays.items()
        ]

    return store


def _write(arrays, path):
    """Write arrays one after the other; return the offset of each by name, and the file's SHA-256."""
    offsets, digest, end = {}, hashlib.sha256(), 0
    with open(path, "wb") as file:
        for entry, array in arrays.items():
            content = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            gap = bytes(-end % ALIGNMENT)
            offsets[entry] = end + len(gap)
            for part in (gap, memoryview(content.reshape(-1)).cast("B")):
                file.write(part)
                digest.update(part)
            end = offsets[entry] + content.nbytes
    return offsets, digest.hexdigest()


def _outside(array, name, where, offset):
    entry = onnx.TensorProto(
        name=name,
        data_type=helper.np_dtype_to_tensor_dtype(array.dtype),
        dims=array.shape,
        data_location=onnx.TensorProto.EXTERNAL,
    )
    for key, value in (("location", where), ("offset", offset), ("length", array.nbytes)):
        entry.external_data.add(key=key, value=str(value))
    return entry


def data_of(path):
    """Return the files beside a model, of names that :func:`location` gives its data, which it reads; a set."""
    pattern = re.compile(rf"{re.escape(path.name)}\.[0-9a-f]{{{_DIGITS}}}\.data")
    found = {}
    with contextlib.suppress(OSError):
        found = {file.name: file for file in path.parent.iterdir() if pattern.fullmatch(file.name)}
    if not found:
        return set()
    # Whatever stands there, nothing is known of it then.
    with contextlib.suppress(Exception):
        model = onnx.load(path, load_external_data=False)
        named = {field.value for entry in model.graph.initializer for field in entry.external_data}
        return {file for name, file in found.items() if name in named}
    return set()

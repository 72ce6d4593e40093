"""Data of tensors that lies beside an ONNX file: read from the file's own folder, and from nowhere else."""

import math
import os
import stat
from pathlib import PurePath

import numpy as np
import onnx

from ...errors import DataError, UnsupportedError
from ...reading import open_plain


def external_array(entry, folder):
    """Return the ndarray of a TensorProto that keeps its data in another file.

    Parameters
    ----------
    entry : onnx.TensorProto
    folder : pathlib.Path or None
        Where the model lies, None for one that was not read from a file.

    Raises
    ------
    DataError
        If the file lies outside of the folder, is a link or no plain file, or has too few bytes; or if these are not as
        many as the tensor has.
    UnsupportedError
        If its elements are no numbers or truth values that NumPy has.
    """
    fields = {field.key: field.value for field in entry.external_data}
    location = fields.get("location", "")
    if folder is None:
        raise DataError(f"the data of {entry.name!r} lies in the file {location!r}. Give the model's path.")
    dtype, size = _form(entry)
    try:
        offset, length = int(fields.get("offset", 0)), int(fields.get("length", size))
    except ValueError:
        raise DataError(f"where the data of {entry.name!r} lies in {location!r} is no number.") from None
    if length != size or offset < 0:
        raise DataError(
            f"the data of {entry.name!r} has {length} bytes from {offset} on in {location!r}, but its shape and type "
            f"need {size}."
        )
    path = path_of(entry.name, location, folder)
    # It is looked at once more, since it may have been exchanged.
    with open_plain(path, follow=False) as file:
        if os.fstat(file.fileno()).st_size < offset + length:
            raise DataError(f"the file {location!r} ends before the data of {entry.name!r}. It is not whole.")
        file.seek(offset)
        array = np.fromfile(file, dtype.newbyteorder("<"), size // dtype.itemsize)
    return array.astype(dtype, copy=False).reshape(entry.dims)


def _form(entry):
    """Return the dtype of a tensor, and how many bytes it takes."""
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(entry.data_type)
    except KeyError:
        dtype = np.dtype(object)
    if dtype.kind not in "fiub":
        raise UnsupportedError(f"the constant {entry.name!r} is of ONNX's type {entry.data_type}.") from None
    if any(size < 0 for size in entry.dims):
        raise DataError(f"the constant {entry.name!r} has the shape {tuple(entry.dims)}.")
    return dtype, math.prod(entry.dims) * dtype.itemsize


def path_of(name, location, folder):
    """Return where a file lies whose path is relative to the model, if no part of it leads out of the folder."""
    parts = PurePath(location).parts
    if not parts or PurePath(location).is_absolute() or ".." in parts:
        raise DataError(f"the data of {name!r} lies in {location!r}. Only files in the model's own folder are read.")
    path = folder
    try:
        for part in parts:
            path = path / part
            if path.is_symlink():
                break
        is_link, is_plain = path.is_symlink(), stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        raise DataError(f"the file {location!r} with the data of {name!r} is missing beside the model.") from None
    except (OSError, ValueError) as error:
        raise DataError(f"the data of {name!r} cannot lie in the file {location!r}: {error}.") from None
    if is_link:
        raise DataError(f"the data of {name!r} lies in {location!r}, which is a link. Put the file itself there.")
    if not is_plain:
        raise DataError(f"{location!r}, in which the data of {name!r} is to lie, is no file.")
    return path

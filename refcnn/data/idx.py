"""IDX files, the format of MNIST (http://yann.lecun.com/exdb/mnist/), gzipped or not.

A file starts with two zero bytes, one byte for the type and one for the number
of axes, then the length of each axis as a 32-bit number and the values, all
big-endian, the last axis varying fastest.
"""

import gzip
import math
import os
import re
import struct
import zlib
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..reading import open_plain
from .arrays import image_array, label_array
from .dataset import data_sets

DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MOST_AXES = 32
CHUNK = 1 << 20
# Deflate writes at best 258 bytes for every two bits (RFC 1951): no stream grows by more.
DEFLATE_LIMIT = 1032

_NAME = re.compile(r"(train|t10k|test)-(images|labels)[-.]idx\d-\w+(\.gz)?", re.IGNORECASE)


def read(path):
    """Read an IDX file, gzipped or not.

    Parameters
    ----------
    path : str or os.PathLike
        The file. Whether it is gzipped is seen from its first bytes.

    Returns
    -------
    ndarray
        uint8, int8, int16, int32, float32 or float64 in the machine's byte order.

    Raises
    ------
    DataError
        If the file cannot be read, is no IDX file, or is shorter or longer
        than its header says; the message names it, what was found and what
        was expected.
    """
    try:
        with open_plain(path) as file:
            on_disk = os.fstat(file.fileno()).st_size
            zipped = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if not zipped:
                return _read_array(file, path, on_disk)
            with gzip.GzipFile(fileobj=file) as stream:
                return _read_array(stream, path, on_disk * DEFLATE_LIMIT)
    except DataError:
        raise
    except MemoryError as error:
        raise DataError(
            f"{path} does not fit into memory. Store fewer or smaller images, or a smaller type."
        ) from error
    # NumPy raises ValueError for a shape that it cannot have, and Python for a path.
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(
            f"{path} could not be read: {getattr(error, 'strerror', None) or str(error).rstrip('.')}. "
            "Expected a whole IDX file, gzipped or not. Fetch it again."
        ) from error


def _read_array(stream, path, most_bytes):
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in DTYPES or not 1 <= magic[3] <= MOST_AXES:
        raise DataError(
            f"{path} starts with the bytes {magic.hex(' ') or '(none)'}, but an IDX file starts with 00 00, a type "
            f"({', '.join(f'{code:02x}' for code in DTYPES)}) and 1 to {MOST_AXES} axes. Is it another kind of file?"
        )
    dtype, axes = np.dtype(DTYPES[magic[2]]), magic[3]
    header = stream.read(4 * axes)
    if len(header) < 4 * axes:
        raise DataError(
            f"{path} ends within its header: {4 + len(header)} of {4 + 4 * axes} bytes are there. Fetch it again."
        )
    shape = struct.unpack(f">{axes}I", header)
    expected = math.prod(shape) * dtype.itemsize
    described = f"its header says shape {shape} of {dtype.name}, {expected} bytes of values"
    # Held against what the file can hold at all before anything is allocated: the header may say anything.
    if expected > most_bytes:
        raise DataError(f"{path} is truncated or corrupt: {described}, more than the file can hold. Fetch it again.")
    values = bytearray()
    while len(values) <= expected:
        chunk = stream.read(min(CHUNK, expected + 1 - len(values)))
        if not chunk:
            break
        values += chunk
    if len(values) != expected:
        found = f"only {len(values)}" if len(values) < expected else "more than that"
        raise DataError(f"{path} is truncated or corrupt: {described}, but {found} were found. Fetch it again.")
    return np.frombuffer(values, dtype).astype(dtype.newbyteorder("="), copy=False).reshape(shape)


def find(folder):
    """Find the IDX files of a folder by MNIST's names.

    Parameters
    ----------
    folder : str or os.PathLike
        Files such as train-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte; the
        dash before idx may be a dot, and t10k may read test.

    Returns
    -------
    dict
        From ("train" or "test", "images" or "labels") to a path; of a file
        and its gzipped twin the one that is not gzipped.

    Raises
    ------
    DataError
        If the folder cannot be read, or holds two different files for one part.
    """
    try:
        names = sorted(os.listdir(folder))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{folder} could not be read: {reason}. Name a folder that can be.") from error
    found = {}
    for name in names:
        match = _NAME.fullmatch(name)
        if match:
            part = ("train" if match[1].lower() == "train" else "test", match[2].lower())
            path = Path(folder, name)
            former = found.setdefault(part, path)
            if former != path and former.name + (match[3] or "") != name:
                raise DataError(
                    f"{folder} holds both {former.name} and {name} for the {' '.join(part)}. Leave one of them there."
                )
    return found


def read_folder(folder):
    """Read the training and, where there is one, the test part of a folder of IDX files.

    Parameters
    ----------
    folder : str or os.PathLike
        A folder with files as ``find`` describes them. Images have shape
        (N, H, W) or (N, C, H, W); uint8 is scaled by 1/255, floating point
        taken as it is. The classes are the numbers that are among the labels,
        and are named by them.

    Returns
    -------
    train : DataSet
    test : DataSet or None

    Raises
    ------
    DataError
        If a file is missing or broken, or images and labels differ in number.
    """
    found = find(folder)
    wanted = [("train", "images"), ("train", "labels")]
    if any(part == "test" for part, _ in found):
        wanted += [("test", "images"), ("test", "labels")]
    missing = [" ".join(part) for part in wanted if part not in found]
    if missing:
        raise DataError(
            f"{folder} holds {', '.join(path.name for path in found.values()) or 'no IDX files'}, but the file of the "
            f"{' and of the '.join(missing)} is missing. Files are named like train-images-idx3-ubyte.gz and "
            "t10k-labels-idx1-ubyte.gz."
        )
    train = _read_part(found["train", "images"], found["train", "labels"])
    test = _read_part(found["test", "images"], found["test", "labels"]) if len(wanted) == 4 else None
    return data_sets(train, test)


def _read_part(images, labels):
    x, y = image_array(read(images), str(images)), label_array(read(labels), str(labels))
    if len(x) != len(y):
        raise DataError(
            f"{images} holds {len(x)} images, but {labels} holds {len(y)} labels. Fetch both from the same data set."
        )
    return x, y

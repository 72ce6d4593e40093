"""Archives of arrays, ``.npz``: written and read without pickle, and with every size compared before it is acted on."""

import json
import math
import os
import zipfile

import numpy as np

from .errors import ArgumentError, CheckpointError
from .files import atomic_write
from .reading import open_plain, parse_json, reading

#: How many bytes a compressed archive may grow to, and how many times its own size, whichever is more. Deflate reaches
#: 1032 times, so that a small file could else fill any memory.
MOST_INFLATED = 2**28
MOST_GROWTH = 100

_METADATA = "refcnn.json"
_SUFFIX = ".npy"
_ENCRYPTED = 1
_CHUNK = 2**20
#: Truth values, numbers, times and texts; objects would have to be unpickled.
_KINDS = "biufcmMSU"


def read(path):
    """Return the arrays of an ``.npz`` file by name, in the machine's byte order; nothing in the file is executed.

    Call it inside :func:`refcnn.reading.reading`: zipfile and NumPy let nearly any exception out on a damaged file.

    Parameters
    ----------
    path : str or os.PathLike

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    OSError
        If it cannot be read, or is no plain file.
    ValueError
        If a member is no array, is encrypted, stands there twice, or has another size than its header says; if
        arrays would need pickle; or if it would grow beyond ``MOST_INFLATED`` and ``MOST_GROWTH``.
    Exception
        What zipfile, its decompressor and NumPy raise.
    """
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        if file.read(len(np.lib.format.MAGIC_PREFIX)) == np.lib.format.MAGIC_PREFIX:
            raise ValueError("it holds a single array, not an .npz archive")
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            _check(members, size)
            return {member.filename.removesuffix(_SUFFIX): _array(archive, member) for member in members}


def write(file, arrays):
    """Write arrays by name to an ``.npz`` file as :func:`read` takes them, uncompressed.

    Parameters
    ----------
    file : str, os.PathLike or binary file
        What stands there is replaced; see :func:`refcnn.files.atomic_write`.
    arrays : dict of str to array_like

    Raises
    ------
    ArgumentError
        If an array holds objects or records, which would need pickle; nothing is written then.
    OSError
        If the file cannot be written.
    """
    arrays = {name: np.asanyarray(array) for name, array in arrays.items()}
    for name, array in arrays.items():
        if not _is_plain(array.dtype):
            raise ArgumentError(
                f"{name!r} holds {array.dtype}, which an .npz file without pickle cannot hold. Give an array of "
                "numbers, truth values, times or texts."
            )
    # Not by np.savez, which cannot write arrays that have the names of its own arguments, "file" among them.
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}{_SUFFIX}", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def save(path, arrays, metadata):
    """Write host arrays and JSON metadata to an ``.npz`` file, whole or not at all.

    Parameters
    ----------
    path : str or os.PathLike
    arrays : dict of str to ndarray
    metadata : dict
        What JSON can hold; ``format`` names the kind of file.

    Raises
    ------
    ArgumentError
        If an array has the name under which the metadata are stored, or as :func:`write`.
    FileWriteError
        If the file cannot be written.
    """
    if _METADATA in arrays:
        raise ArgumentError(f"save: a parameter has the name {_METADATA!r}, which files need. Give it another name.")
    text = np.frombuffer(json.dumps(metadata).encode(), np.uint8)
    with atomic_write(path) as temporary:
        write(temporary, {_METADATA: text, **arrays})


def load(path, format):
    """Read what :func:`save` wrote; nothing in the file is executed.

    Returns
    -------
    arrays : dict of str to ndarray
    metadata : dict

    Raises
    ------
    CheckpointError
        If the file is missing, corrupt, or of another format.
    """
    advice = "Give a file that refcnn wrote, or an earlier copy of it."
    with reading(path, f"a whole file of {format!r}", CheckpointError, advice):
        arrays = read(path)
        if _METADATA not in arrays:
            raise ValueError(f"it holds no {_METADATA}, which tells what the file is")
        metadata = parse_json(arrays.pop(_METADATA).tobytes())
        found = metadata.get("format") if isinstance(metadata, dict) else None
        if found != format:
            raise ValueError(f"it holds {found!r}, but {format!r} was expected")
    return arrays, metadata


def _is_plain(dtype):
    return dtype.kind in _KINDS and dtype.itemsize > 0


def _check(members, size):
    names = [member.filename for member in members]
    for member in members:
        if not member.filename.endswith(_SUFFIX):
            raise ValueError(f"its member {member.filename!r} is no array: the name does not end with {_SUFFIX}")
        if member.flag_bits & _ENCRYPTED:
            raise ValueError(f"its member {member.filename!r} is encrypted")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"its member {member.filename!r} is neither stored nor deflated, as NumPy writes it")
    if len(set(names)) < len(names):
        raise ValueError(f"its member {next(name for name in names if names.count(name) > 1)!r} stands there twice")
    if sum(member.compress_size for member in members) > size:
        raise ValueError("its members are said to be larger than the file")
    inflated, most = sum(member.file_size for member in members), max(MOST_INFLATED, MOST_GROWTH * size)
    if inflated > most:
        raise ValueError(
            f"{size:,} bytes would grow to {inflated:,}, but at most {most:,} are read. If that is right, store the "
            "arrays uncompressed, by numpy.savez"
        )


def _array(archive, member):
    with archive.open(member) as stream:
        shape, is_fortran, dtype = _header(stream, member.filename)
        count = math.prod(shape)
        expected, follows = count * dtype.itemsize, member.file_size - stream.tell()
        if expected != follows:
            raise ValueError(
                f"the header of {member.filename!r} says shape {shape} of {dtype}, {expected:,} bytes, but "
                f"{follows:,} follow it"
            )
        array = np.empty(count, dtype)
        _fill(array.view(np.uint8), stream, member.filename)
    array = array.astype(dtype.newbyteorder("="), copy=False)
    return array.reshape(shape[::-1]).transpose() if is_fortran else array.reshape(shape)


def _header(stream, name):
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"{name!r} is of version {version} of the format, which only arrays with named fields need")
    try:
        shape, is_fortran, dtype = readers[version](stream)
    except (MemoryError, RecursionError):
        # Python's parser raises it, which reads no more than 10,000 characters here: memory is not short.
        raise ValueError(f"the header of {name!r} is nested too deeply") from None
    if not _is_plain(dtype):
        raise ValueError(f"{name!r} holds {dtype}; arrays of objects or of records are not read")
    if any(type(length) is not int or length < 0 for length in shape):
        raise ValueError(f"{name!r} has the shape {shape}")
    return shape, is_fortran, dtype


def _fill(target, stream, name):
    filled = 0
    while filled < len(target):
        count = stream.readinto(target[filled : filled + _CHUNK])
        if not count:
            raise ValueError(f"{name!r} ends after {filled:,} of {len(target):,} bytes of values")
        filled += count
    # The end of the member is where its checksum is compared.
    if stream.read(1):
        raise ValueError(f"{name!r} goes on after its {len(target):,} bytes of values")

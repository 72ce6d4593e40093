"""Cases on the disk: one ``.npz`` file with a JSON header, or a bundle's folder; without pickle.

The header is what :func:`header` returns: the operation, the direction, the
variant, each array's shape and dtype, and the attributes. JSON has no tuples
and no NaN, so those are written as ``{"tuple": [...]}`` and ``{"float": "nan"}``.
"""

import errno
import hashlib
import json
import math
import os
import re
import stat
from itertools import accumulate
from pathlib import Path, PurePosixPath

import numpy as np

from ... import formats, npz
from ...errors import ArgumentError, DataError
from ...files import atomic_write
from ...reading import TEXT, TEXT_OR_NULL, check, parse_json, read_plain, reading, reason
from ..reports.results import DIRECTIONS
from ..theory.strategies import Case

FORMAT = "refcnn case 1"
#: In a bundle's folder: the header, the arrays, and the digest of every file, as ``sha256sum --check`` reads them.
HEADER_FILE, ARRAYS_FILE, DIGESTS_FILE = "case.json", "arrays.npz", "SHA256SUMS"
_HEADER = "header"
#: A file of a bundle is rarely larger than a megabyte.
_MOST_BYTES = 2**28

_ARRAY = {
    "type": ["object", "null"],
    "properties": {
        "dtype": {"enum": [entry.name for entry in (formats.FLOAT32, *formats.EXACT)]},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
    },
    "required": ["dtype", "shape"],
    "additionalProperties": False,
}
_SCHEMA = {
    "type": "object",
    "properties": {
        "format": {"const": FORMAT},
        "operation": TEXT,
        "direction": {"enum": DIRECTIONS},
        "variant": TEXT_OR_NULL,
        "inputs": {"type": "array", "items": _ARRAY},
        # A list of operations with several results.
        "dy": {"anyOf": [_ARRAY, {"type": "array", "items": _ARRAY, "minItems": 1}]},
        "integers": {"type": "boolean"},
        # Not in cases of former versions.
        "random_signs": {"type": "boolean"},
        "attributes": {"type": "object", "additionalProperties": {"$ref": "#/$defs/attribute"}},
        # What else a bundle says of it.
        "results": {"type": "array", "items": {"type": "string"}},
        "device": {"type": "object"},
        "message": {"type": "string"},
        "known": TEXT_OR_NULL,
        "signed_zeros": {"type": "boolean"},
    },
    "required": ["format", "operation", "direction", "variant", "inputs", "dy", "integers", "attributes"],
    "additionalProperties": False,
    "$defs": {
        "attribute": {
            "anyOf": [
                {"type": ["null", "boolean", "number", "string"]},
                {"$ref": "#/$defs/inside", "properties": {"tuple": {"items": {"$ref": "#/$defs/attribute"}}}},
            ]
        },
        "inside": {
            "type": "object",
            "properties": {"tuple": {"type": "array"}, "float": {"enum": ["nan", "inf", "-inf"]}},
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
        },
    },
}


def write_case(path, operation, direction, variant, case):
    """Write a case to one file, whole or not at all.

    Nothing waits for the disk: the file outlives this process however it
    ends, though not the machine, and writing it takes about a millisecond.

    Parameters
    ----------
    path : str or os.PathLike
        The ``.npz`` file to make or replace. Its folder must exist.
    operation : str
    direction : str
        ``forward`` or ``backward``.
    variant : str or None
        Which of the kernels ran; None where the operation has no choice.
    case : Case

    Raises
    ------
    ArgumentError
        If an attribute is not a bool, int, float, str or None, or a tuple of those.
    FileWriteError
        If the file cannot be written.
    """
    text = json.dumps(header(operation, direction, variant, case), allow_nan=False)
    arrays = {_HEADER: np.frombuffer(text.encode(), np.uint8), **case_arrays(case)}
    with atomic_write(path, durable=False) as temporary:
        npz.write(temporary, arrays)


def read_case(path):
    """Read a case that :func:`write_case` wrote, or that of a bundle's folder.

    Returns
    -------
    (operation, direction, variant, case) : (str, str, str or None, Case)

    Raises
    ------
    DataError
        If there is no such file, or it is damaged or no case; of a bundle, if
        one of its files is missing or altered.
    """
    path = Path(path)
    advice = "Name a file or folder that refcnn saved as a case, unaltered."
    with reading(path, "a case that this version of refcnn reads", DataError, advice):
        if path.is_dir():
            check_digests(path)
            arrays, text = npz.read(path / ARRAYS_FILE), read_plain(path / HEADER_FILE, follow=False)
        else:
            arrays = npz.read(path)
            if _HEADER not in arrays:
                raise ValueError("it has no header")
            text = arrays.pop(_HEADER).tobytes()
        return _parse(parse_json(text), arrays)


def header(operation, direction, variant, case):
    """Return what JSON says of a case: all but the values of its arrays.

    Raises
    ------
    ArgumentError
        As :func:`write_case`.
    """
    if direction not in DIRECTIONS:
        raise ArgumentError(f"the direction of a case is {direction!r}. Give one of {', '.join(DIRECTIONS)}.")
    return {
        "format": FORMAT,
        "operation": operation,
        "direction": direction,
        "variant": variant,
        "inputs": [_array_header(entry) for entry in case.inputs],
        "dy": list(map(_array_header, case.dy)) if isinstance(case.dy, tuple) else _array_header(case.dy),
        "integers": case.integers,
        "random_signs": case.random_signs,
        "attributes": {name: _encode(name, value) for name, value in case.attributes.items()},
    }


def case_arrays(case):
    """Return the arrays of a case by the names they have in files: ``input_0``, ..., ``dy``, or ``dy_0``, ..."""
    arrays = {f"input_{index}": entry for index, entry in enumerate(case.inputs)}
    if isinstance(case.dy, tuple):
        arrays |= {f"dy_{index}": entry for index, entry in enumerate(case.dy)}
    else:
        arrays["dy"] = case.dy
    return {name: array for name, array in arrays.items() if array is not None}


def digests(folder):
    """Return the text of ``SHA256SUMS`` for all other files of a folder and its folders."""
    folder = Path(folder)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return "".join(f"{_digest(folder, name)}  {name}\n" for name in names if name != DIGESTS_FILE)


def check_digests(folder):
    """Hold the files of a bundle against ``SHA256SUMS``.

    Raises
    ------
    DataError
        That names every file that is missing or altered.
    """
    folder = Path(folder)
    with reading(folder / DIGESTS_FILE, "a list of digests", DataError, "Take an unaltered copy of the bundle."):
        expected = dict(map(_digest_line, read_plain(folder / DIGESTS_FILE, follow=False).decode().splitlines()))
    needed = {HEADER_FILE, ARRAYS_FILE, *expected}
    missing, altered = [], []
    for name in sorted(needed):
        try:
            if _digest(folder, name) != expected.get(name):
                altered.append(name)
        except FileNotFoundError:
            missing.append(name)
        except (OSError, ValueError) as error:
            altered.append(f"{name} ({reason(error)})")
    wrong = [f"{what}: {', '.join(names)}" for what, names in (("missing", missing), ("altered", altered)) if names]
    if wrong:
        raise DataError(f"the bundle {folder} is not as it was written; {'; '.join(wrong)}. Take an unaltered copy.")


def _digest_line(line):
    """Return (name, digest) of a line, if it names a file that can only lie inside the bundle."""
    match = re.fullmatch(r"([0-9a-f]{64})  ([\w.-]+(?:/[\w.-]+)*)", line)
    if match is None or not {".", ".."}.isdisjoint(match[2].split("/")):
        raise ValueError(f"the line {line[:100]!r} is not a digest and the name of a file inside the bundle")
    return match[2], match[1]


def _digest(folder, name):
    """Return the digest of a plain file of a folder; OSError or ValueError if it is none, or a link leads there."""
    *folders, _ = accumulate(PurePosixPath(name).parts, PurePosixPath)
    for inner in folders:
        if not stat.S_ISDIR(os.lstat(folder / inner).st_mode):
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    return hashlib.sha256(read_plain(folder / name, _MOST_BYTES, follow=False)).hexdigest()


def _array_header(array):
    return None if array is None else {"dtype": array.dtype.name, "shape": list(array.shape)}


def _encode(name, value):
    if isinstance(value, tuple):
        return {"tuple": [_encode(name, entry) for entry in value]}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise ArgumentError(
        f"attribute {name} of a case is {value!r} ({type(value).__name__}). Give a bool, int, float, str, None or a "
        "tuple of those."
    )


def _decode(value):
    if not isinstance(value, dict):
        return value
    return float(value["float"]) if "float" in value else tuple(map(_decode, value["tuple"]))


def _parse(entries, arrays):
    check(entries, _SCHEMA)
    inputs = tuple(_array(arrays, f"input_{index}", entry) for index, entry in enumerate(entries["inputs"]))
    attributes = {name: _decode(value) for name, value in entries["attributes"].items()}
    called = (entries[name] for name in ("operation", "direction", "variant"))
    dy = entries["dy"]
    if isinstance(dy, list):
        dy = tuple(_array(arrays, f"dy_{index}", entry) for index, entry in enumerate(dy))
    else:
        dy = _array(arrays, "dy", dy)
    return *called, Case(inputs, attributes, dy, entries["integers"], entries.get("random_signs", False))


def _array(arrays, name, entry):
    if entry is None:
        return None
    array = arrays.get(name)
    if _array_header(array) != entry:
        raise ValueError(f"{name} is {_array_header(array)}, but the header says {entry}")
    return array

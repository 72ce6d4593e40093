"""Cases on the disk: one ``.npz`` file with a JSON header, or a bundle's folder; without pickle.

The header is what :func:`header` returns: the operation, the direction, the
variant, each array's shape and dtype, and the attributes. JSON has no tuples
and no NaN, so those are written as ``{"tuple": [...]}`` and ``{"float": "nan"}``.
"""

import contextlib
import hashlib
import io
import json
import math
import os
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np

from ..errors import ArgumentError, DataError, FileWriteError
from ..files import remedy
from .results import DIRECTIONS
from .strategies import Case

FORMAT = "refcnn case 1"
#: In a bundle's folder: the header, the arrays, and the digest of every file, as ``sha256sum --check`` reads them.
HEADER_FILE, ARRAYS_FILE, DIGESTS_FILE = "case.json", "arrays.npz", "SHA256SUMS"
_HEADER = "header"


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
    path = Path(path)
    text = json.dumps(header(operation, direction, variant, case), allow_nan=False)
    content = io.BytesIO()
    np.savez(content, **{_HEADER: np.frombuffer(text.encode(), np.uint8)}, **case_arrays(case))
    temporary = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        temporary.write_bytes(content.getbuffer())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise FileWriteError(
            f"{path} could not be written: {error.strerror or error}. {remedy(error)}"
        ) from error


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
    if path.is_dir():
        check_digests(path)
        arrays = read_arrays(path / ARRAYS_FILE)
        text = _read(path / HEADER_FILE)
    else:
        arrays = read_arrays(path)
        if _HEADER not in arrays:
            raise DataError(f"{path} has no header, so it is no case. Name a file or folder that refcnn saved as one.")
        text = arrays.pop(_HEADER).tobytes()
    try:
        return _parse(json.loads(text), arrays)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{path} is no case that this version of refcnn reads ({type(error).__name__}: {error}). Name a file or "
            "folder that refcnn saved as one, unaltered."
        ) from error


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
        "dy": _array_header(case.dy),
        "integers": case.integers,
        "attributes": {name: _encode(name, value) for name, value in case.attributes.items()},
    }


def case_arrays(case):
    """Return the arrays of a case by the names they have in files: ``input_0``, ..., ``dy``."""
    arrays = {f"input_{index}": entry for index, entry in enumerate(case.inputs) if entry is not None}
    if case.dy is not None:
        arrays["dy"] = case.dy
    return arrays


def read_arrays(path):
    """Return the arrays of an ``.npz`` file by name.

    Raises
    ------
    DataError
        If there is no such file, or it is damaged.
    """
    content = _read(path)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            # Checksums first: a damaged header could ask for any amount of memory.
            damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"the checksum of {damaged} is wrong")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        if not all(isinstance(array, np.ndarray) for array in found.values()):
            raise ValueError("not all it holds are arrays")
        return found
    except (
        ValueError, KeyError, EOFError, OSError, TypeError, NotImplementedError, RuntimeError, SyntaxError,
        zipfile.BadZipFile, zlib.error, tokenize.TokenError,
    ) as error:  # fmt: skip
        raise DataError(f"{path} is damaged or no .npz file: {error}. Take an unaltered copy.") from error


def digests(folder):
    """Return the text of ``SHA256SUMS`` for all other files of a folder and its folders."""
    folder = Path(folder)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return "".join(f"{_digest(folder / name)}  {name}\n" for name in names if name != DIGESTS_FILE)


def check_digests(folder):
    """Hold the files of a bundle against ``SHA256SUMS``.

    Raises
    ------
    DataError
        That names every file that is missing or altered.
    """
    folder = Path(folder)
    text = _read(folder / DIGESTS_FILE).decode("utf-8", errors="replace")
    expected = {name: digest for digest, _, name in (line.partition("  ") for line in text.splitlines())}
    needed = {HEADER_FILE, ARRAYS_FILE, *expected}
    missing = sorted(name for name in needed if not (folder / name).is_file())
    altered = sorted(name for name in needed - set(missing) if _digest(folder / name) != expected.get(name))
    wrong = [f"{what}: {', '.join(names)}" for what, names in (("missing", missing), ("altered", altered)) if names]
    if wrong:
        raise DataError(f"the bundle {folder} is not as it was written; {'; '.join(wrong)}. Take an unaltered copy.")


def _read(path):
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}. Name a case that refcnn saved.") from error


def _digest(path):
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


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
    if isinstance(value, dict):
        ((kind, inner),) = value.items()
        return {"tuple": lambda: tuple(map(_decode, inner)), "float": lambda: float(inner)}[kind]()
    if isinstance(value, list):
        raise TypeError("a list stands where an attribute is needed")
    return value


def _parse(entries, arrays):
    if entries["format"] != FORMAT:
        raise ValueError(f"the format is {entries['format']!r}, not {FORMAT!r}")
    operation, direction, variant = (entries[name] for name in ("operation", "direction", "variant"))
    if not isinstance(operation, str) or direction not in DIRECTIONS or not isinstance(variant, str | None):
        raise ValueError(f"operation {operation!r}, direction {direction!r} or variant {variant!r} is not as needed")
    if not isinstance(entries["integers"], bool):
        raise ValueError(f"integers is {entries['integers']!r}, not true or false")
    inputs = tuple(_array(arrays, f"input_{index}", entry) for index, entry in enumerate(entries["inputs"]))
    attributes = {name: _decode(value) for name, value in entries["attributes"].items()}
    return operation, direction, variant, Case(inputs, attributes, _array(arrays, "dy", entries["dy"]), entries["integers"])


def _array(arrays, name, entry):
    if entry is None:
        return None
    array = arrays[name]
    if _array_header(array) != entry:
        raise ValueError(f"{name} is {_array_header(array)}, but the header says {entry}")
    return array

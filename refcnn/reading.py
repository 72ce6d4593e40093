"""Files that may hold anything: each becomes a checked object, or one error that names the file.

A reader does all that it does with a file's contents inside :func:`reading`.
Texts become values by :func:`parse_json`, and values are held against a schema
by :func:`check`; :mod:`refcnn.npz` reads arrays.
"""

import contextlib
import dataclasses
import errno
import functools
import json
import math
import os
import stat

#: No text that refcnn writes is nearly as long.
MOST_BYTES = 2**26
#: Nor is any so deeply nested.
MOST_DEPTH = 50
_REASON_CHARACTERS = 400
_CHUNK = 2**20

#: Schemas of which others consist.
SEED = {"type": "integer", "minimum": 0, "maximum": 2**64 - 1}
COUNT = {"type": "integer", "minimum": 0}
TEXT = {"type": "string", "minLength": 1}
TEXT_OR_NULL = {"type": ["string", "null"]}


@contextlib.contextmanager
def reading(path, what, error, advice):
    """Turn whatever goes wrong with a file's contents into one error that names the file.

    Parsers let nearly any exception out on a damaged file: RecursionError,
    MemoryError, OverflowError and SystemError among them, so that no list of
    them would be whole.

    Parameters
    ----------
    path : str or os.PathLike
    what : str
        What the file should be, such as "the configuration of a run".
    error : type
        The error to raise; one that is raised inside already is left as it is.
    advice : str
        What to do.
    """
    try:
        yield
    except error:
        raise
    except FileNotFoundError:
        raise error(f"{path} does not exist. {advice}") from None
    except OSError as found:
        raise error(f"{path} cannot be read: {found.strerror or found}. {advice}") from found
    except MemoryError as found:
        raise error(f"{path} cannot be read: there is not enough memory for what it holds. {advice}") from found
    except Exception as found:
        raise error(f"{path} is not {what} ({reason(found)}). {advice}") from found


def reason(error):
    """Return what an exception says, on one line, without control characters and not too long."""
    name = "" if isinstance(error, ValueError) and str(error) else f"{type(error).__name__}: "
    return printable(f"{name}{error}")


def printable(text, most=_REASON_CHARACTERS):
    """Return what a file says on one line, without control characters and with no more than ``most`` others."""
    text = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in " ".join(text[: 2 * most].split())
    )
    return text if len(text) <= most else text[:most] + "..."


def open_plain(path, *, follow=True):
    """Open a file to read its bytes, if it is a plain one.

    Parameters
    ----------
    path : str or os.PathLike
    follow : bool
        Whether ``path`` may be a symbolic link.

    Returns
    -------
    binary file

    Raises
    ------
    OSError
        If there is none, or it is a folder, a pipe, a socket or a device: those may block, never end, or do something
        when they are opened.
    """
    _require_plain(os.stat(path, follow_symlinks=follow), path)
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags | (0 if follow else getattr(os, "O_NOFOLLOW", 0)))
    try:
        # It may have been exchanged in between.
        _require_plain(os.fstat(descriptor), path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_plain(path, most_bytes=MOST_BYTES, *, follow=True):
    """Return the bytes of a plain file that holds no more than ``most_bytes``.

    Raises
    ------
    OSError
        As :func:`open_plain`.
    ValueError
        If it is larger.
    """
    with open_plain(path, follow=follow) as file:
        size = os.fstat(file.fileno()).st_size
        # Never more at once than the file has: that much is allocated at once.
        content = file.read(size) if size <= most_bytes else b""
        # A file grows, or is made up by the file system as it is read, and then said to be empty.
        while size <= most_bytes and (more := file.read(_CHUNK)):
            content += more
            size = len(content)
    if size > most_bytes:
        raise ValueError(f"it holds more than {most_bytes:,} bytes, which are too many for such a file")
    return content


def _require_plain(status, path):
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is no plain file, but a link, pipe, socket or device", str(path))


def parse_json(content):
    """Return the value of a JSON text as RFC 8259 has it.

    Python's own parser also takes NaN, Infinity, numbers that become infinite
    and names that stand twice in an object; here they are refused.

    Parameters
    ----------
    content : bytes or str

    Raises
    ------
    ValueError, RecursionError
        If it is no JSON, is nested too deeply, or holds a number that no float64 holds.
    """
    text = content if isinstance(content, str) else content.decode("utf-8-sig")
    value = json.loads(
        text, object_pairs_hook=_distinct, parse_constant=_no_number, parse_float=_finite, parse_int=_finite_int
    )
    _check_depth(value)
    return value


def _distinct(pairs):
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the name {next(name for name in names if names.count(name) > 1)!r} stands twice in it")
    return found


def _no_number(text):
    raise ValueError(f"{text} is no number in JSON")


def _finite(text):
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{_shortened(text)} is too large a number")
    return value


def _finite_int(text):
    value = int(text)
    try:
        float(value)
    except OverflowError:
        raise ValueError(f"{_shortened(text)} is too large a number") from None
    return value


def _shortened(text):
    return text if len(text) <= 30 else f"{text[:20]}... ({len(text)} characters)"


def _check_depth(value):
    level, depth = [value], 0
    while level:
        inner = [
            entry.values() if isinstance(entry, dict) else entry for entry in level if isinstance(entry, dict | list)
        ]
        level = [value for values in inner for value in values]
        depth += 1
        if depth > MOST_DEPTH:
            raise ValueError(f"it is nested more than {MOST_DEPTH} levels deep")


def check(value, schema):
    """Hold a value against a JSON schema, in which an integer is a Python int: neither 3.0 nor True is one.

    Raises
    ------
    ValueError
        That says where the value is otherwise, and how.
    """
    error = next(_validator()(schema).iter_errors(value), None)
    if error is not None:
        found = f", but is {error.instance!r}" if error.validator == "const" else ""
        raise ValueError(f"at {error.json_path}: {reason(ValueError(error.message + found))}")


@functools.cache
def _validator():
    # Imported here: few who import refcnn read a file.
    import jsonschema

    base = jsonschema.Draft202012Validator
    types = base.TYPE_CHECKER.redefine("integer", lambda _, entry: type(entry) is int)
    return jsonschema.validators.extend(base, type_checker=types)


def field(schema, **options):
    """Return a dataclass's field with the schema of its value in JSON."""
    return dataclasses.field(metadata={"schema": schema}, **options)


def schema_of(dataclass):
    """Return the schema of a JSON object that holds the fields of a dataclass, all made by :func:`field`."""
    fields = dataclasses.fields(dataclass)
    needed = [one.name for one in fields if one.default is one.default_factory is dataclasses.MISSING]
    return {
        "type": "object",
        "properties": {one.name: one.metadata["schema"] for one in fields},
        "required": needed,
        "additionalProperties": False,
    }

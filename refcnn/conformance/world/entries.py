"""The entries of the list, in ``faults/*.toml``: a file for each implementation, a case for each fault.

Above the faults stand the fields of :class:`Implementation`, in each ``[[fault]]`` those of :class:`Fault`. An array is
written as ``{ float32 = [1.0, "0x1p-149", nan] }``, of a type and its numbers in decimal or, as texts, in hexadecimal;
one that is not there as ``{}``, and so is an attribute that is None; lists of attributes are tuples. Nothing in a file
is run; kernels lie beside it.
"""

import dataclasses
import functools
import re
import tomllib
from pathlib import Path

import numpy as np

from ... import formats
from ...errors import DataError
from ...reading import TEXT, check, field, read_plain, reading, schema_of
from ..reports.results import DIRECTIONS
from ..running import known_faults
from ..subjects import shipped
from ..theory.strategies import Case

#: The last kind is no fault: another answer that the definition lets pass.
KINDS = ("wrong numbers", "wrong special values", "crash", "differs")
DIFFERS = KINDS[-1]
#: By which text an answer is wrong.
TEXTS = ("ONNX", "its own documentation", "IEEE 754", "OpenCL C", "mathematics")

#: The list that comes with refcnn.
FOLDER = Path(__file__).parent / "faults"
#: No others: what names a module would have it run.
_DEVICES = (*shipped.PACKAGES, "onnxruntime", "opencl", "oclgrind")
#: Who installs a package.
PACKAGERS = ("pip", "Debian")
#: A case of a few hundred bytes holds no more.
_MOST_ELEMENTS = 1024
_DTYPES = {entry.name: entry.dtype for entry in (formats.FLOAT32, *formats.EXACT)}
_NAME = {"type": "string", "pattern": r"\A[\w.:+-]+\Z"}
_VERSION = {"type": "string", "pattern": r"\A\d[\w.]*\Z"}
_DATE = {"type": "string", "pattern": r"\A\d{4}-\d{2}-\d{2}\Z"}
_LINK = {"type": "string", "pattern": r"\Ahttps://\S+\Z"}
_ARRAY = {
    "type": "object",
    "properties": dict.fromkeys(_DTYPES, True),
    "maxProperties": 1,
    "additionalProperties": False,
}


@dataclasses.dataclass(frozen=True)
class Fault:
    """One entry of the list.

    Attributes
    ----------
    id : str
    kind : str
        One of :data:`KINDS`.
    title : str
        What is wrong, in a few words.
    by : str
        One of :data:`TEXTS`.
    text : str
        What that text says, or why the answer follows from it.
    explicit : bool
        Whether the text says it in as many words.
    seen : str
        The date on which it was found.
    operation, direction : str
    inputs, dy, attributes
        The smallest case, as TOML has it.
    link : str, optional
        Where it was reported; of a known fault what that entry says.
    known : str, optional
        The entry of ``known_faults.toml`` that is the same fault.
    kernel : str, optional
        The file of the kernels beside the list that a compiler gets wrong.
    first, last : str, optional
        Of the versions that were tried, the first and the last one in which it shows, where it is not in others.
    """

    id: str = field(_NAME)
    kind: str = field({"enum": KINDS})
    title: str = field(TEXT)
    by: str = field({"enum": TEXTS})
    text: str = field(TEXT)
    explicit: bool = field({"type": "boolean"})
    seen: str = field(_DATE)
    operation: str = field(_NAME)
    direction: str = field({"enum": DIRECTIONS})
    inputs: list = field({"type": "array", "items": _ARRAY, "minItems": 1})
    attributes: dict = field({"type": "object"}, default_factory=dict)
    dy: object = field({"anyOf": [_ARRAY, {"type": "array", "items": _ARRAY, "minItems": 1}]}, default_factory=dict)
    link: str | None = field(_LINK, default=None)
    known: str | None = field(_NAME, default=None)
    kernel: str | None = field({"type": "string", "pattern": r"\A[\w-]+\.cl\Z"}, default=None)
    first: str | None = field(_VERSION, default=None)
    last: str | None = field(_VERSION, default=None)

    @property
    def is_counted(self):
        """Whether it is a fault, and not only another answer."""
        return self.kind != DIFFERS

    @property
    def case(self):
        """Return the case."""
        dy = tuple(map(_array, self.dy)) if isinstance(self.dy, list) else _array(self.dy)
        attributes = {name: _attribute(value) for name, value in self.attributes.items()}
        return Case(tuple(map(_array, self.inputs)), attributes, dy)


@dataclasses.dataclass(frozen=True)
class _Head:
    """What stands above the faults of a file: see :class:`Implementation`."""

    name: str = field(TEXT)
    device: str = field(_NAME)
    package: str = field(_NAME)
    version: str = field(_NAME)
    packager: str = field({"enum": PACKAGERS}, default=PACKAGERS[0])
    beside: list = field({"type": "array", "items": TEXT}, default_factory=list)


@dataclasses.dataclass(frozen=True)
class Implementation(_Head):
    """A released implementation, and its faults.

    Attributes
    ----------
    name : str
        As people know it.
    device : str
        As ``--device`` takes it.
    package, version : str
        What is installed.
    packager : str
        One of :data:`PACKAGERS`. What Debian has must be there.
    beside : list of str
        What pip installs with it.
    file : str
        The name of its file without the ending.
    faults : tuple of Fault
    """

    file: str = ""
    faults: tuple = ()


def load_all(folder=FOLDER):
    """Return all implementations of a list, by their names.

    Raises
    ------
    DataError
        If a file cannot be read, or says something else than an entry does.
    """
    found = [load(path) for path in sorted(Path(folder).glob("*.toml"))]
    identifiers = [fault.id for one in found for fault in one.faults]
    twice = sorted({one for one in identifiers if identifiers.count(one) > 1})
    if twice:
        raise DataError(f"the list in {folder} has more than one fault with the id {', '.join(twice)}. Rename one.")
    return sorted(found, key=lambda one: one.name.lower())


def load(path):
    """Return the implementation of one file; raise as :func:`load_all`."""
    path = Path(path)
    with reading(path, "a list of faults of an implementation", DataError, "Correct it, or take it away."):
        content = tomllib.loads(read_plain(path, follow=False).decode())
        faults = content.pop("fault", [])
        check(faults, {"type": "array"})
        check(content, schema_of(_Head))
        if content["device"].partition(":")[0] not in _DEVICES:
            raise ValueError(f"the device {content['device']} is none of {', '.join(_DEVICES)}")
        return Implementation(**content, file=path.stem, faults=tuple(map(_fault, faults)))


def _fault(entry):
    try:
        check(entry, schema_of(Fault))
        fault = _linked(Fault(**entry))
        if not all(np.isfinite(array).all() for array in fault.case.arrays) and fault.kind == "wrong numbers":
            raise ValueError("its numbers are not finite, so that it is no case of wrong numbers")
    except (ValueError, TypeError, OverflowError) as error:
        identifier = entry.get("id") if isinstance(entry, dict) else None
        raise ValueError(f"the fault {identifier or 'without id'} is wrong: {error}") from None
    return fault


def _linked(fault):
    """Return a fault with what the list of known faults says of it."""
    if fault.known is None:
        return fault
    known = _known().get(fault.known)
    if known is None or (known.operation, known.direction) != (fault.operation, fault.direction):
        raise ValueError(f"there is no known fault {fault.known} of {fault.operation}.{fault.direction}")
    return dataclasses.replace(fault, link=known.link)


@functools.cache
def _known():
    return {one.id: one for one in known_faults.load(known_faults.file())}


def _array(entry):
    """Return the array of ``{ float32 = [1.0, "0x1p-149"] }``, or None of ``{}``."""
    if not entry:
        return None
    ((name, values),) = entry.items()
    dtype, leaves = _DTYPES[name], []
    array = np.array(_numbers(values, dtype, leaves, 0), dtype)
    if array.size != len(leaves):
        raise ValueError(f"the numbers {values} are no array")
    return array


def _numbers(values, dtype, leaves, depth):
    if isinstance(values, list):
        if depth > 8:
            raise ValueError("an array has more than eight axes")
        return [_numbers(value, dtype, leaves, depth + 1) for value in values]
    leaves.append(values)
    if len(leaves) > _MOST_ELEMENTS:
        raise ValueError(f"an array has more than {_MOST_ELEMENTS} elements")
    return _number(values, dtype)


def _number(value, dtype):
    if dtype.kind != "f":
        if type(value) is not (bool if dtype.kind == "b" else int):
            raise ValueError(f"{value!r} is no {dtype.name}")
        return value
    if isinstance(value, str) and re.fullmatch(r"-?0x[0-9a-f.]+p[+-]?\d+", value):
        value = float.fromhex(value)
    if type(value) not in (int, float):
        raise ValueError(f"{value!r} is no number")
    with np.errstate(over="ignore"):
        kept = dtype.type(value)
    if np.isnan(kept) or value in (float(kept), float(str(kept))):
        return kept
    raise ValueError(f"{value!r} is no {dtype.name}, but {kept} is the nearest")


def _attribute(value):
    """Return the attribute: a list is a tuple, ``{}`` is None."""
    if isinstance(value, list):
        return tuple(map(_attribute, value))
    if value == {}:
        return None
    if type(value) not in (bool, int, float, str):
        raise ValueError(f"the attribute {value!r} is neither a number, a truth, a text, a list of them nor {{}}")
    return value

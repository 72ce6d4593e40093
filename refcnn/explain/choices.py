"""What is chosen in a form, as a request brings it: texts as they were typed, or numbers, checked and bounded.

What an operation takes its own call says; here is refused what is none of its matter: what is no such form, and what
would be too much to be shown.
"""

import dataclasses
import math
import re

import numpy as np

from .. import reading
from ..conformance.theory.examples import numbers
from ..errors import ArgumentError, RefcnnError

#: So many numbers an array has at most: 12 by 12 pixels of 8 channels.
MOST_NUMBERS = 1152
#: So many axes, and so large a product of one more than each of an argument's numbers: sizes are no larger then.
_MOST_AXES, _MOST_PRODUCT = 6, 4096
#: Characters of an argument, and of the numbers of an array.
_MOST_TEXT, _MOST_NUMBERS_TEXT = 200, 32 * MOST_NUMBERS

_VALUE = {"type": ["string", "number", "boolean", "null", "array"]}
_VALUES = {"type": "object", "additionalProperties": _VALUE}
_SEEDS = {"anyOf": [reading.SEED, {"type": "string", "pattern": "^[0-9]{0,9}$"}]}
SCHEMA = {
    "type": "object",
    "properties": {"shapes": _VALUES, "values": _VALUES, "arguments": _VALUES, "seed": _SEEDS},
    "additionalProperties": False,
}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|infinity|nan)", re.ASCII | re.IGNORECASE)
_WORDS = {"None": None, "True": True, "False": False}


@dataclasses.dataclass(frozen=True)
class Choices:
    """What was chosen.

    Attributes
    ----------
    shapes, values, arguments : dict
        By the name of an array, or of an argument of the call.
    seed : int
    """

    shapes: dict = dataclasses.field(default_factory=dict)
    values: dict = dataclasses.field(default_factory=dict)
    arguments: dict = dataclasses.field(default_factory=dict)
    seed: int = 0


def read(content):
    """Return the :class:`Choices` of a request.

    Parameters
    ----------
    content : bytes
        JSON; a text that is typed stands for the numbers in it, and an empty one for what is not said.

    Raises
    ------
    ArgumentError
        If it is something else.
    """
    try:
        found = reading.parse_json(content)
        reading.check(found, SCHEMA)
    except (RefcnnError, ValueError, RecursionError) as error:
        raise ArgumentError(f"These are no choices: {reading.reason(error)}.") from None
    said = {name: found.get(name, {}) for name in ("shapes", "values", "arguments")}
    said = {name: {key: one for key, one in of.items() if one not in ("", None)} for name, of in said.items()}
    values = {name: _numbers(name, one) for name, one in said["values"].items()}
    arguments = {name: value_of(one, _MOST_TEXT) for name, one in said["arguments"].items()}
    shapes = {name: _shape(name, one) for name, one in said["shapes"].items()}
    return Choices(shapes, values, arguments, int(found.get("seed") or 0))


def value_of(said, most=_MOST_TEXT):
    """Return what is meant: of a text the number, the numbers with commas between them, or the word that it is."""
    if isinstance(said, list):
        return tuple(value_of(one, most) for one in said if not isinstance(one, list))
    if not isinstance(said, str):
        return said
    if len(said) > most:
        raise ArgumentError(f"At most {most:,} characters are taken, not {len(said):,}.")
    text = said.strip()
    inside = text[1:-1] if text[:1] + text[-1:] in ("()", "[]") else text
    parts = [one for one in re.split(r"[\s,;]+", inside) if one]
    found = [_WORDS[one] if one in _WORDS else _number(one) if _NUMBER.fullmatch(one) else one for one in parts]
    if any(isinstance(one, str) for one in found):
        return text.strip("'\"")
    return found[0] if len(found) == 1 and inside is text else tuple(found)


def _number(text):
    if re.fullmatch(r"[+-]?\d{1,18}", text):
        return int(text)
    return float(text)


def text_of(value):
    """Return how a value is typed."""
    if value is None:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _shape(name, said):
    found = value_of(said)
    found = found if isinstance(found, tuple) else (found,)
    if len(found) > _MOST_AXES or not all(type(one) is int and 1 <= one <= MOST_NUMBERS for one in found):
        raise ArgumentError(
            f"The shape of {name!r} is {reading.printable(str(said))}. Give at most {_MOST_AXES} whole numbers above "
            "0, such as 1, 1, 5, 5."
        )
    check_size(name, found)
    return found


def check_size(name, shape):
    """Raise ArgumentError if an array of that shape has too many numbers to be shown."""
    if math.prod(shape) > MOST_NUMBERS:
        raise ArgumentError(
            f"{name} would have the shape {tuple(shape)}, of {math.prod(shape):,} numbers: more than {MOST_NUMBERS:,} "
            "are not shown. Choose something smaller."
        )


def _numbers(name, said):
    found = value_of(said, _MOST_NUMBERS_TEXT)
    found = found if isinstance(found, tuple) else (found,)
    if not all(isinstance(one, (int, float)) for one in found):
        raise ArgumentError(f"The numbers of {name!r} are to be numbers with commas between them.")
    return found


def check_sizes(name, value):
    """Raise ArgumentError if an argument's numbers, which may be sizes, are too large for something to be shown."""
    entries = [one for one in (value if isinstance(value, tuple) else (value,)) if isinstance(one, (int, float))]
    if math.prod(1 + abs(one) for one in entries if math.isfinite(one)) > _MOST_PRODUCT:
        raise ArgumentError(f"{name} is {value!r}: what comes of numbers so large is not shown. Choose smaller ones.")


def array_for(name, example, shape, place, choices):
    """Return the array of an input: what was typed, the example's, or numbers like those, by the seed.

    Parameters
    ----------
    name : str
    example : ndarray
        That of the operation's example.
    shape : tuple of int
    place : int
        Of the input, so that each has others.
    choices : Choices
    """
    given = choices.values.get(name)
    if given is not None:
        return _typed(name, given, shape, example.dtype)
    if choices.seed == 0 and shape == example.shape:
        return example
    least, most = (example.min(), example.max()) if example.size else (0, 1)
    if example.dtype.kind == "f":
        of_tenths = (round(float(one) * 10) for one in (least, most))
        return numbers(shape, [choices.seed, place], *of_tenths)
    drawn = np.random.default_rng([choices.seed, place]).integers(int(least), int(most) + 1, shape)
    return drawn.astype(example.dtype)


def _typed(name, given, shape, dtype):
    if len(given) != math.prod(shape):
        raise ArgumentError(
            f"{len(given)} numbers are given for {name}, but its shape is {shape}, of {math.prod(shape)} numbers."
        )
    with np.errstate(all="ignore"):
        as_floats = np.array(given, np.float64)
        found = as_floats.astype(dtype)
    if dtype.kind != "f" and not np.array_equal(found, as_floats):
        raise ArgumentError(f"{name} is of {dtype}, which does not hold all of these numbers.")
    return found.reshape(shape)

"""The checks that turn what a user gives for an attribute into its one normal form."""

import math
import numbers

import numpy as np

from .errors import ArgumentError
from .formats import FLOAT32

#: The largest size, count or step: kernels count in 32 bits.
MOST = 2**31 - 1


def integer(owner, name, value, minimum=1, maximum=MOST):
    """Return an int from ``minimum`` to ``maximum``.

    Raises
    ------
    ArgumentError
        If the value is no integer, too small or too large.
    """
    if not is_integer(value) or value < minimum:
        raise ArgumentError(f"{owner}: {name} is {value!r}. Give an integer of at least {minimum}.")
    if value > maximum:
        raise ArgumentError(f"{owner}: {name} is {value!r}. Give an integer of at most {maximum}.")
    return int(value)


def is_integer(value):
    """Return whether a value is a whole number, which a truth value is not."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def entries(value):
    """Return a tuple of what was given where one entry or several may be: of a sequence its own, else the one."""
    return tuple(value) if is_several(value) else (value,)


def is_several(value):
    """Return whether a value is a sequence: a tuple, list or range, or an array of one axis."""
    return isinstance(value, (tuple, list, range)) or (isinstance(value, np.ndarray) and value.ndim == 1)


def integers(owner, name, value, minimum):
    """Return a tuple of ints of at least ``minimum``, from one or from a sequence.

    Raises
    ------
    ArgumentError
        If something else is among them, or one is too small.
    """
    return tuple(integer(owner, name, entry, minimum) for entry in entries(value))


def flag(owner, name, value):
    """Return a bool, also from 0 or 1, as ONNX has it.

    Raises
    ------
    ArgumentError
        If the value is something else, which Python would take for true or false: a string, say, for true.
    """
    if not isinstance(value, (bool, np.bool_)) and not (is_integer(value) and value in (0, 1)):
        raise ArgumentError(f"{owner}: {name} is {value!r}. Give True or False.")
    return bool(value)


#: What the numbers for one, two and three spatial axes mean, in their order.
_IN_ORDER = {1: "(length,)", 2: "(vertical, horizontal)", 3: "(depth, vertical, horizontal)"}

#: The names that padding may have in the place of numbers: as many pixels as keep the size of the image at a step of 1,
#: the odd one at the end or at the beginning, or none (ONNX's SAME_UPPER, SAME_LOWER and VALID).
PADDINGS = ("same", "same_lower", "valid")


def per_axis(owner, name, value, axes, minimum=1):
    """Return a tuple of ints of at least ``minimum``, one for each spatial axis, from an int or from as many.

    Parameters
    ----------
    axes : int
        How many spatial axes there are: 1, 2 or 3.

    Raises
    ------
    ArgumentError
        If the value is neither, or too small.
    """
    values = tuple(value) if is_several(value) else (value,) * axes
    if len(values) != axes:
        raise ArgumentError(f"{owner}: {name} is {value!r}. Give an integer, or {axes} as {_IN_ORDER[axes]}.")
    return tuple(integer(owner, name, entry, minimum) for entry in values)


def padding(owner, value, axes):
    """Return the padding before each spatial axis and then that behind each, or its name.

    Parameters
    ----------
    value : int, sequence of int, or str
        One number for all sides, one for both sides of each axis, all of them (all beginnings, then all ends, as ONNX's
        ``pads``), or one of :data:`PADDINGS`, which :func:`refcnn.shapes.resolved_padding` turns into numbers.
    axes : int
        How many spatial axes there are: 1, 2 or 3.

    Raises
    ------
    ArgumentError
        If the value is none of these, or negative.
    """
    if isinstance(value, str) and value in PADDINGS:
        return value
    values = tuple(value) if is_several(value) else (value,) * axes
    if len(values) == axes:
        values *= 2
    if len(values) != 2 * axes or isinstance(value, str):
        raise ArgumentError(
            f"{owner}: padding is {value!r}. Give an integer, {axes} as {_IN_ORDER[axes]}, {2 * axes} (all beginnings, "
            f"then all ends), or one of {', '.join(map(repr, PADDINGS))}."
        )
    return tuple(integer(owner, "padding", entry, 0) for entry in values)


def axis_of_layer(owner, value):
    """Return the number of an axis of arrays that are not known yet; negative ones count from the last.

    Raises
    ------
    ArgumentError
        If the value is no integer.
    """
    if not is_integer(value):
        raise ArgumentError(f"{owner}: axis is {value!r}. Give an integer, negative to count from the last axis.")
    return int(value)


def axis(owner, value, dimensions):
    """Return the number of one axis from 0 on; negative ones count from the last.

    Raises
    ------
    ArgumentError
        If the value is no integer, or there is no such axis.
    """
    if not is_integer(value) or not -dimensions <= value < dimensions:
        raise ArgumentError(
            f"{owner}: axis is {value!r}, but the input has {dimensions} axes. Give an integer from {-dimensions} to "
            f"{dimensions - 1}."
            if dimensions
            else f"{owner}: axis is {value!r}, but the input is a single number, without axes. Give an array."
        )
    return int(value) % dimensions


def axes(owner, value, dimensions):
    """Return numbers of axes from 0 on, in order, from an int, a sequence of ints, or None for all axes.

    Parameters
    ----------
    dimensions : int
        How many axes there are; negative numbers count from the last.

    Raises
    ------
    ArgumentError
        If the value is none of these, or names an axis twice or one that there is not.
    """
    if value is None:
        return tuple(range(dimensions))
    values = entries(value)
    are_numbers = all(map(is_integer, values))
    found = sorted({int(entry) % dimensions for entry in values}) if are_numbers and dimensions else []
    if not are_numbers or len(found) != len(values) or any(not -dimensions <= entry < dimensions for entry in values):
        raise ArgumentError(
            f"{owner}: axes is {value!r}, but the input has {dimensions} axes. Give an integer from {-dimensions} to "
            f"{dimensions - 1}, or a tuple of different ones."
        )
    return tuple(found)


def held(owner, name, value, dtype):
    """Return a number of the kind of a dtype, which holds it: of floats as near as they are, infinity and NaN too.

    Raises
    ------
    ArgumentError
        If the value is no number, or the dtype does not hold it.
    """
    is_number, is_float = isinstance(value, (numbers.Real, np.bool_)), dtype.kind == "f"
    if is_number and is_float and not (is_integer(value) and abs(value) > FLOAT32.largest):
        return float(value)
    if is_number and not is_float:
        least, largest = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        if least <= value <= largest and value == int(value):
            return dtype.type(value).item()
    raise ArgumentError(f"{owner}: {name} is {value!r}, but the array is of {dtype}. Give a number that it holds.")


def function(owner, name, value, expected):
    """Return what can be called, and is no class in the place of an object of it.

    Parameters
    ----------
    expected : str
        What is to be given, for the message.

    Raises
    ------
    ArgumentError
        If it is something else.
    """
    if not callable(value) or isinstance(value, type):
        raise ArgumentError(f"{owner}: {name} is {value!r}. Give {expected}.")
    return value


def initializer(owner, value):
    """Return what gives the weights of a shape; errors as of :func:`function`."""
    return function(owner, "initializer", value, "a function of a shape, such as refcnn.GlorotNormal()")


def instance(owner, name, value, kind, expected):
    """Return an object of a class; the rest as of :func:`function`."""
    if not isinstance(value, kind):
        raise ArgumentError(f"{owner}: {name} is {value!r}. Give {expected}.")
    return value


def choice(owner, name, value, choices):
    """Return one of several words.

    Raises
    ------
    ArgumentError
        If the value is none of them.
    """
    if not isinstance(value, str) or value not in choices:
        raise ArgumentError(f"{owner}: {name} is {value!r}. Give {' or '.join(map(repr, choices))}.")
    return value


def number(owner, name, value, minimum=None, below=None, above=None):
    """Return a float of at least ``minimum``, more than ``above`` and less than ``below``.

    It must be so in float32 too, in which devices compute: as rounded to it, and as 0 where it is less than the
    smallest normal number, 2^-126, since a device may read it so.

    Raises
    ------
    ArgumentError
        If the value is no finite number or outside.
    """
    limits = [f"at least {minimum}"] * (minimum is not None)
    limits += [f"more than {above}"] * (above is not None) + [f"less than {below}"] * (below is not None)
    advice = f"Give a finite number{' of ' * bool(limits)}{' and '.join(limits)}"

    def is_within(entry):
        return (
            abs(entry) < math.inf
            and (minimum is None or entry >= minimum)
            and (above is None or entry > above)
            and (below is None or entry < below)
        )

    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not is_within(value):
        raise ArgumentError(f"{owner}: {name} is {value!r}. {advice}.")
    on_device = FLOAT32.round(value)
    if not is_within(on_device):
        raise ArgumentError(
            f"{owner}: {name} is {value!r}, which may be {on_device:g} on a device, where numbers are {FLOAT32.name}. "
            f"{advice} there too."
        )
    return float(value)

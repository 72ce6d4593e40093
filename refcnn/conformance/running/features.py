"""What can be said of a case, whatever the operation: what those that fail have in common is found among it."""

import dataclasses
import functools
import inspect
import itertools

import numpy as np

from ... import rooms
from ...backend import results_of
from ..theory.bounds import number_format
from . import coverage

#: Attributes by which windows reach beyond what they lie on are twice as many as axes: before, then after.
_BOTH_SIDES = 2

#: Kinds of extents that tiles and vectors tell apart.
_SIDES = {
    "odd": lambda side: side % 2 == 1,
    "even": lambda side: side % 2 == 0,
    "a multiple of 4": lambda side: side % 4 == 0,
    "no multiple of 4": lambda side: side % 4 != 0,
}


@dataclasses.dataclass(frozen=True)
class Features:
    """What can be said of one case.

    Attributes
    ----------
    flags : dict of str to bool
        What holds or not, the plainest first.
    numbers : dict of str to float
        What is larger or smaller.
    edges : dict of str to bool
        What strategies are there to reach, as :func:`refcnn.conformance.running.coverage.edges` calls it.
    """

    flags: dict
    numbers: dict
    edges: dict


def features(operation, direction, case):
    """Return the :class:`Features` of a case; their names are those of its inputs and attributes."""
    names = _names(operation, len(case.inputs))
    arrays = dict(zip(names, case.inputs, strict=True))
    for number, entry in enumerate(results_of(case.dy) if direction == "backward" else ()):
        arrays["dy" if not isinstance(case.dy, tuple) else f"dy[{number}]"] = entry
    flags, numbers, windows, edges = {}, {}, {}, coverage.edges(operation, case)
    for name, value in case.attributes.items():
        _add_attribute(name, value, flags, numbers, windows)
    _add_kernel(case, numbers, windows)
    _add_relations(windows, flags)
    _add_values(arrays, flags, numbers)
    for name, entry in arrays.items():
        flags[f"{name} is None"] = entry is None
        if entry is not None:
            for axis, side in enumerate(entry.shape):
                numbers[f"{name}.shape[{axis}]"] = side
                edges |= {f"{name}.shape[{axis}] is {kind}": holds(side) for kind, holds in _SIDES.items()}
            numbers |= {f"{name}.size": entry.size, f"{name}.ndim": entry.ndim}
            flags[f"{name} is {entry.dtype}"] = True
    present = [entry for entry in arrays.values() if entry is not None]
    numbers["the largest extent"] = max((side for entry in present for side in entry.shape), default=1)
    numbers["the largest array's size"] = max(entry.size for entry in present)
    return Features(flags, numbers, edges)


def same_as(direction, case):
    """Return what is equal of cases that are the same: much that is drawn is drawn twice."""
    arrays = (entry for entry in (*case.inputs, *(results_of(case.dy) if direction == "backward" else ())))
    bytes_of = (None if entry is None else (entry.dtype.str, entry.shape, entry.tobytes()) for entry in arrays)
    return hash((repr(case.attributes), tuple(bytes_of)))


@functools.cache
def _names(operation, count):
    """Return how the reference calls an operation's inputs."""
    parameters = inspect.signature(rooms.require(rooms.REFERENCE, operation).forward).parameters.values()
    names = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    several = [one.name.removesuffix("s") for one in parameters if one.kind is one.VAR_POSITIONAL]
    names += [f"{name}[{number}]" for name in several for number in range(count - len(names))]
    return (*names, *(f"input {number}" for number in range(len(names), count)))[:count]


def _add_attribute(name, value, flags, numbers, windows):
    if isinstance(value, bool | str | None):
        flags[name if value is True else f"{name} is {value!r}"] = True
    elif isinstance(value, tuple) and value and all(isinstance(one, int | float) for one in value):
        numbers[name] = max(value)
        flags[f"{name} differs from axis to axis"] = len(set(value)) > 1
        windows[name] = value
    elif isinstance(value, int | float):
        numbers[name] = value
    else:
        flags[f"{name} is {value!r}"] = True


def _add_kernel(case, numbers, windows):
    """Windows that are no attribute are the second input's."""
    axes = len(windows.get("stride", ()))
    second = case.inputs[1] if len(case.inputs) > 1 else None
    if axes and "kernel" not in windows and second is not None and second.ndim == axes + 2:
        windows["kernel"] = second.shape[2:]
        numbers["kernel"] = max(windows["kernel"])
    if axes and case.inputs[0].ndim == axes + 2:
        windows["the image"] = case.inputs[0].shape[2:]


def _add_relations(windows, flags):
    """Compare attributes of the same axes with each other."""
    for (name, value), (other, limits) in itertools.permutations(windows.items(), 2):
        if len(value) == _BOTH_SIDES * len(limits):
            limits = limits * _BOTH_SIDES
        if len(value) == len(limits):
            flags[f"{name} > {other}"] = any(one > limit for one, limit in zip(value, limits, strict=True))


def _add_values(arrays, flags, numbers):
    """Tell what values arrays hold: each of them, and any of them."""
    found = {name: _values(entry) for name, entry in arrays.items() if entry is not None and entry.dtype.kind == "f"}
    kinds = dict.fromkeys(kind for values in found.values() for kind in values)
    for name, values in found.items():
        flags |= {f"{kind} in {name}": holds for kind, holds in values.items()}
        magnitude = np.abs(arrays[name][np.isfinite(arrays[name]) & (arrays[name] != 0)])
        numbers[f"the largest number of {name}"] = float(magnitude.max(initial=0))
        numbers[f"the smallest number of {name}"] = float(magnitude.min(initial=np.inf))
    for kind in kinds if len(found) > 1 else ():
        flags[f"{kind} anywhere"] = any(values[kind] for values in found.values())


def _values(array):
    magnitude = np.abs(array)
    is_zero = array == 0
    return {
        "NaN": bool(np.isnan(array).any()),
        "infinity": bool(np.isposinf(array).any()),
        "-infinity": bool(np.isneginf(array).any()),
        "what is not finite": bool((~np.isfinite(array)).any()),
        "subnormal numbers": bool((~is_zero & (magnitude < number_format().smallest_normal)).any()),
        "zero": bool(is_zero.any()),
        "-0.0": bool((is_zero & np.signbit(array)).any()),
        "numbers below 0": bool((array < 0).any()),
        "numbers above 0": bool((array > 0).any()),
        "equal numbers": bool(np.unique(array).size < array.size),
        "fractions": bool((np.isfinite(array) & (array != np.rint(array))).any()),
    }

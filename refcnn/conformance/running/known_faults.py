"""Known faults of devices: the list in ``known_faults.toml``, and which case is explained by which of them."""

import collections
import dataclasses
import fnmatch
import functools
import os
import tomllib
from pathlib import Path

import numpy as np

from ...errors import DataError
from ...interpolation import resized_axes
from ...reading import check, field, read_plain, reading, schema_of
from ...shapes import reached_padding
from ..reports.results import DIRECTIONS
from ..theory.bounds import number_format


def _size(case):
    return sum(entry.size for entry in case.arrays)


def _keeps_a_size(case):
    """Return whether an axis is resized that keeps its size, by a scale that is rounded off or a part of it alone."""
    names = ("axes", "scales", "sizes", "keep_aspect_ratio_policy", "roi")
    if not all(name in case.attributes for name in names):
        return False
    axes = resized_axes(case.inputs[0].shape, **{name: case.attributes[name] for name in names})
    return any(axis.length == axis.size and (axis.scale != 1 or axis.roi != (0, 1)) for axis in axes)


def _wraps_more_than_once(case):
    """Return whether an axis is padded by wrapping around it, by more than is left of it."""
    if case.attributes.get("mode") != "wrap":
        return False
    before, after = np.reshape(case.attributes["pads"], (2, -1))
    left = case.inputs[0].shape + np.minimum(before, 0) + np.minimum(after, 0)
    return (np.maximum(before, after) > left).any()


def _is_counted_at_the_end(case):
    """Return whether padding counts that is wider after the image than before it, along a side or across it."""
    padding = case.attributes.get("padding", ())
    before, after = padding[: len(padding) // 2], padding[len(padding) // 2 :]
    return case.attributes.get("count_include_padding", False) and max(after, default=0) > min(before, default=0)


def _reaches_beyond_the_padding(case):
    """Return whether padding counts, and the last window of an axis reaches over it."""
    names = ("kernel", "stride", "padding", "dilation", "ceil_mode")
    if not case.attributes.get("count_include_padding", False) or not all(name in case.attributes for name in names):
        return False
    window = {name: case.attributes[name] for name in names}
    return reached_padding(case.inputs[0].shape[2:], **window) != window["padding"]


def _minus_infinities(case):
    """Return which reductions have infinity below 0 as their first number, and the largest of each."""
    x, axes = case.inputs[0], case.attributes.get("axes")
    if axes is None or x.size == 0:
        return np.zeros(1, bool), np.zeros(1)
    first = x[tuple(slice(0, 1) if axis in axes else slice(None) for axis in range(x.ndim))]
    return np.isneginf(first), x.max(axis=axes, keepdims=True)


def _is_minus_infinity_first(case):
    is_first, largest = _minus_infinities(case)
    # Of what is larger than -80 the exponential is no 0.
    return (is_first & np.isfinite(largest) & (largest < -80)).any()


def _is_minus_infinity_alone(case):
    is_first, largest = _minus_infinities(case)
    return (is_first & np.isneginf(largest)).any()


#: How many of the cases that a fault concerns must conform before it counts as fixed, where the list does not say how
#: many: not each need show it.
ENOUGH_CASES = 20

#: The cases that a fault concerns, by the name that stands in the file.
CONDITIONS = {
    "any": lambda case: True,
    "not finite": lambda case: any(not np.isfinite(entry).all() for entry in case.arrays),
    "below zero": lambda case: any((entry < 0).any() for entry in case.arrays),
    "subnormal": lambda case: any(
        ((entry != 0) & (np.abs(entry) < number_format().smallest_normal)).any() for entry in case.arrays
    ),
    "beyond int32": lambda case: any(
        entry.dtype == np.int64 and (entry != entry.astype(np.int32)).any() for entry in case.arrays
    ),
    "smallest number": lambda case: any(
        entry.dtype.kind == "f" and (entry == np.finfo(entry.dtype).min).any() for entry in case.arrays
    ),
    "infinity": lambda case: np.isposinf(case.inputs[0]).any(),
    "NaN and infinity": lambda case: np.isposinf(case.inputs[0]).any() and np.isnan(case.inputs[0]).any(),
    "minus infinity first": _is_minus_infinity_first,
    "minus infinity alone": _is_minus_infinity_alone,
    "size kept": _keeps_a_size,
    "wrapped more than once": _wraps_more_than_once,
    "padding at the end counted": _is_counted_at_the_end,
    "beyond the padding counted": _reaches_beyond_the_padding,
    "padding": lambda case: any(case.attributes.get("padding", ())),
    "stride": lambda case: any(step != 1 for step in case.attributes.get("stride", ())),
    "dilation": lambda case: any(step != 1 for step in case.attributes.get("dilation", ())),
    "groups": lambda case: case.attributes.get("groups", 1) != 1,
}


#: More than spaces.
_TEXT = {"type": "string", "pattern": r"\S"}


@dataclasses.dataclass(frozen=True)
class KnownFault:
    """One entry of the list; ``known_faults.toml`` says what each field means."""

    id: str = field(_TEXT)
    operation: str = field(_TEXT)
    direction: str = field({"enum": DIRECTIONS})
    device: str = field(_TEXT)
    driver: str = field(_TEXT)
    condition: str = field({"enum": tuple(CONDITIONS)})
    link: str = field(_TEXT)
    seen: str = field(_TEXT)
    variant: str | None = field(_TEXT, default=None)
    difference: float | None = field({"type": "number", "minimum": 0}, default=None)
    enough: int = field({"type": "integer", "minimum": 1}, default=ENOUGH_CASES)

    def concerns(self, device, operation, direction, variant):
        """Return whether this is a fault of a device, in one row of its results.

        Parameters
        ----------
        device : dict of str to str
            Has ``name``, ``platform`` and ``driver``.
        operation, direction : str
        variant : str or None
        """
        return (
            (self.operation, self.direction) == (operation, direction)
            and self.variant in (None, variant)
            and any(self.device.lower() in device.get(key, "").lower() for key in ("name", "platform"))
            and any(fnmatch.fnmatchcase(device.get("driver", ""), pattern) for pattern in self.driver.split("|"))
        )

    def explains(self, case, difference=0.0):
        """Return whether a case is among those that it concerns, and it may be that far off."""
        return CONDITIONS[self.condition](case) and (self.difference is None or difference <= self.difference)


class Watch:
    """The known faults in one row of a device's results: which cases they explain, and whether they are still there.

    Parameters
    ----------
    faults : iterable of KnownFault
        What :func:`load` returns.
    device, operation, direction, variant
        As in :meth:`KnownFault.concerns`.

    Attributes
    ----------
    seen : dict of str to (Case, object)
        By a fault's identifier the smallest case that it explained, and what was found.
    """

    def __init__(self, faults, device, operation, direction, variant):
        self._faults = [fault for fault in faults if fault.concerns(device, operation, direction, variant)]
        self._tried, self._failing = collections.Counter(), set()
        self.seen = {}

    def ran(self, case):
        """Note a case that was run to its end, whether it conforms or not."""
        self._tried.update(fault.id for fault in self._faults if fault.explains(case))

    def explain(self, case, found, difference=np.inf):
        """Return the first fault that explains a case that failed, or None.

        Parameters
        ----------
        case : Case
        found : object
            Kept in :attr:`seen`.
        difference : float
            How far the result is from the exact one; infinity if there is none.
        """
        faults = [fault for fault in self._faults if fault.explains(case, difference)]
        # Any of several may be what failed, so that none of them can be said to be gone.
        self._failing |= {fault.id for fault in faults}
        if not faults:
            return None
        smallest, _ = self.seen.get(faults[0].id, (None, None))
        if smallest is None or _size(case) < _size(smallest):
            self.seen[faults[0].id] = case, found
        return faults[0]

    def leaves_out(self, case, identifiers):
        """Return whether a case is like others that end a process, by faults of which that is known."""
        # They are not gone, though no case of theirs runs any more.
        self._failing.update(identifiers)
        return any(fault.id in identifiers and fault.explains(case, np.inf) for fault in self._faults)

    def fixed(self):
        """Return the faults of whose cases enough were run, and none of which failed."""
        return [
            fault for fault in self._faults if fault.id not in self._failing and self._tried[fault.id] >= fault.enough
        ]


def file():
    """Return the path of the list: this package's, or what the environment variable ``REFCNN_KNOWN_FAULTS`` names."""
    return Path(os.environ.get("REFCNN_KNOWN_FAULTS") or Path(__file__).parents[1] / "known_faults.toml")


def watch(device, operation, direction, variant):
    """Return the :class:`Watch` over one row, with the list that :func:`file` names; raise as :func:`load`."""
    return Watch(_load_once(file()), device, operation, direction, variant)


def load(path):
    """Return the list of known faults.

    Raises
    ------
    DataError
        If the file cannot be read, or an entry is not as it should be; it is named.
    """
    with reading(path, "a list of known faults", DataError, "Correct it, or name another list."):
        content = tomllib.loads(read_plain(path).decode())
        check(content, {"type": "object", "properties": {"fault": {"type": "array"}}, "additionalProperties": False})
        faults = tuple(_fault(number, entry) for number, entry in enumerate(content.get("fault", []), 1))
        identifiers = [fault.id for fault in faults]
        twice = sorted({one for one in identifiers if identifiers.count(one) > 1})
        if twice:
            raise ValueError(f"it has more than one fault with the id {', '.join(twice)}; each needs one of its own")
        return faults


_load_once = functools.cache(load)


def _fault(number, entry):
    try:
        check(entry, schema_of(KnownFault))
    except ValueError as error:
        identifier = entry.get("id") if isinstance(entry, dict) else None
        raise ValueError(f"fault {number} ({identifier or 'without id'}) is wrong {error}") from None
    return KnownFault(**entry)

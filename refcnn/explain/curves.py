"""The curve of a function of one number, and of its slope, drawn from what the reference computes."""

import dataclasses

import numpy as np

from .. import rooms
from ..errors import ShapeError

_WIDTH, _HEIGHT, _EDGE = 360, 240, 14
_FURTHEST, _POINTS = 4.0, 161


@dataclasses.dataclass(frozen=True)
class Curve:
    """What SVG draws.

    Attributes
    ----------
    y, slope : str
        Paths; the slope is empty where there is none.
    axes : list of (float, float, float, float)
    marks : list of (float, float, str)
    text : str
        What is seen.
    """

    y: str
    slope: str
    axes: list
    marks: list
    text: str


def curve(operation, case):
    """Return the :class:`Curve` of an operation that is taken of each element of its one input; None of another.

    Parameters
    ----------
    operation : str
    case : Case
        A call, whose attributes are taken.
    """
    room = rooms.require(rooms.REFERENCE, operation)
    if len(case.inputs) != 1 or case.inputs[0].dtype.kind != "f" or not is_of_each(operation, case.attributes):
        return None
    x = np.linspace(-_FURTHEST, _FURTHEST, _POINTS)
    y, slope = _computed(room, x, case.attributes)
    return _drawn(operation, x, y, slope)


def is_of_each(operation, attributes):
    """Return whether an operation of one array takes each number by itself, with a slope."""
    room = rooms.require(rooms.REFERENCE, operation)
    x = np.linspace(-_FURTHEST, _FURTHEST, _POINTS)
    moved = x + np.where(x == x[0], 0.5, 0)
    try:
        (y, slope), (other, _) = (_computed(room, one, attributes) for one in (x, moved))
        (alone, _) = _computed(room, np.full(x.shape, x[1]), attributes)
    except (AttributeError, IndexError, ShapeError, TypeError, ValueError):
        return False
    if (
        not isinstance(y, np.ndarray)
        or y.shape != x.shape
        or y.dtype.kind != "f"
        or slope is None
        or slope.shape != x.shape
    ):
        return False
    is_same = np.array_equal(y[1:], other[1:], equal_nan=True)
    return is_same and np.array_equal(alone, np.full(x.shape, y[1]), equal_nan=True)


def _computed(room, x, attributes):
    with np.errstate(all="ignore"):
        y, saved = room.forward(x, **attributes)
        (slope,) = room.backward(np.ones_like(x), saved, (True,), **attributes)
    return y, slope


def _drawn(operation, x, y, slope):
    # Where it goes far up or down the middle is shown.
    shown = np.concatenate([values[np.isfinite(values)] for values in (y, slope)] + [np.zeros(1), np.ones(1)])
    low, high = max(shown.min(), -_FURTHEST), min(shown.max(), _FURTHEST)

    def across(value):
        return round(_EDGE + (value + _FURTHEST) / (2 * _FURTHEST) * (_WIDTH - 2 * _EDGE), 1)

    def down(value):
        return round(_HEIGHT - _EDGE - (value - low) / (high - low) * (_HEIGHT - 2 * _EDGE), 1)

    def path(values):
        parts, pen = [], "M"
        for at, value in zip(x, values, strict=True):
            is_in = np.isfinite(value) and low <= value <= high
            if is_in:
                parts.append(f"{pen}{across(at)} {down(value)}")
            pen = "L" if is_in else "M"
        return "".join(parts)

    axes = [(across(-_FURTHEST), down(0), across(_FURTHEST), down(0)), (across(0), down(low), across(0), down(high))]
    marks = [(across(at) + 2, down(0) - 3, f"{at:g}".replace("-", "−")) for at in (-3, 3)]
    marks += [(across(0) + 4, down(at) + 4, f"{at:.3g}".replace("-", "−")) for at in (low, high)]
    text = f"The curve of {operation} from -4 to 4, where y goes from {np.nanmin(y):.3g} to {np.nanmax(y):.3g}"
    return Curve(path(y), path(slope) if np.any(slope) else "", axes, marks, text)

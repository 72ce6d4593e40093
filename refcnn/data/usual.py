"""What is usual of a data set's images, and how far from it an image is."""

import math
from typing import NamedTuple

import numpy as np

#: An image is far from others if it lies beyond all of them, and by more than so many of their deviations from their
#: mean: of values that are normally distributed one in 16,000 does.
MOST_DEVIATIONS = 4.0


class Usual(NamedTuple):
    """How a number that each image has is spread over the images.

    Attributes
    ----------
    mean, deviation : float
    lowest, highest : float
    """

    mean: float
    deviation: float
    lowest: float
    highest: float

    def holds(self, value: float) -> bool:
        """Whether a value is not far from these."""
        return self.lowest <= value <= self.highest or abs(value - self.mean) <= MOST_DEVIATIONS * self.deviation


class UsualChannel(NamedTuple):
    """How brightness and contrast of one channel are spread over the images, as parts of black to white.

    Attributes
    ----------
    brightness : Usual
        The means of the images' values.
    contrast : Usual
        Their standard deviations.
    """

    brightness: Usual
    contrast: Usual


class Spread:
    """Gathers the brightness and the contrast of images that come in parts."""

    def __init__(self):
        self._found = []

    def add(self, x, squares):
        """Take a part: float64 values (N, C, H, W), counted from any zero, and their squares."""
        means = x.mean(axis=(2, 3))
        deviations = np.sqrt(np.maximum(squares.mean(axis=(2, 3)) - np.square(means), 0))
        self._found.append(np.stack([means, deviations], axis=1))

    def channels(self, zero):
        """Return a :class:`UsualChannel` for each channel, where ``zero`` is the zero that values were counted from."""
        found = np.concatenate(self._found)
        found[:, 0] += zero
        columns = (found.mean(axis=0), found.std(axis=0), found.min(axis=0), found.max(axis=0))
        spread = np.stack(columns, axis=-1)
        return tuple(
            UsualChannel(*(Usual(*map(float, spread[kind, c])) for kind in (0, 1))) for c in range(found.shape[2])
        )


def read(fields):
    """Return channels as JSON holds them, lists of lists of numbers; ValueError if they are none."""
    try:
        channels = tuple(UsualChannel(*(Usual(*numbers) for numbers in channel)) for channel in fields)
    except TypeError:
        raise ValueError("brightness and contrast of each channel are expected, four numbers each") from None
    numbers = [number for channel in channels for usual in channel for number in usual]
    if not all(isinstance(n, (int, float)) and not isinstance(n, bool) and math.isfinite(n) for n in numbers):
        raise ValueError("finite numbers are expected")
    return channels


def strangeness(image, channels, ends):
    """Say how far an image is from what is usual.

    Parameters
    ----------
    image : ndarray, shape (C, H, W)
        In the unit of ``channels``.
    channels : tuple of UsualChannel
    ends : (float, float)
        The values of black and white in that unit.

    Returns
    -------
    list of str
        Clauses about the image, none if nothing is strange.
    """
    brightness, contrast = image.mean(axis=(1, 2)), image.std(axis=(1, 2))
    found = [(of, "brightness", v) for of, v in zip([c.brightness for c in channels], brightness, strict=True)]
    found += [(of, "contrast", v) for of, v in zip([c.contrast for c in channels], contrast, strict=True)]
    strange = [entry for entry in found if not entry[0].holds(entry[2])]
    clauses = {}
    # Of each kind the channel that is farthest off.
    for usual, kind, value in sorted(
        strange, key=lambda entry: abs(entry[2] - entry[0].mean) / (entry[0].deviation or 1e-30)
    ):
        clauses[kind] = f"its {kind} is {value:.2g}, theirs {usual.lowest:.2g} to {usual.highest:.2g}"
    said = list(clauses.values())
    mirrored = sum(ends) - brightness
    if "brightness" in clauses and all(c.brightness.holds(v) for c, v in zip(channels, mirrored, strict=True)):
        said.append("inverted, it would be as bright as they are")
    return said

"""Augmentation: training images that are shifted, turned, cropped and so on anew in each epoch.

All work on batches of images as they are stored, shape (N, C, H, W). What is
drawn for an image is a function of the seed, the epoch's random stream and the
image's index in the data set, so that a training that is resumed within an
epoch goes on with the same bits, whichever thread computes them.

    >>> import refcnn as rm
    >>> chosen = [rm.data.augment.Shift(1), rm.data.augment.Rotate(10)]
    >>> rm.data.augment.parse("shift=1,rotate=10") == tuple(chosen)
    True
"""

import dataclasses
import math
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from .. import attributes
from ..errors import ArgumentError
from ..philox import random_blocks, to_uniform
from ..suggestions import did_you_mean
from . import warping
from .arrays import one_hot

__all__ = [
    "Augmentation",
    "Colour",
    "Crop",
    "Cutout",
    "Draws",
    "Flip",
    "FlipVertical",
    "Mixup",
    "Rotate",
    "Shift",
    "parse",
]

#: The blocks of a stream from which augmentation draws: shuffles, which share the stream, stay far below.
_FIRST_BLOCK = np.uint64(2**63)
#: Blocks of four numbers for each image.
_BLOCKS = np.uint64(2**16)
#: How many more than are asked for are computed with them.
_AHEAD = 3


class Draws:
    """Random numbers for the images of a batch.

    Parameters
    ----------
    seed, stream : int
        Of :mod:`refcnn.philox`; the stream is that of the epoch.
    indices : ndarray of int, shape (N,)
        Of the images in their data set.
    """

    def __init__(self, seed: int, stream: int, indices: np.ndarray):
        self._seed, self._stream = seed, stream
        self._first = _FIRST_BLOCK + np.asarray(indices).astype(np.uint64) * _BLOCKS
        # What is drawn, (N, blocks, 4), and how many blocks of it are used up.
        self._bits, self._used = np.empty((len(self._first), 0, 4), np.uint32), 0

    def uniform(self, count: int) -> np.ndarray:
        """Return the next numbers of each image, float64 in (0, 1), shape (count, N)."""
        first, self._used = self._used, self._used + (count + 3) // 4
        drawn = self._bits.shape[1]
        if self._used > drawn:
            # A few blocks cost hardly more than one.
            blocks = self._first[:, None] + np.arange(drawn, self._used + _AHEAD, dtype=np.uint64)
            more = random_blocks(self._seed, self._stream, blocks)
            self._bits = np.concatenate([self._bits, more], axis=1)
        bits = self._bits[:, first : self._used].reshape(len(self._first), -1)
        return to_uniform(bits[:, :count].T)


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Base class; one of your own has a ``__call__`` of the same parameters.

    Its fields are what :func:`parse` takes, none or one number.
    """

    name: ClassVar[str] = ""

    def __str__(self):
        values = [str(getattr(self, field.name)) for field in dataclasses.fields(self)]
        return "=".join([self.name, *values])

    def check(self, shape: tuple[int, int, int]) -> None:
        """Raise ArgumentError if of images of this shape, (C, H, W), nothing could be left."""

    def __call__(self, x: np.ndarray, draws: Draws, black: float = 0.0, white: float | None = None) -> np.ndarray:
        """Return other images.

        Parameters
        ----------
        x : ndarray, shape (N, C, H, W)
            Not changed.
        draws : Draws
            Of these images.
        black, white : float
            The stored values of a black and a white pixel; white may not be known.

        Returns
        -------
        ndarray, shape (N, C, H, W)
            Of the same dtype where pixels only move, else float32.
        """
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Shift(Augmentation):
    """Shift images down and across by whole pixels, at most so many each way; black comes in.

    Parameters
    ----------
    most : int or float
        Pixels, or below 1 a part of the height and of the width.
    """

    most: float = 0.1
    name: ClassVar[str] = "shift"

    def __post_init__(self):
        _require_length(self.name, self.most)

    def check(self, shape):
        if any(_pixels(self.most, length) >= length for length in shape[1:]):
            raise _nothing(self, shape, "Shift by less than the height and the width.")

    def __call__(self, x, draws, black=0.0, white=None):
        most = [_pixels(self.most, length) for length in x.shape[2:]]
        down, across = (_integers(u, -bound, bound) for u, bound in zip(draws.uniform(2), most, strict=True))
        return warping.shifted(x, down, across, black)


@dataclasses.dataclass(frozen=True)
class Flip(Augmentation):
    """Exchange left and right of every other image, by chance."""

    name: ClassVar[str] = "flip"
    _axis: ClassVar[int] = 3

    def __call__(self, x, draws, black=0.0, white=None):
        return warping.flipped(x, draws.uniform(1)[0] < 0.5, self._axis)


@dataclasses.dataclass(frozen=True)
class FlipVertical(Flip):
    """Exchange top and bottom of every other image, by chance."""

    name: ClassVar[str] = "flip-vertical"
    _axis: ClassVar[int] = 2


@dataclasses.dataclass(frozen=True)
class Crop(Augmentation):
    """Cut a part out of each image, and resize it to the whole.

    The part's area and the logarithm of its ratio of sides, from 3:4 to 4:3, are drawn evenly, as for Inception;
    Szegedy and others, "Going deeper with convolutions" (2015), section 6. A side that is too long is cut.

    Parameters
    ----------
    least : float
        The smallest area, a part of the image's.
    """

    least: float = 0.5
    name: ClassVar[str] = "crop"
    _ratio: ClassVar[float] = 4 / 3

    def __post_init__(self):
        attributes.number("augment", self.name, self.least, above=0)
        if self.least > 1:
            raise ArgumentError(f"augment: crop is {self.least!r}. Give the smallest part of the area, at most 1.")

    def check(self, shape):
        if self.least * shape[1] * shape[2] < 1:
            raise _nothing(self, shape, "Keep at least a pixel.")

    def __call__(self, x, draws, black=0.0, white=None):
        area, ratio, top, left = draws.uniform(4)
        height, width = x.shape[2:]
        root = np.sqrt((self.least + (1 - self.least) * area) * height * width)
        sides = np.sqrt(self._ratio ** (2 * ratio - 1))
        high, wide = np.minimum(root / sides, height), np.minimum(root * sides, width)
        return warping.cropped(x, (top * (height - high), left * (width - wide)), (high, wide))


@dataclasses.dataclass(frozen=True)
class Rotate(Augmentation):
    """Turn images about their centre; black comes in at the corners.

    Parameters
    ----------
    degrees : float
        At most so many either way.
    """

    degrees: float = 10
    name: ClassVar[str] = "rotate"

    def __post_init__(self):
        attributes.number("augment", self.name, self.degrees, minimum=0)
        if self.degrees > 180:
            raise ArgumentError(f"augment: rotate is {self.degrees!r}. Give at most 180 degrees either way.")

    def __call__(self, x, draws, black=0.0, white=None):
        return warping.rotated(x, np.deg2rad(self.degrees) * (2 * draws.uniform(1)[0] - 1), black)


@dataclasses.dataclass(frozen=True)
class Colour(Augmentation):
    """Change brightness and contrast, and of images with three channels the saturation.

    Parameters
    ----------
    amount : float
        Each is multiplied by 1 - amount to 1 + amount.
    """

    amount: float = 0.2
    name: ClassVar[str] = "colour"

    def __post_init__(self):
        # With a brightness of 0 nothing would be left.
        attributes.number("augment", self.name, self.amount, minimum=0, below=1)

    def __call__(self, x, draws, black=0.0, white=None):
        return warping.coloured(x, *(1 + self.amount * (2 * draws.uniform(3) - 1)), black, white)


@dataclasses.dataclass(frozen=True)
class Cutout(Augmentation):
    """Make a square of each image black, whose centre is any of its pixels.

    DeVries and Taylor, "Improved regularization of convolutional neural networks with cutout" (2017).

    Parameters
    ----------
    size : int or float
        Pixels, or below 1 a part of the shorter side.
    """

    size: float = 0.25
    name: ClassVar[str] = "cutout"

    def __post_init__(self):
        _require_length(self.name, self.size)

    def check(self, shape):
        if _pixels(self.size, min(shape[1:])) >= max(shape[1:]):
            raise _nothing(self, shape, "Cut out less than the image.")

    def __call__(self, x, draws, black=0.0, white=None):
        size = _pixels(self.size, min(x.shape[2:]))
        top, left = (
            _integers(u, 0, length - 1) - size // 2 for u, length in zip(draws.uniform(2), x.shape[2:], strict=True)
        )
        return warping.cut_out(x, top, left, size, black)


@dataclasses.dataclass(frozen=True)
class Mixup(Augmentation):
    """Mix each image, and its target, with the next one in the batch.

    Zhang, Cisse, Dauphin and Lopez-Paz, "mixup: beyond empirical risk minimization" (2018). The image keeps the larger
    share. It is applied after all others.

    Parameters
    ----------
    alpha : float
        The shares are of the distribution Beta(alpha, alpha): the larger alpha, the more is mixed.
    """

    alpha: float = 0.2
    name: ClassVar[str] = "mixup"

    def __post_init__(self):
        attributes.number("augment", self.name, self.alpha, above=0)

    def shares(self, draws):
        """Return what each image keeps of itself, 0.5 to 1, float32 (N,)."""
        from scipy.special import betaincinv

        shares = betaincinv(self.alpha, self.alpha, draws.uniform(1)[0])
        return np.maximum(shares, 1 - shares).astype(np.float32)

    def mixed(self, x, target, draws):
        """Return other images and their targets.

        Parameters
        ----------
        x : ndarray, shape (N, C, H, W)
        target : ndarray of float, shape (N, classes)
        draws : Draws

        Returns
        -------
        x, target : ndarray, float32
        """
        shares = self.shares(draws)
        return tuple(_mixed(array.astype(np.float32, copy=False), shares) for array in (x, target))


#: What :func:`parse` knows by name.
AUGMENTATIONS = {kind.name: kind for kind in (Shift, Flip, FlipVertical, Crop, Rotate, Colour, Cutout, Mixup)}
_SPELLINGS = {"color": "colour"}


def parse(text: str) -> tuple[Augmentation, ...]:
    """Return the augmentations that a text names, such as ``shift=2,flip,mixup=0.2``, in its order.

    Parameters
    ----------
    text : str
        Names with commas between them: shift, flip, flip-vertical, crop, rotate, colour, cutout, mixup. After ``=``
        stands the number that the class of that name takes, if not its default.

    Raises
    ------
    ArgumentError
        For another name, or a number out of range.
    """
    return tuple(_parsed(part.strip(), text) for part in text.split(","))


def _parsed(part, text):
    name, has_number, number = part.partition("=")
    kind = AUGMENTATIONS.get(_SPELLINGS.get(name, name))
    if kind is None:
        raise ArgumentError(
            f"augment: {name!r} in {text!r} is none of {', '.join(AUGMENTATIONS)}. Give such names with commas between "
            f"them, as shift=2,flip.{did_you_mean(name, AUGMENTATIONS)}"
        )
    if not has_number:
        return kind()
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not dataclasses.fields(kind) or not math.isfinite(value):
        wanted = "no number" if not dataclasses.fields(kind) else "a number"
        raise ArgumentError(f"augment: {part!r} in {text!r}: {name} takes {wanted}.")
    return kind(int(value) if value.is_integer() else value)


class Augmenter:
    """Augments batches, of a data set whose images all have one shape.

    Parameters
    ----------
    augmentations : sequence of Augmentation
        Applied in their order; of :class:`Mixup` one at most, which comes last.
    shape : tuple of int
        Of one image.
    classes : int or None
        How many there are, if targets are class indices.
    black, white : float
        As of :meth:`Augmentation.__call__`.

    Raises
    ------
    ArgumentError
        If they would leave nothing of an image, or it is no image, or they are no augmentations.
    """

    def __init__(self, augmentations, shape, classes=None, black=0.0, white=None):
        if isinstance(augmentations, str):
            augmentations = parse(augmentations)
        if not isinstance(augmentations, Iterable) or not all(map(callable, augmentations := list(augmentations))):
            raise ArgumentError(
                f"augment is {augmentations!r}. Give a text such as 'shift=2,flip', or a list of augmentations."
            )
        if len(shape) != 3:
            raise ArgumentError(f"augment: an example has shape {shape}. Only images, (C, H, W), are augmented.")
        mixups = [one for one in augmentations if isinstance(one, Mixup)]
        if len(mixups) > 1:
            raise ArgumentError("augment: mixup stands there twice. Name it once.")
        self._mixup = mixups[0] if mixups else None
        self._augmentations = [one for one in augmentations if one is not self._mixup]
        for one in self._augmentations:
            if isinstance(one, Augmentation):
                one.check(shape)
        self._classes, self._range = classes, (black, white)

    @property
    def mates(self) -> int:
        """How many of the images after a part of a batch must come with it, lest others be mixed with its last."""
        return 0 if self._mixup is None else 1

    def __call__(self, x: np.ndarray, target: Any, draws: Draws) -> tuple[np.ndarray, Any]:
        """Return other images and their targets."""
        for one in self._augmentations:
            x = one(x, draws, *self._range)
        if self._mixup is None:
            return x, target
        return self._mixup.mixed(x, self._rows(target), draws)

    def _rows(self, target):
        if target.ndim == 2 and target.dtype.kind == "f":
            return target
        if target.ndim == 1 and target.dtype.kind in "iu" and self._classes is not None:
            return one_hot(target, self._classes)
        raise ArgumentError(
            f"augment: mixup mixes classes, but the target has shape {target.shape} and dtype {target.dtype}. Give "
            "class indices (N,) or probabilities (N, classes), or leave mixup out."
        )


def _require_length(name, value):
    number = attributes.number("augment", name, value, above=0)
    if number >= 1 and number != int(number):
        raise ArgumentError(f"augment: {name} is {value!r}. Give whole pixels, or a part of the image below 1.")


def _pixels(value, length):
    return round(value * length) if value < 1 else int(value)


def _integers(uniform, least, most):
    return least + (uniform * (most - least + 1)).astype(np.int64)


def _mixed(array, shares):
    shares = shares.reshape(-1, *(1,) * (array.ndim - 1))
    return shares * array + (1 - shares) * np.roll(array, -1, axis=0)


def _nothing(augmentation, shape, advice):
    return ArgumentError(
        f"augment: {augmentation} can leave nothing of an image of {shape[1]}x{shape[2]} pixels (height x width). "
        f"{advice}"
    )

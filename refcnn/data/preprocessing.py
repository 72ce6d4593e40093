"""How images become a network's input: their values, their size, and what is known of images as they usually are."""

import dataclasses
import math

import numpy as np

from ..errors import ArgumentError, DataError
from ..typing import ArrayLike, PathLike
from . import usual
from .image_file import ImageBytes, read_image
from .sizing import DEFAULT_FILTER, FILTERS, FITS
from .stored import extremes, parts

#: What values that are centred on zero by their deviation seldom exceed.
USUAL_DEVIATIONS = 4.0
#: By the number of channels how colours may be ordered; the first is meant where nothing is said.
COLOURS = {1: ("grey",), 3: ("RGB", "BGR")}
#: How the axes of a batch may be ordered.
LAYOUTS = ("NCHW", "NHWC")
#: What is true of every image that is read, said in JSON for other programs.
FACTS = {
    "transparency": "white",
    "orientation": "upright",
    "formula": "((pixel / 255 * (white - black) + black) * scale - mean) / deviation",
}


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """How an image file becomes the network's input: grey or RGB, its size, and what is done to its values.

    The network's input is ``(stored value * scale - mean) / deviation``.

    Parameters
    ----------
    scale : float
        Brings the stored values between 0 and 1.
    channels : int
        1 for grey, 3 for RGB (other numbers cannot be read from image files).
    height, width : int
        The size of the network's input, in pixels.
    resize : bool
        Whether an image file of another size is resized or refused.
    white : float or None
        The stored value of a white pixel: 255 for 8-bit images, 16 for
        scikit-learn's digits, often 1 for floating-point data. None where it
        is not known, and image files cannot be read.
    mean, deviation : float or tuple of float
        Taken from the training images by :meth:`standardised`; of several one for each channel.
    black : float
        The stored value of a black pixel.
    fit : str
        How an image file of another size is resized: ``crop``, ``pad`` or ``stretch``.
    usual : tuple of UsualChannel
        For each channel what brightness and contrast training images have, in stored values times ``scale``; taken by
        :meth:`standardised`. Empty where it is not known.
    colour : str or None
        How the channels are ordered: ``grey``, ``RGB`` or ``BGR``; by default as they are in stored images. None of
        other numbers of channels.
    filter : str
        By which of Pillow's filters an image file is resized.
    layout : str
        How the axes of the network's input are ordered: ``NCHW`` or ``NHWC``. Stored images are always (C, H, W).

    Raises
    ------
    DataError
        For a field of the wrong type or range.
    """

    scale: float
    channels: int
    height: int
    width: int
    resize: bool = True
    white: float | None = 255.0
    mean: float | tuple = 0.0
    deviation: float | tuple = 1.0
    black: float = 0.0
    fit: str = "stretch"
    usual: tuple = ()
    colour: str | None = None
    filter: str = DEFAULT_FILTER
    layout: str = LAYOUTS[0]

    def __post_init__(self):
        for name in ("channels", "height", "width"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise DataError(f"Preprocessing: {name} is {value!r}, but must be a whole number of at least 1.")
        for name in ("mean", "deviation"):
            self._read_channels(name)
        self._check_numbers()
        if not isinstance(self.resize, bool):
            raise DataError(f"Preprocessing: resize is {self.resize!r}, but must be true or false.")
        colours = COLOURS.get(self.channels, (None,))
        object.__setattr__(self, "colour", colours[0] if self.colour is None else self.colour)
        choices = {"fit": FITS, "colour": colours, "filter": FILTERS, "layout": LAYOUTS}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise DataError(
                    f"Preprocessing: {name} is {_short(getattr(self, name))}, but must be "
                    f"{'' if len(allowed) == 1 else 'one of '}{', '.join(map(str, allowed))}."
                )
        self._read_usual()

    def _read_channels(self, name):
        value = getattr(self, name)
        if not isinstance(value, (tuple, list)):
            return
        if len(value) != self.channels:
            raise DataError(
                f"Preprocessing: {name} is {_short(value)}, but must be one number, or one for each of "
                f"{self.channels} channels."
            )
        object.__setattr__(self, name, tuple(value))

    def _check_numbers(self):
        for name in ("mean", "black", "white"):
            for value in _each(getattr(self, name)):
                if not _is_float32(value) and not (name == "white" and value is None):
                    raise DataError(
                        f"Preprocessing: {name} is {_short(value)}, but must be a number that float32 can hold."
                    )
        if self.white == self.black:
            raise DataError(f"Preprocessing: white is {self.white!r}, which black is too. Give different values.")
        for name in ("scale", "deviation"):
            for value in _each(getattr(self, name)):
                if not _is_float32(value) or not np.float32(value) > 0:
                    raise DataError(
                        f"Preprocessing: {name} is {_short(value)}, but must be a number above 0 that float32 can hold."
                    )

    def _read_usual(self):
        try:
            channels = usual.read(self.usual)
        except ValueError as error:
            raise DataError(f"Preprocessing: usual is {_short(self.usual)}, but {error}.") from None
        if channels and len(channels) != self.channels:
            raise DataError(f"Preprocessing: usual has {len(channels)} channels, but channels is {self.channels}.")
        object.__setattr__(self, "usual", channels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of one input, (channels, height, width), or of the layout NHWC (height, width, channels)."""
        if self.layout == "NHWC":
            return self.height, self.width, self.channels
        return self.channels, self.height, self.width

    def apply(self, x: ArrayLike) -> np.ndarray:
        """Turn images as stored, (..., C, H, W), of any dtype, into the network's float32 input."""
        x = (np.asarray(x, np.float32) * np.float32(self.scale) - self._of_channels(self.mean)) / self._of_channels(
            self.deviation
        )
        return np.moveaxis(x, -3, -1) if self.layout == "NHWC" else x

    def _of_channels(self, numbers):
        """Return a number, or one for each channel in the form that goes with images (..., C, H, W), in float32."""
        numbers = np.asarray(numbers, np.float32)
        return numbers[:, None, None] if numbers.ndim else numbers

    def standardised(self, x: np.ndarray) -> "Preprocessing":
        """Return this with the mean and the standard deviation of images as stored, so that inputs are centred on zero.

        What brightness and contrast they have is kept too.

        Parameters
        ----------
        x : ndarray or StoredImages, shape (N, C, H, W)
        """
        mean = _mean(x) * self.scale
        # By parts, since a large set in float64 would take eight times its memory.
        total, spread = 0.0, usual.Spread()
        for part in parts(x):
            centred = part * np.float64(self.scale) - mean
            squares = np.square(centred)
            total += float(squares.sum())
            spread.add(centred, squares)
        deviation = math.sqrt(total / math.prod(x.shape))
        # Images of one colour throughout have no deviation to divide by.
        deviation = deviation if np.float32(deviation) else 1.0
        return dataclasses.replace(self, mean=mean, deviation=deviation, usual=spread.channels(mean))

    def strangeness(self, image: np.ndarray) -> list[str]:
        """Say in what an image as stored, (C, H, W), is far from those that were trained on; nothing, if it is not."""
        if not self.usual or self.white is None:
            return []
        ends = self.black * self.scale, self.white * self.scale
        return usual.strangeness(image * np.float64(self.scale), self.usual, ends)

    def load_image(self, path: PathLike | ImageBytes) -> np.ndarray:
        """Read an image file in the form that the data set stores; ``apply`` then makes it the network's input.

        Parameters
        ----------
        path : str, os.PathLike or ImageBytes
            The image file.

        Returns
        -------
        ndarray, shape (channels, height, width)
            uint8 if black is 0 and white 255, else float32 from ``black`` to ``white``.

        Raises
        ------
        DataError
            If the file cannot be read as an image (the message names it), or
            it is not known which values black and white have.
        """
        white = self.require_pixel_range()
        size = self.channels, self.height, self.width
        pixels = read_image(path, *size, resize=self.resize, fit=self.fit, filter=self.filter)
        if self.colour == "BGR":
            pixels = pixels[::-1]
        if (self.black, white) == (0, 255):
            return pixels
        return pixels * np.float32((white - self.black) / 255) + np.float32(self.black)

    def require_pixel_range(self) -> float:
        """Return the value of white, or raise DataError where it is not known which values black and white have."""
        if self.white is None:
            raise DataError(
                "image files cannot become inputs: the network was trained on floating-point images whose values do "
                "not tell which is black and which white. Name these two values with --pixel-range BLACK WHITE."
            )
        return self.white

    def with_pixel_range(self, pixel_range: tuple[float, float] | None) -> "Preprocessing":
        """Return this with other values of black and white pixels.

        Parameters
        ----------
        pixel_range : (float, float) or None
            The stored values of a black and a white pixel; None leaves them as they are.

        Raises
        ------
        DataError
            If they are the same, or not finite.
        ArgumentError
            If they are not two numbers.
        """
        if pixel_range is None:
            return self
        try:
            black, white = (float(value) for value in pixel_range)
        except (TypeError, ValueError, OverflowError):
            raise ArgumentError(
                f"the pixel range is {pixel_range!r}, but must be two numbers, the values of a black and a white pixel."
            ) from None
        return dataclasses.replace(self, black=black, white=white)

    @property
    def largest_input(self) -> float:
        """The largest magnitude of an input that an image file gives, or where that is not known, a usual one."""
        if self.white is None:
            return USUAL_DEVIATIONS
        ends = [np.full((self.channels, 1, 1), value, np.float32) for value in (self.black, self.white)]
        return float(np.abs(self.apply(ends)).max())

    def to_json(self) -> dict:
        """The fields, and what else other programs must know to do the same, as a dict of plain values."""
        return dataclasses.asdict(self) | FACTS

    @classmethod
    def from_json(cls, fields: dict) -> "Preprocessing":
        """The inverse of ``to_json``; DataError for unknown, missing or wrong fields."""
        if not isinstance(fields, dict):
            raise DataError(f"Preprocessing: expected an object with named fields, found {fields!r}.")
        # Earlier versions did not say them.
        others = {name: fields[name] for name in FACTS if name in fields and fields[name] != FACTS[name]}
        if others:
            name, value = others.popitem()
            raise DataError(f"Preprocessing: {name} is {_short(value)}, but must be {FACTS[name]!r}.")
        fields = {name: value for name, value in fields.items() if name not in FACTS}
        known = {field.name: field for field in dataclasses.fields(cls)}
        unknown = sorted(set(fields) - set(known), key=str)
        missing = [n for n, field in known.items() if field.default is dataclasses.MISSING and n not in fields]
        if unknown or missing:
            raise DataError(
                f"Preprocessing: unknown fields {unknown}, missing fields {missing}; the fields are {list(known)}."
            )
        return cls(**fields)


def preprocessing_of(*images):
    """The preprocessing of a data set's parts, images (N, C, H, W) of one kind, in arrays or stored.

    8 bits are scaled by 1/255, 16 bits by 1/65535; truth values and floating point are taken as they are. What white is
    in floating-point images is inferred where it is plain: 1 if all values lie
    between 0 and 1, 255 if they are whole numbers from 0 to 255, and the
    brightest is above half of that. Otherwise it is not known.

    Raises
    ------
    DataError
        If one part is scaled otherwise than another.
    """
    dtypes, whites = {str(x.dtype) for x in images}, {white for x in images if (white := _white(x)) is not None}
    if len(dtypes) > 1 or len(whites) > 1:
        ranges = " and ".join("{} from {:g} to {:g}".format(x.dtype, *extremes(x)) for x in images)
        raise DataError(
            f"the training and the test images are not scaled alike: they are {ranges}. Store both in the same way."
        )
    scale = 1 / np.iinfo(images[0].dtype).max if images[0].dtype.kind == "u" else 1.0
    white = whites.pop() if whites else None
    # One part may be dark; none may have values that the other's white rules out.
    if white is not None and images[0].dtype.kind == "f":
        ranges = [extremes(x) for x in images]
        white = white if all(low >= 0 and high <= white for low, high in ranges) else None
    return Preprocessing(scale, *images[0].shape[1:], white=white)


def _each(value):
    return value if isinstance(value, tuple) else (value,)


def _mean(x):
    if isinstance(x, np.ndarray):
        return float(x.mean(dtype=np.float64))
    # Of whole numbers the sums are exact, so that the mean is the same as of an array in memory.
    return float(x.known()[0].sum()) / math.prod(x.shape)


def _white(x):
    if x.dtype.kind == "u":
        return float(np.iinfo(x.dtype).max)
    if x.dtype == bool:
        return 1.0
    low, high = extremes(x)
    if low >= 0 and 0.5 < high <= 1:
        return 1.0
    if (
        low >= 0
        and 127 < high <= 255
        and all(np.array_equal(image, np.rint(image)) for part in parts(x) for image in part)
    ):
        return 255.0
    return None


def _is_float32(value):
    # Compared in Python's whole numbers too, which may be too large for any float.
    largest = float(np.finfo(np.float32).max)
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -largest <= value <= largest


def _short(value):
    text = repr(value) if not isinstance(value, int) or abs(value) < 1e300 else f"a number of {value.bit_length()} bits"
    return text if len(text) <= 60 else f"{text[:60]}..."

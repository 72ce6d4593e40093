"""What is said of how image files become the input of an ONNX file, and what is made of it."""

import dataclasses

import numpy as np

from ..data import Preprocessing
from ..data.preprocessing import COLOURS
from ..data.sizing import DEFAULT_FILTER, DEFAULT_FIT
from ..errors import DataError

#: As many as nobody computes at once; a size in a damaged file may be anything.
_MOST_PIXELS = 2**26
_RANGE = (
    "--pixel-range BLACK WHITE, what a black and a white pixel are in the images that it was trained on (0 1, 0 255 "
    "and -1 1 are usual)"
)
_STANDARDISED = (
    "If it was trained on images that are standardised, give --mean and --deviation too, what each channel is then "
    "reduced and divided by (0.485,0.456,0.406 and 0.229,0.224,0.225 for many networks of ImageNet)."
)
_BGR = "If it takes blue first, give --colour BGR."


@dataclasses.dataclass(frozen=True)
class ImageOptions:
    """What is said of how image files become an input; None of what is not said.

    Attributes
    ----------
    image_size : (int, int) or None
        Height and width.
    image_fit, image_filter, colour, layout, mean, deviation
        As of :class:`refcnn.data.Preprocessing`.
    pixel_range : (float, float) or None
        The values of a black and a white pixel.
    """

    image_size: tuple | None = None
    image_fit: str | None = None
    image_filter: str | None = None
    colour: str | None = None
    layout: str | None = None
    mean: float | tuple | None = None
    deviation: float | tuple | None = None
    pixel_range: tuple | None = None

    @property
    def said(self):
        """The names of those that are said."""
        return [field.name for field in dataclasses.fields(self) if getattr(self, field.name) is not None]

    def preprocessing(self, model, *, needs_values=True, advice=""):
        """Return how image files become the input of a file.

        What is said here counts first, then what the file's metadata say, then what follows from its input.

        Parameters
        ----------
        model : refcnn.onnx.reading.image_model.ImageModel
        needs_values : bool
            Whether images are read, for which black and white must be known.
        advice : str
            What else may be said, for the error.

        Raises
        ------
        DataError
            If that is not enough, with what must be said, or it contradicts the file.
        """
        known = model.preprocessing
        layout = self.layout or (known.layout if known is not None else model.input.layout)
        channels, size, missing = self._sizes(model, layout)
        black, white = self._values(model)
        if white is None and needs_values:
            missing.insert(0, _RANGE)
            advice = " ".join(filter(None, [_STANDARDISED, _BGR if channels == 3 else "", advice]))
        if missing:
            raise DataError(
                f"{model.path} does not say how image files become its input {model.input}. Give "
                f"{', and '.join(missing)}. {advice}".rstrip()
            )
        fields = {"fit": DEFAULT_FIT, "filter": DEFAULT_FILTER, "mean": 0.0, "deviation": 1.0, "colour": None}
        if known is not None:
            fields = {field.name: getattr(known, field.name) for field in dataclasses.fields(known)}
        said = {"fit": self.image_fit, "filter": self.image_filter, "colour": self.colour}
        said |= {"mean": self.mean, "deviation": self.deviation}
        given = {name: value for name, value in said.items() if value is not None}
        sizes = {"channels": channels, "height": size[0], "width": size[1], "layout": layout}
        found = Preprocessing(**{"scale": 1.0} | fields | given | sizes | {"black": black, "white": white})
        if model.input.dtype == "uint8" and needs_values:
            _require_pixels(found, model)
        return found

    def _sizes(self, model, layout):
        """Return channels, and (height, width), and what must be said to know them."""
        known, missing = model.preprocessing, []
        channels, *size = model.input.image_sizes(layout)
        if channels is None and self.colour is not None:
            channels = next(count for count, colours in COLOURS.items() if self.colour in colours)
        if channels is None and known is not None:
            channels = known.channels
        if channels is None:
            missing.append("--colour grey, RGB or BGR, how its channels are ordered")
        elif channels not in COLOURS:
            raise DataError(
                f"{model.path} takes images of {channels} channels ({layout}) as {model.input}, but image files give 1 "
                "(grey) or 3. Say --layout NHWC or NCHW if the axes stand otherwise."
            )
        elif known is not None and known.channels != channels:
            raise DataError(
                f"the metadata of {model.path} are for {known.channels} channels, but it takes {channels} as "
                f"{model.input}. Export it anew."
            )
        elif self.colour is not None and self.colour not in COLOURS[channels]:
            orders = " or ".join(COLOURS[channels])
            raise DataError(f"--colour is {self.colour}, but {model.path} takes {orders} as {model.input}.")
        said = self.image_size
        if said is None and known is not None:
            said = known.height, known.width
        if said is not None:
            what = "--image-size is" if self.image_size is not None else "its metadata's size is"
            size = _agreed(said, size, model, what)
        if None in size:
            missing.append("--image-size HEIGHTxWIDTH")
        return channels, size, missing

    def _values(self, model):
        """Return what black and white are, None of white where it is not known."""
        if self.pixel_range is not None:
            return self.pixel_range
        if model.preprocessing is not None:
            return model.preprocessing.black, model.preprocessing.white
        return 0.0, 255.0 if model.input.dtype == "uint8" else None


def _agreed(said, declared, model, what):
    """Return a size if a file's input has no other and it is none of a damaged file; DataError otherwise."""
    if any(own not in (None, given) for own, given in zip(declared, said, strict=True)):
        raise DataError(
            f"{what} {'x'.join(map(str, said))}, but {model.path} takes {model.input}. Leave --image-size out, or "
            "give the size that the file has."
        )
    if said[0] * said[1] > _MOST_PIXELS:
        raise DataError(
            f"{what} {'x'.join(map(str, said))}, but images of {_MOST_PIXELS:,} pixels at most are computed. Give a "
            "smaller --image-size."
        )
    return said


def _require_pixels(preprocessing, model):
    """Raise DataError if anything is done to the pixels of images of which the file wants them as they are."""
    first, last = (preprocessing.apply(np.full((preprocessing.channels, 1, 1), end, np.float32)) for end in (0, 255))
    if np.any(first) or np.any(last != 255) or (preprocessing.black, preprocessing.white) != (0, 255):
        raise DataError(
            f"{model.path} takes pixels of 8 bits as they are, {model.input}. Leave out --pixel-range, --mean and "
            "--deviation."
        )

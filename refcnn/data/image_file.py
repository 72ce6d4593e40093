"""Reading one image file."""

import contextlib
import dataclasses
import io
import os
import threading
import warnings

import numpy as np

from ..errors import DataError
from ..reading import open_plain
from .sizing import DEFAULT_FILTER, fitted

#: Pillow's names of the formats that are read. It knows others, of which some start programs (EPS) to be read.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")

#: Up to so many pixels an image is read, however small its file is.
FREE_PIXELS = 1 << 24
#: Beyond them, the pixels for each byte of a file at most: deflate's best ratio (RFC 1951), at one bit a pixel.
PIXELS_A_BYTE = 1032 * 8

#: For each raw mode that Pillow reads from PNG files, what becomes of a sample. The transparent value (tRNS) stands in
#: the file's own bits, and Pillow brings it along as it is. Of 16 bits a colour Pillow reads the upper eight, so that
#: colours which differ in the others alone are one.
_PNG_SAMPLES = {
    "1": lambda sample: 255 * (sample & 1),
    "L;2": lambda sample: 85 * (sample & 3),
    "L;4": lambda sample: 17 * (sample & 15),
    "L": lambda sample: sample & 255,
    "RGB": lambda sample: sample & 255,
    "RGB;16B": lambda sample: sample >> 8,
}


class _Quiet:
    """A context without the warnings of Pillow, but for that of too many pixels, which becomes an error.

    Filters of warnings are the process's: threads that overlap share them, since each would leave those of others
    behind, and those that others raise meanwhile are not Pillow's.
    """

    def __init__(self):
        self._lock, self._inside, self._former = threading.Lock(), 0, None

    def __enter__(self):
        from PIL import Image

        with self._lock:
            if not self._inside:
                self._former = warnings.catch_warnings()
                self._former.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
                warnings.simplefilter("error", Image.DecompressionBombWarning)
            self._inside += 1

    def __exit__(self, *_):
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._former.__exit__(None, None, None)


_quiet = _Quiet()


class _Bounded(io.BufferedReader):
    """A file that is asked for no more than it holds: so much is allocated at once, and Pillow asks for what it reads.

    Parameters
    ----------
    file : binary file

    Attributes
    ----------
    size : int
        The bytes that it holds.
    """

    def __init__(self, file):
        self.size = os.fstat(file.fileno()).st_size
        super().__init__(file.detach())

    def read(self, size=-1):
        """Read as a file does."""
        return super().read(size if size is None else min(size, self.size))


@dataclasses.dataclass(frozen=True)
class ImageBytes:
    """What an image file holds that lies nowhere; it is read wherever the path of one is.

    Attributes
    ----------
    name : str
        What messages call it.
    content : bytes
    """

    name: str
    content: bytes

    def __str__(self):
        return self.name


def _open(source):
    """Return a binary file of what an image file holds, and how many bytes that is."""
    if isinstance(source, ImageBytes):
        return io.BytesIO(source.content), len(source.content)
    file = _Bounded(open_plain(source))
    return file, file.size


@contextlib.contextmanager
def opened(path):
    """Open an image file with Pillow; whatever goes wrong inside becomes a DataError that names the file."""
    from PIL import Image, UnidentifiedImageError

    try:
        # Pillow warns of damage that it can read past, without naming the file; too large an image must not pass.
        # Given a path, it would map uncompressed pixels into memory, and turn them while it reads them.
        content, size = _open(path)
        with _quiet, content as file, Image.open(file, formats=FORMATS) as image:
            _refuse_size(image, path, size)
            yield image
    except DataError:
        raise
    # Pillow's decoders let nearly any exception out on a broken file: OSError, SyntaxError, struct.error, IndexError...
    except Exception as error:
        # Errors of the system have a number, Pillow's have none: the file could not even be opened.
        if isinstance(error, OSError) and error.errno is not None:
            raise DataError(
                f"{path} could not be read: {error.strerror}. Name an image file ({', '.join(SUFFIXES)})."
            ) from error
        # Pillow would name its stream here.
        is_other = isinstance(error, UnidentifiedImageError)
        reason = "it is of another kind" if is_other else str(error) or type(error).__name__
        raise DataError(
            f"{path} could not be read as an image: {reason}. Expected one of {', '.join(SUFFIXES)}, whole and "
            "undamaged. Replace or remove the file."
        ) from error


def _refuse_size(image, path, size):
    from PIL import TiffImagePlugin

    claims = [("", *image.size)]
    if image.format == "TIFF" and TiffImagePlugin.TILEWIDTH in image.tag_v2:
        # Whole tiles are decoded, however small the image is.
        claims.append(("tiles of ", *map(image.tag_v2.get, (TiffImagePlugin.TILEWIDTH, TiffImagePlugin.TILELENGTH))))
    for what, width, height in claims:
        if width * height > max(FREE_PIXELS, size * PIXELS_A_BYTE):
            raise DataError(
                f"{path} says that it has {what}{height}x{width} pixels (height x width), but is a file of {size} "
                f"bytes. More than {FREE_PIXELS:,} pixels are read only from a file with a byte for every "
                f"{PIXELS_A_BYTE:,} of them. Make the image smaller, or replace the file."
            )


def upright_size(image):
    """Return (width, height) of an opened image once it is turned upright as its EXIF data say."""
    from PIL import ExifTags, ImageOps

    # Orientations 5 to 8 of EXIF 2.32, section 4.6.4, are those turned by a quarter.
    if image.getexif().get(ExifTags.Base.Orientation) not in (5, 6, 7, 8):
        return image.size
    if image.format == "TIFF":
        # Whether the size is that of the turned image already depends on Pillow's version, until it is loaded.
        ImageOps.exif_transpose(image, in_place=True)
        return image.size
    return image.size[::-1]


def is_grey(image):
    """Whether an opened image is grey by its file's pixel type; a palette counts as colour."""
    # Pillow has no mode for 16 bits of grey with transparency, and reads them as colour.
    is_grey_mode = image.mode in ("1", "L", "LA", "La", "I") or image.mode.startswith("I;16")
    return is_grey_mode or _raw_mode(image) == "LA;16B"


def size_of(path):
    """Return (height, width) of an image file once it is turned upright; DataError if it cannot be read."""
    with opened(path) as image:
        return upright_size(image)[::-1]


def files_in(path):
    """Return the image files of a folder and of those in it, sorted; hidden ones are left out.

    Raises
    ------
    DataError
        If there are none, or a folder cannot be read.
    """

    def refuse(error):
        raise DataError(f"{error.filename} could not be read: {error.strerror}. Name a folder that can be.") from error

    found = []
    for folder, folders, names in os.walk(path, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        wanted = (name for name in names if name.lower().endswith(SUFFIXES) and not name.startswith("."))
        found += [os.path.join(folder, name) for name in wanted]
    if not found:
        raise DataError(f"{path} is a folder without images. Name one that holds some ({', '.join(SUFFIXES)}).")
    return sorted(found)


def read_image(path, channels, height, width, resize=True, fit="stretch", filter=DEFAULT_FILTER):
    """Read an image file as an array.

    A photograph is turned upright as its EXIF data say, transparent parts
    show white, 16 bits a pixel are brought to 8, and of an animation the
    first frame is taken.

    Parameters
    ----------
    path : str, os.PathLike or ImageBytes
        A PNG, JPEG, BMP, GIF, TIFF or WebP file.
    channels : int
        1 for grey (ITU-R 601 luma, as Pillow converts), 3 for RGB.
    height, width : int
        The size wanted, in pixels.
    resize : bool
        Whether an image of another size is resized or refused.
    fit, filter : str
        How it is resized, as in :func:`refcnn.data.sizing.fitted`.

    Returns
    -------
    ndarray, shape (channels, height, width), uint8

    Raises
    ------
    DataError
        If the file cannot be read, or has another size and ``resize`` is off.
    """
    from PIL import ImageOps

    if channels not in (1, 3):
        raise DataError(f"{path}: image files give 1 channel (grey) or 3 (RGB), but {channels} channels are wanted.")
    with opened(path) as image:
        # Before the pixels are loaded, since Pillow forgets the raw mode then.
        raw_mode = _raw_mode(image)
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode == "F":
            raise DataError(f"{path} has floating-point pixels, but 8 or 16 bits are expected. Convert the image.")
        if image.mode.startswith("I"):
            image = _eight_bits(image, path)
        elif image.has_transparency_data:
            _scale_transparent_value(image, raw_mode)
            image = _on_white(image)
        mode = "L" if channels == 1 else "RGB"
        # Converting to the same mode would copy, which large images have no memory for.
        image = image if image.mode == mode else image.convert(mode)
        if image.size != (width, height):
            if not resize:
                raise DataError(
                    f"{path} has {image.height}x{image.width} pixels (height x width), but {height}x{width} are "
                    "expected. Resize the image."
                )
            image = fitted(image, height, width, fit, filter=filter)
        pixels = np.asarray(image)
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _raw_mode(image):
    return image.tile[0][3] if image.format == "PNG" and image.tile else None


def _scale_transparent_value(image, raw_mode):
    value, scale = image.info.get("transparency"), _PNG_SAMPLES.get(raw_mode)
    if scale is None or isinstance(value, bytes):
        return
    image.info["transparency"] = tuple(map(scale, value)) if isinstance(value, tuple) else scale(value)


def _on_white(image):
    from PIL import Image

    image = image if image.mode == "RGBA" else image.convert("RGBA")
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(image, mask=image)
    return canvas


def _eight_bits(image, path):
    # Pillow's own conversion of these modes clips at 255 instead of scaling.
    from PIL import Image, TiffImagePlugin

    values = np.asarray(image)
    tags = image.tag_v2 if image.format == "TIFF" else {}
    white = 4095 if tags.get(TiffImagePlugin.BITSPERSAMPLE) == (12,) else 65535
    if values.min() < 0 or values.max() > white:
        raise DataError(
            f"{path} has grey values from {values.min()} to {values.max()}, but 8 or 16 bits are expected. "
            "Convert the image."
        )
    # Scaled and rounded in whole numbers, for which 32 bits suffice.
    grey = ((values.astype(np.uint32) * 510 + white) // (2 * white)).astype(np.uint8)
    # Pillow inverts such files of up to 8 bits itself.
    if tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0:
        grey = 255 - grey
    if "transparency" in image.info:
        grey[values == image.info["transparency"]] = 255
    return Image.fromarray(grey)

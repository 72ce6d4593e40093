"""Reading one image file."""

import contextlib
import warnings

import numpy as np

from ..errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")


@contextlib.contextmanager
def opened(path):
    """Open an image file with Pillow; whatever goes wrong inside becomes a DataError that names the file."""
    from PIL import Image

    try:
        # Of damage that Pillow can read past it warns without naming the file; too large an image must not pass.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                yield image
    except DataError:
        raise
    # Pillow's decoders let nearly any exception out on a broken file: OSError, SyntaxError, struct.error, IndexError...
    except Exception as error:
        raise DataError(
            f"{path} could not be read as an image: {error or type(error).__name__}. "
            f"Expected one of {', '.join(SUFFIXES)}, whole and undamaged. Replace or remove the file."
        ) from error


def is_grey(image):
    """Whether an opened image is grey by its Pillow mode; a palette counts as colour."""
    return image.mode in ("1", "L", "LA", "La", "I") or image.mode.startswith("I;16")


def read_image(path, channels, height, width, resize=True):
    """Read an image file as an array.

    A photograph is turned upright as its EXIF data say, transparent parts
    show white, 16 bits a pixel are brought to 8, and of an animation the
    first frame is taken.

    Parameters
    ----------
    path : str or os.PathLike
        A PNG, JPEG, BMP, GIF, TIFF or WebP file.
    channels : int
        1 for grey (ITU-R 601 luma, as Pillow converts), 3 for RGB.
    height, width : int
        The size wanted, in pixels.
    resize : bool
        Whether an image of another size is resized (Lanczos) or refused.

    Returns
    -------
    ndarray, shape (channels, height, width), uint8

    Raises
    ------
    DataError
        If the file cannot be read, or has another size and ``resize`` is off.
    """
    from PIL import Image, ImageOps

    if channels not in (1, 3):
        raise DataError(f"{path}: image files give 1 channel (grey) or 3 (RGB), but {channels} channels are wanted.")
    with opened(path) as image:
        image = ImageOps.exif_transpose(image)
        if image.mode == "F":
            raise DataError(f"{path} has floating-point pixels, but 8 or 16 bits are expected. Convert the image.")
        if image.mode.startswith("I"):
            image = _eight_bits(image, path)
        elif image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("L" if channels == 1 else "RGB")
        if image.size != (width, height):
            if not resize:
                raise DataError(
                    f"{path} has {image.height}x{image.width} pixels (height x width), but {height}x{width} are "
                    "expected. Resize the image."
                )
            image = image.resize((width, height), Image.Resampling.LANCZOS)
        pixels = np.asarray(image)
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _eight_bits(image, path):
    # Pillow's own conversion of these modes clips at 255 instead of scaling.
    from PIL import Image

    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise DataError(
            f"{path} has grey values from {values.min()} to {values.max()}, but 8 or 16 bits are expected. "
            "Convert the image."
        )
    return Image.fromarray(np.rint(values / 257).astype(np.uint8))

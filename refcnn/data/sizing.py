"""Bringing images to one size: cropped, padded or stretched."""

import numpy as np

from .. import attributes
from ..errors import ArgumentError

#: How an image of another size is brought to the one that is wanted.
FITS = ("crop", "pad", "stretch")
#: What is done where nothing is said, and the images of a folder differ in size.
DEFAULT_FIT = "crop"
#: Pillow's filters by which images are resized.
FILTERS = ("lanczos", "bicubic", "hamming", "bilinear", "box", "nearest")
#: By which it is done where nothing is said, and data sets always.
DEFAULT_FILTER = FILTERS[0]


def check_fit(name, value):
    """Return a way of fitting, one of :data:`FITS`, or raise ArgumentError."""
    if value not in FITS:
        raise ArgumentError(f"{name} is {value!r}, but must be one of {', '.join(FITS)}.")
    return value


def check_size(value):
    """Return (height, width) of a side's length or of such a pair; ArgumentError if it is neither."""
    pair = value if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2:
        raise ArgumentError(f"image_size is {value!r}, but must be a whole number, or (height, width).")
    return tuple(attributes.integer("load", "image_size", length) for length in pair)


def fitted(image, height, width, fit, black=0, filter=DEFAULT_FILTER):
    """Bring a Pillow image to a size.

    Parameters
    ----------
    image : PIL.Image.Image
    height, width : int
    fit : str
        ``crop`` scales the image until it covers the size and cuts off what is too much at both sides alike, ``pad``
        scales it until it fits into the size and fills the rest, ``stretch`` scales each side by itself.
    black : number
        What ``pad`` fills with.
    filter : str
        One of :data:`FILTERS`.

    Returns
    -------
    PIL.Image.Image
    """
    from PIL import Image

    filter, (given_width, given_height) = Image.Resampling[filter.upper()], image.size
    if (given_width, given_height) == (width, height):
        return image
    if fit == "crop":
        scale = min(given_width / width, given_height / height)
        across, down = min(width * scale, given_width), min(height * scale, given_height)
        left, top = (given_width - across) / 2, (given_height - down) / 2
        box = left, top, min(left + across, given_width), min(top + down, given_height)
        return image.resize((width, height), filter, box)
    if fit == "stretch":
        return image.resize((width, height), filter)
    # As Pillow's ImageOps.pad rounds it, so that other programs find the same.
    across, down = width, height
    if given_width / given_height > width / height:
        down = max(1, round(given_height / given_width * width))
    else:
        across = max(1, round(given_width / given_height * height))
    canvas = Image.new(image.mode, (width, height), black if len(image.getbands()) == 1 else (black,) * 3)
    canvas.paste(image.resize((across, down), filter), ((width - across) // 2, (height - down) // 2))
    return canvas


def fitted_array(x, height, width, fit, black=0):
    """Bring an array of images to a size, each channel as :func:`fitted` does.

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W)
        Truth values become float32, since edges become grey.

    Returns
    -------
    ndarray, shape (N, C, height, width)
    """
    from PIL import Image

    if x.shape[2:] == (height, width):
        return x
    # Pillow filters 8 bits and float32; of 16 bits it would take the upper ones.
    computed = x if x.dtype == np.uint8 else x.astype(np.float32)
    black = int(black) if x.dtype == np.uint8 else float(black)
    y = np.empty((*x.shape[:2], height, width), computed.dtype)
    for index in np.ndindex(x.shape[:2]):
        y[index] = np.asarray(fitted(Image.fromarray(computed[index]), height, width, fit, black))
    return np.rint(y).clip(0, 65535).astype(np.uint16) if x.dtype == np.uint16 else y

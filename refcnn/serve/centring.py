"""Drawings brought to the size and the place that the digits of a data set have."""

import io
from typing import NamedTuple

import numpy as np

from ..data.image_file import ImageBytes, read_image, size_of

#: So many pixels of a longer side are looked at.
_MOST_PIXELS = 560
#: What differs by less from the background is none of the drawing, of 255: noise of a file that was compressed.
_LEAST_INK = 24
#: To so many pixels around one the widest filter, Lanczos's, looks.
_SUPPORT = 3


class Form(NamedTuple):
    """What all images of a data set have in common.

    Attributes
    ----------
    name : str
        What people call the data set.
    box : float
        The part of the shorter side into which what they show fits, with its sides in proportion.
    is_by_mass : bool
        Whether its centre of mass is in the middle, or the middle of its sides.
    """

    name: str
    box: float
    is_by_mass: bool


#: By the names that data sets have in a run's configuration. MNIST's digits fit into 20x20 pixels, with the centre of
#: mass in the middle of 28x28 (LeCun, Cortes, Burges, The MNIST database of handwritten digits); of scikit-learn's all
#: have the whole height.
FORMS = {"mnist": Form("MNIST", 20 / 28, True), "digits": Form("scikit-learn", 1.0, False)}


def centred(content, form, preprocessing):
    """Return an image file that shows a drawing in a network's size, scaled and moved as images of a data set are.

    Parameters
    ----------
    content : bytes
        Of an image file with one background, whichever it is.
    form : Form
    preprocessing : refcnn.data.Preprocessing
        Of the network: it has the size, and the filter.

    Returns
    -------
    bytes
        Of a grey PNG file; the same content where there is nothing on the background.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    pixels = _grey(content)
    background = _background(pixels)
    ink = np.abs(pixels.astype(np.float64) - background)
    ink[ink < _LEAST_INK] = 0
    if not ink.any():
        return content
    size = preprocessing.width, preprocessing.height
    return _part(pixels, _box(ink, form, size), size, background, preprocessing.filter)


def _grey(content):
    """Return an image file's pixels in grey, no more than are looked at, uint8 (H, W)."""
    source = ImageBytes("The image", content)
    height, width = size_of(source)
    scale = min(1, _MOST_PIXELS / max(height, width))
    size = (max(1, round(length * scale)) for length in (height, width))
    return read_image(source, 1, *size)[0]


def _background(pixels):
    """Return the value that most pixels at the edges have."""
    edges = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return int(np.bincount(edges, minlength=256).argmax())


def _box(ink, form, size):
    """Return which part of a drawing an image is to show, (left, top, right, bottom), also beyond its edges."""
    across = [_spread(ink.sum(axis=0), form, size[0]), _spread(ink.sum(axis=1), form, size[1])]
    # Pixels of the drawing for one of the image's: so many that it fits into the box, and nothing of it is lost.
    pitch = max(after - before for before, after, _, _ in across) / (form.box * min(size))
    for (before, after, place, to), length in zip(across, size, strict=True):
        pitch = max(pitch, (place - before) / to, (after - place) / (length - to))
    starts = [place - to * pitch for _, _, place, to in across]
    return (*starts, *(start + length * pitch for start, length in zip(starts, size, strict=True)))


def _spread(ink, form, length):
    """Return along an axis where a drawing begins and ends, its middle, and where in an image that is to be."""
    inked = np.flatnonzero(ink)
    before, after = inked[0], inked[-1] + 1
    if not form.is_by_mass:
        return before, after, (before + after) / 2, length / 2
    # In MNIST the centre of mass is in the middle of the pixel (14, 14), counted from zero.
    return before, after, np.average(np.arange(len(ink)) + 0.5, weights=ink), length // 2 + 0.5


def _part(pixels, box, size, background, filter):
    """Return a part of an image, which may be beyond its edges, as a PNG file of a size, (width, height)."""
    from PIL import Image

    image = Image.fromarray(pixels)
    # Pillow takes parts within an image alone, and its filters what is around them: there must be enough of that.
    support = _SUPPORT * max(1, (box[2] - box[0]) / size[0])
    before = [int(np.ceil(max(0, support - start))) for start in box[:2]]
    after = [int(np.ceil(max(0, support + end - length))) for end, length in zip(box[2:], image.size, strict=True)]
    canvas = Image.new("L", tuple(map(sum, zip(before, image.size, after, strict=True))), background)
    canvas.paste(image, tuple(before))
    moved = tuple(place + before[index % 2] for index, place in enumerate(box))
    file = io.BytesIO()
    canvas.resize(size, Image.Resampling[filter.upper()], moved).save(file, "PNG")
    return file.getvalue()

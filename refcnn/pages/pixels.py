"""Images for pages: PNG as data URLs, small ones, and many side by side as one."""

import base64
import io
import math

import numpy as np

#: Colours from the most negative value over zero, which is white, to the most positive: blue and red.
DIVERGING = (
    *((5, 48, 97), (33, 102, 172), (103, 169, 207)),
    (255, 255, 255),
    *((239, 138, 98), (178, 24, 43), (103, 0, 31)),
)
#: Indices of the colours in an image: 0 to 254, zero in the middle.
_MIDDLE = 127


def reduced(image, most):
    """Return an image, (..., H, W), with at most so many pixels along its sides, each the mean of those it stands for.

    A side of up to twice as many is not reduced by a fraction: what is left over at its end is dropped.
    """
    height, width = image.shape[-2:]
    step = math.ceil(max(height, width) / most)
    if step == 1:
        return image
    rows, columns = min(step, height), min(step, width)
    whole = image[..., : height - height % rows, : width - width % columns]
    parts = whole.reshape(*image.shape[:-2], height // rows, rows, width // columns, columns)
    return parts.mean(axis=(-3, -1))


def picture(image):
    """Return the data URL of an image with values from 0 to 1, (H, W) in grey or (3, H, W) in RGB."""
    pixels = np.rint(255 * np.clip(np.nan_to_num(image), 0, 1)).astype(np.uint8)
    return _url(pixels if pixels.ndim == 2 else np.moveaxis(pixels, 0, -1))


def diverging(values, limit):
    """Return the data URL of numbers, (H, W), from ``-limit`` to ``limit`` in :data:`DIVERGING` colours."""
    scaled = np.nan_to_num(np.asarray(values, np.float64)) / (limit or 1.0)
    return _url(np.rint(_MIDDLE * (1 + np.clip(scaled, -1, 1))).astype(np.uint8), palette=_palette())


def side_by_side(images):
    """Return images, (N, H, W), as one, (H, N * W)."""
    return np.concatenate(list(images), axis=1)


def _palette():
    places = np.linspace(0, 2 * _MIDDLE, len(DIVERGING))
    colours = np.array(DIVERGING).T
    return np.rint([np.interp(range(2 * _MIDDLE + 1), places, channel) for channel in colours]).astype(np.uint8).T


def _url(pixels, palette=None):
    from PIL import Image

    image = Image.fromarray(pixels)
    if palette is not None:
        image.putpalette(palette.tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()

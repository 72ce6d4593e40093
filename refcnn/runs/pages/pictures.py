"""The images on a page: those that a network was wrong or unsure about, its kernels, and its feature maps."""

import numpy as np

from ...pages import pixels

#: So many images are shown at most that it was wrong about, and unsure about, and so many pixels of a side.
MOST_WRONG, MOST_UNSURE, MOST_PIXELS = 24, 12, 80
#: So many kernels are shown at most, and so many channels of them; so many convolutions, and maps of each.
MOST_KERNELS, MOST_CHANNELS, MOST_CONVOLUTIONS, MOST_MAPS = 128, 3, 6, 32
#: So many pixels of a kernel's or a map's side.
_MOST_TILE_PIXELS = 48
#: So many maps of a single pixel, which are bars.
_MOST_BARS = 400
#: So many of the most probable classes are told of an image.
_PROBABLE = 3


def shown_image(stored, preprocessing):
    """Return the data URL of an image as stored, (C, H, W): what the network was given, but for standardising."""
    image = pixels.reduced(np.asarray(stored, np.float32), MOST_PIXELS)
    if preprocessing.white is not None:
        image = (image - preprocessing.black) / (preprocessing.white - preprocessing.black)
    else:
        low, high = image.min(), image.max()
        image = (image - low) / ((high - low) or 1)
    if len(image) != 3:
        return pixels.picture(image[0])
    return pixels.picture(image[::-1] if preprocessing.colour == "BGR" else image)


def judged_images(judgement, validation, indices, names, kind):
    """Return what is told of images of these indices, and their pictures by element, two dicts.

    Parameters
    ----------
    judgement : Judgement
    validation : DataSet
    indices : ndarray of int
    names : sequence of str
        Of the classes, as they are shown.
    kind : str
        With which the elements' names begin.
    """
    found, pictures = [], {}
    probabilities = judgement.probabilities(indices)
    for index, row in zip(indices.tolist(), probabilities, strict=True):
        element = f"{kind}-{index}"
        label = int(validation.y[index])
        order = np.argsort(-row, kind="stable")[:_PROBABLE].tolist()
        found.append(
            {
                "index": index,
                "element": element,
                "true": names[label],
                "predicted": names[order[0]],
                "probability": float(row[label]),
                "most_probable": [{"class": names[place], "probability": float(row[place])} for place in order],
            }
        )
        pictures[element] = shown_image(validation.x[index], validation.preprocessing)
    return found, pictures


def kernels(seen):
    """Return what is told of the first convolution's kernels, and their pictures: a row of tiles for each channel."""
    weights = seen.convolutions[0][0]
    count, channels, height, width = weights.shape
    shown = np.asarray(weights[:MOST_KERNELS, :MOST_CHANNELS], np.float64)
    shown = pixels.reduced(shown, _MOST_TILE_PIXELS)
    limit = largest(shown)
    names = channel_names(channels, len(seen.image))
    rows = [
        {"channel": names[index], "element": f"kernels-{index}", "count": len(shown)} for index in range(shown.shape[1])
    ]
    pictures = {
        row["element"]: pixels.diverging(pixels.side_by_side(shown[:, index]), limit) for index, row in enumerate(rows)
    }
    told = {"count": count, "channels": channels, "height": height, "width": width, "limit": limit, "rows": rows}
    return told, pictures


def channel_names(channels, of_image):
    """Return what the channels of the first convolution's kernels are called, given how many an image has."""
    return ["red", "green", "blue"] if channels == of_image == 3 else [str(index) for index in range(channels)]


def feature_maps(seen):
    """Return what is told of the maps after some convolutions, of all evenly, and their pictures.

    Maps of a single pixel are numbers, which stand among what is told.
    """
    count = len(seen.convolutions)
    found, pictures = [], {}
    for place in evenly(range(count), MOST_CONVOLUTIONS):
        maps = np.asarray(seen.convolutions[place][1][0], np.float64)
        number, height, width = maps.shape
        shown = maps[: _MOST_BARS if height == width == 1 else MOST_MAPS]
        limit, element = largest(shown), f"maps-{place + 1}"
        told = {"convolution": place + 1, "of": count, "maps": number, "shown": len(shown), "limit": limit}
        told |= {"height": height, "width": width, "element": element, "values": None}
        if height == width == 1:
            told |= {"values": [_finite(value) for value in shown.ravel()], "element": None}
        else:
            strip = pixels.side_by_side(pixels.reduced(shown, _MOST_TILE_PIXELS))
            pictures[element] = pixels.diverging(strip, limit)
        found.append(told)
    return found, pictures


def evenly(entries, most):
    """Return so many of a sequence's entries at most, evenly, with the first and the last."""
    places = np.unique(np.linspace(0, len(entries) - 1, min(len(entries), most)).round().astype(int))
    return [entries[place] for place in places.tolist()]


def largest(values):
    """Return the largest magnitude of finite numbers, which the scale of their picture reaches to either side."""
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0))


def _finite(value):
    return float(value) if np.isfinite(value) else None

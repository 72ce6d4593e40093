"""The first convolution's kernels over a run's epochs, as a page plays them."""

from typing import NamedTuple

import numpy as np

from ...errors import CheckpointError
from ...pages import pixels
from ...pages.texts import short
from .. import drawing, kept_kernels
from . import pictures

#: So many epochs are shown at most: all that a run keeps, with the first and the last.
MOST_EPOCHS = kept_kernels.MOST_EPOCHS + 2
#: So many kernels, and so many pixels of a kernel's side.
MOST_KERNELS, _MOST_TILE_PIXELS = 64, 24
#: So many pixels in all; before fewer epochs than these are shown for it, fewer kernels are.
_MOST_PIXELS, _LEAST_EPOCHS = 2**18, 20


class _Epoch(NamedTuple):
    """The kernels of an epoch: its number, their shape, and what is shown of them, (K, C, h, w)."""

    number: int
    shape: tuple
    tiles: np.ndarray


def kernel_epochs(run, left_out):
    """Return what is told of the kernels over a run's epochs, and their pictures by element, two dicts.

    Each channel has a picture, in which those of an epoch stand beside each other, and the epochs below each other.

    Parameters
    ----------
    run : RunFolder
    left_out : list of str
        To which is added what is not shown.

    Returns
    -------
    dict or None
        None where there are not two epochs to be shown.
    dict
    """
    kept, preprocessing = run.kernels.epochs(), run.configuration.preprocessing
    found, broken = _read(run, preprocessing, kept)
    if broken:
        left_out.append(
            f"Kernels over the epochs: {len(broken):,} cannot be shown, the first since {short(broken[0], 400)}"
        )
    readable = len(kept) - len(broken)
    if len(found) < 2:
        return None, {}
    found, tiles = _within_bounds(found)
    count, channels = found[-1].shape[:2]
    _, number, rows = tiles.shape[:3]
    if len(found) < readable:
        left_out.append(f"Kernels over the epochs: of {readable:,} that the run keeps all but {len(found):,}.")
    if number < count or rows < channels:
        left_out.append(
            f"Kernels over the epochs: of {count:,} kernels with {channels:,} channels each all but {number:,} with "
            f"{rows}."
        )
    told = _told(found, tiles, pictures.channel_names(channels, preprocessing.channels))
    # The epochs of a channel below each other, each with its kernels side by side.
    sheets = [np.concatenate([pixels.side_by_side(epoch) for epoch in tiles[:, :, index]]) for index in range(rows)]
    shown = zip(told["rows"], sheets, strict=True)
    return told, {row["element"]: pixels.diverging(sheet, told["limit"]) for row, sheet in shown}


def _told(found, tiles, names):
    """Return what is told of epochs, and of what is shown of their kernels."""
    number, rows, tile_height, tile_width = tiles.shape[1:]
    return {
        "epochs": [epoch.number for epoch in found],
        **dict(zip(("count", "channels", "height", "width"), found[-1].shape, strict=True)),
        "limit": pictures.largest(tiles),
        "tile_height": tile_height,
        "tile_width": tile_width,
        "rows": [
            {"channel": name, "element": f"epochs-{index}", "count": number} for index, name in enumerate(names[:rows])
        ],
    }


def _read(run, preprocessing, kept):
    """Return the :class:`_Epoch` of epochs, of all evenly, as far as they are alike, and what is wrong with others."""
    found, broken = [], []
    for epoch in pictures.evenly(kept, MOST_EPOCHS):
        try:
            weights = drawing.in_rgb(run.kernels.load(epoch), preprocessing)
        except CheckpointError as error:
            broken.append(str(error))
            continue
        shown = np.asarray(weights[:MOST_KERNELS, : pictures.MOST_CHANNELS], np.float32)
        # What is kept of an epoch must not hold all of it in memory.
        found.append(_Epoch(epoch, weights.shape, pixels.reduced(shown, _MOST_TILE_PIXELS).copy()))
    others = [epoch for epoch in found if epoch.shape != found[-1].shape]
    broken += [f"epoch {epoch.number} has kernels of another shape." for epoch in others]
    return [epoch for epoch in found if epoch.shape == found[-1].shape], broken


def _within_bounds(found):
    """Return as many epochs, evenly, and of as many kernels what is shown, as have room: (epochs, K, C, h, w)."""
    _, *kernel = found[-1].tiles.shape
    size = int(np.prod(kernel))
    tiles = max(1, _MOST_PIXELS // (_LEAST_EPOCHS * size))
    number = min(len(found[-1].tiles), tiles)
    found = pictures.evenly(found, max(2, _MOST_PIXELS // (number * size)))
    return found, np.stack([epoch.tiles[:number] for epoch in found])

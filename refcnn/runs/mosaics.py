"""Pictures of kernels and of feature maps: of one layer all share one scale, on which zero is white.

Each function returns a Matplotlib figure, as those in :mod:`refcnn.runs.plotting`.
"""

import math
from typing import NamedTuple

import numpy as np

from .plotting import FRAME, draw_cell, empty_figure, entitle, scaled

#: The scale, from the least number over zero to the greatest.
_COLOURS = ("#053061", "#2166ac", "#67a9cf", "#ffffff", "#ef8a62", "#b2182b", "#67001f")
_NEGATIVE, _POSITIVE, _NOT_FINITE = _COLOURS[1], _COLOURS[-2], "#808080"
#: Of kernels so many channels are drawn, each in a row.
_MOST_CHANNELS = 4
#: Of the grid in inches, and of a tile in it at most.
_WIDTH, _WIDEST_TILE = 8, 1
#: In inches: of the picture before a grid, of the colour bar with its numbers, and the least height of both.
_FRONT_WIDTH, _BAR_WIDTH, _LEAST_HEIGHT = 2.2, 0.9, 2.2
#: How many pixels the longer side of a tile has at least, and at most.
_LEAST_PIXELS, _MOST_PIXELS = 20, 400
#: How many times as high as wide, or as wide as high, a tile is at most; pixels of longer ones are no squares.
_MOST_PROPORTION = 4
#: Up to so many tiles each has its number, of more the first in each row.
_MOST_NUMBERS = 256
#: How wide a digit is, as a part of its height.
_DIGIT = 0.65


def kernels(weights, figure=None, of="", channels=None):
    """Draw the kernels of a layer as a grid, below each other a row for each channel.

    Parameters
    ----------
    weights : ndarray, (K, C, kh, kw)
    figure : matplotlib.figure.Figure, optional
    of : str
        What the picture is of, for the title.
    channels : sequence of str, optional
        The names of the channels; by default their numbers. Of many the first are drawn.
    """
    count, number, height, width = weights.shape
    channels = [str(index + 1) for index in range(number)] if channels is None else channels
    shown = weights[:, :_MOST_CHANNELS]
    rows = channels[:_MOST_CHANNELS] if number > 1 else [""]
    note = ""
    if number > 1:
        note = ", a row for each channel" if len(rows) == number else f", channels 1 to {len(rows)} of {number}"
    title = f"{count} kernel{'s' if count > 1 else ''} of {height}x{width}{note}{_remark(shown, 'grey')}"
    layout = _Layout.of(shown, rows)
    figure = empty_figure(figure, layout.width_inches + _BAR_WIDTH, max(layout.height_inches, _LEAST_HEIGHT) + 0.6)
    entitle(figure, title, of)
    _draw_mosaic(figure.subplots(), shown, layout, "weight")
    return figure


def feature_maps(image, maps, title, figure=None, of="", caption=""):
    """Draw an image, and the feature maps that a convolution made of it; those of a single pixel are bars.

    Parameters
    ----------
    image : ndarray, (C, H, W)
    maps : ndarray, (K, h, w)
    title : str
    figure : matplotlib.figure.Figure, optional
    of : str
        What the picture is of, for the title.
    caption : str
        What is said of the image, below it.
    """
    are_bars = maps.shape[1:] == (1, 1)
    tiles = maps[:, np.newaxis]
    layout = None if are_bars else _Layout.of(tiles, [""])
    width, height = (_WIDTH, 0) if are_bars else (layout.width_inches + _BAR_WIDTH, layout.height_inches)
    least = _LEAST_HEIGHT + 0.2 * len(caption.splitlines())
    figure = empty_figure(figure, _FRONT_WIDTH + width + 0.2, max(height, least) + 0.6)
    entitle(figure, title + _remark(maps, "left out" if are_bars else "grey"), of)
    front, axes = figure.subplots(1, 2, width_ratios=(_FRONT_WIDTH, width))
    draw_cell(front, scaled(image.transpose(1, 2, 0) if len(image) == 3 else image[0]))
    front.set_title("image", fontsize=9)
    # Of a text the layout counts the width too, which it does not of an axis' label.
    below = {"transform": front.transAxes, "ha": "center", "va": "top", "fontsize": 8}
    front.text(0.5, -0.04, caption, parse_math=False, usetex=False, **below)
    if are_bars:
        _draw_bars(axes, maps[:, 0, 0], width)
    else:
        _draw_mosaic(axes, tiles, layout, "value")
    return figure


def _remark(values, how):
    """Return what is to be said of values that a scale does not show."""
    wrong = int(values.size - np.isfinite(values).sum())
    if wrong:
        return f"; {wrong:,} of {values.size:,} numbers {'is' if wrong == 1 else 'are'} not finite ({how})"
    return "" if values.any() else "; all numbers are zero"


class _Layout(NamedTuple):
    """Where the tiles of a mosaic lie, in its pixels.

    Attributes
    ----------
    tiles : int
        Of kernels or maps.
    rows : sequence of str
        The names of the channels, whose tiles are below each other.
    columns : int
    height, width : int
        Of a tile.
    step : int
        Of so many pixels of an image, along each axis, one is drawn.
    times : (int, int)
        How often each pixel is repeated, downward and along a row.
    gap : int
        Between tiles.
    strip : int
        Above the tiles, with their numbers; none where those are in the margin.
    margin : int
        Left of the tiles.
    inches : float
        Of a pixel.
    points : float
        The size of the letters.
    """

    tiles: int
    rows: list
    columns: int
    height: int
    width: int
    step: int
    times: tuple
    gap: int
    strip: int
    margin: int
    inches: float
    points: float

    @classmethod
    def of(cls, tiles, rows):
        """Return the layout of tiles, (K, C, h, w), whose channels have such names."""
        # Large images are thinned out, since memory is short and the paper has no room for all of their pixels.
        step = math.ceil(max(tiles.shape[2:]) / _MOST_PIXELS)
        height, width = (math.ceil(size / step) for size in tiles.shape[2:])
        # Small ones are enlarged, so that the gap between them is a small part of them.
        whole = math.ceil(_LEAST_PIXELS / max(height, width))
        times = tuple(
            whole * max(1, math.ceil(other / own / _MOST_PROPORTION))
            for own, other in ((height, width), (width, height))
        )
        height, width = height * times[0], width * times[1]
        columns = _columns(len(tiles), len(rows) * height / width)
        tile = min(_WIDEST_TILE, _WIDTH / columns)
        gap = math.ceil(max(height, width) / 20)
        inches, points = tile / (width + gap), min(max(10 * tile, 5), 8)
        letter = _DIGIT * points / 72 / inches
        has_numbers = len(tiles) <= _MOST_NUMBERS and len(str(len(tiles))) * letter <= width + gap
        strip = math.ceil(1.3 * points / 72 / inches) if has_numbers else 0
        longest = max(map(len, rows)) if has_numbers else max(map(len, rows)) + len(str(len(tiles))) + 1
        margin = math.ceil(longest * letter) + gap if longest else 0
        return cls(len(tiles), rows, columns, height, width, step, times, gap, strip, margin, inches, points)

    @property
    def shape(self):
        """Height and width of the mosaic."""
        blocks = math.ceil(self.tiles / self.columns)
        height = blocks * (self.strip + len(self.rows) * (self.height + self.gap) + self._between) - self._between
        return height - self.gap, self.margin + self.columns * (self.width + self.gap) - self.gap

    @property
    def _between(self):
        """What is left between the rows of one kernel and those of the next beside the gap."""
        return 2 * self.gap if len(self.rows) > 1 else 0

    @property
    def height_inches(self):
        """The height of the mosaic on paper."""
        return self.shape[0] * self.inches

    @property
    def width_inches(self):
        """The width of the mosaic on paper, or more, so that a title finds room."""
        return max(self.shape[1] * self.inches, 5 * _WIDEST_TILE)

    def corner(self, index, row):
        """Return the topmost and leftmost pixel of a tile."""
        block = self.strip + len(self.rows) * (self.height + self.gap) + self._between
        top = index // self.columns * block + self.strip + row * (self.height + self.gap)
        return top, self.margin + index % self.columns * (self.width + self.gap)

    def texts(self):
        """Yield (x, y, text, horizontal, vertical alignment) of the numbers and of the names of the channels."""
        for index in range(self.tiles):
            top, left = self.corner(index, 0)
            if self.strip:
                yield left + self.width / 2 - 0.5, top - 0.5, str(index + 1), "center", "bottom"
            if index % self.columns:
                continue
            for row, name in enumerate(self.rows):
                number = "" if self.strip or row else str(index + 1)
                if text := f"{number} {name}".strip():
                    middle = self.corner(index, row)[0] + self.height / 2 - 0.5
                    yield self.margin - self.gap - 0.5, middle, text, "right", "center"


def _columns(count, proportion):
    """Return how many kernels stand beside each other, of so many that are so many times as high as wide."""
    cells = count * proportion
    columns = max(_WIDTH if cells <= _WIDTH**2 else 2 * _WIDTH, math.ceil(math.sqrt(cells)))
    return min(count, columns)


def _draw_mosaic(axes, tiles, layout, quantity):
    """Draw tiles in rows as one image, which takes a small part of the time of as many axes, and their scale."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import PatchCollection
    from matplotlib.colors import LinearSegmentedColormap, Normalize
    from matplotlib.patches import Rectangle

    finite = np.abs(tiles[np.isfinite(tiles)])
    limit = float(finite.max(initial=0)) or 1.0
    # Of an odd number of colours the middle one is that of zero.
    colours = LinearSegmentedColormap.from_list("white at zero", _COLOURS, N=257).with_extremes(bad=_NOT_FINITE)
    scale = ScalarMappable(Normalize(-1, 1), colours)
    mosaic, frames = np.full((*layout.shape, 4), 255, np.uint8), []
    for index, kernel in enumerate(tiles[:, :, :: layout.step, :: layout.step]):
        for row, values in enumerate(kernel.astype(np.float64) / limit):
            (top, left), (down, along) = layout.corner(index, row), layout.times
            tile = (
                colours(np.ma.masked_invalid((values + 1) / 2), bytes=True).repeat(down, axis=0).repeat(along, axis=1)
            )
            mosaic[top : top + layout.height, left : left + layout.width] = tile
            frames.append(Rectangle((left - 0.5, top - 0.5), layout.width, layout.height))
    draw_cell(axes, mosaic)
    lines = {"edgecolor": FRAME["color"], "linewidth": FRAME["linewidth"]}
    # Those at the edges are drawn whole.
    axes.add_collection(PatchCollection(frames, facecolor="none", clip_on=False, **lines))
    axes.axis("off")
    for x, y, text, horizontal, vertical in layout.texts():
        drawn = axes.text(x, y, text, ha=horizontal, va=vertical, fontsize=layout.points)
        # Its place is inside: to look for room for each would take long.
        drawn.set_in_layout(False)
    shrink = min(1, 3 / layout.height_inches)
    bar = axes.figure.colorbar(scale, ax=axes, fraction=0.05, shrink=shrink, aspect=15, panchor=(0.5, 0.5))
    ticks = np.linspace(-1, 1, 5)
    bar.set_ticks(ticks, labels=[f"{tick * limit:.3g}".replace("-", "\N{MINUS SIGN}") for tick in ticks])
    bar.set_label(quantity)
    bar.ax.tick_params(labelsize=8)


def _draw_bars(axes, values, width):
    """Draw a bar for each number, in the scale's colours of what is below and above zero."""
    from matplotlib.ticker import MaxNLocator

    numbers = np.arange(1, len(values) + 1)
    colours = np.where(values < 0, _NEGATIVE, _POSITIVE)
    thickness = min(0.7 * 72 * width / len(values), 20)
    is_finite = np.isfinite(values)
    # One collection, which takes a small part of the time of as many rectangles.
    axes.vlines(numbers[is_finite], 0, values[is_finite], colours[is_finite], linewidth=thickness)
    axes.axhline(0, color="0.4", linewidth=0.8)
    axes.set(xlabel="kernel", ylabel="value", xlim=(0.4, len(values) + 0.6))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(axis="y", alpha=0.3)

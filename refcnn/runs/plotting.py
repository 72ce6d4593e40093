"""Pictures of a training run: kernels, feature maps, curves, confusion matrix.

Each function returns a Matplotlib figure made without pyplot's global state;
given a figure, such as one of :func:`window`, it draws there.
"""

import contextlib
import functools
import itertools
import math
from pathlib import Path

import numpy as np

from .. import rooms
from ..display import shown
from ..errors import ArgumentError
from ..files import atomic_write, check_writable
from ..interruption import stop_if_asked
from ..mode import recording
from ..tape import tape

_COLUMNS = 8
#: Of kernels that can be drawn, (K, C/groups, kh, kw).
_DIMENSIONS = 4
_DOTS_PER_INCH = 150
#: A thin frame, for a white corner would be lost on the white page.
_FRAME = {"color": "0.6", "linewidth": 0.5}
#: How many pixels the longer side of an image has at least, and at most, where many are drawn as one.
_LEAST_CELL_PIXELS, _MOST_CELL_PIXELS = 20, 400
#: How many times as high as wide, or as wide as high, images may be for the paper to have their proportion.
_MOST_PROPORTION = 4
#: Up to so many classes each gets its tick, and each cell of the confusion matrix its count.
_READABLE_CLASSES = 25


def convolutions(model, x):
    """Run a model and return its convolutions of images in order, a list of (weights, feature maps).

    Parameters
    ----------
    model : Model
    x : array_like, (N, C, H, W)

    Returns
    -------
    list of (ndarray (K, C/groups, kh, kw), ndarray (N, K, out_h, out_w))

    Raises
    ------
    ArgumentError
        If the model has no convolution.
    """
    with recording():
        y = model(x)
    nodes = {node: None for entry in (y if isinstance(y, tuple) else (y,)) for node in tape(entry)}
    kernels_of = [(node, rooms.trait(rooms.LAYERS, node.operation, "KERNELS")) for node in nodes]
    found = [
        (node.inputs[index].as_ndarray(), node.results()[0].as_ndarray())
        for node, index in kernels_of
        if index is not None and len(node.inputs[index].shape) == _DIMENSIONS
    ]
    if not found:
        raise ArgumentError("the model has no convolution of images, so there are no kernels or feature maps to show.")
    return found


def kernels(weights, figure=None):
    """Draw the kernels of a layer as a grid, each scaled to its own range.

    Parameters
    ----------
    weights : ndarray, (K, C, kh, kw)
        Kernels for three channels are shown in colour, others by their first channel in grey.
    figure : matplotlib.figure.Figure, optional
    """
    count, channels, height, width = weights.shape
    images = [scaled(kernel.transpose(1, 2, 0) if channels == 3 else kernel[0]) for kernel in weights]
    note = f", channel 1 of {channels}" if channels not in (1, 3) else ""
    return _grid(images, f"{count} kernels of {height}x{width}{note}, each scaled to its own range", figure)


def feature_maps(image, maps, title, figure=None):
    """Draw an image and the feature maps that a convolution made of it, each scaled to its own range.

    Parameters
    ----------
    image : ndarray, (C, H, W)
    maps : ndarray, (K, h, w)
    title : str
    figure : matplotlib.figure.Figure, optional
    """
    shown = image.transpose(1, 2, 0) if len(image) == 3 else image[0]
    return _grid([scaled(one) for one in maps], title, figure, first=scaled(shown))


#: What the curves show beside the losses: the metric, its name, and its colour.
_SHARES = (
    ("validation_accuracy", "accuracy", "C1"),
    ("validation_f1", "mean F1 score", "C2"),
    ("validation_top_k_accuracy", "among the top k", "C4"),
)


def curves(history, figure=None):
    """Draw the losses over the epochs, and beside them accuracy, mean F1 score, and accuracy among the top k.

    Parameters
    ----------
    history : list of dict
        Rows as in ``metrics.csv``.
    figure : matplotlib.figure.Figure, optional
    """
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    figure = empty_figure(figure, 9, 4)
    epochs = [row["epoch"] for row in history]
    loss, accuracy = figure.subplots(1, 2)
    loss.plot(epochs, [row["train_loss"] for row in history], marker="o", markersize=3, label="training")
    loss.plot(epochs, [row["validation_loss"] for row in history], marker="o", markersize=3, label="validation")
    loss.set(title="Loss", xlabel="epoch", ylabel="cross entropy", ylim=(0, None))
    loss.legend()
    for name, label, color in _SHARES:
        # Epochs that an earlier version trained have the accuracy alone; NaN is not drawn.
        values = [row.get(name, np.nan) for row in history]
        if not np.isnan(values).all():
            accuracy.plot(epochs, values, marker="o", markersize=3, color=color, label=label)
    best = max(row["validation_accuracy"] for row in history)
    accuracy.set(title=f"Validation accuracy (best {best:.2%})", xlabel="epoch", ylabel="share")
    accuracy.legend()
    accuracy.yaxis.set_major_formatter(PercentFormatter(1))
    for axes in (loss, accuracy):
        axes.grid(alpha=0.3)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
    return figure


def confusion_counts(labels, predictions, classes):
    """Return the confusion matrix: how often a label (row) was predicted as a class (column).

    Parameters
    ----------
    labels, predictions : ndarray of int, (N,)
    classes : int

    Returns
    -------
    ndarray of int64, (classes, classes)
    """
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (labels, predictions), 1)
    return counts


def confusion(counts, classes, figure=None):
    """Draw a confusion matrix, its rows coloured by the share of their class.

    Parameters
    ----------
    counts : ndarray of int, (K, K)
        Rows: true classes; columns: predicted ones.
    classes : sequence of str
    figure : matplotlib.figure.Figure, optional
    """
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    number = len(classes)
    is_readable = number <= _READABLE_CLASSES
    side = 3 + 0.45 * number if is_readable else 9
    figure = empty_figure(figure, side + 1, side)
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, format=PercentFormatter(1))
    bar.set_label("share of the true class")
    correct, total = int(np.trace(counts)), int(counts.sum())
    axes.set(
        title=f"{correct:,} of {total:,} right ({correct / max(total, 1):.2%})",
        xlabel="predicted class",
        ylabel="true class",
    )
    if is_readable:
        names = labels(classes)
        is_long = max(map(len, names)) > 2
        # A name is no formula, whatever dollars are in it.
        as_it_is = {"parse_math": False, "usetex": False}
        axes.set_xticks(range(number), names, rotation=90 if is_long else 0, **as_it_is)
        axes.set_yticks(range(number), names, **as_it_is)
        for row, column in np.argwhere(counts):
            axes.text(
                column,
                row,
                f"{counts[row, column]}",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if shares[row, column] > 0.5 else "black",
            )
    else:
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(nbins=20, integer=True))
        axes.set(xlabel="predicted class (index)", ylabel="true class (index)")
    return figure


def labels(names):
    """Return names as they can be drawn: in one line, short, and with characters that no font here has escaped."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    fonts = []
    for family in FontProperties().get_family():
        with contextlib.suppress(ValueError):
            fonts.append(get_font(findfont(FontProperties(family=[family]), fallback_to_default=False)))

    @functools.cache
    def drawn(letter):
        is_there = letter == " " or any(font.get_char_index(ord(letter)) for font in fonts)
        return letter if is_there else letter.encode("unicode_escape").decode("ascii")

    def within(letters, length):
        ends = itertools.accumulate(map(len, letters))
        return list(itertools.compress(letters, (end <= length for end in ends)))

    written = []
    for name in names:
        letters = list(map(drawn, shown(name)))
        if sum(map(len, letters)) > 20:
            # Shortened in the middle: what tells names apart is often at their end.
            letters = [*within(letters, 10), "…", *within(letters[::-1], 9)[::-1]]
        written.append("".join(letters))
    if len(set(written)) < len(written):
        return [f"{index}: {label}" for index, label in enumerate(written)]
    return written


def save(figure, path):
    """Write a figure in the format that the file's ending names, PNG as a rule, whole or not at all.

    Raises
    ------
    ArgumentError
        If there is no such format.
    FileWriteError
        If it cannot be written.
    """
    stop_if_asked()
    kind = _format(path)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=_DOTS_PER_INCH)


def check_picture(path):
    """Find out, before long work, whether :func:`save` could write a picture; the errors are those of it."""
    _format(path)
    check_writable(path)


def _format(path):
    from matplotlib.backend_bases import FigureCanvasBase

    formats = FigureCanvasBase.get_supported_filetypes()
    kind = Path(path).suffix[1:].lower()
    if kind not in formats:
        raise ArgumentError(
            f"the picture {path} ends in {kind!r}, but one of {', '.join(sorted(formats))} is expected. "
            "Name another file."
        )
    return kind


def has_screen():
    """Return whether windows can be opened: there is a screen, and a toolkit for windows."""
    try:
        from matplotlib import pyplot

        figure = pyplot.figure()
    except Exception:  # A toolkit that is half there raises whatever it likes.
        return False
    pyplot.close(figure)
    return figure.canvas.required_interactive_framework is not None


def window():
    """Return an empty figure of pyplot's, which :func:`show_windows` then shows."""
    import matplotlib
    from matplotlib import pyplot

    # A network may have more convolutions than pyplot thinks anybody wants windows.
    with matplotlib.rc_context({"figure.max_open_warning": 0}):
        return pyplot.figure()


def show_windows():
    """Show the figures that :func:`window` gave, until their windows are closed."""
    from matplotlib import pyplot

    pyplot.show()


def empty_figure(figure, width, height):
    """Return a figure of a size in inches: the one that is given, or a new one without pyplot's global state."""
    if figure is None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure()
        FigureCanvasAgg(figure)
    figure.set_size_inches(width, height)
    figure.set_layout_engine("constrained")
    return figure


def _grid(images, title, figure, first=None):
    columns = min(max(len(images), 5), _COLUMNS) if len(images) <= _COLUMNS**2 else max(2 * _COLUMNS, _root(images))
    rows = math.ceil(len(images) / columns)
    # The image in front gets a column two cells wide of its own.
    widths = [columns] if first is None else [2, columns]
    scale = min(1, _COLUMNS / columns)
    widths = [*widths[:-1], scale * columns]
    proportion = images[0].shape[0] / images[0].shape[1]
    height = scale * rows * min(max(proportion, 1 / _MOST_PROPORTION), _MOST_PROPORTION)
    figure = empty_figure(figure, sum(widths) + 0.2, (height if first is None else max(height, 2.2)) + 0.5)
    figure.suptitle(title, fontsize=11)
    *front, grid = figure.subplots(1, len(widths), width_ratios=widths, squeeze=False)[0]
    if first is not None:
        draw_cell(front[0], first)
        front[0].set_title("image", fontsize=9)
    _draw_mosaic(grid, images, columns)
    return figure


def _root(images):
    return math.ceil(math.sqrt(len(images)))


def _draw_mosaic(axes, images, columns):
    """Draw images of one size in rows as one, which takes a small part of the time of as many axes."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    # Large images are thinned out, since memory is short and the paper has no room for all of their pixels.
    step = math.ceil(max(images[0].shape[:2]) / _MOST_CELL_PIXELS)
    images = [image[::step, ::step] for image in images]
    height, width = images[0].shape[:2]
    # Small ones are enlarged, so that the gap between them is a small part of them.
    times = math.ceil(_LEAST_CELL_PIXELS / max(height, width))
    height, width = height * times, width * times
    gap = min(math.ceil(max(height, width) / 20), height, width)
    rows = math.ceil(len(images) / columns)
    shape = rows * (height + gap) - gap, columns * (width + gap) - gap, *images[0].shape[2:]
    mosaic, frames = np.ones(shape, np.float32), []
    for index, image in enumerate(images):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        mosaic[top : top + height, left : left + width] = image.repeat(times, axis=0).repeat(times, axis=1)
        frames.append(Rectangle((left - 0.5, top - 0.5), width, height))
    draw_cell(axes, mosaic)
    axes.add_collection(PatchCollection(frames, facecolor="none", edgecolor=_FRAME["color"], lw=_FRAME["linewidth"]))
    axes.axis("off")


def draw_cell(axes, image):
    """Draw an image, grey or in colour, with values from 0 to 1, in a thin frame without ticks."""
    axes.imshow(image, cmap="gray", vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(**_FRAME)


def scaled(values):
    """Bring values to [0, 1]; where all are equal, to 0."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.zeros_like(values)

"""Pictures of a training run, curves and confusion matrix, and what all pictures share: titles, labels, files, windows.

Each function that draws returns a Matplotlib figure made without pyplot's global state;
given a figure, such as one of :func:`window`, it draws there.
"""

import contextlib
import functools
import itertools
import textwrap
from pathlib import Path

import numpy as np

from ..display import shown
from ..errors import ArgumentError
from ..files import atomic_write, check_writable
from ..interruption import stop_if_asked

_DOTS_PER_INCH = 150
#: Of a figure's title, and how much of that a letter is wide at most, in the mean over a line.
_TITLE_POINTS, _LETTER_WIDTH = 10, 0.62
#: How long a name may be beside others, and where there is more room.
_LONGEST_LABEL, LONGEST_NAME = 20, 40
#: A thin frame, for a white corner would be lost on the white page.
FRAME = {"color": "0.6", "linewidth": 0.5}
#: Up to so many classes each gets its tick, and each cell of the confusion matrix its count.
_READABLE_CLASSES = 25


#: What the curves show beside the losses: the metric, its name, and its colour.
_SHARES = (
    ("validation_accuracy", "accuracy", "C1"),
    ("validation_f1", "mean F1 score", "C2"),
    ("validation_top_k_accuracy", "among the top k", "C4"),
)


def curves(history, figure=None, of="", best_epoch=None):
    """Draw the losses over the epochs, and beside them accuracy, mean F1 score, and accuracy among the top k.

    Parameters
    ----------
    history : list of dict
        Rows as in ``metrics.csv``.
    figure : matplotlib.figure.Figure, optional
    of : str
        What the picture is of, for the title.
    best_epoch : int, optional
        It is marked.
    """
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    figure = empty_figure(figure, 9, 4.6)
    entitle(figure, of)
    epochs = [row["epoch"] for row in history]
    loss, accuracy = figure.subplots(1, 2)
    loss.plot(epochs, [row["train_loss"] for row in history], marker="o", markersize=3, label="training")
    loss.plot(epochs, [row["validation_loss"] for row in history], marker="o", markersize=3, label="validation")
    loss.set(title="Loss", xlabel="epoch", ylabel="cross entropy", ylim=(0, None))
    for name, label, color in _SHARES:
        # Epochs that an earlier version trained have the accuracy alone; NaN is not drawn.
        values = [row.get(name, np.nan) for row in history]
        if not np.isnan(values).all():
            accuracy.plot(epochs, values, marker="o", markersize=3, color=color, label=label)
    best = max(row["validation_accuracy"] for row in history)
    accuracy.set(title=f"Validation accuracy (best {best:.2%})", xlabel="epoch", ylabel="share")
    accuracy.yaxis.set_major_formatter(PercentFormatter(1))
    for axes in (loss, accuracy):
        if best_epoch is not None:
            axes.axvline(best_epoch, color="0.4", linestyle=":", label="best epoch")
        # Inside it would lie on the curves.
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, frameon=False)
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


def confusion(counts, classes, figure=None, of=""):
    """Draw a confusion matrix, its rows coloured by the share of their class; that of a class without images is grey.

    Parameters
    ----------
    counts : ndarray of int, (K, K)
        Rows: true classes; columns: predicted ones.
    classes : sequence of str
    figure : matplotlib.figure.Figure, optional
    of : str
        What the picture is of, for the title.
    """
    from matplotlib import colormaps
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    number = len(classes)
    is_readable = number <= _READABLE_CLASSES
    side = 3 + 0.45 * number if is_readable else 9
    figure = empty_figure(figure, side + 1, side)
    entitle(figure, of)
    axes = figure.subplots()
    images = counts.sum(axis=1, keepdims=True)
    shares = np.ma.masked_array(counts / np.maximum(images, 1), np.broadcast_to(images == 0, counts.shape))
    image = axes.imshow(shares, cmap=colormaps["Blues"].with_extremes(bad="0.85"), vmin=0, vmax=1)
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
        _write_counts(axes, counts, shares)
    else:
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(nbins=20, integer=True))
        axes.set(xlabel="predicted class (index)", ylabel="true class (index)")
    return figure


def _write_counts(axes, counts, shares):
    for row, column in np.argwhere(counts):
        color = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", fontsize=8, color=color)


def labels(names, longest=_LONGEST_LABEL):
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
        if sum(map(len, letters)) > longest:
            # Shortened in the middle: what tells names apart is often at their end.
            half = longest // 2
            letters = [*within(letters, half), "…", *within(letters[::-1], half - 1)[::-1]]
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


def entitle(figure, *texts):
    """Write a title over a figure, in as many lines as it needs there.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Of its final width.
    *texts : str
        Each begins a line: what it shows, and what it is of, such as run, model and epoch. Empty ones are left out.
    """
    letters = int(figure.get_size_inches()[0] * 72 / (_TITLE_POINTS * _LETTER_WIDTH))
    lines = [line for text in texts for line in textwrap.wrap(text, letters)]
    # A name is no formula, whatever dollars are in it.
    figure.suptitle("\n".join(lines), fontsize=_TITLE_POINTS, parse_math=False, usetex=False)
    if lines and figure.canvas.manager is not None:
        figure.canvas.manager.set_window_title(lines[0])


def draw_cell(axes, image):
    """Draw an image, grey or in colour, with values from 0 to 1, in a thin frame without ticks."""
    axes.imshow(image, cmap="gray", vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(**FRAME)


def scaled(values):
    """Bring values to [0, 1]; where all are equal, and what is not finite, to 0."""
    is_finite = np.isfinite(values)
    finite = values[is_finite]
    if not finite.size or finite.max() == finite.min():
        return np.zeros(values.shape, np.float32)
    low, high = float(finite.min()), float(finite.max())
    return np.where(is_finite, (values - low) / (high - low), 0)

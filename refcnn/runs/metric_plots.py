"""Pictures of how good a model is: of each class, of the images that it was most wrong about, and of learning rates.

Each function returns a Matplotlib figure, as those in :mod:`refcnn.runs.plotting`.
"""

import numpy as np

from .plotting import draw_cell, empty_figure, entitle, labels, scaled

#: So many classes are drawn at most: those with the lowest F1 score.
MOST_CLASSES = 25
#: So many images are drawn at most.
MOST_IMAGES = 24
_COLUMNS = 6


def classes(counts, names, figure=None, of=""):
    """Draw precision, recall and F1 score of each class, the lowest F1 score first.

    Parameters
    ----------
    counts : ClassCounts
    names : sequence of str
    figure : matplotlib.figure.Figure, optional
    of : str
        What the picture is of, for the title.
    """
    from matplotlib.ticker import PercentFormatter

    present = np.flatnonzero(counts.examples + counts.predicted)
    order = present[np.argsort(counts.f1[present], kind="stable")]
    shown = order[:MOST_CLASSES]
    figure = empty_figure(figure, 8, 1.6 + 0.42 * len(shown))
    entitle(figure, of)
    axes = figure.subplots()
    places = np.arange(len(shown))
    rows = (("precision", counts.precision, "C0"), ("recall", counts.recall, "C1"), ("F1 score", counts.f1, "C2"))
    for index, (name, values, color) in enumerate(rows):
        axes.barh(places + 0.26 * (index - 1), values[shown], 0.24, label=name, color=color)
    written = labels(names)
    written = [f"{written[index]} ({counts.examples[index]:,})" for index in shown]
    # A name is no formula, whatever dollars are in it.
    axes.set_yticks(places, written, parse_math=False, usetex=False)
    axes.invert_yaxis()
    means = ", ".join(f"{name} {counts.mean(values):.2%}" for name, values, _ in rows)
    title = f"Means over the classes: {means}"
    if len(shown) < len(order):
        title += f"\nthe {len(shown)} classes of {len(order)} with the lowest F1 score"
    axes.set_title(title, fontsize=10)
    axes.set(xlim=(0, 1), ylabel="class (images)")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=len(rows))
    return figure


def most_wrong(images, true, predicted, probabilities, names, figure=None, of=""):
    """Draw the images whose own class the model took for the least probable, those first.

    Parameters
    ----------
    images : ndarray, (N, C, H, W)
    true, predicted : ndarray of int, (N,)
    probabilities : ndarray, (N,)
        What the model gave to each image's own class.
    names : sequence of str
    figure : matplotlib.figure.Figure, optional
    of : str
        What the picture is of, for the title.
    """
    count = len(images)
    rows = -(-count // _COLUMNS)
    figure = empty_figure(figure, 1.7 * _COLUMNS, max(2.4 * rows + 0.7, 1.5))
    if not count:
        entitle(figure, "No image was taken for another class", of)
        return figure
    title = "Most wrong about: true class, what it was taken for, and the probability given to the true class"
    entitle(figure, title, of)
    written = labels(names)
    grid = figure.add_gridspec(rows, _COLUMNS)
    for index, image in enumerate(images):
        axes = figure.add_subplot(grid[index // _COLUMNS, index % _COLUMNS])
        draw_cell(axes, scaled(image.transpose(1, 2, 0) if len(image) == 3 else image[0]))
        text = f"{written[true[index]]}\ntaken for\n{written[predicted[index]]}\n{probabilities[index]:.1%}"
        axes.set_title(text, fontsize=8, parse_math=False, usetex=False)
    return figure


def learning_rates(found, figure=None, of=""):
    """Draw the losses of a search for a learning rate.

    Parameters
    ----------
    found : LearningRates
    figure : matplotlib.figure.Figure, optional
    of : str
        What the picture is of, for the title.
    """
    figure = empty_figure(figure, 7, 4.5)
    entitle(figure, of)
    axes = figure.subplots()
    axes.plot(found.rates, found.losses, color="C0", alpha=0.35, label="loss of each step")
    axes.plot(found.rates, found.smoothed, color="C0", label="smoothed")
    axes.axvline(found.suggestion, color="C3", linestyle="--", label=f"suggestion: {found.suggestion:g}")
    low, high = min(found.losses), max(found.losses[0], *found.smoothed)
    # What diverged would leave no room for the rest.
    top = min(high, 2 * found.smoothed[0]) if found.smoothed[0] > low else high
    margin = 0.1 * (top - low) or 1.0
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss", ylim=(low - margin, top + margin))
    axes.set_title("The loss while the learning rate rises")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure

"""The picture of a board: throughput against batch and image size."""

from ..runs import plotting

#: What is said of a contestant is cut to so many letters.
_LONGEST = 200
_CURVES = {"batches": "batch size", "sizes": "pixels on a side"}


def save(board, path):
    """Draw the curves that were measured and write them as a picture, whole or not at all.

    Parameters
    ----------
    board : Board
    path : str or os.PathLike
        The suffix tells the format.

    Raises
    ------
    ArgumentError, FileWriteError
        As :func:`refcnn.runs.plotting.save`.
    """
    plotting.save(draw(board), path)


def draw(board):
    """Return a figure of the curves that were measured, each contestant in the same colour everywhere."""
    figure = plotting.empty_figure(None, 11, 8.5)
    contestants = [f"{device.name}: {device.about}" for device in board.devices] + list(board.rivals)
    title = f"refcnn bench, {board.date}: medians of the rounds, bars from quartile to quartile"
    plotting.entitle(figure, title, *(plotting.labels([text], _LONGEST)[0] for text in contestants))
    names = list(dict.fromkeys(name for result in board.results for name in result.times))
    colours = {name: f"C{index}" for index, name in enumerate(names)}
    for axes, part in zip(figure.subplots(2, 2), _CURVES, strict=True):
        for axis, mode in zip(axes, ("training", "inference"), strict=True):
            results = [result for result in board.results if result.part == part and result.mode == mode]
            _draw(axis, results, colours)
            axis.set(title=f"chapter, {mode} by {_CURVES[part]}", xlabel=_CURVES[part], ylabel="GFLOP/s")
    return figure


def _draw(axis, results, colours):
    from matplotlib.ticker import NullLocator

    for name, colour in colours.items():
        measured = [result for result in results if name in result.times and result.times[name].seconds]
        if not measured:
            continue
        speeds = [[result.flop / seconds / 1e9 for seconds in result.times[name].quartiles] for result in measured]
        high, middle, low = zip(*speeds, strict=True)
        sizes = [result.x for result in measured]
        axis.errorbar(
            sizes,
            middle,
            yerr=[
                [one - other for one, other in zip(middle, low, strict=True)],
                [one - other for one, other in zip(high, middle, strict=True)],
            ],
            marker="o",
            markersize=4,
            capsize=3,
            color=colour,
            label=name,
        )
    axis.set_xscale("log")
    sizes = sorted({result.x for result in results})
    axis.set_xticks(sizes, sizes)
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)
    if axis.lines:
        axis.legend()

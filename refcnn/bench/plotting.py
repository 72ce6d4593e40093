"""The picture of a board: throughput against batch and image size."""

from ..runs import plotting

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
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(2, 2, squeeze=False)
    for axes, part in zip(grid, _CURVES, strict=True):
        for axis, mode in zip(axes, ("training", "inference"), strict=True):
            _draw(axis, [result for result in board.results if result.part == part and result.mode == mode])
            axis.set(title=f"chapter, {mode}", xlabel=_CURVES[part], ylabel="GFLOP/s")
    figure.suptitle(f"refcnn bench, {board.date}")
    plotting.save(figure, path)


def _draw(axis, results):
    names = dict.fromkeys(name for result in results for name in result.times)
    for name in names:
        points = [
            (result.x, result.flop / result.times[name].median / 1e9)
            for result in results
            if name in result.times and result.times[name].seconds
        ]
        axis.plot(*zip(*points, strict=True), marker="o", label=name)
    axis.set_xscale("log")
    axis.set_xticks(sorted({result.x for result in results}), sorted({result.x for result in results}))
    axis.minorticks_off()
    axis.set_ylim(bottom=0)
    if names:
        axis.legend()

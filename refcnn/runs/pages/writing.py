"""The pages themselves: of a run, of an ONNX file, and of several runs beside each other."""

import math

from ... import summary
from ...pages import page
from ...pages.charts import Line, line_chart
from ...pages.texts import short
from . import comparing, gathering
from .of_file import of_file

#: Of levels of colour in the confusion matrix.
_LEVELS = 10
#: A range of rates with a larger quotient is drawn on a logarithmic scale.
_MOST_RATIO = 20
_LOSSES = (("train_loss", "training"), ("validation_loss", "validation"))
_SHARES = (
    ("validation_accuracy", "accuracy"),
    ("validation_f1", "mean F1 score"),
    ("validation_top_k_accuracy", "among the top k"),
)


def write_run(run, path, found):
    """Write the page of a run.

    Parameters
    ----------
    run : RunFolder
    path : str or os.PathLike
    found : refcnn.runs.pages.gathering.Found

    Raises
    ------
    CheckpointError
        If no epoch was finished yet, or a file of the run is broken.
    FileWriteError
        If it cannot be written.
    """
    data, shown = gathering.of_run(run, found)
    matrix = None if data["confusion"] is None else _matrix(data["confusion"])
    _write("run.html.jinja", path, data, pictures=shown, charts=_charts(data), matrix=matrix)


def write_file(model, path, wanted):
    """Write the page of an ONNX file.

    Parameters
    ----------
    model : str or os.PathLike
        The file.
    path : str or os.PathLike
    wanted : refcnn.runs.pages.verified.Wanted
        How it is to be judged.

    Raises
    ------
    DataError
        If it cannot be read.
    FileWriteError
        If the page cannot be written.
    """
    data, shown = of_file(model, wanted)
    _write("file.html.jinja", path, data, pictures=shown)


def write_comparison(runs, path):
    """Write a page that compares runs; the errors are those of :func:`write_run`, and ArgumentError for too many."""
    data = comparing.of_runs(runs)
    _write("comparison.html.jinja", path, data, charts=_charts_of(data["runs"]))


def _write(template, path, data, **values):
    environment = page.environment(__package__)
    environment.filters.update(bytes=summary.written, share=_share, value=_value)
    scripts = ["tables.js", *["matrix.js"] * bool(values.get("matrix")), *["film.js"] * bool(data.get("kernel_epochs"))]
    page.write(environment, template, path, data=data, scripts=scripts, images=True, **{"told": data} | values)


def _share(number):
    """Return a part of 1 in percent."""
    return "–" if number is None else f"{number:.2%}".replace("%", " %")


def _value(entry):
    """Return an entry of a configuration as text."""
    if isinstance(entry, list):
        return short(", ".join(map(_value, entry)), 200) or "none"
    if entry is None or isinstance(entry, bool):
        return {None: "–", True: "yes", False: "no"}[entry]
    return f"{entry:.6g}" if isinstance(entry, float) else short(entry, 200)


def _line(name, rows, key, style=None):
    return Line(name, {row["epoch"]: row[key] for row in rows if row[key] is not None}, style)


def _charts(data):
    """Return the charts of a run's page."""
    rows, best = data["history"], data["best"]["epoch"]
    marks = [(best, f"best: {best}")]
    found = [line_chart("Loss (cross entropy)", [_line(name, rows, key) for key, name in _LOSSES], marks=marks)]
    shares = [_line(name, rows, key, place) for place, (key, name) in enumerate(_SHARES)]
    shares = [line for line in shares if line.points]
    found.append(line_chart("Validation images recognised", shares, marks=marks, percent=True))
    rates = _line("learning rate", rows, "learning_rate")
    if rates.points and max(rates.points.values()) > 0:
        found.append(line_chart("Learning rate", [rates], marks=marks, logarithmic=_is_wide([rates])))
    return found


def _charts_of(runs):
    """Return the charts in which runs lie over each other."""
    found = []
    for key, title, options in (
        ("validation_loss", "Validation loss", {}),
        ("train_loss", "Training loss", {}),
        ("validation_accuracy", "Validation accuracy", {"percent": True}),
        ("learning_rate", "Learning rate", {}),
    ):
        lines = [_line(run["name"], run["history"], key, place) for place, run in enumerate(runs)]
        lines = [line for line in lines if line.points]
        if key == "learning_rate":
            options = {"logarithmic": _is_wide(lines)}
        if lines:
            found.append(line_chart(title, lines, **options))
    return found


def _is_wide(lines):
    values = [value for line in lines for value in line.points.values()]
    return bool(values) and min(values) > 0 and max(values) / min(values) > _MOST_RATIO


def _matrix(confusion):
    """Return the rows of the confusion matrix: name, images, and for each column the count and its style."""
    rows = []
    for index, (name, counts) in enumerate(zip(confusion["names"], confusion["counts"], strict=True)):
        total = sum(counts)
        cells = [(count, _style(count / total, place == index) if count else "") for place, count in enumerate(counts)]
        rows.append({"name": name, "images": total, "cells": cells})
    return rows


def _style(share, is_right):
    """Return the style of a cell: r0 to r10 on the diagonal, w1 to w10 beside it, where small shares show more."""
    return f"r{round(_LEVELS * share)}" if is_right else f"w{max(1, round(_LEVELS * math.sqrt(share)))}"

"""The report as one page that needs nothing else: no script, no request, whatever the texts of devices hold."""

import math
import urllib.parse

from ...pages import page
from .failures import Failing, Failures
from .matrix import Key, Matrix
from .results import BINS

#: The mark before a verdict's word, so that it is told without its colour.
_MARKS = {"conforms": "✓", "not offered": "–", "known fault": "!", "suspect": "!", "not judged": "–"}

#: Classes of the worst error / bound: the limit of each and what it is called.
RATIO_CLASSES = (
    (0.0, "no error"),
    (0.1, "below a tenth of the bound"),
    (0.5, "below half the bound"),
    (1.0, "within the bound"),
    (math.inf, "beyond the bound"),
)

#: Size of a histogram in pixels: a bar's width, the gap before the bar beyond the bound, and the highest bar.
_BAR, _GAP, _HEIGHT = 7, 6, 44


def render(report, path):
    """Write a report as one HTML page, whole or not at all.

    Parameters
    ----------
    report : Report
    path : str or os.PathLike
        Its folder must exist. Bundles are linked relative to it.

    Raises
    ------
    FileWriteError
        If the page cannot be written.
    """
    devices = list(enumerate(report.devices))
    found = (one for column, device in devices for row in device.rows for one in Failing.all_of(column, device, row))
    values = {
        "matrix": Matrix.of([{Key.of(row): row for row in device.rows} for _, device in devices]),
        "failures": Failures.of(found),
    }
    write_page("report.html.jinja", path, report=report, **values)


def write_page(template, path, **values):
    """Fill one of this package's templates, every value escaped, and write it whole or not at all.

    Parameters
    ----------
    template : str
    path : str or os.PathLike
    **values
        What the template speaks of.

    Raises
    ------
    FileWriteError
    """
    environment = page.environment(__package__)
    environment.filters.update(kind=kind, mark=mark, case_text=case_text, link=link)
    environment.globals.update(
        nearest=nearest, bars=bars, beyond=_beyond, bar=_BAR, gap=_GAP, height=_HEIGHT, bins=BINS
    )
    page.write(environment, template, path, **values)


def ratio_class(ratio):
    """Return the name of the class of :data:`RATIO_CLASSES` that a worst error / bound is in."""
    return next((name for limit, name in RATIO_CLASSES if ratio <= limit), RATIO_CLASSES[-1][1])


def nearest(device):
    """Return the conforming row of a device whose error is nearest to its bound, or None."""
    rows = [row for row in device.rows if row.verdict == "conforms" and row.is_compared]
    return max(rows, key=lambda row: row.worst_ratio, default=None)


def kind(verdict):
    """Return the style that a verdict is shown in: good, plain, known or bad."""
    return {"✓": "good", "–": "plain", "!": "known"}.get(mark(verdict), "bad")


def mark(verdict):
    """Return the sign before a verdict."""
    return _MARKS.get(verdict, "✗")


def case_text(case):
    """Return a failing case's arguments, one on each line."""
    inputs = [f"input {index}: {entry}" for index, entry in enumerate(case.get("inputs", ()))]
    attributes = [f"{name} = {value}" for name, value in case.get("attributes", {}).items()]
    dy = [f"dy: {case['dy']}"] if case.get("dy") is not None else []
    return "\n".join([*inputs, *attributes, *dy])


def link(bundle):
    """Return the reference to a bundle's folder from a page beside it; never one with a scheme of its own."""
    return "./" + urllib.parse.quote(bundle, errors="replace")


def bars(histogram):
    """Return the bars of a histogram: (left, height, title) of each bin that is not empty, for an SVG.

    Heights grow with the logarithm of the counts: nearly all elements are in
    the first bins, and the few near the bound are what matters.
    """
    most = math.log1p(max(histogram, default=0))
    return [
        (_left(bin), max(1.5, _HEIGHT * math.log1p(elements) / most), f"{_range(bin)}: {elements:,}")
        for bin, elements in enumerate(histogram)
        if elements
    ]


def _left(bin):
    return bin * _BAR + (_GAP if bin >= BINS else 0)


def _beyond(left):
    return left >= BINS * _BAR


def _range(bin):
    return "above 1" if bin >= BINS else f"{bin / BINS:.2f} to {(bin + 1) / BINS:.2f}"

"""The report as one page that needs nothing else: no script, no request, whatever the texts of devices hold."""

import dataclasses
import datetime
import math
import urllib.parse

from ...files import atomic_write
from .results import BINS, DIRECTIONS

#: The mark before a verdict's word, so that it is told without its colour.
_MARKS = {"conforms": "✓", "not offered": "–", "known fault": "!", "suspect": "!", "cannot run": "–"}

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
    matrix = Matrix.of(report.devices)
    write_page("report.html.jinja", path, report=report, matrix=matrix)


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
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, thousands="{:,}".format, duration=duration, day=day)
    environment.filters.update(kind=kind, mark=mark, case_text=case_text, link=link)
    environment.tests["failure"] = is_failure
    environment.globals.update(bars=bars, beyond=_beyond, bar=_BAR, gap=_GAP, height=_HEIGHT, bins=BINS)
    page = environment.get_template(template).render(**values)
    with atomic_write(path) as temporary:
        # A lone surrogate, which JSON allows in a device's text, has no UTF-8.
        temporary.write_text(page, encoding="utf-8", errors="replace")


@dataclasses.dataclass(frozen=True)
class Key:
    """What a row of the matrix is about: an operation in one direction, as one variant of the kernels."""

    operation: str
    direction: str
    variant: str | None

    @classmethod
    def of(cls, row):
        """Return the key of a Row."""
        return cls(row.operation, row.direction, row.variant)

    @property
    def order(self):
        """Sorts by operation, forward before backward, then by variant."""
        return self.operation, DIRECTIONS.index(self.direction), self.variant or ""

    @property
    def detail(self):
        """Direction and variant in one text."""
        return f"{self.direction} · {self.variant}" if self.variant else self.direction


@dataclasses.dataclass(frozen=True)
class Matrix:
    """Rows of results by operation and device.

    Attributes
    ----------
    operations : dict of str to list of Key
        Every key that any device has a row for.
    cells : list of dict of Key to Row
        One for each device, in the order given.
    """

    operations: dict
    cells: list

    @classmethod
    def of(cls, devices):
        """Return the matrix of some DeviceReports."""
        cells = [{Key.of(row): row for row in device.rows} for device in devices]
        return cls(by_operation(key for column in cells for key in column), cells)

    def coverage(self, key):
        """Return what the cases of a row covered.

        For each event that any row of the operation covered, how often it was
        on each device; None where the device has no such row or ran no case of it.
        """
        keys = self.operations[key.operation]
        related = [column[other] for column in self.cells for other in keys if other in column]
        events = sorted({event for row in related for event in row.coverage})
        rows = [row if row and row.cases else None for row in (column.get(key) for column in self.cells)]
        return {event: [row and row.coverage.get(event, 0) for row in rows] for event in events}

    def missed(self, key):
        """Return the events that no case of a row reached on any device."""
        return [event for event, counts in self.coverage(key).items() if not any(counts)]

    def failures(self, column):
        """Return (key, row) of what a device failed at, what is known last."""
        rows = [(key, self.cells[column].get(key)) for keys in self.operations.values() for key in keys]
        return sorted(((key, row) for key, row in rows if row and is_failure(row)), key=lambda entry: entry[1].passes)

    def anchor(self, column, key):
        """Return the identifier of the place on the page that speaks of a failure."""
        return anchor(self.operations, column, key)


def by_operation(keys):
    """Return each operation's keys in their order."""
    operations = {}
    for key in sorted(set(keys), key=lambda key: key.order):
        operations.setdefault(key.operation, []).append(key)
    return operations


def anchor(operations, column, key):
    """Return the identifier of the place on a page that speaks of the failure of a key in a column."""
    keys = [other for entries in operations.values() for other in entries]
    return f"failure-{column}-{keys.index(key)}"


def is_failure(row):
    """Whether there is something to tell of a row beside its numbers."""
    return row.failure is not None or not row.passes


def ratio_class(ratio):
    """Return the name of the class of :data:`RATIO_CLASSES` that a worst error / bound is in."""
    return next((name for limit, name in RATIO_CLASSES if ratio <= limit), RATIO_CLASSES[-1][1])


def number(value):
    """Return a measured number in three digits."""
    return "∞" if math.isinf(value) else f"{value:.3g}"


def duration(seconds):
    """Return a time in the units that suit it."""
    if math.isinf(seconds):
        return "∞"
    if seconds < 9.95:
        return f"{seconds:.2g} s"
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def day(date):
    """Return an ISO 8601 date and time in a form for people, in UTC if it tells its offset."""
    moment = datetime.datetime.fromisoformat(date)
    try:
        return f"{moment.astimezone(datetime.UTC):%Y-%m-%d %H:%M} UTC" if moment.tzinfo else f"{moment:%Y-%m-%d %H:%M}"
    except OverflowError:
        # The first and the last day that can be told may be another one in UTC.
        return date


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

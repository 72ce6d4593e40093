"""Many machines' reports on one page: operations down, devices and their drivers across, and what changed since."""

import dataclasses
from pathlib import Path

from ...errors import ArgumentError, DataError
from ...pages.texts import number
from .failures import Failing, Failures
from .html import ratio_class, write_page
from .matrix import Key, Matrix
from .results import DeviceReport, Report, Row, moment


@dataclasses.dataclass(frozen=True)
class Cell:
    """The latest that is known of one operation on one device with one driver.

    Attributes
    ----------
    row : Row
    date : str
        Of the report that it is from.
    change : Change or None
        What was otherwise in the report of the same device before that,
        whatever its driver; None where there is none or nothing changed.
    """

    row: Row
    date: str
    change: "Change | None"


@dataclasses.dataclass(frozen=True)
class Change:
    """What was otherwise before.

    Attributes
    ----------
    text : str
    date : str
        Of the report in which it was so.
    driver : str
        Of the device at that time.
    """

    text: str
    date: str
    driver: str


@dataclasses.dataclass(frozen=True)
class Column:
    """One device with one version of its driver.

    Attributes
    ----------
    device : DeviceReport
        The latest.
    report : Report
        That it is from.
    driver : str
        The driver, or the versions of the libraries where there is none.
    reports : int
        How many were merged.
    cells : dict of Key to Cell
    change : Change or None
        That the device could be tested before and now cannot, or the reverse.
    """

    device: DeviceReport
    report: Report
    driver: str
    reports: int
    cells: dict
    change: Change | None

    @property
    def changes(self):
        """(key, Cell) of the cells that changed."""
        return [(key, cell) for key, cell in self.cells.items() if cell.change]

    @property
    def summary(self):
        """The device with the rows that are shown, older ones among them."""
        return dataclasses.replace(self.device, rows=[cell.row for cell in self.cells.values()])


@dataclasses.dataclass(frozen=True)
class Merged:
    """Reports by operation and device.

    Attributes
    ----------
    matrix : Matrix
        Of the cells of the columns, from left to right.
    devices : list of list of Column
        For each device a column for each version of its driver, oldest first.
    reports : int
    """

    matrix: Matrix
    devices: list
    reports: int

    @property
    def columns(self):
        """The columns of all devices, from left to right."""
        return [column for columns in self.devices for column in columns]

    @property
    def changes(self):
        """How many cells and devices changed."""
        return sum(len(column.changes) + (column.change is not None) for column in self.columns)

    @property
    def failures(self):
        """What the columns failed at."""
        cells = [(index, column, cell) for index, column in enumerate(self.columns) for cell in column.cells.values()]
        return Failures.of(
            failing
            for index, column, cell in cells
            for failing in Failing.all_of(index, column.device, cell.row, cell.date, column.driver)
        )


def load(paths):
    """Read reports, each path a JSON file or a folder of them.

    Parameters
    ----------
    paths : iterable of str or os.PathLike

    Returns
    -------
    list of Report

    Raises
    ------
    DataError
        If a file cannot be read or holds no report, or a folder has none; names it.
    """
    reports = []
    for path in map(Path, paths):
        files = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if not files:
            raise DataError(f"the folder {path} holds no .json file: name a folder of reports, or files.")
        reports += map(Report.load, files)
    return reports


def merge(reports):
    """Put reports together by device and driver.

    A device is the same one where its platform, name and place among its like
    within the report are; an implementation without a platform, where its
    specification and the kind of machine are.

    Parameters
    ----------
    reports : iterable of Report
        In any order. One that is given twice counts once.

    Returns
    -------
    Merged

    Raises
    ------
    ArgumentError
        If there is no report.
    """
    distinct = []
    for report in reports:
        if report not in distinct:
            distinct.append(report)
    if not distinct:
        raise ArgumentError("no report was given: name at least one JSON file that refcnn conform --report wrote.")
    histories = {}
    for report in sorted(distinct, key=lambda report: moment(report.date)):
        seen = []
        for device in report.devices:
            identity = _identity(device, report)
            histories.setdefault((*identity, seen.count(identity)), []).append((report, device))
            seen.append(identity)
    devices = [_columns(histories[identity]) for identity in sorted(histories)]
    matrix = Matrix.of([column.cells for columns in devices for column in columns])
    return Merged(matrix, devices, len(distinct))


def render_merged(merged, path):
    """Write merged reports as one HTML page, whole or not at all.

    Parameters
    ----------
    merged : Merged
    path : str or os.PathLike
        Its folder must exist.

    Raises
    ------
    FileWriteError
        If the page cannot be written.
    """
    write_page("merged.html.jinja", path, merged=merged, failures=merged.failures)


def _identity(device, report):
    if device.platform:
        return device.platform, device.name
    # The names of implementations tell the versions of their libraries.
    return report.host.get("machine", ""), device.specification


def _driver(device):
    return device.driver or ", ".join(f"{library} {version}" for library, version in sorted(device.versions.items()))


def _columns(history):
    """Return the columns of one device from its (Report, DeviceReport)s, oldest first."""
    columns, latest, before = {}, {}, None
    for report, device in history:
        driver = _driver(device)
        former = columns.pop(driver, None)
        cells = dict(former.cells) if former else {}
        for row in device.rows:
            key = Key.of(row)
            cells[key] = Cell(row, report.date, _change(row, latest.get(key)))
        latest |= {Key.of(row): (row, report, driver) for row in device.rows}
        count = former.reports + 1 if former else 1
        columns[driver] = Column(device, report, driver, count, cells, _device_change(device, before))
        before = device, report, driver
    return list(columns.values())


def _change(row, before):
    """Return what is otherwise in a row than in the latest before it: the verdict, or the class of the worst ratio."""
    if before is None:
        return None
    former, report, driver = before
    if row.verdict != former.verdict:
        return Change(f"was {former.verdict}", report.date, driver)
    if former.is_compared and row.is_compared and ratio_class(row.worst_ratio) != ratio_class(former.worst_ratio):
        text = f"was {ratio_class(former.worst_ratio)} ({number(former.worst_ratio)})"
        return Change(text, report.date, driver)
    return None


def _device_change(device, before):
    former, report, driver = before or (device, None, None)
    if (former.error is None) == (device.error is None):
        return None
    return Change("could be tested" if former.error is None else "could not be tested", report.date, driver)

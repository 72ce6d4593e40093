"""What a conformance run found: plain data, to a JSON file and back. ``report.schema.json`` describes the file."""

import dataclasses
import datetime
import functools
import json
import math
from pathlib import Path

from ...errors import DataError
from ...files import atomic_write
from ...reading import check, parse_json, read_plain, reading

SCHEMA = 1

#: Bins of a histogram of error / bound: so many equal ones over 0 .. 1, and one for what is beyond.
BINS = 20

DIRECTIONS = ("forward", "backward")

VERDICTS = (
    "conforms",
    "wrong",
    "failed",
    "crashed",
    "hung",
    "not deterministic",
    "did not build",
    "not offered",
    "known fault",
    "fixed fault",
    "suspect",
)

#: Verdicts that let a device pass. A known fault that no longer fails does not: the list of faults must be put right.
PASSING = ("conforms", "not offered", "known fault", "suspect")


@dataclasses.dataclass
class Failure:
    """What a row of results failed at: one fault.

    Attributes
    ----------
    message : str
        The comparison that failed, or the error with its traceback.
    case : dict, optional
        The smallest case found: ``inputs`` (a text for each), ``attributes`` and ``dy``.
    bundle : str, optional
        The folder that reproduces it, relative to the report's.
    known : str, optional
        The identifier of the known fault that this is.
    explanation : str, optional
        One line on what the cases that show it have in common.
    verdict : str, optional
        The row's, if it had this fault alone; None where it is the row's.
    """

    message: str
    case: dict | None = None
    bundle: str | None = None
    known: str | None = None
    explanation: str | None = None
    verdict: str | None = None


@dataclasses.dataclass
class Row:
    """One operation in one direction, as one variant of the kernels where there are several.

    Attributes
    ----------
    operation : str
    direction : str
        One of ``DIRECTIONS``.
    variant : str, optional
    verdict : str
        One of ``VERDICTS``; "failed" raised an error.
    cases : int
        Cases that were run, without those of shrinking.
    worst_ratio : float
        Error divided by its bound. Infinity is where no error is allowed.
    worst_ulp : float
        Error in units in the last place of float32 at the exact answer, where terms did not cancel beyond 12 bits.
    worst_probable : float, optional
        Error divided by its probable bound; None where there is no such verdict, which is not that it conforms.
    random_cases : int
        Cases that were drawn for that, beside the others.
    seconds : float
    histogram : list of int
        For each bin of error / bound how many elements of results fell in it, ``BINS`` and one for those above 1.
    coverage : dict of str to int
        How many cases reached what a strategy is there to reach; 0 where none did. Of a row some of whose cases ended
        its process this, like the errors, is the last process's, and nothing where that was ended too.
    failure : Failure, optional
    further : list of Failure
        Faults that were found beside that.
    """

    operation: str
    direction: str
    variant: str | None = None
    verdict: str = "conforms"
    cases: int = 0
    worst_ratio: float = 0.0
    worst_ulp: float = 0.0
    worst_probable: float | None = None
    random_cases: int = 0
    seconds: float = 0.0
    histogram: list = dataclasses.field(default_factory=lambda: [0] * (BINS + 1))
    coverage: dict = dataclasses.field(default_factory=dict)
    failure: Failure | None = None
    further: list = dataclasses.field(default_factory=list)

    @property
    def failures(self):
        """All that it failed at."""
        return [self.failure, *self.further] if self.failure is not None else []

    @property
    def name(self):
        """Operation, direction and variant in one text, such as ``conv2d.backward (gpu)``."""
        return f"{self.operation}.{self.direction}" + (f" ({self.variant})" if self.variant else "")

    @property
    def passes(self):
        """Whether the verdict is one of ``PASSING``."""
        return self.verdict in PASSING

    @property
    def is_compared(self):
        """Whether any element of a result was held against its bound; what did not build has no error."""
        return self.verdict != "did not build" and any(self.histogram)


@dataclasses.dataclass
class DeviceReport:
    """One device, or one implementation, and what it did.

    Attributes
    ----------
    specification : str
        As ``--device`` takes it.
    name, platform, driver : str
        The last two are empty where there are none.
    versions : dict of str to str
        Versions of the runtime and of the libraries between.
    build_options : str
        Options that every kernel was compiled with, beside those of its own.
    denormals : bool, optional
        Whether float32 numbers below 2^-126 are kept; None where the subject does not say.
    rows : list of Row
    error : str, optional
        Why the device could not be tested, or no further than its rows.
    unusable : str, optional
        What it does wrong with the smallest kernel, so that it was not tested, or no further than the first row that
        fails.
    """

    specification: str
    name: str
    platform: str = ""
    driver: str = ""
    versions: dict = dataclasses.field(default_factory=dict)
    build_options: str = ""
    denormals: bool | None = None
    rows: list = dataclasses.field(default_factory=list)
    error: str | None = None
    unusable: str | None = None

    @property
    def fails(self):
        """Whether it could not be tested, or a row does not pass."""
        return self.error is not None or not all(row.passes for row in self.rows)

    @property
    def suspects(self):
        """The rows that are suspect."""
        return [row for row in self.rows if row.verdict == "suspect"]

    @property
    def conforms(self):
        """Whether every row passes and any case ran: where nothing was tested a device neither conforms nor fails."""
        return not self.fails and any(row.cases for row in self.rows)


@dataclasses.dataclass
class Report:
    """A whole run.

    Attributes
    ----------
    refcnn : str
        Version.
    date : str
        When the run began, ISO 8601 with its offset from UTC.
    host : dict of str to str
        System, processor and Python, without names of machines or people.
    seed : int
    profile : str
    examples : int
        Cases asked for in each row.
    devices : list of DeviceReport
    schema : int
        Version of the form of the file.
    """

    refcnn: str
    date: str
    host: dict
    seed: int
    profile: str
    examples: int
    devices: list = dataclasses.field(default_factory=list)
    schema: int = SCHEMA

    @property
    def conforms(self):
        """Whether a device conforms, and none fails."""
        return any(device.conforms for device in self.devices) and not any(device.fails for device in self.devices)

    def to_json(self):
        """Return dicts, lists, texts and numbers; in place of others than JSON has "infinity", "-infinity", "NaN"."""
        return _finite(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, entries):
        """Return the report of which :meth:`to_json` gave ``entries``.

        Raises
        ------
        ValueError
            If they have not the form of ``report.schema.json``.
        """
        check(entries, _schema())
        report = cls(**{**entries, "devices": [_device(device) for device in entries["devices"]]})
        # The schema only says what the text means.
        moment(report.date)
        return report

    def save(self, path):
        """Write the report as JSON, whole or not at all.

        Raises
        ------
        FileWriteError
        """
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(self.to_json(), indent=1, allow_nan=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path):
        """Read a report.

        Raises
        ------
        DataError
            If there is no such file, or it holds no report.
        """
        advice = "Leave it out, or write it again with refcnn conform --report."
        with reading(path, "a conformance report", DataError, advice):
            return cls.from_json(parse_json(read_plain(path)))


@functools.cache
def _schema():
    return json.loads((Path(__file__).parents[1] / "report.schema.json").read_text(encoding="utf-8"))


def moment(date):
    """Return the datetime of a report's date, in UTC where it does not say; ValueError if it is none."""
    found = datetime.datetime.fromisoformat(date)
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


def row_from_json(entries):
    """Return the Row of which ``dataclasses.asdict`` and JSON made ``entries``."""
    failure = entries["failure"]
    numbers = {name: float(entries[name]) for name in ("worst_ratio", "worst_ulp", "seconds")}
    if entries.get("worst_probable") is not None:
        numbers["worst_probable"] = float(entries["worst_probable"])
    further = [Failure(**one) for one in entries.get("further", ())]
    return Row(**{**entries, **numbers, "failure": failure and Failure(**failure), "further": further})


def _device(entries):
    return DeviceReport(**{**entries, "rows": [row_from_json(row) for row in entries["rows"]]})


def _finite(entry):
    if isinstance(entry, dict):
        return {key: _finite(value) for key, value in entry.items()}
    if isinstance(entry, list):
        return [_finite(value) for value in entry]
    if isinstance(entry, float) and not math.isfinite(entry):
        return "NaN" if math.isnan(entry) else "infinity" if entry > 0 else "-infinity"
    return entry

"""What came of replaying the list, what other runs say of the implementations, and what changed since the last time."""

import collections
import dataclasses
import json
from pathlib import Path

from ...errors import DataError
from ...files import atomic_write
from ...reading import COUNT, SEED, TEXT, check, field, parse_json, read_plain, reading, schema_of
from ...version import __version__
from ..reports.results import VERDICTS
from .entries import KINDS

FORMAT = "refcnn world 1"
#: What the list that comes with refcnn was found to be when it was last replayed.
LAST = Path(__file__).parent / "last.json"

_STRING = {"type": "string"}
_DATE = {"type": "string", "pattern": r"\A\d{4}-\d{2}-\d{2}"}
_NAMES = {"type": "array", "items": TEXT}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of replaying one entry.

    Attributes
    ----------
    id, implementation, version, kind : str
        As the list had them.
    date : str
        On which it was replayed.
    verdict : str
        Of the row.
    reproduced : bool
        Whether the verdict is that of such a fault.
    computed, exact : str
        The first result that is wrong; of an error what it says.
    """

    id: str = field(TEXT)
    implementation: str = field(TEXT)
    version: str = field(TEXT)
    kind: str = field({"enum": KINDS})
    date: str = field(_DATE)
    verdict: str = field(TEXT)
    reproduced: bool = field({"type": "boolean"})
    computed: str = field(_STRING)
    exact: str = field(_STRING)


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run of ``refcnn conform`` says of an implementation: the rows with each verdict.

    Attributes
    ----------
    device : str
        As ``--device`` takes it.
    version : str
        Empty where the implementation does not say it.
    date : str
    examples, seed : int
    verdicts : dict of str to list of str
    """

    device: str = field(TEXT)
    version: str = field(_STRING)
    date: str = field(_DATE)
    examples: int = field(COUNT)
    seed: int = field(SEED)
    verdicts: dict = field({"type": "object", "additionalProperties": _NAMES})

    @classmethod
    def all_of(cls, report):
        """Yield those of a :class:`~refcnn.conformance.reports.results.Report`."""
        for device in report.devices:
            if device.rows:
                verdicts = collections.defaultdict(list)
                for row in device.rows:
                    verdicts[row.verdict].append(row.name)
                verdicts = {name: verdicts[name] for name in sorted(verdicts, key=_place)}
                about = device.specification, device.driver, report.date[:10]
                yield cls(*about, report.examples, report.seed, verdicts)


def _place(verdict):
    return VERDICTS.index(verdict) if verdict in VERDICTS else len(VERDICTS)


@dataclasses.dataclass(frozen=True)
class World:
    """What is known at one time.

    Attributes
    ----------
    outcomes : dict of str to Outcome
        By the entries' identifiers.
    runs : dict of str to Run
        The last one of each device.
    """

    outcomes: dict = dataclasses.field(default_factory=dict)
    runs: dict = dataclasses.field(default_factory=dict)

    def with_outcomes(self, implementation, outcomes):
        """Return this with what came of replaying one implementation, in place of what was known of it."""
        others = {key: one for key, one in self.outcomes.items() if one.implementation != implementation}
        return dataclasses.replace(self, outcomes=others | {one.id: one for one in outcomes})

    def with_report(self, report):
        """Return this with what a report says."""
        return dataclasses.replace(self, runs=self.runs | {run.device: run for run in Run.all_of(report)})

    def save(self, path):
        """Write it as JSON, whole or not at all, what is alike in the same order."""
        entries = {
            "format": FORMAT,
            "refcnn": __version__,
            "outcomes": [dataclasses.asdict(one) for _, one in sorted(self.outcomes.items())],
            "runs": [dataclasses.asdict(one) for _, one in sorted(self.runs.items())],
        }
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(entries, indent=1, allow_nan=False) + "\n", encoding="utf-8")


_SCHEMA = {
    "type": "object",
    "properties": {
        "format": {"const": FORMAT},
        "refcnn": TEXT,
        "outcomes": {"type": "array", "items": schema_of(Outcome)},
        "runs": {"type": "array", "items": schema_of(Run)},
    },
    "required": ["format", "refcnn", "outcomes", "runs"],
    "additionalProperties": False,
}


def load(path=LAST):
    """Return the World that a file holds.

    Raises
    ------
    DataError
        If there is none, or it is something else.
    """
    with reading(path, "what a list of faults was found to be", DataError, "Take one that conform --world wrote."):
        content = parse_json(read_plain(path))
        check(content, _SCHEMA)
        outcomes = [Outcome(**entry) for entry in content["outcomes"]]
        return World({one.id: one for one in outcomes}, {one["device"]: Run(**one) for one in content["runs"]})


@dataclasses.dataclass(frozen=True)
class Change:
    """What is otherwise than the last time: of one entry.

    Attributes
    ----------
    what : str
        ``new``, ``gone`` or ``changed``.
    id, implementation : str
    text : str
        What there was and what there is.
    """

    what: str
    id: str
    implementation: str
    text: str


def compare(last, now):
    """Return the Changes from one World to another: what is new, what is gone, and what is otherwise."""
    return [
        change
        for identifier in sorted(last.outcomes.keys() | now.outcomes.keys())
        if (change := _change(last.outcomes.get(identifier), now.outcomes.get(identifier))) is not None
    ]


def _change(before, after):
    stood, stands = before is not None and before.reproduced, after is not None and after.reproduced
    one = after or before
    if stands and not stood:
        text = f"{after.kind} in {after.version}" + ("" if before is None else ", which did not reproduce")
        return Change("new", one.id, one.implementation, text)
    if stood and not stands:
        how = "is no longer listed" if after is None else f"{after.version}: {after.verdict}"
        return Change("gone", one.id, one.implementation, f"{before.kind} in {before.version}; {how}")
    names = ("version", "kind", "verdict", "computed", "exact")
    # What is not deterministic computes other numbers each time.
    if stands and after.verdict == before.verdict == "not deterministic":
        names = ("version", "kind")
    changed = [name for name in names if stands and getattr(before, name) != getattr(after, name)]
    if not changed:
        return None
    text = "; ".join(f"{name} {getattr(before, name)} before, {getattr(after, name)} now" for name in changed)
    return Change("changed", one.id, one.implementation, text)

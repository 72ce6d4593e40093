"""What the rows of a report failed at, those alike together: a compiler that refuses everything is one failure."""

import dataclasses
import re

from .matrix import Key
from .results import DeviceReport, Failure, Row

#: What differs between messages of one failure to build: options, paths, kernels' files, and numbers, in this order.
_OF_ONE_BUILD = (r"(?<!\S)-[\w-]+(=\S*)?", r"\S*[/\\]\S*", r"\S+\.cl\b", r"\d+")
#: Of a traceback what stands before the place that raised: by which way it was called.
_ON_THE_WAY = re.compile(r"\A.*(?=^\s*File \")", re.DOTALL | re.MULTILINE)
#: Verdicts whose messages are of a device rather than of an operation.
_OF_A_BUILD, _OF_A_PROCESS = ("did not build",), ("failed", "crashed", "hung")


@dataclasses.dataclass(frozen=True)
class Failing:
    """One fault of a row, or that there is more to tell of it.

    Attributes
    ----------
    column : int
        Of the device on the page.
    device : DeviceReport
    row : Row
    failure : Failure or None
    date, driver : str or None
        Of the report it is from, where the page has several.
    """

    column: int
    device: DeviceReport
    row: Row
    failure: Failure | None
    date: str | None = None
    driver: str | None = None

    @classmethod
    def all_of(cls, column, device, row, date=None, driver=None):
        """Yield what there is to tell of a row beside its numbers."""
        for failure in row.failures or ([] if row.passes else [None]):
            yield cls(column, device, row, failure, date, driver)

    @property
    def message(self):
        """What it failed at."""
        return "The run left no message." if self.failure is None else self.failure.message

    @property
    def verdict(self):
        """The row's, if it failed at this alone."""
        return self.failure and self.failure.verdict or self.row.verdict

    @property
    def likeness(self):
        """Return what those have in common that are shown as one."""
        device, row = self.device, self.row
        known = None if self.failure is None else self.failure.known
        # What is known is so of one operation on one device.
        if known is not None or row.passes:
            return self.column, Key.of(row), known
        text = self.message
        names = [device.name, device.specification]
        if self.verdict in (*_OF_A_BUILD, *_OF_A_PROCESS):
            names += [row.name, row.operation]
            text = _ON_THE_WAY.sub("", text)
        for name in sorted(filter(None, names), key=len, reverse=True):
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "…", text)
        for pattern in _OF_ONE_BUILD if self.verdict in _OF_A_BUILD else ():
            text = re.sub(pattern, "…", text)
        return self.verdict, text


@dataclasses.dataclass(frozen=True)
class Group:
    """Rows that failed alike.

    Attributes
    ----------
    anchor : str
        The identifier of the place on the page that speaks of them.
    members : list of Failing
    """

    anchor: str
    members: list

    @property
    def first(self):
        """The member whose message is shown for all."""
        return self.members[0]

    @property
    def devices(self):
        """(device, the names of its members by operation) of each column: a list of (operation, details)."""
        found = {}
        for member in self.members:
            key = Key.of(member.row)
            _, operations = found.setdefault(member.column, (member.device, {}))
            operations.setdefault(key.operation, []).append(key.detail)
        return [(device, list(operations.items())) for device, operations in found.values()]


@dataclasses.dataclass(frozen=True)
class Failures:
    """All that a page tells of failures.

    Attributes
    ----------
    groups : list of Group
        In the order in which they are met.
    """

    groups: list

    @classmethod
    def of(cls, found):
        """Return what is to be told of some Failings."""
        alike = {}
        for failing in found:
            alike.setdefault(failing.likeness, []).append(failing)
        return cls([Group(f"failure-{index}", members) for index, members in enumerate(alike.values())])

    @property
    def faults(self):
        """The groups for which a device does not pass."""
        return [group for group in self.groups if not group.first.row.passes]

    @property
    def suspects(self):
        """The groups of what is only suspect."""
        return [group for group in self.groups if group.first.row.passes and group.first.verdict == "suspect"]

    def known(self, column):
        """Return the groups of a column for which it passes nevertheless."""
        passing = [group for group in self.groups if group.first.row.passes and group.first.column == column]
        return [group for group in passing if group.first.verdict != "suspect"]

    def anchor(self, column, row):
        """Return the identifier of the place that speaks of a row of a column; None where nothing is to be told."""
        return next(
            (group.anchor for group in self.groups for one in group.members if one.column == column and one.row is row),
            None,
        )

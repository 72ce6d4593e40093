"""The list as numbers and as a page: what stands, what does not reproduce, and what changed."""

import collections
import dataclasses

from ..reports.html import write_page
from ..theory.strategies import describe
from .entries import DIFFERS, KINDS

#: The kinds that count.
FAULTS = KINDS[:-1]
_KINDS = {kind: kind for kind in KINDS} | {"crash": "crashes"}


@dataclasses.dataclass(frozen=True)
class Entry:
    """A fault with what came of replaying it, an Outcome or None."""

    fault: object
    outcome: object

    @property
    def stands(self):
        """Whether it was reproduced."""
        return self.outcome is not None and self.outcome.reproduced

    @property
    def case(self):
        """The smallest case as text, an argument on each line."""
        case = self.fault.case
        lines = [f"input {number}: {describe(entry)}" for number, entry in enumerate(case.inputs)]
        lines += [f"{name} = {value!r}" for name, value in case.attributes.items()]
        return "\n".join([*lines, *([f"dy: {describe(case.dy)}"] if case.dy is not None else [])])


@dataclasses.dataclass(frozen=True)
class Standing:
    """An implementation of the list, with its entries.

    Attributes
    ----------
    listed : refcnn.conformance.world.entries.Implementation
    entries : list of Entry
    run : Run or None
        What ``refcnn conform`` said of all its operations.
    """

    listed: object
    entries: list
    run: object

    @property
    def name(self):
        """As people know it."""
        return self.listed.name

    @property
    def version(self):
        """The version that is listed."""
        return self.listed.version

    @property
    def standing(self):
        """The entries that were reproduced."""
        return [entry for entry in self.entries if entry.stands]

    @property
    def counts(self):
        """How many of each kind were reproduced."""
        return collections.Counter(entry.fault.kind for entry in self.standing)

    @property
    def faults(self):
        """The entries that are faults and were reproduced."""
        return [entry for entry in self.standing if entry.fault.is_counted]

    @property
    def differing(self):
        """The entries that are reproduced and no fault."""
        return [entry for entry in self.standing if not entry.fault.is_counted]

    @property
    def missing(self):
        """The entries that were not reproduced."""
        return [entry for entry in self.entries if not entry.stands]

    @property
    def date(self):
        """The date of the last replay; None if there was none."""
        return max((entry.outcome.date for entry in self.entries if entry.outcome), default=None)


@dataclasses.dataclass(frozen=True)
class Overview:
    """All of it.

    Attributes
    ----------
    implementations : list of Standing
    changes : list of Change
    """

    implementations: list
    changes: list
    kinds = KINDS
    differs = DIFFERS

    @classmethod
    def of(cls, listed, world, changes):
        """Return that of a list, a World, and the changes since the last one."""
        implementations = []
        for one in listed:
            entries = [Entry(fault, _outcome(world, one, fault)) for fault in one.faults]
            implementations.append(Standing(one, entries, _run(world, one, listed)))
        return cls(implementations, changes)

    @property
    def counts(self):
        """How many of each kind were reproduced, over all."""
        return sum((one.counts for one in self.implementations), collections.Counter())

    @property
    def sentence(self):
        """What there is, in a sentence."""
        faulty = [one for one in self.implementations if one.faults]
        kinds = ", ".join(f"{_KINDS[kind]} {self.counts[kind]}" for kind in FAULTS)
        return (
            f"Faults: {sum(len(one.faults) for one in faulty)}, of {len(faulty)} implementations ({kinds}). "
            f"Answers that differ and are no faults: {self.counts[DIFFERS]}."
        )


def _outcome(world, implementation, fault):
    """Return what came of replaying an entry, if it was of this version and kind."""
    found = world.outcomes.get(fault.id)
    alike = found is not None and (found.version, found.kind) == (implementation.version, fault.kind)
    return found if alike else None


def _run(world, implementation, listed):
    """Return what a run says of an implementation, if it is not of another version that is listed, too."""
    run = world.runs.get(implementation.device)
    others = [one.version for one in listed if one.device == implementation.device and one != implementation]
    return None if run is None or run.version.startswith(tuple(others)) else run


def render(overview, path):
    """Write the page, whole or not at all.

    Parameters
    ----------
    overview : Overview
    path : str or os.PathLike

    Raises
    ------
    FileWriteError
    """
    write_page("world.html.jinja", path, world=overview)

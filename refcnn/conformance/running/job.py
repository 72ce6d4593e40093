"""What a process is to run: one row of a subject, or what is left of it."""

import dataclasses

from .explaining import Description, Term

#: What the names of files have, behind that of each case and before a number, of cases that pass and of others.
PASSED, FAILED = ".passed.", ".failed."


@dataclasses.dataclass
class Before:
    """What came of the processes that a row had before, each of which a case ended.

    Attributes
    ----------
    cases : int
        That were run.
    passed, ended : sequence of str
        Files of some cases that pass, and of those that ended a process.
    faults : sequence of (str, str)
        Files of the cases that showed faults, and what was said of them.
    such : sequence of Description
        Of cases that end a process.
    known : sequence of str
        The identifiers of known faults that do.
    saved : int
        Bundles of the row that are not this process's.
    """

    cases: int = 0
    passed: tuple = ()
    ended: tuple = ()
    faults: tuple = ()
    such: tuple = ()
    known: tuple = ()
    saved: int = 0

    @classmethod
    def from_json(cls, entries):
        """Return that of which ``dataclasses.asdict`` and JSON made ``entries``."""
        such = [Description(tuple(Term(**term) for term in one["terms"])) for one in entries["such"]]
        return cls(**{**entries, "such": such})


@dataclasses.dataclass
class Job:
    """What to run.

    Attributes
    ----------
    operation, direction : str
    variant : str or None
    examples, seed : int
    sizes : sequence of str
        Keys of :data:`refcnn.conformance.theory.sizes.LIMITS` to draw from; :mod:`.searching` says of which only few.
    case_file : str
        Where each case is written before it runs; beside it those that show faults, and the last ones that were drawn.
    bundle : str, optional
        The folder to make where a case fails; beside it those of further faults.
    case : str, optional
        A saved case to run, in place of drawn ones.
    killed : str, optional
        How running ``case`` ended a former process: it is not run again, only its bundle is written.
    known : str, optional
        The identifier of the known fault that this is.
    before : Before
        After which the row goes on, without cases that are like those that ended it.
    """

    operation: str
    direction: str
    variant: str | None
    examples: int
    seed: int
    sizes: tuple
    case_file: str
    bundle: str | None = None
    case: str | None = None
    killed: str | None = None
    known: str | None = None
    before: Before = dataclasses.field(default_factory=Before)

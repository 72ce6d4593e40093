"""The faults that one row's cases show: which failure is another one, and what the cases of each have in common.

After a failure the search goes on among the cases that it does not explain. What was drawn before and after tells
whether the description of a fault is true; where it is not, another takes its place, and two faults that one
description explains are one.
"""

import collections
import dataclasses
import functools

from ...errors import KernelBuildError
from ..judging import comparison, repetition, suspecting
from .explaining import Describing, Evidence
from .features import features, same_as

#: Faults that are told apart in a row, and failures that are shrunk to find them.
MOST, _MOST_SHRUNK = 5, 8
#: Where so many cases fail, and none passes or fails otherwise, all do.
_ALWAYS = 20
#: Drawn cases that a description must be true of to be tested by them.
ENOUGH = 5
#: Cases that pass are kept, to be looked at if any fails: so many, of so many bytes together.
_KEPT, _KEPT_BYTES = 300, 2**26
#: Of the cases that were met while one failure was shrunk the last ones count, and of all the last ones.
_NEAR, _MOST_EVIDENCE = 200, 2000


#: The kind of what has other bits when it is computed again.
NOT_DETERMINISTIC = "not deterministic"


class Ended(Exception):
    """A case ended the process that computed it, or held it up beyond its limit.

    Parameters
    ----------
    verdict : str
        ``crashed`` or ``hung``.
    """

    def __init__(self, verdict):
        super().__init__(verdict)
        self.verdict = verdict


@dataclasses.dataclass(eq=False)
class Fault:
    """A fault.

    Attributes
    ----------
    case : Case
        The smallest that shows it.
    error : Exception
    message : str
    is_stable : bool
        Whether it failed each time.
    description : Description or None
        Of the cases that show it, if one was found.
    kind : str
        As :func:`kind_of` says of the error that was found first.
    """

    case: object
    error: Exception
    message: str
    is_stable: bool = True
    description: object = None

    def __post_init__(self):
        self.kind = kind_of(self.error)

    @property
    def verdict(self):
        """The verdict on a row that has it."""
        if not self.is_stable or isinstance(self.error, repetition.NotDeterministic):
            return "not deterministic"
        if isinstance(self.error, Ended):
            return self.error.verdict
        if isinstance(self.error, suspecting.Suspect):
            return "suspect"
        if isinstance(self.error, comparison.ConformanceFailure):
            return "wrong"
        return "did not build" if isinstance(self.error, KernelBuildError) else "failed"


def kind_of(error):
    """Return what tells failures apart that have another cause for certain: numbers are wrong, or where it was raised.

    What differs from one time to the next is told apart from what is wrong each time.
    """
    if isinstance(error, repetition.NotDeterministic):
        return NOT_DETERMINISTIC
    if isinstance(error, Ended):
        return error.verdict
    if isinstance(error, comparison.ConformanceFailure):
        return "wrong"
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    place = "" if last is None else f" at {last.tb_frame.f_code.co_filename}:{last.tb_lineno}"
    return f"{type(error).__name__}{place}"


class Faults:
    """The faults of one row.

    Parameters
    ----------
    operation, direction : str
    takes_long : callable
        Is called before anything that takes longer than a case.

    Attributes
    ----------
    found : list of Fault
        In the order in which they were found.
    """

    def __init__(self, operation, direction, takes_long=lambda: None):
        self.found = []
        self._takes_long = takes_long
        self._features = functools.partial(features, operation, direction)
        self._same_as = functools.partial(same_as, direction)
        self._waiting, self._waiting_bytes = collections.deque(), 0
        self._evidence, self._near = collections.deque(maxlen=_MOST_EVIDENCE), collections.deque(maxlen=_NEAR)
        self._shrunk = self._surprises = 0
        self._noted = set()
        # Kinds of which two failures were shrunk that no description explains.
        self._given_up = set()

    @property
    def is_full(self):
        """Whether no others are looked for: there are many, or nothing else happens."""
        return len(self.found) >= MOST or self._shrunk >= _MOST_SHRUNK or any(map(self._is_always, self.found))

    @property
    def has_passing(self):
        """Whether any case passes that was noted, drawn or not."""
        return bool(self._waiting) or any(one.kind is None for one in (*self._evidence, *self._near))

    def _is_always(self, fault):
        if fault.verdict == "did not build":
            return True
        drawn = [one for one in self._evidence if one.is_drawn]
        return len(drawn) >= _ALWAYS and all(one.kind == fault.kind for one in drawn)

    def passed(self, case, is_drawn=True, is_repeated=True):
        """Note a case that passes, and whether it was computed twice."""
        if self.found or not is_drawn:
            self._note(case, Evidence(self._features(case), None, is_drawn, is_repeated))
            return
        self._waiting.append((case, is_repeated))
        self._waiting_bytes += _size(case)
        while len(self._waiting) > _KEPT or self._waiting_bytes > _KEPT_BYTES:
            self._waiting_bytes -= _size(self._waiting.popleft()[0])

    def failed(self, case, error, is_drawn=True, origin=None):
        """Note a case that fails, drawn in some search, and return whether no fault explains it."""
        found, kind = self._features(case), kind_of(error)
        self._note(case, Evidence(found, kind, is_drawn, origin=origin))
        if self._explains(found, kind):
            return False
        if is_drawn and self.found:
            # What is known by now may describe a fault better.
            self._describe()
            return not self._explains(found, kind)
        return True

    def add(self, fault):
        """Add a fault, whose failure was shrunk: from then on cases that it explains are no others."""
        self._shrunk += 1
        while self._waiting:
            case, is_repeated = self._waiting.popleft()
            self._note(case, Evidence(self._features(case), None, True, is_repeated))
        self._evidence += self._near
        self._near.clear()
        self.found.append(fault)
        self._describe()

    @property
    def untested(self):
        """The descriptions that are true of few drawn cases."""
        drawn = [one.found for one in self._evidence if one.is_drawn]
        descriptions = [fault.description for fault in self.found if fault.description is not None]
        return [one for one in descriptions if sum(map(one.holds, drawn)) < ENOUGH]

    @property
    def unexplained(self):
        """The searches in which a case failed that seemed explained, by what turned out not to be true of it."""
        found = [one for one in self._evidence if one.kind is not None and one.is_drawn and one.origin is not None]
        return list(dict.fromkeys(one.origin for one in found if not self._explains(one.found, one.kind)))

    def is_true(self, description, case):
        """Return whether a description is true of a case, of which many may be drawn for one that is run."""
        self._takes_long()
        return description.holds(self._features(case))

    def describes(self, case):
        """Return whether the description of any fault is true of a case."""
        return any(self.is_true(one.description, case) for one in self.found if one.description is not None)

    def line(self, fault):
        """Return in one line what the cases have in common that show a fault, and how many cases that rests on."""
        others = [one.description for one in self.found if one is not fault and one.description is not None]
        such, rest = [], []
        for one in self._counting(fault.kind, is_drawn=True):
            if fault.description is not None and fault.description.holds(one.found):
                such.append(one)
            elif not any(other.holds(one.found) for other in others):
                rest.append(one)
        failing, also = (sum(one.kind is not None for one in some) for some in (such, rest))
        if fault.description is None or also > failing:
            return f"In common: nothing that was looked for. {failing + also} of {len(such + rest)} cases fail."
        beside = f", and {also} of {len(rest)} others" if rest else ""
        return f"In common: {fault.description}. {failing} of {len(such)} such cases fail{beside}."

    def _note(self, case, evidence):
        """Keep what a case shows, if it shows anything that is new."""
        key = self._same_as(case), evidence.kind, evidence.is_drawn, evidence.is_repeated
        if key in self._noted:
            return
        self._noted.add(key)
        if not evidence.is_drawn:
            self._near.append(evidence)
            return
        self._evidence.append(evidence)
        if evidence.kind is None and any(
            fault.description is not None and fault.description.holds(evidence.found) for fault in self.found
        ):
            # At the first ones, then less and less often: each takes as long as some cases.
            self._surprises += 1
            if self._surprises & (self._surprises - 1) == 0:
                self._describe()

    def _explains(self, found, kind):
        return kind in self._given_up or any(
            fault.kind == kind and fault.description is not None and fault.description.holds(found)
            for fault in self.found
        )

    def _counting(self, kind, is_drawn=False):
        """Return the evidence on failures of a kind: what passes, and what fails so."""
        return [
            one
            for one in self._evidence
            if one.kind in (None, kind)
            and (one.is_drawn or not is_drawn)
            # Of what was computed once nothing is known.
            and (one.is_repeated or kind != NOT_DETERMINISTIC)
        ]

    def _describe(self):
        """Describe all faults anew, and make one of those that one description explains."""
        self._takes_long()
        for kind in dict.fromkeys(fault.kind for fault in self.found):
            describing = Describing(self._counting(kind))
            distinct = []
            for fault in [fault for fault in self.found if fault.kind == kind]:
                smallest = self._features(fault.case)
                fault.description = describing.best([smallest])
                if not any(self._are_one(describing, other, fault, smallest) for other in distinct):
                    distinct.append(fault)
            self.found = [fault for fault in self.found if fault.kind != kind or fault in distinct]

    def _are_one(self, describing, fault, other, smallest):
        """Return whether one description explains two faults as well as two do; the first has it then."""
        if fault.description is None or other.description is None:
            is_one = fault.description is other.description
            self._given_up |= {fault.kind} if is_one else set()
            return is_one
        if fault.description.holds(smallest):
            return True
        both = describing.best([self._features(fault.case), smallest])
        if both is None or describing.cost([both]) > describing.cost([fault.description, other.description]):
            return False
        fault.description = both
        return True


def _size(case):
    return sum(entry.nbytes for entry in case.arrays)

"""One job on one subject: cases are drawn and judged, those that fail are shrunk, and their bundles are saved."""

import contextlib
import dataclasses
import functools
import time
import traceback
from collections import Counter
from pathlib import Path

import hypothesis
import numpy as np
from hypothesis import strategies as st

from ...errors import KernelBuildError, RefcnnError
from ..bundles.case_file import read_case, write_case
from ..judging import comparison, composition, judge, repetition, suspecting
from ..reports.results import Failure, Row
from ..subjects import base, implementation
from ..subjects import finding as subjects
from ..theory import hypothesis_folder
from . import coverage, known_faults
from .faults import ENOUGH, NOT_DETERMINISTIC, Fault, Faults
from .features import same_as
from .job import FAILED, PASSED
from .saving import not_saved, numbered, save_bundle, summary
from .searching import Search, left_of, searches, searches_of_random

#: One case of so many is computed twice, unless the subject does so with all.
REPEATED = 5

#: So many drawn cases stay on the disk, of so many bytes each, to be held against one that ends the process.
_KEPT, _KEPT_BYTES = 100, 2**20
#: What stands before what was found once.
_NOT_EACH_TIME = "This failure is not the same each time that the case runs.\n"

#: After a fault was found so many cases at least are drawn, which show whether it is described as it is.
_TESTED = 50
#: Searches that are made again, where a case in them failed that turned out not to be explained.
_MOST_AGAIN = 3
#: So many cases may be run to find the smallest that shows a further fault.
_MOST_STEPS = 1000

#: Characters of a report on one case that are shown; its beginning tells the most.
_REPORT_CHARACTERS = 3000
#: Characters of what an implementation raised that are kept.
_MESSAGE_CHARACTERS = 20_000


class _Stop(BaseException):
    """Ends a run of Hypothesis at once: there is nothing to shrink."""


class Run:
    """One job on one subject.

    Parameters
    ----------
    specification : str
    job : Job
    report : callable
        Is given a dict before each case, and before a bundle is written.
    """

    def __init__(self, specification, job, report):
        self.job, self._report = job, report
        self.row = Row(job.operation, job.direction, job.variant)
        self.subject = subjects.find(specification, job.variant)
        _, self._followers = composition.split(job.variant)
        self._statistics = comparison.Statistics()
        self._coverage = Counter()
        self._calls, self._steps, self._origin = 0, 0, None
        # The case that is shrunk, its error and what to say of it.
        self._failed = None
        self._suspect = None
        self._faults = Faults(job.operation, job.direction, lambda: report({"event": "saving"}))
        self._known = known_faults.watch(self.subject.description, job.operation, job.direction, job.variant)
        self.row.cases = job.before.cases
        self._ended = {same_as(job.direction, read_case(path)[3]) for path in job.before.ended}
        # What the name of the file of the last case is to have, if it is to be kept.
        self._kept = None

    def run(self):
        """Run all cases and return the row, with a bundle written where one failed."""
        if not self.subject.offers(self.job.operation, self.job.direction):
            self.row.verdict = "not offered"
            return self.row
        start = time.perf_counter()
        if self.job.killed is not None:
            case = read_case(self.job.case)[3]
            self._report({"event": "saving"})
            save_bundle(self.job, case, self.subject, self.job.killed, execute=False, known=self.job.known)
            return self.row
        if self.job.case is not None:
            self._run_saved()
        else:
            with hypothesis_folder.in_the_cache():
                self._search()
        self.row.worst_ratio, self.row.worst_ulp = self._statistics.worst_ratio, self._statistics.worst_ulp
        self.row.worst_probable = self._statistics.worst_probable
        self.row.histogram, self.row.coverage = self._statistics.histogram, dict(sorted(self._coverage.items()))
        self.row.coverage |= self.subject.left_out
        if self._faults.found:
            self._describe_faults()
        elif self._known.seen or self.job.case is None and self._known.fixed():
            self._describe_known_faults()
        elif not self.row.cases and not self.row.random_cases:
            self.row.verdict = "not offered"
        if self._suspect is not None:
            self._describe_suspect()
        self.row.seconds = time.perf_counter() - start
        return self.row

    def _run_saved(self):
        """Run the saved case; what goes wrong with anything but the case is no verdict on it."""
        case = with_gradient(self.job.operation, read_case(self.job.case)[3])
        try:
            self._check(case, with_target=False)
        except (Exception, _Stop):
            if self._failed is None:
                raise
        self._keep_fault()

    def _search(self):
        """Draw all cases; where one fails that no fault explains, it shows another one, and the search goes on."""
        plan = searches(self.job)
        self._find_again()
        last_at = self._search_all(left_of(plan, self.job.before.cases))
        untested = min(_TESTED, self.job.examples) - (self.row.cases - last_at)
        if self._faults.found and untested > 0:
            self._search_all([dataclasses.replace(plan[0], seed=f"{self.job.seed} more", examples=untested)])
        self._search_all(self._faults.unexplained[:_MOST_AGAIN])
        for number, description in enumerate(self._faults.untested):
            cases = st.one_of(plan[0].drawn).filter(functools.partial(self._faults.is_true, description))
            search = Search((cases,), f"{self.job.seed} such {number}", ENOUGH)
            self._search_all([search])
        # What the proved bound hides is looked for where nothing is wrong by it.
        random = [] if self._faults.found else searches_of_random(self.job)
        any(map(self._finds_fault, random))

    def _find_again(self):
        """Find the faults that a former process found, which would not be drawn again."""
        for path in self.job.before.passed:
            self._faults.passed(read_case(path)[3], is_repeated=False)
        for path, message in self.job.before.faults:
            case = read_case(path)[3]
            try:
                self._check(case, with_target=False)
            except (Exception, _Stop):
                if self._failed is None:
                    raise
            is_stable = self._failed is not None
            if not is_stable and not self._faults.describes(case):
                message = _NOT_EACH_TIME + message.removeprefix(_NOT_EACH_TIME)
                self._failed = case, comparison.ConformanceFailure(message), message
            self._keep_fault(is_stable)

    def _search_all(self, plan):
        """Run searches while faults are looked for; return after how many cases the last one was found."""
        plan, last_at = list(plan), self.row.cases
        while plan and not self._faults.is_full:
            search, before = plan.pop(0), self.row.cases
            if self._finds_fault(search):
                last_at = self.row.cases
                plan[:0] = search.rest(last_at - before, last_at)
        return last_at

    def _finds_fault(self, search):
        """Run a search and return whether it found another fault, which is kept."""
        self._failed, self._steps, self._origin = None, 0, search
        is_stable = True
        # What failed is kept by _check. Hypothesis adds that a failure is not the same each time, if so.
        try:
            search.run(self._check_drawn)
        except hypothesis.errors.Unsatisfiable:
            # The subject can be asked none of these few cases, or none is soon drawn of which a description is true.
            return False
        except hypothesis.errors.Flaky:
            if self._failed is None:
                raise
            case, error, message = self._failed
            self._failed = case, error, _NOT_EACH_TIME + message
            is_stable = False
        except (Exception, _Stop):
            if self._failed is None:
                raise
        return self._keep_fault(is_stable)

    def _keep_fault(self, is_stable=True):
        """Make a fault of what failed and was shrunk, if anything did, and return whether there is one."""
        if self._failed is None:
            return False
        case, error, message = self._failed
        self._failed = None
        fault = Fault(case, error, message, is_stable)
        self._compute_again(fault)
        if isinstance(fault.error, suspecting.Suspect):
            self._suspect = fault
            return True
        self._faults.add(fault)
        if self.job.case is None and fault in self._faults.found:
            self._tell(fault)
        return True

    def _tell(self, fault):
        """Tell of a fault, which stands even if a case ends this process."""
        path = f"{self.job.case_file}.{self._calls}.npz"
        write_case(path, self.job.operation, self.job.direction, self.job.variant, fault.case)
        failure = Failure(fault.message, summary(fault.case), verdict=fault.verdict)
        self._report({"event": "fault", "failure": dataclasses.asdict(failure), "case": path})

    def _check_drawn(self, case):
        """Check a case, unless it is like one that ended a former process."""
        if (
            same_as(self.job.direction, case) in self._ended
            or self._known.leaves_out(case, self.job.before.known)
            or any(self._faults.is_true(one, case) for one in self.job.before.such)
        ):
            hypothesis.reject()
        self._check(case)

    def _check(self, case, with_target=True):
        job, is_drawn = self.job, self._failed is None
        is_counted, is_repeated = is_drawn, self._is_repeated()
        self._calls += 1
        self._steps += not is_drawn
        if self._steps > _MOST_STEPS and self._faults.found:
            raise _Stop
        self._make_way()
        write_case(job.case_file, job.operation, job.direction, job.variant, case)
        self._report({"event": "case", "cases": self.row.cases, "slow": self._calls <= 3})
        try:
            # Those of shrinking are not counted: they would hide how many it took.
            statistics = self._statistics if is_drawn else comparison.Statistics()
            worst = self._judge(case, statistics, twice=is_repeated)
            self._faults.passed(case, is_drawn, is_repeated)
            self._kept = PASSED if is_drawn else None
        except (base.NotExpressible, composition.NoSuchResult):
            is_counted = False
            if with_target:
                hypothesis.reject()
            return
        except Exception as error:
            self._kept = FAILED if is_drawn else None
            message, difference = describe(error), getattr(error, "difference", float("inf"))
            if self._known.explain(case, (error, message), difference) is not None:
                return
            if not (isinstance(error, suspecting.Suspect) or self._faults.failed(case, error, is_drawn, self._origin)):
                return
            self._failed = case, error, message
            if isinstance(error, KernelBuildError):
                raise _Stop from error
            raise
        finally:
            if is_counted:
                self._count(case, with_target)
        if with_target:
            hypothesis.target(worst, label="error / bound")

    def _make_way(self):
        """Keep or remove the file of the last case.

        Where a file takes the place of another one ext4 sends it to the disk at once, which takes longer than a case.
        """
        path, kept = Path(self.job.case_file), self._kept
        self._kept = None
        if kept is not None and path.stat().st_size <= _KEPT_BYTES:
            place = Path(f"{path}{kept}{self._calls % _KEPT}.npz")
            place.unlink(missing_ok=True)
            path.rename(place)
        else:
            path.unlink(missing_ok=True)

    def _judge(self, case, statistics, *, twice):
        job = self.job
        check = judge.check_forward if job.direction == "forward" else judge.check_backward
        with self._watched(case):
            return check(
                job.operation,
                composition.followed(case, self._followers),
                self.subject,
                statistics=statistics,
                to_the_bit=judge.is_exact(job.operation, case),
                followers=self._followers,
                twice=twice,
            )

    def _is_repeated(self):
        """Return whether the case that comes is computed twice: some, and all that are to be as one that failed so."""
        if self.subject.is_simulator or self.subject.compares_runs:
            # It says itself what is read that nobody wrote.
            return False
        if any(fault.kind == NOT_DETERMINISTIC for fault in self._faults.found) or self._origin is None:
            # It was saved, or shows a fault that was found before.
            return True
        if self._failed is not None:
            return isinstance(self._failed[1], repetition.NotDeterministic)
        return (self.row.cases + self.row.random_cases) % REPEATED == 0

    def _compute_again(self, fault):
        """Ask of the smallest case that is wrong, too, whether it is so each time."""
        of_numbers = comparison.ConformanceFailure, suspecting.Suspect
        if type(fault.error) not in of_numbers or self.subject.is_simulator:
            return
        try:
            self._judge(fault.case, comparison.Statistics(), twice=not self.subject.compares_runs)
            fault.is_stable = False
        except repetition.NotDeterministic as error:
            fault.error, fault.message = error, f"{fault.message}\n{error}"
        except comparison.ConformanceFailure:
            return
        except Exception:
            fault.is_stable = False

    def _count(self, case, with_target):
        self._known.ran(case)
        if case.random_signs and self.job.case is None:
            self.row.random_cases += 1
            return
        self.row.cases += 1
        for edge, is_reached in coverage.edges(self.job.operation, case).items():
            self._coverage[edge] += is_reached
            if is_reached and with_target:
                hypothesis.event(edge)

    @contextlib.contextmanager
    def _watched(self, case):
        """Make a failure of what is reported while a case runs."""
        # What came before was told of another case.
        self.subject.reported()
        try:
            yield
        except comparison.ConformanceFailure as failure:
            reported = self.subject.reported()
            if reported:
                failure.args = (f"{failure}\n{self._report_text(reported)}",)
            raise
        reported = self.subject.reported()
        if reported:
            raise comparison.ConformanceFailure(f"{self.row.name}, {case!r}\n{self._report_text(reported)}")

    def _report_text(self, reported):
        rest = "..." if len(reported) > _REPORT_CHARACTERS else ""
        return f"{self.subject.name} reported while it ran:\n{reported[:_REPORT_CHARACTERS]}{rest}"

    def _describe_faults(self):
        failures = []
        for number, fault in enumerate(self._faults.found, self.job.before.saved + 1):
            line = self._faults.line(fault) if self.job.case is None else None
            failures.append(Failure(fault.message, summary(fault.case), explanation=line, verdict=fault.verdict))
            if self.job.bundle is not None:
                wrong, bundle = (
                    isinstance(fault.error, comparison.ConformanceFailure),
                    numbered(self.job.bundle, number),
                )
                self._save(failures[-1], fault.case, fault.error, execute=wrong and fault.is_stable, bundle=bundle)
        self.row.failure, *self.row.further = failures
        self.row.verdict = self.row.failure.verdict

    def _describe_suspect(self):
        """Say of a row that it is suspect, before what else there is to tell of it if it passes, or else after that."""
        fault, others = self._suspect, self.row.failures
        failure = Failure(fault.message, summary(fault.case), verdict=fault.verdict)
        if self.job.bundle is not None:
            is_alone = not others and not self.job.before.saved
            bundle = self.job.bundle if is_alone else f"{self.job.bundle}-suspect"
            self._save(failure, fault.case, fault.error, execute=fault.is_stable, bundle=bundle)
        for one in others:
            one.verdict = one.verdict or self.row.verdict
        all_of_them = [failure, *others] if self.row.passes else [*others, failure]
        self.row.verdict, self.row.failure, self.row.further = all_of_them[0].verdict, all_of_them[0], all_of_them[1:]

    def _describe_known_faults(self):
        self.row.verdict = "known fault"
        messages, identifier = [], None
        for fault in self._known.fixed() if self.job.case is None else ():
            self.row.verdict, identifier = "fixed fault", fault.id
            messages.append(
                f"The known fault {fault.id} was not seen in any case that it concerns. If it is fixed, take it out of "
                f"{known_faults.file()}, or narrow its driver ({fault.driver})."
            )
        messages += [f"The known fault {seen}: {message}" for seen, (_, (_, message)) in self._known.seen.items()]
        self.row.failure = Failure("\n".join(messages), known=identifier)
        for seen, (found, (error, message)) in list(self._known.seen.items())[:1]:
            self.row.failure.case, self.row.failure.known = summary(found), identifier or seen
            if self.job.bundle is not None:
                failure = dataclasses.replace(self.row.failure, message=message)
                execute = isinstance(error, comparison.ConformanceFailure)
                bundle = numbered(self.job.bundle, self.job.before.saved + 1)
                self._save(failure, found, error, execute=execute, bundle=bundle, known=seen)
                self.row.failure.bundle = failure.bundle
                self.row.failure.message += failure.message.removeprefix(message)

    def _save(self, failure, case, error, *, execute, bundle, known=None):
        """Write the bundle of a failure; what the row found stands also where that fails."""
        self._report({"event": "saving"})
        job, message = dataclasses.replace(self.job, bundle=bundle), failure.message
        if failure.explanation is not None:
            message = f"{failure.explanation}\n{message}"
        try:
            failure.bundle = save_bundle(job, case, self.subject, message, error, execute=execute, known=known)
        except Exception as failed:
            failure.message += f"\n{not_saved(failed)}"


def with_gradient(operation, case):
    """Return a case with a gradient of its result, of whose shape much is said of it, where it was saved without."""
    if case.dy is not None or base.directions(operation) == ("forward",):
        return case
    results, _ = judge.exact(operation, case, (False,) * len(case.inputs))
    dy = tuple(np.ones(y.shape, np.float32) if y.dtype.kind == "f" else None for y in results)
    if all(one is None for one in dy):
        return case
    return dataclasses.replace(case, dy=dy if len(dy) > 1 else dy[0])


def describe(error):
    """Return what is told of an error: its message, or where an implementation raised it."""
    if isinstance(error, comparison.ConformanceFailure | RefcnnError):
        text = str(error)
    else:
        told = traceback.TracebackException.from_exception(error)
        # How refcnn came to call an implementation says nothing of its error.
        frames = list(told.stack)
        calls = [place for place, frame in enumerate(frames) if frame.filename == implementation.__file__]
        told.stack = traceback.StackSummary.from_list(frames[calls[-1] + 1 :] if calls else frames)
        text = "".join(told.format())
    # It begins with what was called, and ends with what was raised.
    half = _MESSAGE_CHARACTERS // 2
    return text if len(text) <= 2 * half else f"{text[:half]}\n...\n{text[-half:]}"

"""A process that tests one subject, ``python -m refcnn.conformance.running.worker``.

:mod:`~refcnn.conformance.running.runner` starts it.

It answers requests (:mod:`refcnn.answering`): ``open`` names the subject and is
answered by ``{"event": "ready", "description": ..., "is_simulator": ...}``;
``run`` has the entries of a :class:`Job` and is answered by

- ``{"event": "case", "cases": n, "slow": bool}`` before each case, which is by
  then in the file ``case_file``; the first ones may have kernels to compile;
- ``{"event": "saving"}`` before the bundle of a case that failed is written;
- ``{"event": "row", "row": ...}`` at the end.

What goes wrong with either is ``{"error": text}``.
"""

import contextlib
import dataclasses
import time
import traceback
from collections import Counter
from pathlib import Path

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ...answering import Parent
from ...errors import KernelBuildError, RefcnnError
from ..bundles.case_file import read_case, write_case
from ..judging import comparison, composition, judge
from ..reports.results import Failure, Row
from ..subjects import base
from ..subjects import finding as subjects
from ..theory import hypothesis_folder
from ..theory.strategies import describe, is_vast, rounds
from . import coverage, known_faults


@dataclasses.dataclass
class Job:
    """What to run.

    Attributes
    ----------
    operation, direction : str
    variant : str or None
    examples, seed : int
    sizes : sequence of str
        Keys of :data:`refcnn.conformance.theory.strategies.LIMITS` to draw from, but of "vast" only a few cases.
    case_file : str
        Where each case is written before it runs.
    bundle : str, optional
        The folder to make where a case fails.
    case : str, optional
        A saved case to run, in place of drawn ones.
    killed : str, optional
        How running ``case`` ended a former process: it is not run again, only its bundle is written.
    known : str, optional
        The identifier of the known fault that this is.
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


#: Characters of a report on one case that are shown; its beginning tells the most.
_REPORT_CHARACTERS = 3000


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
        self._calls = 0
        self._is_stable = True
        # The case, its error and what to say of it.
        self._failed = None
        self._known = known_faults.watch(self.subject.description, job.operation, job.direction, job.variant)

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
            with contextlib.suppress(Exception, _Stop):
                self._check(read_case(self.job.case)[3], with_target=False)
        else:
            self._search()
        self.row.worst_ratio, self.row.worst_ulp = self._statistics.worst_ratio, self._statistics.worst_ulp
        self.row.histogram, self.row.coverage = self._statistics.histogram, dict(sorted(self._coverage.items()))
        if self._failed is not None:
            self._describe_failure(*self._failed)
        elif self._known.seen or self.job.case is None and self._known.fixed():
            self._describe_known_faults()
        elif not self.row.cases:
            self.row.verdict = "not offered"
        self.row.seconds = time.perf_counter() - start
        return self.row

    def _search(self):
        for search in searches(self.job, self._check):
            # What failed is kept by _check. Hypothesis adds that a failure is not the same each time, if so.
            try:
                with hypothesis_folder.in_the_cache():
                    search()
            except hypothesis.errors.Flaky:
                case, error, message = self._failed
                self._failed = case, error, f"This failure is not the same each time that the case runs.\n{message}"
                self._is_stable = False
            except (Exception, _Stop):
                if self._failed is None:
                    raise
            if self._failed is not None:
                break

    def _check(self, case, with_target=True):
        job, is_counted = self.job, self._failed is None
        self._calls += 1
        write_case(job.case_file, job.operation, job.direction, job.variant, case)
        self._report({"event": "case", "cases": self.row.cases, "slow": self._calls <= 3})
        try:
            # Those of shrinking are not counted: they would hide how many it took.
            worst = self._judge(case, self._statistics if is_counted else comparison.Statistics())
        except (base.NotExpressible, composition.NoSuchResult):
            is_counted = False
            if with_target:
                hypothesis.reject()
            return
        except Exception as error:
            message, difference = _describe(error), getattr(error, "difference", float("inf"))
            if self._known.explain(case, (error, message), difference) is not None:
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

    def _judge(self, case, statistics):
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
            )

    def _count(self, case, with_target):
        self.row.cases += 1
        self._known.ran(case)
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

    def _describe_failure(self, case, error, message):
        wrong = isinstance(error, comparison.ConformanceFailure)
        self.row.verdict = "wrong" if wrong else "did not build" if isinstance(error, KernelBuildError) else "failed"
        job = self.job
        self.row.failure = Failure(message, summary(case))
        if job.bundle is not None:
            self._save(case, error, message, execute=wrong and self._is_stable)

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
                self._save(found, error, message, execute=isinstance(error, comparison.ConformanceFailure), known=seen)

    def _save(self, case, error, message, *, execute, known=None):
        """Write the bundle; what the row found stands also where that fails."""
        results = error.results if isinstance(error, comparison.ConformanceFailure) else None
        self._report({"event": "saving"})
        try:
            self.row.failure.bundle = save_bundle(
                self.job, case, self.subject, message, results, execute=execute, known=known
            )
        except Exception as failed:
            self.row.failure.message += f"\n{not_saved(failed)}"


def searches(job, check):
    """Yield the runs of Hypothesis that a job consists of, each to be called.

    Parameters
    ----------
    job : Job
    check : callable
        Is given each case; the one at which it raises an exception is shrunk.
    """
    drawn = _drawn(job.operation, [size for size in job.sizes if size != "vast"])
    of_vast = _number_of_vast(job.examples) if "vast" in job.sizes else 0
    plan = [(drawn, *one) for one in rounds(job.seed, job.examples - of_vast)]
    if of_vast:
        vast = [cases.filter(is_vast) for cases in _drawn(job.operation, ["vast"])]
        plan.append((vast, f"{job.seed} vast", of_vast, (Phase.generate,)))

    for drawn, seed, examples, phases in plan:

        @hypothesis.seed(seed)
        @settings(
            max_examples=examples,
            database=None,
            deadline=None,
            print_blob=False,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            phases=(*phases, Phase.shrink),
            verbosity=hypothesis.Verbosity.quiet,
        )
        @given(st.one_of(drawn))
        def search(case):
            check(case)

        yield search


def _number_of_vast(examples):
    """Return how many of so many cases have vast arrays: three of a hundred; the first of them is always the same."""
    return max(min(3, examples // 5), examples * 3 // 100)


def _drawn(operation, sizes):
    """Return the strategies of an operation's cases: by size, and those of integers too where they are exact."""
    module = judge.conformance(operation)
    drawn = [module.cases(size) for size in sizes]
    if judge.has_exact_cases(operation):
        drawn += [
            module.cases(size, integers=True).map(lambda case: dataclasses.replace(case, integers=True))
            for size in sizes
        ]
    return drawn


def summary(case):
    """Return what :class:`~refcnn.conformance.reports.results.Failure` says of a case."""
    dy = None if case.dy is None else describe(case.dy)
    return {"inputs": list(map(describe, case.inputs)), "attributes": case.attributes, "dy": dy}


def not_saved(error):
    """Return what is added to a row's message where :func:`save_bundle` raised an error."""
    return f"the bundle could not be saved: {error if isinstance(error, RefcnnError) else repr(error)}"


def save_bundle(job, case, subject, message, results=None, execute=True, known=None):
    """Write what reproduces a failure without refcnn to the folder ``job.bundle``.

    Parameters
    ----------
    job : Job
    case : Case
    subject : object
        As in :mod:`~refcnn.conformance.subjects.finding`; one with a ``device`` is asked for its kernels.
    message : str
        What went wrong.
    results : dict, optional
        As in :class:`~refcnn.conformance.judging.comparison.ConformanceFailure`, where something was computed.
    execute : bool
        Whether the device can be trusted to run the case once more.
    known : str, optional
        The identifier of the known fault that this is.

    Returns
    -------
    str
        The folder's name.

    Raises
    ------
    RefcnnError
    """
    from ..bundles.bundle import capture_case, expected, write_bundle

    if not results:
        answers = expected(job.operation, job.direction, case, job.variant, subject)
        results = {name: (None, *entries) for name, entries in answers.items()}
    capture = None
    if subject.device is not None:
        # A kernel that does not build is recorded all the same when it need not run.
        try:
            capture = capture_case(subject.device, job.operation, job.direction, job.variant, case, execute=execute)
        except Exception as error:
            # The case and its exact answer are worth having without.
            message += f"\nThe launches could not be recorded: {error!r}"
    write_bundle(
        job.bundle,
        operation=job.operation,
        direction=job.direction,
        variant=job.variant,
        case=case,
        results=results,
        device={"specification": subject.specification, **subject.description},
        capture=capture,
        message=message,
        known=known,
    )
    return Path(job.bundle).name


class Worker:
    """What this process answers: see the module.

    Parameters
    ----------
    tell : callable
        As ``report`` of :class:`Run`.
    """

    def __init__(self, tell):
        self._tell = tell
        self._specification = None

    def open(self, specification):
        """Find the subject."""
        self._specification = specification
        subject = subjects.find(specification)
        return {"event": "ready", "description": subject.description, "is_simulator": subject.is_simulator}

    def run(self, **job):
        """Run a Job on it."""
        return {"event": "row", "row": dataclasses.asdict(Run(self._specification, Job(**job), self._tell).run())}


def _describe(error):
    is_plain = isinstance(error, comparison.ConformanceFailure | RefcnnError)
    return str(error) if is_plain else "".join(traceback.format_exception(error))


def main():
    """Answer the requests of the process that started this one."""
    from threadpoolctl import threadpool_limits

    parent = Parent()
    # The reference's many small products lose by threads.
    with threadpool_limits(limits=1, user_api="blas"):
        parent.serve(Worker(parent.tell), _describe)


if __name__ == "__main__":
    main()

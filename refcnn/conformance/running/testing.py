"""Running one row of a subject, in a process of its own that may crash or hang without ending the run."""

import collections
import contextlib
import dataclasses
import shutil
import time
from pathlib import Path

import hypothesis

from ... import processes
from ...interruption import stop_if_asked
from ..bundles.bundle import packed
from ..bundles.case_file import read_case, write_case
from ..reports.results import PASSING, Failure, Row, row_from_json
from ..subjects import base
from ..subjects import finding as subjects
from . import known_faults
from .faults import Ended, Fault, Faults
from .job import FAILED, PASSED, Before, Job
from .saving import not_saved, numbered, save_bundle, summary
from .searching import searches

#: The first cases of a row may take so many times as long as others, for kernels to be compiled.
_COMPILING = 5
_SIMULATOR = 10
_START_LIMIT = 300.0
#: Seconds more than compiling may take, for a bundle to be written: libraries are loaded for it.
_SAVING = 30.0

#: How many cases of a row may end its process, by the verdict: each costs a start, and a hang the limit too.
_MOST_ENDED = {"crashed": 3, "hung": 2}
#: What makes the GNU C library keep memory for the next arrays: cases come and go by the thousand, and to get memory
#: anew for each took the system more than half of the time. Others' allocators do not read it.
_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 32)}
#: Seconds that a row's searches for smaller cases that end its process may take, and each case of them where it hangs.
_SHRINKING_LIMIT = 60.0
_SHRINKING_CASE_LIMIT = 1.0

_LOG_CHARACTERS = 3000


@dataclasses.dataclass
class Task:
    """A row to run.

    Attributes
    ----------
    device, number : int
        The places of its device in the run and of the row among the device's.
    specification : str
    planned : (str, str, str or None)
        Operation, direction and variant.
    sizes : sequence of str
        As of :class:`~refcnn.conformance.running.job.Job`.
    bundle : str, optional
        The folder to make where a case fails.
    case : str, optional
        A saved case to run in place of drawn ones; that of the options as a rule.
    """

    device: int
    number: int
    specification: str
    planned: tuple
    sizes: tuple
    bundle: str | None
    case: str | None = None


@dataclasses.dataclass
class Tested:
    """What came of a task.

    Attributes
    ----------
    rank : int
        Who ran it.
    row : Row, optional
    error : str, optional
        Why the process could not be started; then there is no row.
    description : dict
        What the process says of the device.
    bundles : dict of str to (dict of str to bytes)
        The bundles of its failures by their names, where they were not written in their places.
    """

    rank: int
    row: Row | None = None
    error: str | None = None
    description: dict = dataclasses.field(default_factory=dict)
    bundles: dict = dataclasses.field(default_factory=dict)


class Rows:
    """Runs rows, those of one device after the other in the same process as long as that lives.

    Parameters
    ----------
    options : refcnn.conformance.running.runner.Options
    scratch : pathlib.Path
        A folder for files in passing.
    rank : int
        Of this process. The first alone writes bundles in their places; from others they come with what was tested.
    case_begins : callable
        Is given the task and the number of cases before each case.
    """

    def __init__(self, options, scratch, rank, case_begins):
        self._options, self._scratch, self._rank = options, scratch, rank
        self._case_begins, self._worker, self._specification = case_begins, None, None

    def run(self, task):
        """Run a Task and return what was Tested."""
        stop_if_asked()
        worker = self._worker_of(task.specification)
        if worker.is_gone:
            error = worker.start()
            if error is not None:
                return Tested(self._rank, error=error)
        job = self._job(task)
        row = _Row(worker, job, lambda cases: self._case_begins(task, cases)).run()
        bundles = {}
        for failure in row.failures if self._rank != 0 else ():
            if failure.bundle is not None:
                folder = Path(job.bundle).parent / failure.bundle
                bundles[failure.bundle] = packed(folder)
                shutil.rmtree(folder)
        return Tested(self._rank, row, None, worker.description, bundles)

    def _worker_of(self, specification):
        if self._specification != specification:
            self.close()
            self._specification = specification
            self._worker = _Worker(subjects.find(specification, loaded=False), self._scratch, self._options.case_limit)
        return self._worker

    def _job(self, task):
        options, bundle = self._options, task.bundle
        if bundle is not None and self._rank != 0:
            bundle = str(self._scratch / Path(bundle).name)
        case_file = str(self._scratch / "case.npz")
        examples = self._worker.subject.examples(options.examples)
        return Job(*task.planned, examples, options.seed, task.sizes, case_file, bundle, task.case or options.case)

    def close(self):
        """End the process."""
        if self._worker is not None:
            self._worker.stop()


class _Row:
    """A row whose cases may end the process: another one then goes on with it, without cases that are like those.

    Parameters
    ----------
    worker : _Worker
        In which a process runs.
    job : Job
    case_begins : callable
        Is given the number of cases before each case.
    """

    def __init__(self, worker, job, case_begins):
        self._worker, self._job, self._case_begins = worker, job, case_begins
        self._watch = known_faults.watch(worker.description, job.operation, job.direction, job.variant)
        self._faults = Faults(job.operation, job.direction)
        # By the identifier of a known fault the case that it ended a process with, and what is said of it.
        self._known = {}
        self._told, self._passed, self._files, self._ended = [], [], [], collections.Counter()
        self._shrinking = _SHRINKING_LIMIT

    def run(self):
        """Run all cases and return the row, with bundles written."""
        job, seconds = self._job, 0.0
        while True:
            row = self._worker.run(job, self._case_begins)
            seconds += row.seconds
            row.seconds = seconds
            if row.verdict not in _MOST_ENDED or row.failure.case is None:
                self._add_ended(row, row.failures)
                return row
            self._take(job, row)
            if not self._goes_on(row.verdict):
                self._add_ended(row, self._save_told())
                return row
            file = self._worker.scratch / f"case-{self._ended.total()}.npz"
            job = dataclasses.replace(self._job, case_file=str(file), before=self._before(row.cases))

    def _take(self, job, row):
        """Note what ended the process, and what came of it before; of another cause find a smaller case."""
        case, message, error = read_case(job.case_file)[3], row.failure.message, Ended(row.verdict)
        self._ended[row.verdict] += 1
        # One may have ended before it had found again what others had.
        self._told = max(self._worker.told, self._told, key=len)
        self._files.append(job.case_file)
        self._passed += _kept(job, PASSED)
        for path in _kept(job, PASSED, FAILED):
            self._faults.passed(read_case(path)[3])
        known = self._watch.explain(case, message)
        if known is not None:
            self._known.setdefault(known.id, (case, message))
        elif self._faults.failed(case, error):
            if job.case is None:
                case, message = self._smallest(case, row)
            self._faults.add(Fault(case, error, message))
            self._files.append(f"{job.case_file}.smallest.npz")
            write_case(self._files[-1], job.operation, job.direction, job.variant, case)

    def _goes_on(self, verdict):
        """Start another process and return whether it runs; none is where all that was tried ends one."""
        is_last = self._job.case is not None or self._ended[verdict] >= _MOST_ENDED[verdict]
        may_pass = self._known or self._faults.has_passing
        return not is_last and may_pass and self._worker.start() is None

    @property
    def _such(self):
        """What is true of cases that end a process; what is true of every case leaves nothing to go on with."""
        described = [fault.description for fault in self._faults.found if fault.description is not None]
        return [one for one in described if one.terms]

    def _before(self, cases):
        """Return what the next process is told."""
        return Before(
            cases,
            self._passed,
            self._files,
            [(path, failure.message) for failure, path in self._told],
            self._such,
            list(self._known),
            len(self._faults.found) + len(self._known),
        )

    def _smallest(self, case, row):
        """Search once more, each case in a process that it may end as the row's did; return the smallest, its message.

        All such searches of a row have the time of one.
        """
        worker, job = self._worker, self._job
        killers, passed, file = [(case, row.failure.message)], [], worker.scratch / "trial.npz"
        trial = dataclasses.replace(job, case=str(file), case_file=f"{file}.case.npz", bundle=None)
        start, such, other = time.monotonic(), self._such, None

        def kills(case, case_limit):
            nonlocal other
            if other is None or other.is_gone:
                other = _Worker(worker.subject, worker.scratch, case_limit)
                if other.start() is not None:
                    return False
            write_case(file, job.operation, job.direction, job.variant, case)
            ended = other.run(trial, lambda cases: None)
            if ended.verdict == row.verdict:
                killers.append((case, ended.failure.message))
            elif ended.verdict not in _MOST_ENDED:
                passed.append((case, len(killers) == 1))
            return ended.verdict == row.verdict

        def check(case):
            if time.monotonic() >= start + self._shrinking or any(self._faults.is_true(one, case) for one in such):
                return
            if kills(case, min(worker.case_limit, _SHRINKING_CASE_LIMIT)):
                if self._watch.explain(case, "") is None:
                    raise Ended(row.verdict)
                killers.pop()

        try:
            for search in searches(job):
                # Past the deadline nothing fails any more, which Hypothesis finds fault with.
                with contextlib.suppress(Ended, hypothesis.errors.Flaky):
                    search.run(check)
                if len(killers) > 1:
                    break
            # What is only slow seems to hang too, in the time of a trial.
            if row.verdict == "hung" and len(killers) > 1:
                other.stop()
                if not kills(killers[-1][0], worker.case_limit):
                    del killers[1:]
        finally:
            if other is not None:
                other.stop()
        self._shrinking -= time.monotonic() - start
        for one, is_drawn in passed:
            self._faults.passed(one, is_drawn)
        for number, (one, _) in enumerate(killers[1:]):
            # The first of them was drawn.
            self._faults.failed(one, Ended(row.verdict), is_drawn=number == 0)
        return killers[-1]

    def _add_ended(self, row, others):
        """Put what ended processes before, or beside, what else a row failed at, and save its bundles."""
        if not self._ended:
            return
        for one in others:
            one.verdict = one.verdict or row.verdict
        found = []
        for fault in self._faults.found:
            line = self._faults.line(fault) if self._job.case is None else None
            found.append((fault.case, Failure(fault.message, explanation=line, verdict=fault.verdict)))
        for identifier, (case, message) in self._known.items():
            found.append((case, Failure(message, known=identifier, verdict="known fault")))
        for number, (case, failure) in enumerate(found, 1):
            failure.case = summary(case)
            self._save(failure, case, numbered(self._job.bundle, number))
        failures = sorted([failure for _, failure in found] + others, key=_severity)
        row.verdict, row.failure, row.further = failures[0].verdict, failures[0], failures[1:]

    def _save(self, failure, case, bundle):
        """Write the bundle of a case that ended its process, in another one; without kernels, where that ends too."""
        if bundle is None:
            return
        worker, file = self._worker, self._worker.scratch / "killer.npz"
        job, message = dataclasses.replace(self._job, bundle=bundle), _text(failure)
        alone = dataclasses.replace(job, case=str(file), killed=message, known=failure.known)
        try:
            write_case(file, job.operation, job.direction, job.variant, case)
            saved = worker.alone(alone)
            if saved is None or saved.failure is not None:
                save_bundle(job, case, base.Unavailable(worker.subject.specification), message, known=failure.known)
            failure.bundle = Path(bundle).name
        except Exception as error:
            failure.message += f"\n{not_saved(error)}"

    def _save_told(self):
        """Return what a process had found before a case ended it, with bundles, each written in another one."""
        saved = len(self._faults.found) + len(self._known)
        for number, (failure, path) in enumerate(self._told, saved + 1):
            if self._job.bundle is not None:
                bundle = numbered(self._job.bundle, number)
                again = self._worker.alone(dataclasses.replace(self._job, case=path, bundle=bundle))
                failure.bundle = again and again.failure and again.failure.bundle
        return [failure for failure, _ in self._told]


def _severity(failure):
    """Return what failures are sorted by, the worst first: what is known last, after what is only suspect."""
    return failure.verdict in PASSING, failure.known is not None, failure.verdict not in _MOST_ENDED


def _kept(job, *kinds):
    """Return the files of drawn cases that a process kept, of some kinds."""
    path = Path(job.case_file)
    return [str(one) for kind in kinds for one in path.parent.glob(f"{path.name}{kind}*")]


def _text(failure):
    return "\n".join(filter(None, (failure.explanation, failure.message)))


class _Worker:
    """A worker process, its answers, and the patience with it."""

    def __init__(self, subject, scratch, case_limit):
        self.subject, self.scratch, self.case_limit = subject, scratch, case_limit
        self._child = None
        #: The faults of the last job, as far as it came, and files of the cases that show them.
        self.told = []

    @property
    def is_gone(self):
        return self._child is None

    def start(self):
        """Start the process; return what went wrong, or None."""
        environment = (
            _MEMORY | processes.environment() | {"PYTHONFAULTHANDLER": "1"} | self.subject.environment(self.scratch)
        )
        self._child = processes.Child(processes.command(f"{__package__}.worker"), environment)
        try:
            answer = self._child.ask("open", _START_LIMIT, specification=self.subject.specification)
        except processes.NoAnswer as error:
            return self._end(error, "it was started")
        if "error" in answer:
            self.stop()
            return answer["error"]
        if answer.get("event") != "ready":
            return self._end(processes.Nonsense(answer), "it was started")
        self.description = answer["description"]
        self._patience = self.case_limit * (_SIMULATOR if answer["is_simulator"] else 1)
        return None

    def run(self, job, case_begins):
        """Run a job and return its row, whatever becomes of the process."""
        for path in (job.case_file, *_kept(job, PASSED, FAILED)):
            Path(path).unlink(missing_ok=True)
        self.told = []
        start = time.perf_counter()
        row = Row(job.operation, job.direction, job.variant)
        try:
            return self._row(job, row, case_begins)
        except processes.NoAnswer as error:
            verdicts = {processes.Silence: "hung", processes.Ended: "crashed"}
            row.verdict, message = verdicts.get(type(error), "failed"), self._end(error, f"{row.name} ran")
        except _WorkerError as error:
            row.verdict, message = "failed", str(error)
            self.stop()
        row.cases += Path(job.case_file).exists()
        row.seconds = time.perf_counter() - start
        row.failure, row.further = Failure(message), [failure for failure, _ in self.told]
        with contextlib.suppress(Exception):
            # Killed before it had begun, a row has no case.
            case = read_case(job.case_file)[3]
            row.failure.case = summary(case)
        return row

    def alone(self, job):
        """Run a job in a process of its own and return its row, or None if none can be started."""
        other = _Worker(self.subject, self.scratch, self.case_limit)
        try:
            return other.run(job, lambda cases: None) if other.start() is None else None
        finally:
            other.stop()

    def _row(self, job, begun, case_begins):
        """Return the row that the process answers; ``begun`` counts the cases until then."""
        limit = self._patience * _COMPILING
        self._child.send({"do": "run", **dataclasses.asdict(job)})
        while True:
            answer = self._child.answer(limit)
            if answer.get("event") == "row":
                return row_from_json(answer["row"])
            if "error" in answer:
                raise _WorkerError(answer["error"])
            if answer.get("event") == "saving":
                limit = self._patience * _COMPILING + _SAVING
                continue
            if answer.get("event") == "fault":
                self.told.append((Failure(**answer["failure"]), answer["case"]))
                continue
            if answer.get("event") != "case":
                raise processes.Nonsense(answer)
            begun.cases = answer["cases"]
            limit = self._patience * (_COMPILING if answer["slow"] else 1)
            case_begins(begun.cases)

    def stop(self):
        """End the process and all that it started."""
        if self._child is not None:
            child, self._child = self._child, None
            child.stop()

    def _end(self, error, when):
        """Stop the process and say how it ended."""
        if isinstance(error, processes.Silence):
            text = f"{error} while {when}; the process was killed."
        elif isinstance(error, processes.Nonsense):
            text = (
                f"the process answered {error.beginning} while {when}, but only refcnn may write where it answers; "
                "it was killed. Leave files alone that the implementation did not open."
            )
        elif error.status is None:
            text = f"the process stopped answering while {when}, but did not end; it was killed."
        else:
            text = f"the process ended with {processes.ending(error.status)} while {when}."
        child = self._child
        self.stop()
        log = child.log(_LOG_CHARACTERS)
        return text + (f" It wrote:\n{log}" if log else "")


class _WorkerError(Exception):
    """A worker could not run a job; the message says why."""

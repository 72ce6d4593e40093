"""Running one row of a subject, in a process of its own that may crash or hang without ending the run."""

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
from ..reports.results import Failure, Row, row_from_json
from ..subjects import base
from ..subjects import finding as subjects
from . import known_faults
from .saving import not_saved, save_bundle, summary
from .searching import searches
from .worker import Job

#: The first cases of a row may take so many times as long as others, for kernels to be compiled.
_COMPILING = 5
_SIMULATOR = 10
_START_LIMIT = 300.0
#: Seconds more than compiling may take, for a bundle to be written: libraries are loaded for it.
_SAVING = 30.0

#: Seconds that a search for a smaller case that ends its process may take, and each case of it where it hangs.
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
        As of :class:`~refcnn.conformance.running.worker.Job`.
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
        row = worker.run(job, lambda cases: self._case_begins(task, cases))
        if row.verdict in ("crashed", "hung") and row.failure.case is not None:
            cases = worker.cases_of_faults
            _describe_death(worker, job, row)
            _save_further(worker, job, row, cases)
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


def _describe_death(worker, job, row):
    """Say of a row that ended its process whether that is known, and else find a smaller case; save its bundle."""
    case = read_case(job.case_file)[3]
    watch = known_faults.watch(worker.description, job.operation, job.direction, job.variant)
    fault = watch.explain(case, row.failure.message)
    if fault is None and job.case is None:
        case, row.failure.message = _smallest_killer(worker, job, case, row, watch)
        row.failure.case = summary(case)
    if job.bundle is not None:
        known = fault and fault.id
        try:
            row.failure.bundle = _save_killer(worker, job, case, row.failure.message, known)
        except Exception as error:
            row.failure.message += f"\n{not_saved(error)}"
    if fault is not None:
        row.verdict, row.failure.known = "known fault", fault.id


def _save_further(worker, job, row, cases):
    """Save the bundles of the faults that a row had found before its process ended, each in another one."""
    for number, (failure, case) in enumerate(zip(row.further, cases, strict=True), 2):
        if job.bundle is not None:
            alone = dataclasses.replace(job, case=case, bundle=f"{job.bundle}-{number}")
            other = _Worker(worker.subject, worker.scratch, worker.case_limit)
            try:
                again = other.run(alone, lambda cases: None) if other.start() is None else None
            finally:
                other.stop()
            failure.bundle = again and again.failure and again.failure.bundle


def _smallest_killer(worker, job, case, row, watch):
    """Search once more, each case in a process that it may end as the row's did; return the smallest, its message."""
    killers, file = [(case, row.failure.message)], worker.scratch / "trial.npz"
    trial = dataclasses.replace(job, case=str(file), bundle=None)
    deadline = time.monotonic() + _SHRINKING_LIMIT
    other = None

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
        return ended.verdict == row.verdict

    def check(case):
        if time.monotonic() < deadline and kills(case, min(worker.case_limit, _SHRINKING_CASE_LIMIT)):
            if watch.explain(case, "") is None:
                raise _Killed
            killers.pop()

    try:
        for search in searches(job):
            # Past the deadline nothing fails any more, which Hypothesis finds fault with.
            with contextlib.suppress(_Killed, hypothesis.errors.Flaky):
                search.run(check)
            if len(killers) > 1:
                break
        # What is only slow seems to hang too, in the time of a trial.
        if row.verdict == "hung" and len(killers) > 1:
            other.stop()
            if not kills(killers[-1][0], worker.case_limit):
                return killers[0]
    finally:
        if other is not None:
            other.stop()
    return killers[-1]


class _Killed(Exception):
    """A case ended its process."""


def _save_killer(worker, job, case, message, known):
    """Write the bundle of a case that ended its process, in another one; without kernels, where that ends too."""
    file = worker.scratch / "killer.npz"
    write_case(file, job.operation, job.direction, job.variant, case)
    job = dataclasses.replace(job, case=str(file), killed=message, known=known)
    other = _Worker(worker.subject, worker.scratch, worker.case_limit)
    try:
        saved = other.start() is None and other.run(job, lambda cases: None).failure is None
    finally:
        other.stop()
    if not saved:
        save_bundle(job, case, base.Unavailable(worker.subject.specification), message, known=known)
    return Path(job.bundle).name


class _Worker:
    """A worker process, its answers, and the patience with it."""

    def __init__(self, subject, scratch, case_limit):
        self.subject, self.scratch, self.case_limit = subject, scratch, case_limit
        self._child = None
        #: Files of the cases that show the faults of the last job, as far as it came.
        self.cases_of_faults = []

    @property
    def is_gone(self):
        return self._child is None

    def start(self):
        """Start the process; return what went wrong, or None."""
        environment = processes.environment() | {"PYTHONFAULTHANDLER": "1"} | self.subject.environment(self.scratch)
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
        Path(job.case_file).unlink(missing_ok=True)
        self.cases_of_faults = []
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
        row.failure = Failure(message)
        with contextlib.suppress(Exception):
            # Killed before it had begun, a row has no case.
            case = read_case(job.case_file)[3]
            row.failure.case = summary(case)
        return row

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
                begun.further.append(Failure(**answer["failure"]))
                self.cases_of_faults.append(answer["case"])
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

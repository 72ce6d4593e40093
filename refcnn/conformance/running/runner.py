"""Testing many subjects, each in a process of its own that may crash or hang without ending the run."""

import contextlib
import dataclasses
import datetime
import math
import os
import platform
import tempfile
import time
from pathlib import Path

import hypothesis

from ... import processes
from ...backend import results_of
from ...errors import DataError, FileWriteError, ShapeError
from ...interruption import stop_if_asked
from ...shapes import sides, transposed_output_shape
from ...version import __version__
from ..bundles.case_file import read_case, write_case
from ..judging import composition, judge
from ..reports.results import DeviceReport, Failure, Report, Row, row_from_json
from ..subjects import base
from ..subjects import finding as subjects
from . import known_faults
from .worker import Job, not_saved, save_bundle, searches, summary

#: Examples of each row by profile.
PROFILES = {"quick": 100, "standard": 400, "long": 10_000}

#: Seconds that one case may take; the first ones of each row may take more, for kernels to be compiled.
CASE_LIMIT = 60.0
_COMPILING = 5
_SIMULATOR = 10
_START_LIMIT = 300.0
#: Seconds more than compiling may take, for a bundle to be written: libraries are loaded for it.
_SAVING = 30.0

#: Seconds that a search for a smaller case that ends its process may take, and each case of it where it hangs.
_SHRINKING_LIMIT = 60.0
_SHRINKING_CASE_LIMIT = 1.0

#: Elements that a saved case may become by padding, or so many times as many as it has, whichever is more.
_PADDED, _PADDED_TIMES = 2**20, 100

#: The smallest numbers that windows may have.
_LEAST = {"kernel": 1, "stride": 1, "dilation": 1, "groups": 1, "padding": 0, "output_padding": 0}

_LOG_CHARACTERS = 3000


@dataclasses.dataclass
class Options:
    """What to run on every subject.

    Attributes
    ----------
    profile : str
        A key of ``PROFILES``.
    examples : int
        Cases of each row.
    seed : int
    operations : sequence of str
        All as a rule.
    variant : str, optional
        The only variant to run; in the quick profile each device's own choice as a rule, else all.
    case : str, optional
        A saved case to run in place of drawn ones.
    case_limit : float
        Seconds; infinity for any time.
    folder : pathlib.Path, optional
        Where bundles go; there are none otherwise.
    named : sequence of str, optional
        The devices that are tested though they failed their trial, up to the first row that fails; of others that is
        only said. All if not given.
    """

    profile: str
    examples: int
    seed: int
    operations: tuple = ()
    variant: str | None = None
    case: str | None = None
    case_limit: float = CASE_LIMIT
    folder: Path | None = None
    named: tuple | None = None


class Progress:
    """A listener that is told how a run goes on; this one does nothing with it."""

    def device_begins(self, specification, rows):
        """A device comes, with so many rows."""

    def case_begins(self, row, cases):
        """A row runs its next case, after so many."""

    def row_ends(self, row):
        """A row is done."""

    def device_ends(self, device):
        """A device is done."""


def run(specifications, options, progress=None):
    """Test subjects one after the other.

    Parameters
    ----------
    specifications : sequence of str
        As :func:`refcnn.conformance.subjects.finding.expand` gives them.
    options : Options
    progress : Progress, optional

    Returns
    -------
    Report
    """
    progress = progress or Progress()
    report = Report(
        refcnn=__version__,
        date=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        host={
            "system": f"{platform.system()} {platform.release()}",
            "machine": platform.machine(),
            "cores": str(os.cpu_count()),
            "Python": platform.python_version(),
        },
        seed=options.seed,
        profile=options.profile,
        examples=1 if options.case else options.examples,
    )
    with tempfile.TemporaryDirectory(prefix="refcnn-conform-") as scratch:
        for specification in specifications:
            device = _test(specification, options, progress, Path(scratch))
            report.devices.append(device)
            progress.device_ends(device)
    return report


def plan(subject, options):
    """Return (operation, direction, variant) of every row of a subject."""
    if options.case is not None:
        operation, direction, variant, _ = read_case(options.case)
        known = subject.variants(operation)
        return [(operation, direction, one) for one in ([variant] if variant in known else known)]
    rows = []
    for operation in options.operations or base.operations():
        variants = subject.variants(operation)
        if options.variant is not None:
            # An operation without this variant runs as the device chooses: nothing is left out unsaid.
            variants = [options.variant if options.variant in variants else variants[0]]
        elif options.profile == "quick" and not subject.is_simulator:
            own, _ = composition.split(variants[0])
            variants = [one for one in variants if composition.split(one)[0] == own]
        rows += [
            (operation, direction, one)
            for direction in base.directions(operation)
            for one in variants
            if direction == "forward" or composition.has_gradient(composition.split(one)[1])
        ]
    return rows


def saved_case(path):
    """Return the operation, direction, variant and case that were saved, if any device could run them.

    Raises
    ------
    DataError
        If there is no case, or it fits no operation: that would be laid to the devices.
    """
    operation, direction, variant, case = read_case(path)
    if operation not in base.operations():
        known = ", ".join(base.operations())
        raise DataError(f"{path} is a case of {operation!r}, but there is no such operation. There are: {known}.")
    if direction not in base.directions(operation):
        raise DataError(f"{path} is a case of {operation} {direction}, but there is no such direction.")
    backward = direction == "backward"
    try:
        _check_windows(case)
        needs = judge.all_gradients(case) if backward else (False,) * len(case.inputs)
        results, _ = judge.exact(operation, case, needs)
        if backward and all(dy is None for dy in results_of(case.dy)):
            raise ShapeError("there is no dy, the gradient of its result")
        for dy, y in zip(results_of(case.dy), results, strict=True) if backward else ():
            if dy is not None and dy.shape != y.shape:
                raise ShapeError(f"dy has the shape {dy.shape}, but the result {y.shape}")
    except Exception as error:
        # The reference takes for granted what the model has checked, and may raise anything.
        raise DataError(
            f"{path} is no case of {operation}.{direction}: not even the float64 reference can run it "
            f"({type(error).__name__}: {error}). Correct its shapes and attributes, or name another case."
        ) from error
    return operation, direction, variant, case


def _check_windows(case):
    """Raise ValueError for attributes of windows that no layer lets pass, or that make images out of all proportion.

    The reference takes them as they are, and allocates what padding makes of the images, and what kernels laid on a
    larger image make of them.
    """
    for name, least in _LEAST.items():
        numbers = case.attributes.get(name, ())
        for value in numbers if isinstance(numbers, tuple) else (numbers,):
            if type(value) is not int or not least <= value < 2**31:
                raise ValueError(f"{name} is {numbers}, but whole numbers of at least {least} are expected")
    around = sides(case.attributes.get("padding", ()))
    for images in (entry for entry in case.inputs if entry is not None and entry.ndim == len(around) + 2):
        padded = tuple(size + sum(both) for size, both in zip(images.shape[2:], around, strict=True))
        _check_proportion(images.size, (*images.shape[:2], *padded))
    if "output_padding" in case.attributes:
        stride, more, dilation = (case.attributes[name] for name in ("stride", "output_padding", "dilation"))
        x, w = case.inputs[:2]
        whole = transposed_output_shape(x.shape[2:], w.shape[2:], stride, (0,) * (2 * len(stride)), more, dilation)
        _check_proportion(x.size + w.size, (len(x), w.shape[1], *whole))


def _check_proportion(elements, shape):
    if math.prod(shape) > max(_PADDED, _PADDED_TIMES * elements):
        raise ValueError(f"{elements} elements would become {math.prod(shape):,}, which no case needs")


def sizes(subject, options):
    """Return the sizes of cases to draw from for a subject."""
    if subject.is_simulator:
        return ("tiny",)
    return ("small", "large", "vast") if options.profile == "long" else ("small", "vast")


def writable_folder(path):
    """Make a folder if there is none, and return it.

    Raises
    ------
    FileWriteError
        If nothing can be written there.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise FileWriteError(
            f"no report can be written to {path}: {error.strerror or error}. Name a folder that can be written."
        ) from error
    return path


def _test(specification, options, progress, scratch):
    subject = subjects.find(specification)
    rows = plan(subject, options)
    device = DeviceReport(specification, subject.name)
    if subject.unusable is not None:
        device = dataclasses.replace(device, **subject.description, unusable=subject.unusable)
        if options.named is not None and specification not in options.named:
            rows = []
    progress.device_begins(specification, rows)
    worker = _Worker(subject, scratch, options.case_limit)
    try:
        for job in _jobs(subject, rows, options, scratch):
            stop_if_asked()
            if worker.is_gone:
                device.error = worker.start()
                if device.error is not None:
                    break
                device = dataclasses.replace(device, **worker.description)
            row = _run(worker, job, subject, options, progress, scratch)
            device.rows.append(row)
            progress.row_ends((job.operation, job.direction, job.variant))
            if device.unusable is not None and not row.passes:
                # The others would fail of the same cause.
                break
    finally:
        worker.stop()
    return device


def _jobs(subject, rows, options, scratch):
    for number, row in enumerate(rows):
        yield Job(
            *row,
            options.examples,
            options.seed,
            sizes(subject, options),
            case_file=str(scratch / "case.npz"),
            bundle=_bundle(options, subject.specification, number, row),
            case=options.case,
        )


def _run(worker, job, subject, options, progress, scratch):
    planned = job.operation, job.direction, job.variant
    row = worker.run(job, lambda cases: progress.case_begins(planned, cases))
    if row.verdict in ("crashed", "hung") and row.failure.case is not None:
        _describe_death(subject, worker.description, options, scratch, job, row)
    return row


def _describe_death(subject, description, options, scratch, job, row):
    """Say of a row that ended its process whether that is known, and else find a smaller case; save its bundle."""
    case = read_case(job.case_file)[3]
    watch = known_faults.watch(description, job.operation, job.direction, job.variant)
    fault = watch.explain(case, row.failure.message)
    if fault is None and job.case is None:
        case, row.failure.message = _smallest_killer(subject, options, scratch, job, case, row, watch)
        row.failure.case = summary(case)
    if job.bundle is not None:
        known = fault and fault.id
        try:
            row.failure.bundle = _save_killer(subject, options, scratch, job, case, row.failure.message, known)
        except Exception as error:
            row.failure.message += f"\n{not_saved(error)}"
    if fault is not None:
        row.verdict, row.failure.known = "known fault", fault.id


def _smallest_killer(subject, options, scratch, job, case, row, watch):
    """Search once more, each case in a process that it may end as the row's did; return the smallest, its message."""
    killers, file = [(case, row.failure.message)], scratch / "trial.npz"
    trial = dataclasses.replace(job, case=str(file), bundle=None)
    deadline = time.monotonic() + _SHRINKING_LIMIT
    worker = None

    def kills(case, case_limit):
        nonlocal worker
        if worker is None or worker.is_gone:
            worker = _Worker(subject, scratch, case_limit)
            if worker.start() is not None:
                return False
        write_case(file, job.operation, job.direction, job.variant, case)
        ended = worker.run(trial, lambda cases: None)
        if ended.verdict == row.verdict:
            killers.append((case, ended.failure.message))
        return ended.verdict == row.verdict

    def check(case):
        if time.monotonic() < deadline and kills(case, min(options.case_limit, _SHRINKING_CASE_LIMIT)):
            if watch.explain(case, "") is None:
                raise _Killed
            killers.pop()

    try:
        for search in searches(job, check):
            # Past the deadline nothing fails any more, which Hypothesis finds fault with.
            with contextlib.suppress(_Killed, hypothesis.errors.Flaky):
                search()
            if len(killers) > 1:
                break
        # What is only slow seems to hang too, in the time of a trial.
        if row.verdict == "hung" and len(killers) > 1:
            worker.stop()
            if not kills(killers[-1][0], options.case_limit):
                return killers[0]
    finally:
        if worker is not None:
            worker.stop()
    return killers[-1]


class _Killed(Exception):
    """A case ended its process."""


def _save_killer(subject, options, scratch, job, case, message, known):
    """Write the bundle of a case that ended its process, in another one; without kernels, where that ends too."""
    file = scratch / "killer.npz"
    write_case(file, job.operation, job.direction, job.variant, case)
    job = dataclasses.replace(job, case=str(file), killed=message, known=known)
    worker = _Worker(subject, scratch, options.case_limit)
    try:
        saved = worker.start() is None and worker.run(job, lambda cases: None).failure is None
    finally:
        worker.stop()
    if not saved:
        save_bundle(job, case, base.Unavailable(subject.specification), message, known=known)
    return Path(job.bundle).name


def _bundle(options, specification, number, row):
    if options.folder is None:
        return None
    name = "-".join(filter(None, (specification, f"{number:02}", *row)))
    return str(options.folder / "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name))


class _Worker:
    """A worker process, its answers, and the patience with it."""

    def __init__(self, subject, scratch, case_limit):
        self._subject, self._scratch, self._case_limit = subject, scratch, case_limit
        self._child = None

    @property
    def is_gone(self):
        return self._child is None

    def start(self):
        """Start the process; return what went wrong, or None."""
        environment = processes.environment() | {"PYTHONFAULTHANDLER": "1"} | self._subject.environment(self._scratch)
        self._child = processes.Child(processes.command(f"{__package__}.worker"), environment)
        try:
            answer = self._child.ask("open", _START_LIMIT, specification=self._subject.specification)
        except processes.NoAnswer as error:
            return self._end(error, "it was started")
        if "error" in answer:
            self.stop()
            return answer["error"]
        if answer.get("event") != "ready":
            return self._end(processes.Nonsense(answer), "it was started")
        self.description = answer["description"]
        self._patience = self._case_limit * (_SIMULATOR if answer["is_simulator"] else 1)
        return None

    def run(self, job, case_begins):
        """Run a job and return its row, whatever becomes of the process."""
        Path(job.case_file).unlink(missing_ok=True)
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

"""Testing many subjects, each in a process of its own that may crash or hang without ending the run."""

import collections
import contextlib
import dataclasses
import datetime
import math
import os
import platform
import tempfile
from pathlib import Path

from ...backend import results_of
from ...errors import BackendError, DataError, FileWriteError, ShapeError
from ...parallel.alone import ALONE
from ...parallel.dealing import deal
from ...shapes import sides, transposed_output_shape
from ...version import __version__
from ..bundles.bundle import unpack
from ..bundles.case_file import read_case
from ..judging import composition, judge
from ..reports.results import DeviceReport, Report
from ..subjects import base
from ..subjects import finding as subjects
from ..theory.sizes import LONG
from .saving import not_saved
from .testing import Rows, Task

#: Examples of each row by profile.
PROFILES = {"quick": 100, "standard": 400, "long": 10_000}

#: Seconds that one case may take; the first ones of each row may take more, for kernels to be compiled.
CASE_LIMIT = 60.0

#: Elements that a saved case may become by padding, or so many times as many as it has, whichever is more.
_PADDED, _PADDED_TIMES = 2**20, 100

#: The smallest numbers that windows may have.
_LEAST = {"kernel": 1, "stride": 1, "dilation": 1, "groups": 1, "padding": 0, "output_padding": 0}


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


def run(specifications, options, progress=None, ranks=ALONE):
    """Test subjects one after the other, their rows side by side on several ranks, which must all call it.

    Parameters
    ----------
    specifications : sequence of str
        As :func:`refcnn.conformance.subjects.finding.expand` gives them. Those of the first rank count.
    options : Options
        The same on all ranks.
    progress : Progress, optional
        Is told on the first rank alone.
    ranks : Ranks or Alone

    Returns
    -------
    Report
        On the first rank as one process would give it; on the others without devices.
    """
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
    planned = _Run(report, specifications if ranks.is_first else (), options, progress or Progress())
    with (
        tempfile.TemporaryDirectory(prefix="refcnn-conform-") as scratch,
        contextlib.closing(Rows(options, Path(scratch), ranks.rank, planned.case_begins)) as rows,
    ):
        deal(ranks, planned.tasks(), rows.run, planned.take)
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
    few = "vast", *LONG
    # Those of some millions of elements take seconds and gigabytes.
    return ("small", "large", *few, "huge", "uncounted") if options.profile == "long" else ("small", *few)


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


class _Run:
    """What the first of the ranks plans, and puts together of what all find.

    Parameters
    ----------
    report : Report
        To which devices are added, each when all of it is known.
    specifications : sequence of str
    options : Options
    progress : Progress
    """

    def __init__(self, report, specifications, options, progress):
        self._report, self._progress = report, progress
        self._devices = [_Device(number, one, options) for number, one in enumerate(specifications)]
        self._waiting = collections.deque(self._devices)
        self._begin()

    def tasks(self):
        """Yield the rows of all devices, but of one that cannot be tested any further."""
        for device in self._devices:
            for task in device.tasks:
                if device.is_over:
                    break
                yield task

    def case_begins(self, task, cases):
        """Tell it of the device whose results come next."""
        if self._waiting and self._waiting[0] is self._devices[task.device]:
            self._progress.case_begins(task.planned, cases)

    def take(self, task, tested):
        """Take what came of a task."""
        device = self._devices[task.device]
        device.take(task, tested)
        # After the row at which a device ends others may come that were under way, which one process would not run.
        if self._waiting and device is self._waiting[0]:
            if tested.row is not None:
                self._progress.row_ends(task.planned)
            self._end()

    def _begin(self):
        """Tell of the next device, and of what was found of it while it was not yet its turn."""
        if self._waiting:
            device = self._waiting[0]
            self._progress.device_begins(device.report.specification, [task.planned for task in device.tasks])
            for planned in device.found():
                self._progress.row_ends(planned)
            self._end()

    def _end(self):
        if self._waiting[0].is_complete():
            device = self._waiting.popleft().report
            self._report.devices.append(device)
            self._progress.device_ends(device)
            self._begin()


class _Device:
    """A device: the rows to run, and what came of them, in whatever order it came."""

    def __init__(self, place, specification, options):
        subject = subjects.find(specification, loaded=False)
        self.report = DeviceReport(specification, subject.name)
        rows = plan(subject, options)
        if subject.unusable is not None:
            self.report = dataclasses.replace(self.report, **subject.description, unusable=subject.unusable)
            if options.named is not None and specification not in options.named:
                rows = []
        drawn = sizes(subject, options)
        self.tasks = [
            Task(place, number, specification, row, drawn, _bundle(options, specification, number, row))
            for number, row in enumerate(rows)
        ]
        self._tested, self.is_over = {}, False

    def take(self, task, tested):
        """Keep what came of a task."""
        self._tested[task.number] = tested
        for failure in tested.row.failures if tested.bundles else ():
            if failure.bundle is not None:
                try:
                    unpack(tested.bundles[failure.bundle], Path(task.bundle).parent / failure.bundle)
                except Exception as error:
                    failure.bundle = None
                    failure.message += f"\n{not_saved(error)}"
        self.is_over = self.is_over or self._is_last(tested)

    def _is_last(self, tested):
        # Of a device that failed its trial the other rows would fail of the same cause.
        return tested.row is None or self.report.unusable is not None and not tested.row.passes

    def found(self):
        """Return the rows that were run."""
        return [task.planned for task in self.tasks if getattr(self._tested.get(task.number), "row", None) is not None]

    def is_complete(self):
        """Put the results into the report if all are there, and return whether they are."""
        tested = []
        for task in self.tasks:
            if task.number not in self._tested:
                return False
            tested.append(self._tested[task.number])
            if self._is_last(tested[-1]):
                break
        for one in tested:
            self._add(one)
        return True

    def _add(self, tested):
        if tested.row is None:
            self.report.error = tested.error
            return
        first = self._tested[0]
        if tested.rank != first.rank and tested.description != first.description:
            raise BackendError(
                f"{self.report.specification} of rank {first.rank} and of rank {tested.rank} are different: "
                f"{first.description} and {tested.description}. Start the ranks on machines that are alike."
            )
        self.report = dataclasses.replace(self.report, **tested.description)
        self.report.rows.append(tested.row)


def _bundle(options, specification, number, row):
    if options.folder is None:
        return None
    # An implementation may go to another folder.
    return str(options.folder.absolute() / bundle_name(specification, f"{number:02}", *row))


def bundle_name(*parts):
    """Return a folder's name of what tells a bundle from others; None of them is left out."""
    name = "-".join(str(part) for part in parts if part is not None)
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)

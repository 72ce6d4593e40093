"""The run of a measurement: which workloads, in which order, by whom."""

import dataclasses
import importlib.util
import math
import os
import sys
import tempfile
import time
from pathlib import Path

from ..backend import find
from ..errors import BackendError
from . import measuring, workloads
from .board import Board, Device, Result
from .measuring import ContestantError

PARTS = ("networks", "first-step", "grid")
BATCHES = (1, 4, 16, 64, 256)
SIZES = (14, 28, 56, 112)
_SIZES_BATCH = 16
# What compiling all kernels anew takes on a CPU, about.
_FIRST_STEP_SECONDS = 15


@dataclasses.dataclass
class Options:
    """What to measure.

    Attributes
    ----------
    devices : sequence of str
        Backends, ``opencl:PLATFORM:DEVICE``; all OpenCL devices if empty.
    parts : sequence of str
        Of ``PARTS``.
    quick : bool
        Fewer layers, fewer and shorter turns.
    rounds : int
    curves : bool
        Also measure over batch and image sizes.
    torch_python : str or None
        The Python interpreter that has PyTorch; None: there is none.
    bfloat16 : bool
        Also measure PyTorch in bfloat16, as a rival of its own.
    file : str or None
        An ONNX file, which is measured beside onnxruntime in the place of all else.
    batches : sequence of int
        The sizes of its batch.
    shapes : dict of str to tuple of int
        As :meth:`refcnn.onnx.reading.batches.File.inputs` takes them.
    """

    devices: tuple = ()
    parts: tuple = PARTS
    quick: bool = False
    rounds: int = 7
    curves: bool = False
    torch_python: str | None = None
    bfloat16: bool = False
    file: str | None = None
    batches: tuple = ()
    shapes: dict = dataclasses.field(default_factory=dict)

    @property
    def turn_seconds(self):
        """Seconds that one turn of one contestant takes."""
        return 0.12 if self.quick else 0.25


class Progress:
    """A listener that is told how a run goes on; this one does nothing with it."""

    def begins(self, board, seconds, turns):
        """All take part who can; the run will take about so many seconds, in so many turns."""

    def turn(self):
        """A turn is over."""

    def result(self, board, result):
        """A workload is done."""


def find_torch_python():
    """Return this interpreter if it has PyTorch, else None."""
    return sys.executable if importlib.util.find_spec("torch") else None


def device_names(wanted=()):
    """Return the names of the OpenCL devices that are wanted, all usable ones but simulators if none is named.

    Raises
    ------
    BackendError
        If there is none, or one is unknown or unusable.
    """
    from ..opencl.runtime import finding

    if wanted:
        return [_find(name) for name in wanted]
    found = [device.name for device in finding.usable() if not device.is_simulator]
    return found or [finding.best().name]


def _find(name):
    backend = find(name)
    if not hasattr(backend, "device"):
        raise BackendError(f"{name} is no OpenCL device: name one of those that 'refcnn devices' lists.")
    return backend.name


def run(options, progress=None):
    """Measure, and return the board; a Ctrl-C ends the run and leaves what was measured until then.

    Parameters
    ----------
    options : Options
    progress : Progress, optional

    Returns
    -------
    Board

    Raises
    ------
    BackendError
        If a device is unknown, or cannot be opened.
    """
    progress = progress or Progress()
    names = device_names(options.devices)
    board, opened = Board(), []
    with tempfile.TemporaryDirectory(prefix="refcnn-bench-") as folder:
        try:
            # What cannot be measured is found out before anybody is started.
            plan = list(_plan(workloads.Book(folder), options))
            groups = _groups(names, options, board, opened)
            count = sum(len(contestants) for contestants in groups.values())
            progress.begins(board, *expected(options, len(plan), count, len(names)))
            for contestants in groups.values():
                _measure_group(contestants, plan, options, board, progress)
                if "first-step" in options.parts and options.file is None:
                    for contestant in contestants:
                        device = board.device(contestant.name)
                        if device is not None:
                            device.first_step = first_step(device.name)
            board.is_complete = True
        except KeyboardInterrupt:
            pass
        finally:
            for process in opened:
                process.stop()
    return board


def expected(options, workloads, contestants, devices):
    """Return (seconds, turns) that a run takes, if no repetition of a workload takes longer than a turn shall.

    Parameters
    ----------
    options : Options
    workloads, contestants, devices : int
        How many of each; the contestants are the devices and their rivals.
    """
    turns = workloads * options.rounds * contestants
    seconds = (options.turn_seconds * (1 + 3 / options.rounds) + measuring.BETWEEN_TURNS) * turns
    has_first_step = "first-step" in options.parts and options.file is None
    return seconds + _FIRST_STEP_SECONDS * devices * has_first_step, turns


def _groups(names, options, board, opened):
    """Open everybody; return those that are measured side by side, by kind of device."""
    groups = {}
    for name in names:
        try:
            process = measuring.refcnn(name)
            opened.append(process)
            # A file is no matter of them, and the memory that it takes is not to be hidden by theirs.
            peaks = process.ask("peaks") if options.file is None else {}
        except ContestantError as error:
            raise BackendError(f"{name} cannot be measured: {error}") from error
        board.devices.append(Device(process.name, process.about, process.kind, **peaks))
        groups.setdefault("cuda" if process.kind == "gpu" else "cpu", []).append(process)
    for kind, contestants in groups.items():
        for rival, start in _rivals(options, kind):
            try:
                process = start()
            except ContestantError as error:
                board.missing.append(f"without {rival} on {kind}: {error}")
                continue
            opened.append(process)
            contestants.append(process)
            board.rivals.append(f"{process.name}: {process.about}")
    return groups


def _rivals(options, kind):
    """Yield (name, what starts it) for each rival on devices of a kind."""
    if options.file is None:
        yield "PyTorch", lambda: _pytorch(options.torch_python, kind, "float32")
        if options.bfloat16:
            yield "PyTorch in bfloat16", lambda: _pytorch(options.torch_python, kind, "bfloat16")
    yield "onnxruntime", lambda: measuring.onnxruntime(kind)


def _pytorch(python, kind, precision):
    if python is None:
        raise ContestantError('it is not installed; pip install "refcnn[bench]", or name a Python with --torch-python')
    return measuring.pytorch(python, kind, precision)


def _plan(book, options):
    """Yield (part, x, workload) for all that is measured in turns."""
    if options.file is not None:
        for workload in _of_file(book, options.file, options.batches, options.shapes):
            yield "file", workload.description["batch"], workload
        return
    if "networks" in options.parts:
        for model in ("chapter",) if options.quick else ("chapter", "lenet5"):
            for mode in workloads.MODES:
                yield "networks", 0, book.network(model, mode)
        for model, side, batch in () if options.quick else workloads.DEEP:
            yield "networks", 0, book.network(model, "training", image_shape=(3, side, side), batch=batch)
    if "grid" in options.parts:
        for layer in workloads.QUICK_GRID if options.quick else workloads.GRID:
            for mode in workloads.MODES:
                yield "grid", 0, book.layer(layer, mode)
    if options.curves:
        for batch in BATCHES:
            for mode in workloads.MODES:
                yield "batches", batch, book.network("chapter", mode, batch=batch)
        for size in SIZES:
            for mode in workloads.MODES:
                yield "sizes", size, book.network("chapter", mode, image_shape=(1, size, size), batch=_SIZES_BATCH)


def _of_file(book, path, batches, shapes):
    """Yield the workloads of an ONNX file."""
    from ..onnx.reading.batches import File

    file = File(path)
    for batch in batches or (file.batch or 1,):
        yield book.file(file, batch, shapes or {})


def _measure_group(contestants, plan, options, board, progress):
    for part, x, workload in plan:
        able = [one for one in contestants if not (one.name == "onnxruntime" and workload.mode == "training")]
        times = measuring.measure(able, workload, options.rounds, options.turn_seconds, progress.turn)
        done = {one.name: workload.flop_on(find(one.name).device) for one in able if board.device(one.name) is not None}
        result = Result(part, workload.name, workload.mode, workload.flop, times, x, done)
        board.results.append(result)
        for contestant in able:
            device = board.device(contestant.name)
            if device is not None and part in ("networks", "file") and times[device.name].seconds:
                device.memory[workload.label] = contestant.ask("memory")["bytes"]
        progress.result(board, result)


def first_step(device, turns=1):
    """Return the seconds of the chapter's first training step in a new process, with no kernels kept and with all.

    Parameters
    ----------
    device : str
    turns : int
        Processes with all kernels kept, of which the least counts.

    Returns
    -------
    dict
        ``cold`` and ``warm``: from before the model is made to the first loss; ``process``: with warm caches, from the
        start of the process to the same moment.
    """
    with tempfile.TemporaryDirectory(prefix="refcnn-bench-") as folder:
        # The caches of refcnn and PoCL, of PoCL, and of NVIDIA's driver.
        caches = {
            "XDG_CACHE_HOME": folder,
            "POCL_CACHE_DIR": str(Path(folder, "pocl")),
            "CUDA_CACHE_PATH": str(Path(folder, "nvidia")),
        }
        workload = workloads.Book(folder).network("chapter", "training")
        found = {}
        for key in ("cold", *("warm",) * turns):
            os.makedirs(caches["POCL_CACHE_DIR"], exist_ok=True)
            start = time.perf_counter()
            process = measuring.refcnn(device, caches)
            try:
                seconds = process.ask("prepare", workload=workload.description)["seconds"]
                taken = {key: seconds, "process": time.perf_counter() - start}
                found |= {name: min(found.get(name, math.inf), seconds) for name, seconds in taken.items()}
            finally:
                process.stop()
    return found


def profiles(device, file=None, batches=(), shapes=None, width=None):
    """Yield where the time goes on a device of the chapter's training step, or of inference with a file.

    Parameters
    ----------
    device : str
    file, batches, shapes
        As of :class:`Options`.
    width : int, optional
        Of the lines, as in :func:`refcnn.tables.table`.

    Yields
    ------
    dict
        ``about`` (str), ``label`` (str) of what is measured, ``lines`` (list of str), ``profile`` (as
        :class:`refcnn.bench.profiling.Profile`), and the limits ``gflops`` and ``bandwidth``.
    """
    with tempfile.TemporaryDirectory(prefix="refcnn-bench-") as folder:
        book = workloads.Book(folder)
        process = measuring.refcnn(device)
        try:
            for workload in (
                [book.network("chapter", "training")] if file is None else _of_file(book, file, batches, shapes)
            ):
                process.ask("prepare", workload=workload.description)
                yield {"about": process.about, "label": workload.label, **process.ask("profile", width=width)}
        finally:
            process.stop()

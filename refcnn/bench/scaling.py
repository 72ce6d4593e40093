"""How time and memory grow: fits and limits, each with its verdict."""

import dataclasses
import math
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from .. import models, rooms
from ..backend import use_backend
from . import batches, measuring, workloads
from .running import first_step

BATCHES = {"cpu": (32, 64, 128, 256), "gpu": (256, 512, 1024, 2048)}
SIZES = (28, 40, 56, 80)
_SIZES_BATCH = {"cpu": 16, "gpu": 256}
MOST_EXPONENT = 1.05
MOST_MEMORY = 1.3
HOST_STEPS = 10_000
# Steps after which everything that is made once has been made.
_SETTLED = 1000
MOST_HOST_GROWTH = 0.01
# Sizes that are compared take turns of so many seconds, in so many rounds.
_ROUNDS, _TURN_SECONDS = 11, 0.1
MOST_EPOCH = 1.05
_EPOCH_STEPS = {"cpu": 60, "gpu": 1000}
# Epochs, each followed by as many steps.
_EPOCHS = 7
MOST_IMPORT_SECONDS = 0.2
MOST_FIRST_STEP_SECONDS = 1.5
_FIRST_STEPS = 3


@dataclasses.dataclass
class Check:
    """One number and its limit.

    Attributes
    ----------
    name : str
    value, limit : float
    detail : str
        How it came about.
    """

    name: str
    value: float
    limit: float
    detail: str

    @property
    def passes(self):
        """Whether the number keeps within the limit."""
        return self.value <= self.limit


def exponent(sizes, seconds):
    """Return b of the power law ``seconds = a sizes^b`` that fits best by the least squares of the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def checks(device):
    """Yield the checks of one device, each as soon as it is known.

    Parameters
    ----------
    device : str
        ``opencl:PLATFORM:DEVICE``
    """
    yield import_time()
    step = first_step(device, _FIRST_STEPS)
    detail = (
        f"the least of {_FIRST_STEPS}; cold {step['cold']:.2f} s; from the start of the process {step['process']:.2f} s"
    )
    yield Check("first training step, warm caches, s", step["warm"], MOST_FIRST_STEP_SECONDS, detail)
    with tempfile.TemporaryDirectory(prefix="refcnn-bench-") as folder:
        book = workloads.Book(folder)
        yield memory(device, book)
        yield from _in_one_process(device, book)


def _in_one_process(device, book):
    process = measuring.refcnn(device)
    try:
        kind = "gpu" if process.kind == "gpu" else "cpu"
        yield _growth(
            "time over batch",
            process,
            [(batch, book.network("chapter", "training", batch=batch)) for batch in BATCHES[kind]],
        )
        yield _growth(
            "time over pixels",
            process,
            [
                (size**2, book.network("chapter", "training", image_shape=(1, size, size), batch=_SIZES_BATCH[kind]))
                for size in SIZES
            ],
        )
        yield epoch(process, book, _EPOCH_STEPS[kind])
        yield host_memory(process, book)
    finally:
        process.stop()


def _growth(name, process, plan):
    """Measure how the time of a step grows over sizes that take turns, so that a noisy machine hits all alike."""
    sizes, counts = [str(size) for size, _ in plan], {}
    for size, (_, workload) in zip(sizes, plan, strict=True):
        process.ask("prepare", workload=workload.description)
        process.ask("keep", name=size)
        counts[size] = max(1, round(_TURN_SECONDS / (process.ask("run", count=2)["seconds"] / 2)))
    rounds = []
    for number in range(_ROUNDS):
        found = {}
        # Up and down: what becomes faster or slower steadily is no growth.
        for size in sizes if number % 2 == 0 else sizes[::-1]:
            process.ask("resume", name=size)
            found[size] = process.ask("run", count=counts[size])["seconds"] / counts[size]
        rounds.append([found[size] for size in sizes])
    process.ask("forget")
    return growth(f"{name}, exponent", [size for size, _ in plan], rounds)


def growth(name, sizes, rounds):
    """Return the check of an exponent: the median of those of the rounds.

    Parameters
    ----------
    name : str
    sizes : sequence of int
    rounds : sequence of sequence of float
        For each round the seconds of each size.
    """
    medians = (statistics.median(seconds) for seconds in zip(*rounds, strict=True))
    detail = ", ".join(f"{size}: {1e3 * seconds:.1f} ms" for size, seconds in zip(sizes, medians, strict=True))
    return Check(name, statistics.median(exponent(sizes, seconds) for seconds in rounds), MOST_EXPONENT, detail)


def memory(device, book):
    """Compare the device's memory with what the chapter's training step needs by its formulas."""
    workload = book.network("chapter", "training")
    process = measuring.refcnn(device)
    try:
        process.ask("prepare", workload=workload.description)
        process.ask("run", count=5)
        held = process.ask("memory")["bytes"]
    finally:
        process.stop()
    needed = needed_bytes("chapter", workloads.CHAPTER_IMAGE, workloads.CHAPTER_BATCH)
    detail = f"{held / 2**20:.0f} MiB held, {needed / 2**20:.0f} MiB needed"
    return Check("device memory over what is needed", held / needed, MOST_MEMORY, detail)


def needed_bytes(model, image_shape, batch):
    """Return the bytes of parameters, gradients, momentum, and the activations that the backward pass needs.

    Those are the inputs that cards say their operations keep, and that of the
    loss; the rectifiers' results are among them.
    """
    with use_backend("reference"):
        nodes = workloads.record(models.build(model, image_shape, batches.CLASSES), image_shape)
    parameters = sum(math.prod(entry.shape) for node in nodes for entry in node.inputs[1:] if entry is not None)
    keeping = [node for node in nodes if rooms.trait(rooms.LAYERS, node.operation, "KEEPS_INPUT")]
    activations = sum(math.prod(node.inputs[0].shape) for node in keeping)
    return 4 * (3 * parameters + batch * (activations + batches.CLASSES))


def epoch(process, book, steps):
    """Compare epochs of 'refcnn train' with as many steps whose data are at hand, in turns."""
    process.ask("prepare", workload=book.network("chapter", "training").description)
    with tempfile.TemporaryDirectory(prefix="refcnn-bench-") as folder:
        found = process.ask("epochs", rounds=_EPOCHS, steps=steps, batch=workloads.CHAPTER_BATCH, folder=folder)
    epochs, alone = (measuring.Times(found[name]) for name in ("epochs", "steps"))
    detail = (
        f"{steps} steps take {alone.median:.3f} s, an epoch of them {epochs.median:.3f} s, the medians of {_EPOCHS}"
    )
    return Check("epoch over its steps", measuring.ratio(alone, epochs), MOST_EPOCH, detail)


def host_memory(process, book):
    """Compare the process's memory before and after thousands of steps."""
    workload = book.network("lenet5", "training", image_shape=(1, 8, 8), batch=1)
    process.ask("prepare", workload=workload.description)
    process.ask("run", count=_SETTLED)
    before = process.ask("host_memory")["bytes"]
    process.ask("run", count=HOST_STEPS)
    after = process.ask("host_memory")["bytes"]
    detail = f"{before / 2**20:.1f} MiB before, {after / 2**20:.1f} MiB after"
    return Check(f"host memory's growth in {HOST_STEPS} steps", after / before - 1, MOST_HOST_GROWTH, detail)


def import_time(turns=5):
    """Return how long ``import refcnn`` takes in a new process."""
    code = "import time; start = time.perf_counter(); import refcnn; print(time.perf_counter() - start)"
    package = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", code]
    found = [
        float(subprocess.run(command, capture_output=True, text=True, cwd=package, check=True).stdout)
        for _ in range(turns)
    ]
    return Check("import refcnn, s", min(found), MOST_IMPORT_SECONDS, f"the least of {turns}")


def line(check):
    """Return a check as text."""
    verdict = "pass" if check.passes else "FAIL"
    return f"  {verdict}  {check.name}: {check.value:.3f}, at most {check.limit:g} ({check.detail})"

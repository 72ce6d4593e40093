"""A data set and models so small that a training run takes a fraction of a second."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from refcnn.fitting import Callback
from refcnn.runs.checkpoint import Checkpoint
from refcnn.runs.kept_kernels import KeptKernels

#: The command that trains the small model.
TRAIN = [
    "train",
    "--data",
    "data.npz",
    "--model",
    "small_models:small",
    "--backend",
    "reference",
    "--batch-size",
    "8",
    "--lr",
    "0.02",
    "--seed",
    "3",
]

MODELS = """
import time
import refcnn as rm


def small(image_shape, classes):
    return rm.Sequential([rm.Conv2d(4, 3, padding=1), rm.Relu(), rm.MaxPool2d(2, stride=2), rm.Dropout(0.3),
                          rm.Flatten(), rm.Dense(classes)])


class Wait(rm.Layer):
    def forward(self, x):
        time.sleep(0.02)
        return x


def slow(image_shape, classes):
    model = small(image_shape, classes)
    model.append(Wait())
    return model


def fails(image_shape, classes):
    raise ValueError("no such size")


def number(image_shape, classes):
    return 3


def wide(image_shape, classes):
    return rm.Sequential([rm.Flatten(), rm.Dense(classes + 1)])


def demanding(image_shape, classes):
    return rm.Sequential([rm.Conv2d(4, 99), rm.Flatten(), rm.Dense(classes)])


other = 5
"""

# Trains or resumes without the pictures and the export that end a run on the command line.
PROGRAM = """
import sys
import refcnn
from refcnn.runs import run_folder, training
folder, epochs, backend = sys.argv[1], int(sys.argv[2]), sys.argv[3]
sys.path.insert(0, ".")
with refcnn.use_backend(backend):
    if (run_folder.Path(folder) / "config.json").exists():
        session = training.resume(run_folder.RunFolder.open(folder, "small_models:small"), {})
    else:
        options = dict(data="data.npz", model="small_models:small", epochs=epochs, batch_size=8, lr=0.02, seed=3)
        session = training.start(options | {further}, folder)
    print("ready", flush=True)
    {before}
    session.finish(lambda line: print(line, flush=True))
"""


class At(Callback):
    """A callback that calls a function at one moment."""

    def __init__(self, moment, function):
        setattr(self, moment, function)


def write_inputs(folder):
    """Write ``data.npz``, 100 images of three classes, ``small_models.py`` and one image file per class."""
    from PIL import Image

    rng = np.random.default_rng(5)
    y = np.arange(100) % 3
    x = rng.integers(0, 90, (100, 6, 6), dtype=np.uint8)
    for index, label in enumerate(y):
        x[index, 2 * label : 2 * label + 2] += 150
    np.savez(folder / "data.npz", x=x, y=y)
    (folder / "small_models.py").write_text(MODELS)
    for label in range(3):
        Image.fromarray(x[label]).save(folder / f"class{label}.png")


def start(cwd, folder, backend="reference", epochs=4, before="pass", **further):
    """Start a process that trains in ``folder``, or resumes if a run is there, after it has executed ``before``."""
    program = PROGRAM.replace("{before}", before).replace("{further}", repr(further))
    command = [sys.executable, "-c", program, str(folder), str(epochs), backend]
    return subprocess.Popen(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )


def train(cwd, folder, backend="reference", epochs=4, before="pass", **further):
    """Run :func:`start` to its end and return (exit status, standard output, standard error)."""
    process = start(cwd, folder, backend, epochs, before, **further)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def environment():
    """Return the environment of a child process: this checkout importable, and one thread for NumPy's products."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OPENBLAS_NUM_THREADS": "1"}


def assert_same(first, second):
    """Assert that two checkpoints are the same to the bit, but for the times that were measured."""
    first, second = Checkpoint.load(first), Checkpoint.load(second)
    assert first.parameters.keys() == second.parameters.keys() and first.parameters
    for name, array in first.parameters.items():
        assert array.dtype == second.parameters[name].dtype
        np.testing.assert_array_equal(array, second.parameters[name], err_msg=name)
    assert first.optimizer.keys() == second.optimizer.keys()
    for name, slots in first.optimizer.items():
        assert slots.keys() == second.optimizer[name].keys() and slots
        for slot, array in slots.items():
            np.testing.assert_array_equal(array, second.optimizer[name][slot], err_msg=f"{name} {slot}")
    assert (first.epoch, first.seed, first.stream) == (second.epoch, second.seed, second.stream)
    assert _without_times(first.history) == _without_times(second.history)


def kernels_of(path):
    """Return the kernels that a run's folder keeps, by their epochs."""
    kept = KeptKernels(Path(path) / "kernels")
    return {epoch: kept.load(epoch) for epoch in kept.epochs()}


def assert_same_kernels(first, second):
    """Assert that two runs' folders keep the same kernels of the same epochs, to the bit."""
    first, second = kernels_of(first), kernels_of(second)
    assert first.keys() == second.keys() and first
    for epoch, weights in first.items():
        np.testing.assert_array_equal(weights, second[epoch], err_msg=f"epoch {epoch}")


def _without_times(history):
    return [{key: row[key] for key in row if key not in ("seconds", "iterations_per_second")} for row in history]

#!/usr/bin/env python3
"""Give mutants of real ONNX models to refcnn's reader for a while: ``fuzz_onnx.py FOLDER --seconds 3600``.

Models are the cases of tests/onnx, ONNX's own of single operators and of PyTorch's exporters, its light networks, and
with ``--models`` those of a folder (``tools/package_models``). A process reads and computes one mutant after the other;
where one ends that process, another goes on. It is found if

- it crashes, or lets an exception out that is none of refcnn's;
- it takes more than 5 s of the processor;
- it takes more memory than four times its file and the tensors that it declares, beside what the model that it was made
  of takes and a floor: 128 MiB, and as much again for each example that it is given;
- it opens, or does anything else to, a file outside of its folder.

``FOLDER/found`` keeps the smallest mutant of each kind, with what was seen; at the end, or when interrupted, counts are
printed.
"""

import argparse
import collections
import faulthandler
import json
import math
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(CHECKOUT)]

import numpy as np
import onnx

import refcnn as rm
from tests import limits, mutants, onnx_fuzz, onnx_mutants

FLOOR = 2**27
LIGHT = "light_squeezenet", "light_shufflenet", "light_inception_v1", "light_resnet50"
#: How often each kind of model is taken.
SHARES = {"cases": 4, "nodes": 3, "pytorch": 2, "models": 3, "light": 1}


def sources(models):
    """Return by kind pairs of a name and a function that gives a model's bytes and its inputs."""
    from tests.onnx import test_cases, test_networks, test_node_cases

    data = Path(onnx.__file__).parent / "backend" / "test" / "data"
    found = {
        "cases": [(entry.id, lambda entry=entry: _of_variant(entry.values[0])) for entry in test_cases.VARIANTS],
        "nodes": [(name, lambda name=name: _of_node(test_node_cases, name)) for name in test_node_cases.IN_SCOPE],
        "pytorch": [
            (folder.name, lambda folder=folder: _of_folder(test_node_cases, folder))
            for folder in test_node_cases.FOLDERS
        ],
        "light": [(name, lambda name=name: _of_network(data / "light" / f"{name}.onnx", None)) for name in LIGHT],
        "models": [],
    }
    if models is not None:
        found["models"] = [
            (path.stem, lambda path=path: _of_network(path, test_networks.SHAPES.get(path.name)))
            for path in sorted(models.glob("*.onnx"))
        ]
    return found


def _of_variant(variant):
    return variant.model.SerializeToString(), list(variant.feeds.values())


def _of_node(cases, name):
    case = cases.cases()[name]
    inputs, _ = next(iter(cases.data_of(case)))
    return cases.model_of(case).SerializeToString(), inputs


def _of_folder(cases, folder):
    inputs, _ = cases.tensors_of(folder / "test_data_set_0")
    return (folder / "model.onnx").read_bytes(), inputs


def _of_network(path, shape):
    content = path.read_bytes()
    graph = onnx.load_model_from_string(content).graph
    constants = {entry.name for entry in graph.initializer}
    (entry,) = (entry for entry in graph.input if entry.name not in constants)
    shape = shape or [axis.dim_value or 1 for axis in entry.type.tensor_type.shape.dim]
    return content, [np.random.default_rng(0).random(shape).astype(np.float32)]


def declared_bytes(content):
    """Return how many bytes the tensors take that a model declares: constants, inputs, outputs, and values between."""
    try:
        model = onnx.load_model_from_string(content)
    except Exception:
        return 0
    total, by_name = 0, {}
    for message in onnx_mutants.messages_of(model):
        if isinstance(message, onnx.TensorProto):
            total += 8 * math.prod(max(0, size) for size in message.dims)
            by_name[message.name] = message
        elif isinstance(message, onnx.TypeProto.Tensor):
            total += 8 * math.prod(max(0, axis.dim_value) or 1 for axis in message.shape.dim)
    # Its constant input is the shape of a tensor, as the light networks declare their weights.
    for node in model.graph.node:
        if node.op_type == "ConstantOfShape" and node.input and node.input[0] in by_name:
            try:
                sizes = onnx.numpy_helper.to_array(by_name[node.input[0]]).ravel()
                total += 8 * math.prod(max(0, int(size)) for size in sizes)
            except Exception:
                continue
    return total


def changed(content, chance):
    """Return a mutant: of bytes, of messages or of the graph."""
    kind = chance.randrange(8)
    if kind < 2:
        return mutants.of_bytes(content, chance)
    return onnx_mutants.of_any(content, chance)


def other_input(array, chance):
    """Return an input, now and then of another shape or dtype."""
    array = np.asarray(array)
    changes = (
        lambda: array[:0],
        lambda: array.ravel(),
        lambda: array[None],
        lambda: array[..., :1],
        lambda: array.astype(chance.choice(("f8", "f2", "i8", "i4", "?", "u1"))),
        lambda: np.full_like(array, chance.choice((0, 1, -1, np.nan)) if array.dtype.kind == "f" else 10**6),
    )
    return chance.choice(changes)() if array.ndim and array.dtype.kind in "fiu" and chance.randrange(16) == 0 else array


class Memory:
    """The most memory that the process held since the last look at it."""

    def __init__(self):
        self.before = self._value("VmRSS")

    def begin(self):
        Path("/proc/self/clear_refs").write_text("5")
        self.before = self._value("VmRSS")

    def taken(self):
        """Return by how many bytes it grew at most."""
        return max(0, self._value("VmHWM") - self.before)

    @staticmethod
    def _value(name):
        return 1024 * int(re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())[1])


class Trial:
    """One process's trials, from a number on."""

    def __init__(self, folder, options):
        self._folder, self._options = folder, options
        self._sources, self._valid, self._memory = sources(options.models), {}, Memory()
        self._place = folder / "scratch" / "models"

    def run(self, first):
        """Try one mutant after the other until the time is up."""
        kinds = [kind for kind, share in SHARES.items() if self._sources[kind] for _ in range(share)]
        number = first
        while number < self._options.count and time.time() < self._options.until:
            chance = random.Random(f"{self._options.seed} {number}")
            kind = chance.choice(kinds)
            name, source = chance.choice(self._sources[kind])
            backend = "reference" if kind not in ("models", "light") and chance.randrange(2) else self._options.device
            self._one(number, kind, name, source, backend, chance)
            number += 1

    def _one(self, number, kind, name, source, backend, chance):
        with rm.use_backend(backend):
            content, feeds, floor = self._source(kind, name, source, backend)
            mutant = changed(content, chance)
            feeds = [other_input(entry, chance) for entry in feeds]
            path = onnx_fuzz.place(self._place, "model", mutant, feeds)
            _write(self._folder / "current.json", [number, kind, name, backend])
            self._memory.begin()
            begun = time.process_time()
            became = limits.limited(lambda: limits.outcome(lambda: onnx_fuzz.read(path)))
        taken, seconds = self._memory.taken(), time.process_time() - begun
        examples = max((len(entry) for entry in feeds if entry.ndim > 1), default=1)
        if not became and taken > FLOOR * (1 + examples) + floor + 4 * (len(mutant) + declared_bytes(mutant)):
            became = f"{became}\nmemory: {taken / 2**20:.0f} MiB"
        verdict = "read" if became is None else "refused" if became == "" else "found"
        row = {"number": number, "kind": kind, "verdict": verdict, "seconds": round(seconds, 3), "bytes": taken}
        with open(self._folder / "counts.jsonl", "a") as file:
            print(json.dumps(row), file=file)
        if became:
            keep(self._folder, path, became, [number, kind, name, backend])

    def _source(self, kind, name, source, backend):
        """Return a model's bytes, its inputs, and how much memory it takes as it is, which warms the process too."""
        key = kind, name, backend
        if key not in self._valid:
            content, feeds = source()
            path = onnx_fuzz.place(self._place, "model", content, feeds)
            self._memory.begin()
            became = limits.outcome(lambda: onnx_fuzz.read(path))
            if kind in ("models", "light") and became is not None:
                raise SystemExit(f"{name} is not read: {became}")
            self._valid[key] = self._memory.taken()
        else:
            content, feeds = source()
        return content, feeds, self._valid[key]


def _write(path, value):
    path.write_text(json.dumps(value))


def keep(folder, path, became, where):
    """Keep a mutant if it is the smallest of its kind."""
    target = folder / "found" / f"{kind_of(became)}.onnx"
    target.parent.mkdir(exist_ok=True)
    count = target.with_suffix(".count")
    count.write_text(str(int(count.read_text()) + 1 if count.exists() else 1))
    if not target.exists() or target.stat().st_size > path.stat().st_size:
        shutil.copy(path, target)
        shutil.copy(path.with_suffix(".npz"), target.with_suffix(".npz"))
        target.with_suffix(".txt").write_text(f"{where}\n{became}")


def kind_of(became):
    """Return a name of what became of a mutant: its last line, and the place in refcnn where that was."""
    lines = [line.strip() for line in became.strip().splitlines()]
    places = re.findall(r"refcnn/(\S+)\.py\S* line (\d+)", became)
    # Tracebacks end with the innermost place, and faulthandler's begin with it.
    place = "-".join(places[0 if "most recent call first" in became else -1]) if places else ""
    # Names and numbers differ from mutant to mutant.
    last = re.sub(r"[^a-zA-Z]+", "-", re.sub(r"'[^']*'", "", lines[-1]))[:60]
    return f"{place}-{last}".replace("/", "-").strip("-")


def parse(arguments):
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--count", type=int, default=2**62, help="end after so many mutants, if that is sooner")
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--first", type=int, default=0, help="the number of the first mutant")
    parser.add_argument("--models", type=Path, help="a folder of other models")
    parser.add_argument("--device", default="opencl", help="the backend beside the reference")
    options = parser.parse_args(arguments)
    options.until = options.until or time.time() + options.seconds
    return options


def main(arguments):
    """Start processes until the time is up, and print counts."""
    options = parse(arguments)
    folder = options.folder
    (folder / "scratch" / "models").mkdir(parents=True, exist_ok=True)
    first = options.first
    try:
        while time.time() < options.until:
            command = [sys.executable, __file__, *arguments, "--until", str(options.until), "--first", str(first)]
            environment = {**os.environ, "REFCNN_FUZZ_CHILD": "1", "OPENBLAS_NUM_THREADS": "1"}
            done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, errors="replace")
            if done.returncode == 0:
                break
            if not (folder / "current.json").exists():
                raise SystemExit(done.stderr)
            where = json.loads((folder / "current.json").read_text())
            if where[0] < first:
                raise SystemExit(done.stderr)
            name = signal.Signals(-done.returncode).name if done.returncode < 0 else done.returncode
            keep(folder, folder / "scratch" / "models" / "model.onnx", f"{done.stderr}\nended by {name}", where)
            with open(folder / "counts.jsonl", "a") as file:
                print(json.dumps({"number": where[0], "kind": where[1], "verdict": f"ended by {name}"}), file=file)
            first = where[0] + 1
    except KeyboardInterrupt:
        pass
    report(folder)


def report(folder):
    """Print how many mutants became what, the slowest and the largest, and what was found."""
    rows = [json.loads(line) for line in (folder / "counts.jsonl").read_text().splitlines()]
    counts = collections.Counter((row["kind"], row["verdict"]) for row in rows)
    print(f"{len(rows)} mutants")
    for (kind, verdict), count in sorted(counts.items()):
        print(f"{kind:10}{verdict:20}{count:8}")
    for field in ("seconds", "bytes"):
        row = max((row for row in rows if field in row), key=lambda row: row[field], default=None)
        print(f"most {field}: {row}")
    for path in sorted((folder / "found").glob("*.count")):
        print(f"{path.read_text():>6} times {path.stem}")


def child(arguments):
    """Try mutants in this process."""
    options = parse(arguments)
    warnings.simplefilter("ignore")
    faulthandler.enable()
    faulthandler.register(signal.SIGPROF, chain=True)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    Trial(options.folder, options).run(options.first)


if __name__ == "__main__":
    (child if "REFCNN_FUZZ_CHILD" in os.environ else main)(sys.argv[1:])

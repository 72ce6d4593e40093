"""Whose turn it is at the bench, and who takes part."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from refcnn.bench import board as boards
from refcnn.bench import measuring, workloads
from refcnn.bench.board import Board, Device, Result
from refcnn.bench.measuring import ContestantError, Times
from refcnn.bench.workloads import Workload

from .conftest import TINY


class Fake:
    """A contestant in this process whose runs take a given time."""

    def __init__(self, name, seconds, log, parameters=5, fails=None):
        self.name, self.seconds, self.log, self.parameters, self.fails = name, seconds, log, parameters, fails

    def ask(self, request, **arguments):
        if request == self.fails:
            raise ContestantError(f"no {request}")
        self.log.append((self.name, request, arguments.get("count")))
        seconds = self.seconds * arguments.get("count", 1)
        return {"parameters": self.parameters, "seconds": seconds, "remark": f"as {self.name} does"}


WORKLOAD = Workload("work", "training", {})


def test_contestants_take_turns_of_like_length():
    log, ticks = [], []
    fakes = [Fake("a", 0.25, log), Fake("b", 2.0, log)]
    times = measuring.measure(fakes, WORKLOAD, 3, 1.0, lambda: ticks.append(1))
    assert log[:6] == [
        ("a", "prepare", None),
        ("a", "run", 1),
        ("a", "run", 2),
        ("b", "prepare", None),
        ("b", "run", 1),
        ("b", "run", 2),
    ]
    # A turn begins with a run for warming up, whose time does not count.
    assert log[6:] == [("a", "run", 1), ("a", "run", 4), ("b", "run", 1), ("b", "run", 1)] * 3
    assert times["a"].seconds == [0.25] * 3 and times["b"].seconds == [2.0] * 3 and len(ticks) == 6
    assert times["a"].remark == "as a does"


def test_a_contestant_that_fails_is_left_out_and_says_why():
    log = []
    fakes = [Fake("a", 0.5, log), Fake("b", 0.5, log, fails="prepare"), Fake("c", 0.5, log, parameters=6)]
    times = measuring.measure(fakes, WORKLOAD, 2, 1.0)
    assert times["a"].seconds == [0.5] * 2 and times["a"].error is None
    assert times["b"].seconds == [] and times["b"].error == "no prepare"
    assert times["c"].seconds == [] and "6 parameters, others 5" in times["c"].error


def test_times():
    times = Times([4.0, 1.0, 3.0, 2.0, 5.0])
    assert times.median == 3 and times.spread == pytest.approx((4 - 2) / 2 / 3)
    assert Times([2.0]).spread == 0
    # By rounds: 2, 3 and 1 times faster.
    assert measuring.ratio(Times([1.0, 2.0, 4.0]), Times([2.0, 6.0, 4.0])) == 2


@pytest.fixture
def contestants(opencl_backend):
    """refcnn on a device and onnxruntime, and PyTorch if it is installed."""
    opened = [measuring.refcnn(opencl_backend.name), measuring.onnxruntime("cpu")]
    if importlib.util.find_spec("torch"):
        opened.append(measuring.pytorch(sys.executable, "cpu"))
    yield opened
    for process in opened:
        process.stop()


def test_contestants_do_the_workloads(contestants, book):
    small = {"image_shape": (1, 8, 8), "batch": 3}
    plan = [book.network("chapter", mode, **small) for mode in workloads.MODES]
    plan += [book.layer(TINY, mode) for mode in workloads.MODES]
    plan += [book.network("unet", "training", image_shape=(3, 16, 16), batch=2)]
    for workload in plan:
        times = measuring.measure(contestants, workload, 2, 0.001)
        for name, found in times.items():
            if name == "onnxruntime" and workload.mode == "training":
                assert "does not train" in found.error
            else:
                assert found.error is None and len(found.seconds) == 2 and min(found.seconds) > 0, (workload, found)


def test_an_error_in_a_contestant_is_told_and_does_not_end_it(contestants, book):
    ours, theirs = contestants[:2]
    broken = book.layer(TINY, "inference").description
    with pytest.raises(ContestantError, match="KeyError"):
        ours.ask("prepare", workload={**broken, "kind": "nothing"})
    with pytest.raises(ContestantError, match="No such file|NoSuchFile|NO_SUCHFILE"):
        theirs.ask("prepare", workload={**broken, "onnx": "none.onnx"})
    assert ours.ask("prepare", workload=broken)["parameters"] == broken["parameters"]


def test_a_contestant_that_dies_is_told():
    process = measuring.Process([sys.executable, "-c", "import sys; print('last words', file=sys.stderr); sys.exit(7)"])
    with pytest.raises(ContestantError, match=r"status 7.*last words"):
        process.open("cpu")
    process.stop()
    with pytest.raises(ContestantError, match="no/python could not be started"):
        measuring.pytorch("no/python", "cpu")


TORCH = """
import sys, types

print("a greeting of the library's own")
cuda = types.SimpleNamespace(matmul=types.SimpleNamespace())
backends = types.SimpleNamespace(cuda=cuda, cudnn=types.SimpleNamespace())
device = lambda name: types.SimpleNamespace(type=name)
get_num_threads, set_num_threads = (lambda: 1), (lambda count: None)
nn = sys.modules["torch.nn"] = types.ModuleType("torch.nn")
nn.Module = object
float32 = bfloat16 = None
__version__ = "0.0"
"""


@pytest.mark.parametrize("name", ["chapter", *(name for name, *_ in workloads.DEEP)])
def test_pytorch_has_every_operation_with_its_attributes(book, tmp_path, name):
    """Whatever version of it is installed, or none."""
    described = book.network(name, "training", image_shape=(3, 32, 32)).description
    (tmp_path / "torch.py").write_text(TORCH)
    (tmp_path / "steps.json").write_text(json.dumps(described["steps"]))
    program = """
import inspect, json, sys
import pytorch_process
for operation, _, shapes, attributes in json.load(open(sys.argv[1])):
    inspect.signature(getattr(pytorch_process._Modules, operation)).bind(*shapes, **attributes)
"""
    beside = Path(measuring.__file__).parent / "contestants"
    search_path = os.pathsep.join(map(str, (tmp_path, beside)))
    command = [sys.executable, "-c", program, str(tmp_path / "steps.json")]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": search_path}, check=True, timeout=60)


def test_a_rival_that_failed_is_told():
    device = Device("opencl:0:0", "A GPU", "gpu", 1000.0, 100.0)
    times = {"opencl:0:0": Times([1.0]), "rival": Times(error="TypeError: it took no dropout")}
    lines = boards.result_lines(
        Board([device], ["rival"], []), Result("networks", "chapter", "training", int(4e9), times)
    )
    assert lines[-1].split() == ["rival", "failed:", "TypeError:", "it", "took", "no", "dropout"]


def test_pytorchs_process_needs_no_refcnn(tmp_path, monkeypatch):
    """Its Python has PyTorch and NumPy; the rest is found by its path, whatever the library prints."""
    (tmp_path / "torch.py").write_text(TORCH)
    (tmp_path / "refcnn.py").write_text("raise ImportError('this Python has no refcnn')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    process = measuring.pytorch(sys.executable, "cpu")
    try:
        assert process.name == "PyTorch" and "0.0 in float32 on cpu" in process.about
        with pytest.raises(ContestantError, match="KeyError: 'nothing'"):
            process.ask("prepare", workload={"kind": "nothing"})
    finally:
        process.stop()

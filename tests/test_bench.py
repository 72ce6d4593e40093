"""The bench: what it counts, who takes part, whose turn it is, and what it prints. No test asserts a speed."""

import collections
import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import refcnn as rm
from refcnn.bench import board as boards
from refcnn.bench import measuring, plotting, profiling, running, scaling, workloads
from refcnn.bench.board import Board, Device, Result
from refcnn.bench.measuring import ContestantError, Times
from refcnn.bench.workloads import Layer, Workload
from refcnn.cli import main
from refcnn.errors import BackendError
from refcnn.opencl.convolution.sizes import Convolution
from refcnn.reference import conv2d as reference

from . import small_run
from .test_plotting import texts_overlap

TINY = Layer("tiny 3x3, batch 2", Convolution((2, 4, 7, 6), (6, 2, 3, 3), (2, 1), (1, 0, 1, 2), (1, 1), 2))


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch):
    """No test asserts a speed, so that nobody need wait for others' threads to come to rest."""
    monkeypatch.setattr(measuring, "_PAUSE", 0)


@pytest.fixture
def book(tmp_path):
    return workloads.Book(tmp_path)


@pytest.fixture
def device():
    """The name of one device: what is tested with it does not depend on which, and takes seconds."""
    named = os.environ.get("REFCNN_TEST_DEVICES", "").split(",")[0]
    try:
        return running.device_names([f"opencl:{named}"] if named.replace(":", "").isdecimal() else ())[0]
    except BackendError as error:
        pytest.skip(str(error))


@pytest.fixture
def tiny(monkeypatch):
    """Makes every workload tiny."""
    monkeypatch.setattr(workloads, "QUICK_GRID", (TINY,))
    monkeypatch.setattr(running, "BATCHES", (1, 4))
    monkeypatch.setattr(running, "SIZES", (14, 28))
    monkeypatch.setattr(workloads, "CHAPTER_BATCH", 2)
    monkeypatch.setattr(workloads, "CHAPTER_IMAGE", (1, 6, 6))
    monkeypatch.setattr(running.Options, "turn_seconds", 0.001)
    small = {"image_shape": (1, 6, 6), "batch": 2}
    network = workloads.Book.network
    monkeypatch.setattr(workloads.Book, "network", lambda self, *names, **_: network(self, *names, **small))


# What is counted.


@given(
    n=st.integers(1, 2),
    groups=st.integers(1, 2),
    c=st.integers(1, 3),
    k=st.integers(1, 3),
    size=st.tuples(st.integers(4, 7), st.integers(4, 7)),
    window=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
)
def test_a_convolution_counts_each_product_twice(n, groups, c, k, size, window, stride):
    geometry = Convolution((n, c * groups, *size), (k * groups, c, *window), stride, (0, 0, 0, 0), (1, 1), groups)
    x, w = np.ones(geometry.x_shape), np.ones(geometry.w_shape)
    # Of ones without padding the sum of the results is the number of products.
    y, _ = reference.forward(x, w, None, stride=stride, padding=(0, 0, 0, 0), dilation=(1, 1), groups=groups)
    assert workloads.layer_flop(geometry) == 2 * y.sum()
    assert geometry.y_shape == y.shape


def test_the_chapter_counts_its_layers(book):
    first, others = 784 * 32 * 9, 784 * 64 * 32 * 9 + 14 * 14 * 64 * 128 + 128 * 10
    assert book.network("chapter", "inference").flop == 64 * 2 * (first + others)
    # The images need no gradient.
    assert book.network("chapter", "training").flop == 64 * 2 * (2 * first + 3 * others)
    assert book.network("chapter", "training", batch=1).flop * 64 == book.network("chapter", "training").flop


def test_the_grid_has_what_it_shall_have():
    geometries = [layer.geometry for layer in workloads.GRID]
    assert len({layer.name for layer in workloads.GRID}) == len(workloads.GRID) >= 20
    assert {one.w_shape[2] for one in geometries} == {1, 3, 5, 7}
    assert {one.stride for one in geometries} == {(1, 1), (2, 2)}
    assert {one.x_shape[0] for one in geometries} >= {1, 256}
    assert any(one.groups == one.x_shape[1] > 1 for one in geometries)
    names = " ".join(layer.name for layer in workloads.GRID)
    assert all(network in names for network in ("VGG-16", "ResNet-50", "MobileNet"))
    # The sizes that these layers have in their networks.
    sizes = {layer.name: layer.geometry.y_shape[2] for layer in workloads.GRID}
    assert sizes["ResNet-50 conv1 7x7 stride 2, batch 4"] == 112 and sizes["VGG-16 conv1_1 3x3, batch 1"] == 224


def test_workloads_travel_as_json(book):
    for workload in (book.network("lenet5", "training"), book.layer(TINY, "inference")):
        description = json.loads(json.dumps(workload.description))
        assert description["parameters"] > 0 and os.path.getsize(description["onnx"]) > 4 * description["parameters"]
    names = [operation for operation, *_ in book.network("chapter", "training").description["steps"]]
    assert names == ["conv2d", "relu", "conv2d", "relu", "max_pool2d", "dropout", "flatten", "dense", "relu", "dense"]


def test_steps_tell_which_results_they_read(book):
    description = book.network("unet", "training", image_shape=(3, 16, 16), batch=2).description
    assert description["places"] == (16, 16)
    steps = description["steps"]
    assert steps[0][0] == "conv2d" and steps[0][1] == [-1]
    (narrow, wide), *_ = (inputs for operation, inputs, *_ in steps if operation == "concat")
    assert steps[narrow][0] == "relu" and steps[wide][0] == "conv_transpose2d"
    assert all(number < place for place, (_, inputs, *_) in enumerate(steps) for number in inputs)


# Whose turn it is.


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


# Who takes part.


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


# The whole run.


class Watch(running.Progress):
    """Notes what it is told, and may stop the run after some results."""

    def __init__(self, stop_after=None):
        self.turns, self.results, self.expected, self.stop_after = 0, [], None, stop_after

    def begins(self, board, seconds, turns):
        self.expected = turns
        assert seconds > 0 and board.devices

    def turn(self):
        self.turns += 1

    def result(self, board, result):
        self.results.append(result.name)
        if len(self.results) == self.stop_after:
            raise KeyboardInterrupt


def test_a_run_and_its_board(device, tiny, tmp_path):
    watch = Watch()
    options = running.Options((device,), quick=True, rounds=2, curves=True)
    board = running.run(options, watch)
    assert board.is_complete and [one.name for one in board.devices] == [device]
    parts = [result.part for result in board.results]
    assert parts == ["networks"] * 2 + ["grid"] * 2 + ["batches"] * 4 + ["sizes"] * 4
    assert 0 < watch.turns <= watch.expected
    assert not [times.error for result in board.results for times in result.times.values() if times.error]
    measured = board.devices[0]
    assert min(measured.gflops, measured.product_gflops, measured.bandwidth) > 0 and max(measured.memory.values()) > 0
    assert all(0 < result.done[device] and result.done.keys() == {device} for result in board.results)
    assert 0 < measured.first_step["warm"] < measured.first_step["process"]
    assert len(board.missing) == 1 and "without PyTorch on cpu: it is not installed" in board.missing[0]
    lines = boards.heading(board) + boards.result_lines(board, board.results[-1]) + boards.summary_lines(board)
    text = "\n".join(lines)
    for part in (device, "onnxruntime", "x onnxruntime", "geometric mean", "warm", "GFLOP/s", "in registers"):
        assert part in text
    assert "Stopped" not in text
    board.save(tmp_path / "board.json")
    content = json.loads((tmp_path / "board.json").read_text())
    assert content["format"] == boards.FORMAT and content["is_complete"] and len(content["results"]) == len(parts)
    assert len(content["results"][0]["times"][device]["seconds"]) == 2
    plotting.save(board, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as image:
        assert min(image.size) > 500 and len(np.unique(np.asarray(image.convert("L")))) > 10


def test_the_picture_of_a_board_tells_devices_and_spread():
    def times(scale):
        return Times([scale * seconds for seconds in (1.0, 1.25, 2.0, 4.0, 9.0)])

    results = [
        Result("batches", "chapter", mode, int(4e9), {"opencl:0:0": times(1), "rival": times(2)}, x)
        for mode in ("training", "inference")
        for x in (1, 64)
    ]
    results[0].times["rival"] = Times(error="it does not train")
    device = Device("opencl:0:0", "A GPU with a long name " * 9, "gpu")
    board = Board([device], ["rival: 1.0, on 2 threads"], results)
    figure = plotting.draw(board)
    title = figure.get_suptitle()
    assert "opencl:0:0: A GPU" in title and "rival: 1.0, on 2 threads" in title and board.date in title
    training, inference, *sizes = figure.axes
    assert [text.get_text() for text in training.get_xticklabels()] == ["1", "64"]
    assert training.get_title() == "chapter, training by batch size" and not any(axes.containers for axes in sizes)
    assert [[bars.get_label() for bars in axes.containers] for axes in (training, inference)] == [
        ["opencl:0:0", "rival"]
    ] * 2
    line, _, (bars,) = training.containers[0]
    np.testing.assert_array_equal(line.get_ydata(), [2, 2])
    # From quartile to quartile.
    np.testing.assert_allclose(bars.get_segments(), [[[x, 1], [x, 3.2]] for x in (1, 64)])
    line, _, (bars,) = training.containers[1]
    np.testing.assert_allclose(bars.get_segments(), [[[64, 0.5], [64, 1.6]]])
    assert training.containers[0][0].get_color() == inference.containers[0][0].get_color()
    assert texts_overlap(figure) == []


def test_a_file_is_measured_beside_onnxruntime(device, tmp_path, monkeypatch):
    monkeypatch.setattr(running.Options, "turn_seconds", 0.001)
    path = tmp_path / "small.onnx"
    rm.set_seed(0)
    model = rm.Sequential([rm.Conv2d(4), rm.Relu(), rm.Flatten(), rm.Dense(3)])
    with rm.use_backend("reference"):
        model(np.zeros((1, 1, 6, 5), np.float32))
        rm.onnx.export(model, path, (1, 6, 5), proof=False)
    options = ["--model", str(path), "--batch", "1", "--batch", "3", "--device", device, "--rounds", "2"]
    done = CliRunner().invoke(main, ["bench", *options, "--json", str(tmp_path / "board.json")])
    assert done.exit_code == 0, done.output
    for part in ("small, batch 1, inference", "small, batch 3, inference", "x onnxruntime", "ms", "MiB"):
        assert part in done.output
    results = json.loads((tmp_path / "board.json").read_text())["results"]
    assert [result["part"] for result in results] == ["file", "file"]
    assert all(times["error"] is None for result in results for times in result["times"].values())


def test_a_run_that_is_stopped_keeps_what_it_has(device, tiny):
    options = running.Options((device,), ("networks", "grid"), quick=True, rounds=2)
    board = running.run(options, Watch(stop_after=3))
    assert not board.is_complete and len(board.results) == 3
    assert boards.summary_lines(board)[-1].startswith("Stopped before the end")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_shows_what_was_measured(device, tmp_path, number):
    command = [
        sys.executable,
        "-m",
        "refcnn",
        "bench",
        "--device",
        device,
        "--quick",
        "--part",
        "networks",
        "--rounds",
        "200",
        "--json",
        str(tmp_path / "board.json"),
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=small_run.environment()
    )
    lines = [process.stdout.readline()]
    while lines[-1] and "This takes about" not in lines[-1]:
        lines.append(process.stdout.readline())
    time.sleep(0.5)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number, err
    assert "Stopped before the end" in out and "Traceback" not in err
    assert json.loads((tmp_path / "board.json").read_text())["is_complete"] is False


def test_what_cannot_be_measured_is_refused():
    for options, part in (
        (["--device", "reference"], "reference is no OpenCL device"),
        (["--device", "opencl:99:0"], "opencl:99:0"),
        (["--profile", "--scaling"], "give one of them"),
        (["--batch", "2"], "name one with --model"),
        (["--profile", "--bfloat16"], "--bfloat16 is for the scoreboard"),
        (["--model", "x.onnx", "--bfloat16"], "PyTorch reads no ONNX file"),
        (["--model", "x.onnx", "--plot", "x.png"], "leave them out"),
        (["--model", "x.onnx", "--shape", "3y4"], "write it as 3x224x224"),
        (["--model", "absent.onnx"], "absent.onnx does not exist"),
        (["--profile", "--json", "x"], "--json is for the scoreboard"),
        (["--scaling", "--model", "x.onnx"], "--scaling is of refcnn's own networks"),
        (["--profile", "--batch", "2"], "name one with --model"),
        (["--profile", "--model", "absent.onnx"], "absent.onnx does not exist"),
    ):
        result = CliRunner().invoke(main, ["bench", *options])
        assert result.exit_code in (1, 2) and part in result.stderr, result.output


@pytest.mark.parametrize("options", [["--json", "file/x.json"], ["--plot", "file/x.png"], ["--plot", "x.doc"]])
def test_what_cannot_be_saved_is_found_out_before_it_is_measured(options, tmp_path, monkeypatch):
    def measures(*_):
        pytest.fail("something was measured")

    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(running, "run", measures)
    result = CliRunner().invoke(main, ["bench", *options])
    assert result.exit_code == 1 and options[1] in result.stderr, result.output


def test_a_device_whose_process_dies_is_told(monkeypatch, device):
    def dies(*_):
        raise ContestantError("its process ended with status -11.")

    monkeypatch.setattr(measuring, "refcnn", dies)
    with pytest.raises(BackendError, match=f"{device} cannot be measured: .*-11"):
        running.run(running.Options((device,), ("grid",), quick=True))


# The board.


def sample():
    board = Board([Device("opencl:0:0", "chip", "cpu", gflops=100.0, bandwidth=10.0)], ["PyTorch: about"])
    for name, ours, theirs in (("one", 0.1, 0.4), ("two", 0.1, 0.1)):
        times = {"opencl:0:0": Times([ours] * 3), "PyTorch": Times([theirs] * 3, remark="NHWC")}
        # A fifth of what the formula takes.
        board.results.append(Result("grid", name, "training", 5 * 10**9, times, done={"opencl:0:0": 10**9}))
    return board


def test_the_table_of_a_result():
    title, head, ours, theirs = boards.result_lines(sample(), sample().results[0])
    assert title == "one, training"
    assert head.split() == ["it/s", "spread", "GFLOP/s", "of", "peak", "direct-equivalent", "x", "PyTorch"]
    assert ours.split() == ["opencl:0:0", "10", "0.0%", "10.0", "10%", "50.0", "4.00"]
    # Of what others do only the formula is known.
    assert theirs.split() == ["PyTorch,", "NHWC", "2.5", "0.0%", "12.5"]
    assert theirs.index("12.5") == ours.index("50.0") == head.index("direct-equivalent") + 13


def test_the_heading_says_what_the_limits_are_of():
    board = sample()
    board.devices[0].product_gflops = 80.0
    _, peak, memory, rival = boards.heading(board)
    assert "100 GFLOP/s of multiply-adds in registers" in peak and "matrix product 80 GFLOP/s, 80% of that" in peak
    assert "10 GB/s" in memory and "elementwise" in memory and rival == "PyTorch: about"


def test_no_table_is_wider_than_a_terminal_of_100_columns():
    seconds = [1e-4 / 3] * 3
    board = Board([Device(f"opencl:1{number}:0", "chip", "cpu", gflops=1e5, bandwidth=1e3) for number in range(2)])
    names = [*(device.name for device in board.devices), "onnxruntime", "PyTorch"]
    for layer in workloads.GRID:
        times = {name: Times(seconds, remark="NHWC" if name == "PyTorch" else "") for name in names}
        done = dict.fromkeys(names[:2], 10**12)
        board.results += [Result("grid", layer.name, mode, 10**12, times, done=done) for mode in workloads.MODES]
    for device in board.devices:
        device.first_step, device.memory = dict.fromkeys(("cold", "warm", "process"), 100.0), {"chapter": 2**35}
    found = profiling.Operation(
        "conv2d backward 256x1024x128x128",
        10**12,
        2 * 10**12,
        10**12,
        {"x": profiling.Kernel("conv2d_winograd_weights.conv2d_winograd_weights_backward_reduced", 1, 1.0)},
    )
    tables = [boards.result_lines(board, result) for result in board.results]
    tables += [boards.summary_lines(board), profiling.lines(profiling.Profile([found], 1, 1), 1e5, 1e3, width=100)[:-1]]
    assert max(len(line) for lines in tables for line in lines) <= 100


def test_the_duration_of_the_quick_run_is_no_promise_that_it_breaks():
    options = running.Options(quick=True, rounds=5)
    count = len(workloads.MODES) * (len(workloads.QUICK_GRID) + 1)
    # refcnn, PyTorch and onnxruntime.
    seconds, _ = running.expected(options, count, 3, 1)
    assert 120 <= seconds <= 180
    told = " ".join(CliRunner().invoke(main, ["bench", "--help"]).output.split())
    assert "two to three minutes for a device" in told


def test_a_failure_stands_in_the_table():
    board = sample()
    board.results[0].times["opencl:0:0"] = Times(error="out of memory")
    assert "failed: out of memory" in boards.result_lines(board, board.results[0])[2]
    assert boards.grid_ratios(board) == {("opencl:0:0", "PyTorch", "training"): [1.0]}


def test_the_geometric_mean_over_the_grid():
    board = sample()
    assert boards.grid_ratios(board) == {("opencl:0:0", "PyTorch", "training"): [4.0, 1.0]}
    (line,) = [line for line in boards.summary_lines(board) if "against" in line]
    assert line.split() == ["opencl:0:0", "against", "PyTorch,", "training", "2", "2.00"]


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=9))
def test_the_geometric_mean(numbers):
    assert boards.geometric_mean(numbers) == pytest.approx(math.prod(numbers) ** (1 / len(numbers)))


# The profile.


def test_a_profile_counts_every_launch_and_operation_once(opencl_backend, book):
    if opencl_backend.device.is_simulator:
        pytest.skip("a simulator's times say nothing")
    workload = book.network("chapter", "training", image_shape=(1, 6, 6), batch=2)
    x, targets = np.ones((2, 1, 6, 6), np.float32), np.eye(10, dtype=np.float32)[:2]
    with rm.use_backend(opencl_backend):
        cnn, optimizer = rm.Sequential(), rm.Sgd(lr=0.01)
        cnn = workloads.models.build("chapter", (1, 6, 6), 10)

        def step():
            with cnn.train():
                loss = rm.softmax_cross_entropy(cnn(x), targets)
            loss.grad().update(optimizer)
            return loss

        float(step())
        with opencl_backend.device.profiling() as launched:
            float(step())
        found = profiling.profile(opencl_backend, step, steps=3)
    assert found.launches == len(launched) > 10
    assert sum(operation.direct_flop for operation in found.operations) == workload.flop
    assert sum(operation.flop for operation in found.operations) == workload.flop_on(opencl_backend.device)
    kernels = {name for operation in found.operations for name in operation.kernels}
    assert kernels == {f"{file_stem}.{kernel}" for file_stem, kernel, *_ in launched}
    for operation in found.operations:
        assert operation.seconds > 0 and operation.kernels
        assert (operation.label.split()[0] in ("conv2d", "dense")) == (operation.flop > 0)
        # A kernel stands under the operation for which it was launched, whoever needed the result.
        for name in operation.kernels:
            if name.startswith("conv2d"):
                assert operation.label.startswith("conv2d")
    assert 0 < found.host <= found.step
    text = "\n".join(profiling.lines(found, 100.0, 10.0))
    assert "conv2d backward" in text and "us each" in text


def test_a_profile_of_a_file_is_of_what_is_launched_for_each_input(opencl_backend, tmp_path):
    """From the third on that is what was recorded, less what depends on no input."""
    if opencl_backend.device.is_simulator:
        pytest.skip("a simulator's times say nothing")
    path = tmp_path / "small.onnx"
    with rm.use_backend(opencl_backend):
        layers = (
            rm.Conv2d(3, padding=1),
            rm.Sigmoid(),
            rm.MaxPool2d(2, stride=2),
            rm.Flatten(),
            rm.Dense(4),
            rm.Softmax(),
        )
        cnn = rm.Sequential(layers)
        cnn(np.zeros((1, 2, 6, 6), np.float32))
        rm.onnx.export(cnn, path, (2, 6, 6), proof=False)
        model, x = rm.onnx.load(path), rm.Variable(np.ones((3, 2, 6, 6), np.float32))
        for _ in range(2):
            profiling._read(model(x))
        with opencl_backend.device.profiling() as launched:
            profiling._read(model(x))
        found = profiling.profile(opencl_backend, lambda: model(x), steps=3)
    launched = collections.Counter(f"{file_stem}.{kernel}" for file_stem, kernel, *_ in launched)
    counted = collections.Counter()
    for operation in found.operations:
        for name, kernel in operation.kernels.items():
            counted[name] += kernel.launches
        assert operation.seconds > 0
    assert counted == launched and launched
    owners = {one.label.split()[0]: " ".join(one.kernels) for one in found.operations}
    assert owners.keys() == {"conv2d", "sigmoid", "max_pool2d", "dense", "softmax"}
    # Kernels that no other operation has.
    for operation, kernel in (("sigmoid", "elementwise"), ("max_pool2d", "pooling"), ("softmax", "softmax_forward")):
        assert [owner for owner, kernels in owners.items() if kernel in kernels] == [operation]


def test_a_profile_of_a_file_is_shown_for_each_batch(device, tmp_path):
    with rm.use_backend("reference"):
        cnn = rm.Sequential([rm.Conv2d(3), rm.Relu()])
        cnn(np.zeros((1, 2, 6, 6), np.float32))
        rm.onnx.export(cnn, tmp_path / "small.onnx", (2, 6, 6), proof=False)
    options = ["--device", device, "--profile", "--model", str(tmp_path / "small.onnx"), "--batch", "1", "--batch", "4"]
    result = CliRunner().invoke(main, ["bench", *options])
    assert result.exit_code == 0, result.output
    for label in ("small, batch 1, inference", "small, batch 4, inference", "conv2d forward 4x2x6x6"):
        assert label in result.output, result.output


def test_a_profile_names_the_bytes_of_inputs_and_results(opencl_backend):
    if opencl_backend.device.is_simulator:
        pytest.skip("a simulator's times say nothing")
    with rm.use_backend(opencl_backend):
        layer, optimizer = rm.Dense(5, input_size=7), rm.Sgd()
        x, t = np.ones((3, 7), np.float32), np.eye(5, dtype=np.float32)[:3]

        def step():
            with rm.Sequential([layer]).train():
                loss = rm.softmax_cross_entropy(layer(x), t)
            loss.grad().update(optimizer)
            return loss

        found = {one.label: one for one in profiling.profile(opencl_backend, step, steps=2).operations}
    forward, update = found["dense forward 3x7"], found["sgd forward of 2 parameters"]
    assert forward.bytes == 4 * (3 * 7 + 7 * 5 + 5 + 3 * 5) and forward.flop == 2 * 3 * 7 * 5
    # The images need no gradient.
    assert found["dense backward 3x5"].flop == forward.flop
    # Of w and b each, the parameter, its gradient and v are read, the parameter and v written.
    assert update.bytes == 4 * 5 * (7 * 5 + 5)
    assert update.limit(1.0, 1e-9) == update.bytes and forward.limit(1e-9, 1e9) == forward.flop


# How it scales.


@given(a=st.floats(1e-6, 1e3), b=st.floats(0.1, 3))
def test_the_exponent_of_a_power_law_is_found(a, b):
    sizes = [1, 2, 8, 64]
    assert scaling.exponent(sizes, [a * size**b for size in sizes]) == pytest.approx(b)


def test_one_disturbed_round_does_not_decide_about_growth():
    sizes, fair = [1, 2, 4], [1.0, 2.0, 4.0]
    check = scaling.growth("time", sizes, [fair, [1.0, 2.0, 40.0], fair])
    assert check.value == pytest.approx(1) and check.detail == "1: 1000.0 ms, 2: 2000.0 ms, 4: 4000.0 ms"
    # What holds of every round is found, however the machine's speed changes from one to the next.
    rounds = [[scale * size**1.2 for size in sizes] for scale in (1.0, 5.0, 0.2)]
    assert scaling.growth("time", sizes, rounds).value == pytest.approx(1.2)


class Recorder:
    """A process that takes a millisecond a unit of what was prepared, and notes the order of what it is asked."""

    def __init__(self):
        self.kept, self.unit, self.log = {}, None, []

    def ask(self, request, **arguments):
        if request == "prepare":
            self.unit = arguments["workload"]
        elif request == "keep":
            self.kept[arguments["name"]] = self.unit
        elif request == "resume":
            self.unit = self.kept[arguments["name"]]
            self.log.append(self.unit)
        elif request == "forget":
            self.kept.clear()
        return {"seconds": 1e-3 * self.unit * arguments.get("count", 1)}


def test_sizes_take_turns_up_and_down(monkeypatch):
    monkeypatch.setattr(scaling, "_ROUNDS", 3)
    process = Recorder()
    plan = [(size, Workload("work", "training", size)) for size in (1, 2, 4)]
    assert scaling._growth("time", process, plan).value == pytest.approx(1)
    assert process.log == [1, 2, 4, 4, 2, 1, 1, 2, 4] and not process.kept


def test_an_epoch_is_compared_with_the_steps_beside_it(book):
    class Epochs(Recorder):
        def ask(self, request, **arguments):
            if request == "epochs":
                # As the machine becomes slower; once it is disturbed.
                return {"epochs": [1.1, 2.2, 9.9, 4.4], "steps": [1.0, 2.0, 3.0, 4.0]}
            return super().ask(request, workload=1)

    check = scaling.epoch(Epochs(), book, 60)
    assert check.value == pytest.approx(1.1) and not check.passes


def test_the_least_of_several_first_steps_counts(monkeypatch):
    """The cold one is alone, since it fills the caches."""
    seconds = iter((9.0, 0.8, 0.5, 0.7))

    class Once:
        def ask(self, request, workload):
            return {"seconds": next(seconds)}

        def stop(self):
            pass

    monkeypatch.setattr(measuring, "refcnn", lambda device, caches: Once())
    found = running.first_step("opencl:0:0", 3)
    assert (found["cold"], found["warm"]) == (9.0, 0.5) and found["process"] < 1


def test_the_memory_that_is_needed():
    # Images, both rectified convolutions, the pooled image, Dense's rectified units and the logits, of two images; and
    # the parameters three times.
    activations = 36 + 32 * 36 + 64 * 36 + 64 * 9 + 128 + 10
    parameters = (9 + 1) * 32 + (32 * 9 + 1) * 64 + (64 * 9 + 1) * 128 + (128 + 1) * 10
    assert scaling.needed_bytes("chapter", (1, 6, 6), 2) == 4 * (3 * parameters + 2 * activations)


def test_checks_pass_up_to_their_limit():
    assert scaling.Check("time", 1.05, 1.05, "").passes and not scaling.Check("time", 1.06, 1.05, "").passes
    assert scaling.line(scaling.Check("time", 2.0, 1.5, "how")) == "  FAIL  time: 2.000, at most 1.5 (how)"


def test_the_checks_of_a_device(device, tiny, monkeypatch):
    monkeypatch.setattr(scaling, "_EPOCH_STEPS", {"cpu": 2, "gpu": 2})
    monkeypatch.setattr(scaling, "HOST_STEPS", 3)
    monkeypatch.setattr(scaling, "_SETTLED", 1)
    monkeypatch.setattr(scaling, "_TURN_SECONDS", 0.001)
    monkeypatch.setattr(scaling, "_ROUNDS", 2)
    monkeypatch.setattr(scaling, "_EPOCHS", 2)
    # A whole run measures it: to compile all kernels anew takes seconds.
    steps = {device: {"cold": 9.0, "warm": 0.7, "process": 1.2}}
    monkeypatch.setattr(scaling, "first_step", lambda name, turns: steps[name])
    found = list(scaling.checks(device))
    assert len({check.name for check in found}) == len(found) == 7
    assert all(math.isfinite(check.value) and check.detail for check in found)
    by_name = {check.name.split(",")[0]: check for check in found}
    assert by_name["import refcnn"].value > 0.01
    step = by_name["first training step"]
    assert step.value == 0.7 and "cold 9.00 s" in step.detail and "process 1.20 s" in step.detail
    assert by_name["device memory over what is needed"].value > 0.9

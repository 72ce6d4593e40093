"""A whole run of the bench, what stops it, and what is refused."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import refcnn as rm
from refcnn.bench import board as boards
from refcnn.bench import measuring, plotting, running
from refcnn.bench.board import Board, Device, Result
from refcnn.bench.measuring import ContestantError, Times
from refcnn.cli import main
from refcnn.errors import BackendError

from .. import small_run
from ..test_plotting import texts_overlap


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

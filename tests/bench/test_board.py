"""What the bench prints."""

import math

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from refcnn.bench import board as boards
from refcnn.bench import profiling, running, workloads
from refcnn.bench.board import Board, Device, Result
from refcnn.bench.measuring import Times
from refcnn.cli import main


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

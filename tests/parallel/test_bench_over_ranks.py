"""refcnn bench --ranks: the model of what a sum costs, and what is measured for it but for the time."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import assume, given
from hypothesis import strategies as st

from refcnn.bench.ranks import EFFICIENCY, NETWORKS, RANKS, Cost, expected, fit
from refcnn.cli import main

SECONDS = st.floats(1e-6, 10)
COSTS = st.builds(
    Cost,
    bytes=st.integers(4, 10**10),
    latency=st.floats(0, 0.1),
    hidden=st.floats(0, 1),
    fixed=st.floats(0, 1),
    each=st.floats(1e-6, 1),
)
BANDWIDTHS = st.floats(1e6, 1e12)

PROGRAM = """
import sys
from refcnn.backend import use_backend
from refcnn.bench import ranks as of_ranks
from refcnn.parallel.ranks import joined

with joined() as ranks, use_backend("reference"):
    bench = of_ranks.Bench(ranks, "lenet5", 0.001)
    before = [entry.as_ndarray() for _, entry in bench.model.parameters()]
    bench.step(2, True, 3)
    after = [entry.as_ndarray() for _, entry in bench.model.parameters()]
    assert all((one != other).any() for one, other in zip(before, after, strict=True))
    alike = ranks.gather([array.tobytes() for array in after])
    assert all(one == alike[0] for one in alike)
    found = of_ranks.measure(ranks, 2, 0.001, "lenet5", 4, (1024, 4096))
    assert found.bytes == sum(array.nbytes for array in after)
    if ranks.is_first:
        found.save(sys.argv[1])
        print(*of_ranks.lines(found), sep="\\n")
"""


@given(cost=COSTS, ranks=st.integers(2, 1000), bandwidth=BANDWIDTHS)
def test_the_least_batch_is_that_from_which_ranks_are_efficient(cost, ranks, bandwidth):
    least = cost.least_batch(ranks, bandwidth)
    assume(least < 10**9)
    assert cost.efficiency(ranks, bandwidth, least) >= EFFICIENCY - 1e-9
    assert least == 1 or cost.efficiency(ranks, bandwidth, least - 1) <= EFFICIENCY + 1e-9


@given(cost=COSTS, ranks=st.integers(2, 1000), bandwidth=BANDWIDTHS, batch=st.integers(1, 10**6))
def test_efficiency_is_a_share_that_grows_with_the_batch_and_the_bandwidth(cost, ranks, bandwidth, batch):
    efficiency = cost.efficiency(ranks, bandwidth, batch)
    assert 0 < efficiency <= 1
    assert cost.efficiency(ranks, bandwidth, batch + 1) >= efficiency - 1e-12
    assert cost.efficiency(ranks, 2 * bandwidth, batch) >= efficiency - 1e-12
    assert cost.sum(ranks + 1, bandwidth) >= cost.sum(ranks, bandwidth)


def test_the_cost_is_that_of_a_ring():
    cost = Cost(bytes=1000, latency=0.5, hidden=0.0, fixed=1.0, each=0.25)
    assert cost.sum(4, 100.0) == 0.5 + 2 * 3 / 4 * 1000 / 100
    assert cost.step(8) == 3
    assert cost.efficiency(4, 100.0, 8) == 3 / (3 + 15.5)
    # All is hidden, but no more than the backward pass is long.
    cost = Cost(bytes=1000, latency=0.0, hidden=1.0, fixed=0.0, each=1.0)
    assert cost.efficiency(2, 100.0, 15) == 1
    assert cost.efficiency(2, 100.0, 3) == pytest.approx(3 / (3 + 10 - 2))


def test_a_step_that_does_not_grow_may_never_be_long_enough():
    assert Cost(1000, 0.0, 0.0, fixed=1e-9, each=0.0).least_batch(2, 1.0) is None
    assert Cost(1000, 0.0, 0.0, fixed=1e9, each=0.0).least_batch(2, 1.0) == 1


@given(first=SECONDS, each=st.floats(1e-12, 1e-3), sizes=st.lists(st.integers(1, 10**7), min_size=3, unique=True))
def test_a_line_is_found_again(first, each, sizes):
    assume(each * max(sizes) > 1e-3 * first and max(sizes) > 2 * min(sizes) and each * min(sizes) < 1e3 * first)
    points = [(size, first + each * size) for size in sizes]
    found = fit(points)
    for size, seconds in points:
        assert found[0] + found[1] * size == pytest.approx(seconds, rel=1e-6)


@given(points=st.lists(st.tuples(st.integers(1, 10**7), SECONDS), min_size=2, unique_by=lambda point: point[0]))
def test_no_fit_is_negative(points):
    assert min(fit(points)) >= 0


def test_what_is_measured(mpi, program, tmp_path):
    status, out, err = mpi(3, program(PROGRAM), tmp_path / "ranks.json", limit=120)
    assert status == 0, err
    found = json.loads((tmp_path / "ranks.json").read_text())
    assert found["format"] == "refcnn bench ranks 1"
    assert (found["ranks"], found["batch"], len(found["devices"])) == (3, 4, 3)
    assert all(len(found[name]) == 2 and min(found[name]) > 0 for name in ("with_sum", "without_sum", "sum_alone"))
    assert all(len(found[name]) == 2 and min(found[name]) > 0 for name in ("in_step", "waited"))
    assert found["overlapped"] == 1 - np.median(found["waited"]) / np.median(found["in_step"])
    assert found["buckets"] > 1 and f"its {found['buckets']} parts in a step" in out
    assert [size for size, _ in found["sums"]] == [1024, 4096]
    assert [batch for batch, _ in found["steps"]] == [1, 2, 4]
    asked = [(ranks, gigabits) for gigabits in NETWORKS for ranks in RANKS]
    assert [(row["ranks"], row["gigabits"]) for row in found["expected"]] == asked
    assert "lenet5, 4 examples on each of 3 ranks" in out and "256 ranks, 100 Gb/s" in out


def test_the_table_is_that_of_the_cost():
    cost = Cost(bytes=10**7, latency=1e-4, hidden=0.5, fixed=0.01, each=0.001)
    row = next(row for row in expected(cost, 32) if (row["ranks"], row["gigabits"]) == (64, 10))
    assert row["sum"] == 1e-4 + 2 * 63 / 64 * 10**7 / 1.25e9
    assert row["efficiency"] == cost.efficiency(64, 1.25e9, 32)
    assert row["least_batch"] == cost.least_batch(64, 1.25e9)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--ranks"], "start them with mpiexec, or give --processes"),
        (["--processes", "2"], "--processes is for --ranks"),
        (["--ranks", "--profile"], "--ranks goes with"),
        (["--ranks", "--part", "grid"], "--ranks goes with"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments, words):
    done = CliRunner().invoke(main, ["bench", *arguments])
    assert done.exit_code == 2
    assert words in " ".join(done.output.split()), done.output

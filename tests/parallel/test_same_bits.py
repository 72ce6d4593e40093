"""Reproducible training ends with the same bits on any number of ranks, and where it goes on with another."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcnn import processes
from refcnn.errors import ArgumentError
from refcnn.fitting.sources import ArraySource
from refcnn.opencl.runtime import finding
from refcnn.parallel.alone import Alone
from refcnn.parallel.tree_sum import TreeSum, places_of
from refcnn.runs import options as options_of_runs
from tests import small_run

from .same_bits import MODULE

PROGRAM = Path(__file__).with_name("same_bits.py")
#: Of 60 images: no number of ranks divides these batches, and the last micro-batch of each is smaller.
RUNS = {
    "adam": {"batch_size": 45, "optimizer": "adam", "augment": "shift=1,rotate=9,mixup=0.4", "micro_batch": 8},
    "momentum": {
        "batch_size": 29,
        "optimizer": "momentum",
        "micro_batch": 4,
        "class_weights": (1.0, 2.5, 0.3),
        "label_smoothing": 0.1,
        "clip_norm": 0.5,
        "accumulation_steps": 2,
        "average_decay": 0.9,
        "augment": "flip",
    },
    # Fewer micro-batches than ranks.
    "few": {"batch_size": 11, "optimizer": "rmsprop", "micro_batch": 8, "augment": "crop=0.6"},
}
DEVICES = ["reference"] + [finding.best().name] * bool(finding.usable())


def given_options(name):
    return {"epochs": 2, "lr": 0.01, "seed": 7, "image_size": (8, 8), "validation_split": 0.4, **RUNS[name]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("same_bits")
    small_run.write_inputs(path)
    (path / "networks_of_bits.py").write_text(MODULE, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def train(mpi, folder):
    """Return a function that trains on several ranks, or in one process without MPI."""

    def run(size, device, runs):
        arguments = PROGRAM, device, json.dumps(runs)
        if size is not None:
            ended = mpi(size, *arguments, cwd=folder)
            assert ended.status == 0, ended.err
            assert ended.out.split() == ["through"] * size
            return
        command = [sys.executable, *map(str, arguments)]
        subprocess.run(command, cwd=folder, check=True, env=processes.environment(), timeout=240, capture_output=True)

    return run


@pytest.fixture(scope="module", params=DEVICES)
def alone(request, train, folder):
    """A device, and where the runs lie that one process trained on it without MPI."""
    device = request.param
    where = device.replace(":", "_")
    train(None, device, [[f"{where}-{name}", given_options(name), 0] for name in RUNS])
    return device, folder / where


def checkpoint(where, name, suffix=""):
    return where.with_name(f"{where.name}-{name}{suffix}") / "last.npz"


def test_any_number_of_ranks_ends_with_the_same_bits(alone, train):
    device, where = alone
    # How many micro-batches and subtrees a rank has does not depend on the device.
    for size in (1, 2, 3, 4) if device == "reference" else (2, 3):
        train(size, device, [[f"{where.name}-{name}-{size}", given_options(name), 0] for name in RUNS])
        for name in RUNS:
            small_run.assert_same(checkpoint(where, name), checkpoint(where, name, f"-{size}"))


def test_another_number_of_ranks_goes_on_with_the_same_bits(alone, train):
    device, where = alone
    run = f"{where.name}-momentum-resumed"
    # The signal comes in the first epoch, then in the second.
    train(3, device, [[run, given_options("momentum"), 2]])
    train(2, device, [[run, None, 2]])
    train(None, device, [[run, None, 0]])
    small_run.assert_same(checkpoint(where, "momentum"), checkpoint(where, "momentum", "-resumed"))


def test_devices_of_two_kinds_are_refused(mpi, folder):
    if len(DEVICES) == 1:
        pytest.skip("there is no OpenCL device")
    runs = json.dumps([["mixed", given_options("few"), 0]])
    ended = mpi(2, PROGRAM, ",".join(DEVICES), runs, cwd=folder)
    assert ended.status == 1
    assert "--reproducible needs devices of one kind, but some ranks compute on NumPy" in ended.err


@pytest.mark.parametrize("value", [0, -3, 2.5, True])
def test_a_micro_batch_has_at_least_one_image(value):
    with pytest.raises(ArgumentError, match="micro_batch"):
        options_of_runs.checked({"micro_batch": value})


def test_statistics_of_micro_batches_and_of_whole_batches_exclude_each_other():
    with pytest.raises(ArgumentError, match="--synchronise-batch-statistics"):
        options_of_runs.checked({"micro_batch": 8, "synchronise_batch_statistics": True})


class Rank(Alone):
    def __init__(self, rank, size):
        self.rank, self.size = rank, size


def added(terms, first, end):
    run = TreeSum(first, terms.shape[1], terms.dtype)
    for term in terms[first:end]:
        run.add(term.copy())
    return run


@given(count=st.integers(0, 40), size=st.integers(1, 9), number=st.integers(0, 2**32))
def test_a_tree_of_sums_does_not_depend_on_who_adds(count, size, number):
    rng = np.random.default_rng(number)
    terms = (rng.normal(size=(count, 3)) * 2.0 ** rng.integers(-20, 20, (count, 3))).astype(np.float32)
    whole, parts = added(terms, 0, count).total(), TreeSum(0, 3, np.float32)
    for rank in range(size):
        cut = Rank(rank, size).cut(count)
        part = added(terms, *cut)
        assert part.places == places_of(*cut) and part.rows.shape == (len(part.places), 3)
        # What is sent is a few subtrees, and not each term.
        assert len(part.places) <= 2 * max(1, count).bit_length()
        for place, row in zip(part.places, part.rows, strict=True):
            parts.add_subtree(*place, row)
    assert np.array_equal(parts.total(), whole)
    # So many additions in a row at most, and each within half a unit in the last place.
    depth, exact = max(1, count - 1).bit_length(), terms.astype(np.float64)
    bound = 1.01 * depth * 2.0**-24 * np.abs(exact).sum(axis=0)
    assert (np.abs(whole - exact.sum(axis=0)) <= bound).all()


@given(count=st.integers(1, 30), batch_size=st.integers(1, 30), micro_batch=st.integers(1, 12), size=st.integers(1, 5))
def test_ranks_have_whole_micro_batches_in_their_order(count, batch_size, micro_batch, size):
    x = np.arange(count, dtype=np.float32)[:, None]
    epochs = [
        list(ArraySource((x,), x, batch_size, ranks=Rank(rank, size), micro_batch=micro_batch).epoch((3, 1)))
        for rank in range(size)
    ]
    whole = ArraySource((x,), x, batch_size).epoch((3, 1))
    for cuts, batch in zip(zip(*epochs, strict=True), whole, strict=True):
        parts = [part for cut in cuts for part in cut.parts]
        assert [cut.first for cut in cuts] == [sum(len(one.parts) for one in cuts[:rank]) for rank in range(size)]
        assert {cut.count for cut in cuts} == {len(parts)}
        assert all(part.size == micro_batch for part in parts[:-1]) and parts[-1].size <= micro_batch
        assert [part.first for part in parts] == list(range(0, batch.size, micro_batch))
        assert np.isclose(sum(part.share for part in parts), 1)
        assert np.array_equal(np.concatenate([part.inputs[0] for part in parts]), batch.inputs[0])

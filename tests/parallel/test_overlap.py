"""Sums of gradients beside the backward pass: what they are, and what becomes of them where a rank fails or is lost."""

import re
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn.fitting import buckets
from refcnn.opencl.runtime import finding
from refcnn.tape import leaves

PROGRAM = Path(__file__).with_name("overlap.py")

LOST = """
import os, signal, sys
import numpy as np
from refcnn.parallel.channel import Channel
from refcnn.parallel.ranks import LostRankError, joined, started_as

victims = dict(map(lambda pair: map(int, pair.split(":")), sys.argv[1:]))
former, sums, lost = Channel.sum, 0, []

def killing(self, array, wait):
    global sums
    sums += 1
    if victims.get(started_as()) == sums:
        os.kill(os.getpid(), signal.SIGKILL)
    return former(self, array, wait)

Channel.sum = killing
with joined() as ranks:
    steps = 0
    while steps < 10:
        totals = []
        try:
            with ranks.aside() as aside:
                for size in (1000, 300000, 7):
                    aside.put(lambda add, size=size: totals.append(add(np.full(size, 2.0**started_as()))))
                assert ranks.complete(aside, started_as()) == (max(ranks.gather(started_as())),)
            steps += 1
        except LostRankError:
            lost += ranks.recover()
            steps = max(ranks.gather(steps))
    assert ranks.gather(steps) == [steps] * ranks.size
    assert [array.size for array in totals] == [1000, 300000, 7]
    assert all((array == totals[0][0]).all() for array in totals)
    print(f"[{started_as()} of {ranks.size}, without {lost}; {totals[0][0]:g}]\\n", end="", flush=True)
"""

#: A step of which something goes wrong in the backward pass on rank 1, while others wait for its gradients.
STEP = """
import sys, time
import numpy as np
import refcnn as rm
from refcnn.errors import DataError
from refcnn.fitting import buckets
from refcnn.fitting.loop import Loop
from refcnn.fitting.sources import ArraySource
from refcnn.parallel import communicator
from refcnn.parallel.ranks import RankError, joined
from refcnn.tape import Node

case, synchronises = sys.argv[1], sys.argv[2:] == ["synchronise"]
buckets.MOST = buckets.ALWAYS = 64
communicator.PATIENCE = 1.0

class Failing(rm.Layer):
    def forward(self, x):
        return Node("failing", self, (x,), {}, None).record(rm.Variable.of, x.backend, x.on(x.backend))

    def backward(self, dy, saved, needs):
        if ranks.rank == 1 and case == "error":
            raise DataError("the backward pass failed")
        if ranks.rank == 1 and case == "hang":
            time.sleep(100)
        return (dy,)

class FailingToRead:
    is_done = True

    def wait(self):
        raise DataError("the device failed")

try:
    with joined() as ranks, rm.use_backend("reference") as backend:
        ranks.limit = 1.5
        rm.set_seed(0)
        model = rm.Sequential([rm.Dense(30), rm.BatchNormalization(), Failing(), rm.Dense(20), rm.Dense(10)])
        with rm.mode.training():
            model(np.ones((2, 5)))
        if ranks.rank == 1 and case == "device":
            backend.start_reading = lambda array, host: FailingToRead()
        source = ArraySource((np.ones((6, 5)),), np.ones((6, 10)), 6, ranks=ranks)
        options = {"loss": lambda y, t: (y * t).sum(), "ranks": ranks, "synchronise": synchronises}
        Loop(model, rm.Sgd(0.1), source, epochs=1, **options).run()
except RankError as error:
    print(f"[{error}]\\n", end="", flush=True)
    sys.exit(error.status)
"""


@pytest.fixture
def seed(request):
    """By which the ranks draw their cases: that of this run of the tests, which its header names."""
    return request.config.option.hypothesis_seed


def through(ended, size):
    assert ended.status == 0, ended.err
    assert sorted(ended.out.split("\n")) == ["", *(f"rank {rank} is through" for rank in range(size))]


@pytest.mark.parametrize("size", [2, 3, 4])
def test_what_is_summed_beside_the_backward_pass_is_the_plain_sum(mpi, seed, size):
    through(mpi(size, PROGRAM, "reference", 40, seed), size)


def test_so_it_is_on_a_device(mpi, seed):
    if not finding.usable():
        pytest.skip("there is no OpenCL device")
    through(mpi(2, PROGRAM, finding.best().name, 15, seed), 2)


def test_so_it_is_where_mpi_lets_one_thread_in(mpi, seed):
    through(mpi(2, PROGRAM, "reference", 10, seed, MPI4PY_RC_THREAD_LEVEL="funneled"), 2)


@pytest.mark.parametrize("level", ["multiple", "funneled"])
def test_ranks_that_are_lost_in_the_sum_of_a_bucket(mpi, ulfm, program, level):
    for victims, left in (({2: 5}, (0, 1, 3)), ({0: 1}, (1, 2, 3)), ({0: 6, 1: 8, 3: 17}, (2,))):
        orders = (f"{rank}:{number}" for rank, number in victims.items())
        ended = mpi(4, program(LOST), *orders, limit=60, MPI4PY_RC_THREAD_LEVEL=level)
        found = re.findall(r"\[(\d) of (\d), without \[([\d, ]*)\]; (\d+)\]", ended.out)
        assert sorted(int(rank) for rank, *_ in found) == list(left), ended.err
        for _, size, lost, total in found:
            assert int(size) == len(left) and int(total) == sum(2**rank for rank in left)
            assert sorted(map(int, lost.split(", "))) == sorted(victims)


@pytest.mark.parametrize(("case", "words"), [("error", "the backward pass failed"), ("device", "the device failed")])
def test_an_error_while_others_wait_for_a_bucket_ends_all(mpi, program, case, words):
    ended = mpi(3, program(STEP), case, limit=60)
    assert ended.status == 1
    assert re.findall(r"\[.*\]", ended.out) == [f"[rank 1: {words}]"] * 3, ended.err


@pytest.mark.parametrize("options", [(), ("synchronise",)], ids=["plain", "synchronised"])
def test_a_rank_that_hangs_while_others_wait_for_its_gradients_is_named(mpi, program, options):
    begun = time.monotonic()
    ended = mpi(3, program(STEP), "hang", *options, limit=60)
    assert ended.status != 0 and time.monotonic() - begun < 50
    assert re.findall(r"^Warning: rank (\d): it has not come", ended.err, re.MULTILINE) == ["1"], ended.err


@given(sizes=st.lists(st.integers(0, 3 * buckets.MOST) | st.integers(0, 100), max_size=50))
def test_buckets_hold_all_and_the_last_are_small(sizes):
    counts, first = buckets.cut(sizes), 0
    assert sum(counts) == len(sizes) and all(counts)
    for count in counts:
        held, left = sum(sizes[first : first + count]), sum(sizes[first:])
        assert count == 1 or held <= max(buckets.ALWAYS, min(buckets.MOST, left / 2))
        first += count


@given(uses=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=12))
def test_a_gradient_is_ready_once_and_does_not_change_then(backend, uses):
    """Of parameters that are used several times, behind a cast to integers, or not at all."""
    told, passed = [], []
    with rm.use_backend(backend), rm.mode.training():
        parameters = [rm.Parameter(np.full((2, 3), 1.5 + index)) for index in range(4)]
        values = [rm.Variable(np.ones((2, 3)))]
        for index, place in uses:
            y = values[place % len(values)] * parameters[index]
            values.append(rm.cast(rm.cast(y, "int32"), "float32") if place == 9 else y)
        loss = (values[-1] + values[len(values) // 2]).sum()
        on_tape = set(leaves(loss))
    if loss.node is None:
        return
    gradients = loss.grad(lambda entry, array: (told.append(entry), passed.append(array)))
    assert len(told) == len(set(told)) and set(told) == on_tape <= set(parameters)
    assert {entry for entry, array in zip(told, passed, strict=True) if array is not None} == {e for e, _ in gradients}
    assert all(array is None or array is dict(gradients)[entry] for entry, array in zip(told, passed, strict=True))


def test_a_gradient_is_ready_before_others_are_computed():
    first, second = rm.Parameter(np.ones(3)), rm.Parameter(np.ones(3))
    order = []
    with rm.use_backend("reference"), rm.mode.training():
        hidden = rm.tanh(rm.Variable(np.ones(3)) * first)
        loss = (hidden * second).sum()
    implementation, entry = hidden.node.implementation, hidden.node

    class Noting:
        @staticmethod
        def backward(*arguments, **attributes):
            order.append("tanh")
            return implementation.backward(*arguments, **attributes)

    entry.implementation = Noting
    loss.grad(lambda variable, _: order.append(variable))
    assert order == [second, "tanh", first]


@given(shape=st.lists(st.integers(0, 40), max_size=3).map(tuple), seed=st.integers(0, 2**32))
def test_what_is_read_is_what_was_there(backend, shape, seed):
    array = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    with rm.use_backend(backend) as active:
        given = active.array(array)
        host = np.full(array.size + 2, 7, np.float32)
        copying = active.start_reading(given, host[1:-1].reshape(shape))
        active.array(np.full(array.shape, 3))
        if copying is not None:
            copying.wait()
            assert copying.is_done
    assert np.array_equal(host[1:-1], array.reshape(-1)) and host[0] == host[-1] == 7

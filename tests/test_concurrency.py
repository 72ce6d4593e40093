"""Threads and asyncio tasks: what is switched on in one is not so in another, and what they share comes out right."""

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import refcnn as rm
from refcnn import backend as backends
from refcnn import philox
from refcnn.conformance.theory import bounds
from refcnn.formats import FLOAT16, FLOAT32
from refcnn.mode import is_recording, is_training, recording
from refcnn.opencl import variants
from refcnn.opencl.runtime import kernels
from refcnn.runs import run_data, training

from . import small_run

TIMEOUT = 60


@pytest.fixture(autouse=True)
def frequent_switches():
    """Let threads take turns as often as can be, so that what may come in between does."""
    former = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(former)


def in_threads(*functions):
    """Run functions side by side, each in a thread of its own; return their results, or raise what one raised."""
    with ThreadPoolExecutor(len(functions)) as pool:
        return [future.result(TIMEOUT) for future in [pool.submit(function) for function in functions]]


def crossing(block, look):
    """Let two threads enter a block one after the other and leave it in that order; what each sees at each step.

    Steps: the first is inside, both are, only the second is, none is.
    """
    steps, seen = threading.Barrier(2, timeout=TIMEOUT), ([], [])

    def run(number):
        with contextlib.ExitStack() as stack:
            for step in range(4):
                if step == number:
                    stack.enter_context(block(number))
                if step == number + 2:
                    stack.close()
                steps.wait()
                seen[number].append(look())
                steps.wait()

    in_threads(lambda: run(0), lambda: run(1))
    return seen


MODES = {
    "training": (
        lambda number: rm.Sequential([]).train(),
        lambda: (is_training(), is_recording()),
        [(True, True)] * 2,
        (False, False),
    ),
    "recording": (lambda number: recording(), is_recording, [True] * 2, False),
    "variant": (
        lambda number: variants.use_variant(("gpu", "plain")[number], bool(number)),
        variants.forced,
        [("gpu", False), ("plain", True)],
        (None, False),
    ),
    "subnormals": (
        lambda number: bounds.subnormals(not number),
        lambda: bounds.underflow() < FLOAT32.smallest_normal,
        [True, False],
        False,
    ),
    "number format": (
        lambda number: bounds.computed_in((FLOAT16, FLOAT32)[number]),
        bounds.number_format,
        [FLOAT16, FLOAT32],
        FLOAT32,
    ),
    "generator": (
        lambda number: philox.own_generator((number + 1, 5)),
        lambda: philox.generator.state,
        [(1, 5), (2, 5)],
        philox.generator.state,
    ),
}


@pytest.mark.parametrize("mode", MODES)
def test_threads_that_overlap_do_not_see_each_others_modes(mode):
    block, look, inside, outside = MODES[mode]
    rm.set_seed(0)
    outside = philox.generator.state if mode == "generator" else outside
    first, second = crossing(block, look)
    assert first == [inside[0], inside[0], outside, outside]
    assert second == [outside, inside[1], inside[1], outside]
    assert look() == outside


def test_threads_that_overlap_have_a_backend_each():
    names = ("reference", "reference:float64")
    with rm.use_backend("reference"):
        outside = in_threads(lambda: backends.active().name)[0]
        first, second = crossing(lambda number: rm.use_backend(names[number]), lambda: rm.relu([1.0]).backend.name)
        assert first == [names[0], names[0], outside, outside]
        assert second == [outside, names[1], names[1], outside]
        assert backends.active().name == "reference"


def test_dropout_drops_nothing_while_another_thread_trains():
    inside, done = threading.Event(), threading.Event()
    layer, x = rm.Dropout(0.5), np.ones((4, 50))

    def train():
        with rm.use_backend("reference"), rm.Sequential([layer]).train():
            inside.set()
            assert done.wait(TIMEOUT)
            return layer(x).as_ndarray()

    def predict():
        assert inside.wait(TIMEOUT)
        with rm.use_backend("reference"):
            y = layer(x)
        done.set()
        return y

    dropped, kept = in_threads(train, predict)
    assert (dropped == 0).any()
    np.testing.assert_array_equal(kept.as_ndarray(), x)
    assert kept.node is None


def test_tasks_of_asyncio_have_modes_of_their_own():
    async def task(name, is_trained, steps):
        seen = []
        with rm.use_backend(name), contextlib.ExitStack() as stack:
            if is_trained:
                stack.enter_context(rm.Sequential([]).train())
            for _ in range(3):
                await steps.wait()
                y = rm.relu([1.0])
                seen.append((y.backend.name, y.node is not None, is_training()))
                # A thread to which a task hands work over takes its modes along.
                name_in_a_thread = await asyncio.to_thread(lambda: rm.relu([1.0]).backend.name)
                seen.append((name_in_a_thread, y.node is not None, is_training()))
        return seen

    class Turns:
        def __init__(self, tasks):
            self.tasks, self.waiting, self.turn = tasks, 0, asyncio.Event()

        async def wait(self):
            self.waiting += 1
            turn = self.turn
            if self.waiting == self.tasks:
                self.waiting, self.turn = 0, asyncio.Event()
                turn.set()
            await turn.wait()

    async def main():
        turns = Turns(2)
        return await asyncio.gather(task("reference", True, turns), task("reference:float64", False, turns))

    with rm.use_backend("reference"):
        trained, other = asyncio.run(main())
    assert trained == [("reference", True, True)] * 6
    assert other == [("reference:float64", False, False)] * 6
    assert not is_training() and not is_recording()


PROCESS = """
import threading
import refcnn as rm

def name():
    return rm.relu([1.0]).backend.name

def in_a_thread(function):
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]

rm.use_backend("reference:float64")
print(in_a_thread(name), name())
kept = rm.use_backend("reference")
print(in_a_thread(name), name())
with rm.use_backend("reference:float64"):
    print(in_a_thread(name), name())
    rm.use_backend("reference")
    print(in_a_thread(name), name())
    rm.use_backend("reference:float64")
print(in_a_thread(name), name())
print(in_a_thread(lambda: (rm.use_backend("reference:float64"), name())[1]), name(), in_a_thread(name))
rm.set_seed(7)
from refcnn.philox import generator
print(in_a_thread(lambda: generator.seed), in_a_thread(lambda: (rm.set_seed(8), generator.seed)[1]), generator.seed)
"""


def test_a_choice_without_a_block_is_the_processs_in_the_main_thread_and_else_the_threads():
    done = subprocess.run([sys.executable, "-c", PROCESS], capture_output=True, text=True, timeout=TIMEOUT)
    assert done.stdout.splitlines() == [
        "reference:float64 reference:float64",
        "reference reference",
        "reference reference:float64",
        "reference reference",
        "reference reference",
        "reference:float64 reference reference",
        "7 8 7",
    ], done.stderr


OPENING = """
import threading, time
import refcnn as rm

rm.use_backend("reference")
found = []
opening = rm.use_backend("reference:float64")
thread = threading.Thread(target=lambda: found.append(rm.relu([1.0]).backend.name))
thread.start()
time.sleep(0.2)
with opening:
    thread.join()
print(found, rm.relu([1.0]).backend.name)
"""


def test_a_block_of_the_main_thread_that_is_about_to_begin_is_not_seen_by_others():
    """As when a thread computes just between the two steps in which Python begins a block."""
    done = subprocess.run([sys.executable, "-c", OPENING], capture_output=True, text=True, timeout=TIMEOUT)
    assert done.stdout.strip() == "['reference'] reference", done.stderr


FINDING = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
from refcnn import backend
start = threading.Barrier(4)

def find():
    start.wait()
    return backend.find(sys.argv[1])

with ThreadPoolExecutor(4) as pool:
    found = [future.result() for future in [pool.submit(find) for _ in range(4)]]
print(len({id(one) for one in found}))
"""


def test_threads_that_name_a_device_for_the_first_time_get_one_backend(opencl_backend):
    command = [sys.executable, "-c", FINDING, opencl_backend.name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    assert done.stdout.strip() == "1", done.stderr


def network():
    return rm.Sequential(
        [
            rm.Conv2d(8, filter=3, padding=1),
            rm.Relu(),
            rm.MaxPool2d(2, stride=2),
            rm.Dropout(0.5),
            rm.Flatten(),
            rm.Dense(3),
        ]
    )


def test_predictions_are_right_while_another_model_trains(backend):
    x = np.random.default_rng(0).normal(size=(8, 1, 8, 8))
    predicted, trained, optimizer = network(), network(), rm.Sgd(lr=0.01)
    with rm.use_backend(backend):
        expected = predicted(x).as_ndarray()
    is_trained = threading.Event()

    def train():
        with rm.use_backend(backend):
            for _ in range(25):
                with trained.train():
                    loss = rm.softmax_cross_entropy(trained(x), np.eye(3)[np.arange(8) % 3])
                loss.grad().update(optimizer)
            is_trained.set()
            return float(loss)

    def predict():
        with rm.use_backend(backend):
            answers = []
            while not answers or not is_trained.is_set():
                y = predicted(x)
                answers.append(y.node is None and np.array_equal(y.as_ndarray(), expected))
            return answers

    loss, answers = in_threads(train, predict)
    assert np.isfinite(loss) and all(answers), f"{answers.count(False)} of {len(answers)} answers are wrong"


def test_two_backends_compute_with_one_model_at_the_same_time():
    """Each gets the numbers that it gets alone, and the parameters keep the digits that float32 does not have."""
    model, x = rm.Sequential([rm.Dense(5), rm.Relu(), rm.Dense(3)]), np.random.default_rng(0).normal(size=(4, 6))
    with rm.use_backend("reference:float64"):
        model(x)
        model.set_state({name: value + 1e-12 for name, value in model.state().items()})
        state = model.state()
    names, expected = ("reference", "reference:float64"), {}
    for name in names:
        with rm.use_backend(name):
            expected[name] = model(x).as_ndarray()

    def compute(name):
        with rm.use_backend(name):
            return [np.array_equal(model(x).as_ndarray(), expected[name]) for _ in range(200)]

    for answers in in_threads(*(lambda name=name: compute(name) for name in names * 2)):
        assert all(answers)
    for name, value in model.state().items():
        np.testing.assert_array_equal(value, state[name])


def test_of_two_threads_with_the_first_input_one_makes_the_parameters():
    start, calls = threading.Barrier(2, timeout=TIMEOUT), []

    def initializer(shape):
        calls.append(shape)
        time.sleep(0.05)
        return np.full(shape, len(calls), np.float32)

    model = rm.Sequential(
        [rm.Conv2d(2, filter=1, initializer=initializer), rm.Flatten(), rm.Dense(2, initializer=initializer)]
    )

    def call():
        with rm.use_backend("reference"):
            start.wait()
            return model(np.ones((1, 1, 1, 1))).as_ndarray()

    first, second = in_threads(call, call)
    assert len(calls) == 2
    np.testing.assert_array_equal(first, second)
    with rm.use_backend("reference"):
        np.testing.assert_array_equal(model(np.ones((1, 1, 1, 1))).as_ndarray(), first)


def test_two_summaries_of_one_model_at_the_same_time(capsys):
    both = threading.Barrier(2, timeout=TIMEOUT)

    class Meeting(rm.Layer):
        def forward(self, x):
            both.wait()
            return x

    model = rm.Sequential([Meeting(), rm.Dense(2, input_size=3)])

    def summarise():
        with rm.use_backend("reference"):
            model.summary((3,))

    in_threads(summarise, summarise)
    assert [line.split()[-6:-3] for line in capsys.readouterr().out.splitlines() if "Dense" in line] == [
        ["(N,", "2)", "8"]
    ] * 2


def test_a_thread_that_draws_does_not_change_a_training(tmp_path, monkeypatch):
    small_run.write_inputs(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    options = {"data": "data.npz", "model": "small_models:small", "epochs": 2, "batch_size": 8, "lr": 0.02, "seed": 3}

    def run(path, disturb):
        with rm.use_backend("reference"):
            session = training.start(options, path)
            disturb()
            update = session.loop.optimizer.update

            def disturbed(*arguments):
                in_threads(disturb)
                update(*arguments)

            session.loop.optimizer.update = disturbed
            session.finish(lambda line: None)
        return session

    def draw():
        philox.generator.normal((3,))

    def look():
        with rm.use_backend("reference"):
            run_data.validation_set(quiet.run.configuration)

    quiet = run("quiet", lambda: None)
    for name, disturb in (("drawing", draw), ("looking", look)):
        small_run.assert_same(run(name, disturb).run.last, quiet.run.last)


def test_launches_of_other_threads_are_neither_recorded_nor_held_back(opencl_backend):
    device, x = opencl_backend.device, np.arange(5, dtype=np.float32)
    relu = opencl_backend.operation("relu").forward

    def other():
        y, _ = relu(device.array(x))
        return y.get()

    with device.capture(execute=False) as capture, device.profiling() as timings:
        np.testing.assert_array_equal(in_threads(other)[0], x)
    assert not capture.launches and not timings
    with device.capture() as capture, device.profiling() as timings:
        in_threads(other)
        np.testing.assert_array_equal(other(), x)
    assert len(capture.launches) == len(timings) == 1


def test_compilers_at_work_in_two_threads_leave_standard_error_as_it_was(opencl_backend):
    if opencl_backend.device.is_simulator:
        pytest.skip("a simulator's compiler takes long")
    device, before = opencl_backend.device, os.fstat(2)

    def build(number):
        # Options that no cache has seen.
        kernels.build(device, device._connection.context, "relu", ("-DCHUNK=1", f"-DTHREAD_{number}_{time.time_ns()}"))

    in_threads(*(lambda number=number: build(number) for number in range(4)))
    after = os.fstat(2)
    assert (before.st_dev, before.st_ino) == (after.st_dev, after.st_ino)

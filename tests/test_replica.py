"""Copies of models: a replica on another device, copy.deepcopy, and pickle; each leaves the original alone."""

import copy
import multiprocessing
import pickle
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest

import refcnn as rm
from refcnn import backend as backends
from refcnn.errors import GradientError

X = np.random.default_rng(0).normal(size=(8, 6)).astype(np.float32)
TARGET = np.eye(3)[np.arange(8) % 3]


@pytest.fixture(autouse=True)
def reference():
    rm.set_seed(0)
    with rm.use_backend("reference"):
        yield


class Shared(rm.Model):
    """A layer used twice, a parameter of two layers, a buffer, a constant, and an attribute that is no array."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = rm.Dense(6, input_size=6), rm.Dense(6, input_size=6), rm.Dense(3)
        self.second.params["w"] = self.first.params.w
        self.blocks, self.settings = [self.first, {"again": self.first}], {"slope": [1.0]}
        self.shift, self.constant = rm.Buffer(np.full((1, 6), 0.25)), rm.Variable(np.eye(6))
        self.drop = rm.Dropout(0.5)

    def forward(self, x):
        x = rm.dense(self.second(rm.relu(self.first(x))), self.constant, self.shift)
        return self.last(self.drop(rm.relu(x)))


def model():
    made = Shared()
    made(X)
    return made


def train(one, optimizer, steps=3):
    for _ in range(steps):
        with one.train():
            loss = rm.softmax_cross_entropy(one(X), TARGET)
        loss.grad().update(optimizer)


def assert_state(one, expected):
    found = one.state()
    assert set(found) == set(expected)
    for name, array in found.items():
        np.testing.assert_array_equal(array, expected[name])
        assert array.dtype == expected[name].dtype


def pickled(entry):
    return pickle.loads(pickle.dumps(entry))


COPIES = {"replica": lambda one: one.replica(), "deepcopy": copy.deepcopy, "pickle": pickled}


@pytest.mark.parametrize("make", COPIES.values(), ids=COPIES)
def test_a_copy_has_the_same_values_and_shares_nothing(make):
    original = model()
    before = original.state()
    twin = make(original)
    assert type(twin) is Shared
    assert_state(twin, before)
    np.testing.assert_array_equal(twin(X).as_ndarray(), original(X).as_ndarray())
    originals = {id(entry) for _, entry in original.named_state()} | {id(layer) for _, layer in original.layers()}
    twins = {id(entry) for _, entry in twin.named_state()} | {id(layer) for _, layer in twin.layers()}
    assert len(twins) == len(originals) and not twins & originals
    reference = backends.find("reference")
    for (_, entry), (_, other) in zip(original.named_state(), twin.named_state(), strict=True):
        assert not np.shares_memory(entry.on(reference), other.on(reference))
    twin.settings["slope"].append(2.0)
    train(twin, rm.Sgd(lr=0.1))
    twin.shift.set(np.zeros((1, 6)))
    assert_state(original, before)
    assert original.settings == {"slope": [1.0]}
    assert any(not np.array_equal(array, before[name]) for name, array in twin.state().items())


@pytest.mark.parametrize("make", COPIES.values(), ids=COPIES)
def test_what_is_shared_within_the_model_is_shared_within_the_copy(make):
    twin = make(model())
    assert twin.first.params.w is twin.second.params.w
    assert twin.blocks[0] is twin.first is twin.blocks[1]["again"]
    assert [name for name, _ in twin.parameters()] == [name for name, _ in model().parameters()]


@pytest.mark.parametrize("device", ["reference:float64", "the tested one"])
def test_a_replica_lies_on_the_backend_that_is_named(backend, device):
    original = model()
    if device == "reference:float64":
        backend = backends.find(device)
    twin = original.replica(backend.name)
    for _, entry in twin.named_state():
        assert entry.backend is backend
        np.testing.assert_array_equal(backend.to_host(entry.on(backend)), entry.as_ndarray())
    assert twin.constant.backend is backend
    for _, entry in original.named_state():
        assert entry.backend is backends.find("reference")
    for name, array in original.state().items():
        np.testing.assert_array_equal(twin.state()[name], array)
    assert original.replica(backend).first.params.w.backend is backend


@pytest.mark.parametrize("make", [copy.deepcopy, pickled])
def test_a_copy_of_a_model_and_its_optimizer_trains_as_they_would(make):
    original, optimizer = model(), rm.Adam(lr=0.01)
    train(original, optimizer)
    twin, twin_optimizer = make((original, optimizer))
    for one, its_optimizer in ((original, optimizer), (twin, twin_optimizer)):
        rm.set_seed(5)
        train(one, its_optimizer)
    assert_state(twin, original.state())
    parameters = dict(twin.parameters())
    for name, parameter in original.parameters():
        state, twin_state = optimizer.state(parameter), twin_optimizer.state(parameters[name])
        assert state["step"] == twin_state["step"] == 6
        for slot in ("m", "r"):
            np.testing.assert_array_equal(state[slot], twin_state[slot])


def test_a_replica_is_brought_up_to_date():
    original = model()
    twin = original.replica()
    train(original, rm.Sgd(lr=0.1))
    twin.set_state(original.state())
    assert_state(twin, original.state())


def test_a_recorded_result_is_not_copied():
    original = model()
    with original.train():
        original.kept = original(X)
        loss = rm.softmax_cross_entropy(original.kept, TARGET)
    with pytest.raises(GradientError, match="recorded"):
        original.replica()
    with pytest.raises(GradientError, match="recorded"):
        copy.deepcopy(original.kept)
    with pytest.raises(GradientError, match="recorded"):
        pickle.dumps(original)
    loss.grad()
    np.testing.assert_array_equal(original.replica().kept.as_ndarray(), original.kept.as_ndarray())


def test_a_copied_variable_keeps_every_digit_and_what_was_asked_of_it():
    with rm.use_backend("reference:float64"):
        leaf = rm.Variable([1 / 3], requires_grad=True)
    twin = copy.deepcopy(leaf)
    assert twin.requires_grad and twin.backend is leaf.backend and twin.dtype == np.float64
    np.testing.assert_array_equal(twin.as_ndarray(), leaf.as_ndarray())


def test_what_is_pickled_lands_on_the_backend_that_is_active_then(backend):
    with rm.use_backend(backend):
        original = model()
        counted = rm.Variable([2**24 + 1])
        text = pickle.dumps((original, counted))
    twin, counted = pickle.loads(text)
    assert {entry.backend for _, entry in twin.named_state()} == {backends.find("reference")}
    assert_state(twin, original.state())
    assert counted.dtype == np.int64 and int(counted[0]) == 2**24 + 1


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, pickled])
def test_copied_gradients_take_the_step_that_they_would(make, backend):
    with rm.use_backend(backend):
        original = model()
        with original.train():
            loss = rm.softmax_cross_entropy(original(X), TARGET)
        twin, grads = make([original, loss.grad()]) if make is not copy.copy else (original, copy.copy(loss.grad()))
        before = twin.state()
        expected = before["last.b"] - 0.5 * grads.get(twin.last.params.b).as_ndarray()
        grads.update(rm.Sgd(lr=0.5, momentum=0, nesterov=False))
        np.testing.assert_allclose(twin.state()["last.b"], expected, rtol=1e-6)
        assert not np.array_equal(twin.state()["last.b"], before["last.b"])


def in_another_process(one, optimizer):
    train(one, optimizer)
    return one, optimizer


def test_a_process_that_is_spawned_trains_what_it_is_sent_and_sends_it_back(monkeypatch):
    monkeypatch.setenv("REFCNN_BACKEND", "reference")
    original, optimizer = model(), rm.Adam(lr=0.01)
    original.drop = rm.Dropout(0)
    train(original, optimizer)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        twin, twin_optimizer = pool.submit(in_another_process, original, optimizer).result(60)
        with pytest.raises(rm.errors.BackendError, match="no device. Install one."):
            pool.submit(fail).result(60)
    train(original, optimizer)
    assert_state(twin, original.state())
    assert twin_optimizer.state(twin.last.params.w)["step"] == 6


def fail():
    raise rm.errors.NoDeviceError("no device", "Install one.")


def test_a_model_without_parameters_yet_is_copied_before_it_has_them():
    original = rm.Sequential([rm.Dense(3)])
    twin = original.replica()
    original(X)
    assert not list(twin.parameters())
    twin(X)
    assert not np.array_equal(twin[0].params.w.as_ndarray(), original[0].params.w.as_ndarray())


def test_threads_that_serve_with_a_replica_do_not_see_one_that_trains(backend):
    original = model()
    serving = original.replica(backend)
    with rm.use_backend(backend):
        expected = serving(X).as_ndarray()
    is_trained = threading.Event()

    def serve():
        with rm.use_backend(backend):
            answers = []
            while not answers or not is_trained.is_set():
                answers.append(np.array_equal(serving(X).as_ndarray(), expected))
            return all(answers)

    def learn():
        try:
            with rm.use_backend("reference:float64"):
                train(original, rm.Adam(lr=0.01), 20)
        finally:
            is_trained.set()
        return all(entry.backend is backends.find("reference:float64") for _, entry in original.parameters())

    with ThreadPoolExecutor(2) as pool:
        assert all(future.result(60) for future in [pool.submit(serve), pool.submit(learn)])
    for _, entry in serving.named_state():
        assert entry.backend is backend
    with rm.use_backend(backend):
        np.testing.assert_array_equal(serving(X).as_ndarray(), expected)

"""Steps that are replayed give the bits of those that are made as they are asked for, whatever changes in between."""

import copy
import functools
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn import mode, models, philox
from refcnn.fitting.metrics import cross_entropy
from refcnn.fitting.repeated import Repeated
from refcnn.opencl.runtime import recording

SIDE, CLASSES = 8, 3
RATES = st.sampled_from([0.003, 0.01, 0.02])
OPTIMIZERS = (rm.Sgd, rm.Adam, rm.AdamW, rm.RmsProp, rm.Adagrad, rm.Adadelta, rm.Adamax)
LOSSES = {
    "default": (cross_entropy, "classes"),
    "softmax": (rm.softmax_cross_entropy, "classes"),
    "smoothed": (functools.partial(cross_entropy, label_smoothing=0.1), "classes"),
    "weighted": (functools.partial(cross_entropy, class_weight=np.array([1.0, 0.0, 2.0])), "classes"),
    "rows": (rm.softmax_cross_entropy, "rows"),
    "squared": (rm.mean_squared_error, "rows"),
    "absolute": (rm.smoothed_l1, "integers"),
}


@st.composite
def networks(draw):
    """Draw a function that makes layers."""
    parts, size = [], SIDE
    for _ in range(draw(st.integers(1, 3))):
        channels, window = draw(st.sampled_from([3, 8])), draw(st.sampled_from([1, 3, 5]))
        parts.append(functools.partial(rm.Conv2d, channels, window, padding=window // 2))
        parts += draw(st.sampled_from([[], [rm.BatchNormalization]]))
        parts += draw(st.sampled_from([[], [rm.Relu], [rm.Tanh], [rm.Elu]]))
        if size >= 4 and draw(st.booleans()):
            parts.append(draw(st.sampled_from([rm.MaxPool2d, rm.AveragePool2d])))
            size //= 2
        parts += draw(st.sampled_from([[], [functools.partial(rm.Dropout, 0.3)], [rm.SpatialDropout]]))
    parts += draw(st.sampled_from([[rm.Flatten], [rm.GlobalAveragePool2d, rm.Flatten]]))
    parts += [functools.partial(rm.Dense, CLASSES)]
    return parts


def build(parts):
    return rm.Sequential([part(2) if part in (rm.MaxPool2d, rm.AveragePool2d) else part() for part in parts])


@st.composite
def optimizers(draw):
    kind = draw(st.sampled_from(OPTIMIZERS))
    options = {"weight_decay": draw(st.sampled_from([0.0, 0.01])), "average_decay": draw(st.sampled_from([None, 0.9]))}
    options["clip_value"] = draw(st.sampled_from([None, 0.05]))
    return functools.partial(kind, draw(RATES), **options)


class Trained:
    """A model in training, by recorded steps or as it is asked for."""

    def __init__(self, parts, make_optimizer, loss):
        self.generator = philox.Generator(5)
        with philox.drawing_from(self.generator):
            self.model, self.optimizer, self.loss = build(parts), make_optimizer(), loss
        self.recorded = None

    def step(self, x, target):
        with philox.drawing_from(self.generator):
            if self.recorded is not None:
                return self.recorded(x, target).as_ndarray()
            with self.model.train():
                loss = self.loss(self.model(x), target)
            loss.grad().update(self.optimizer)
            return loss.as_ndarray()

    def state(self):
        of_optimizer = {
            f"{name}.{key}": array
            for name, parameter in self.model.parameters()
            for key, array in self.optimizer.state(parameter).items()
        }
        return {**self.model.state(), **of_optimizer, "generator": np.array(self.generator.state, np.uint64)}


def pair(*made):
    """Return two of the same, of which the second has recorded steps."""
    ordinary, recorded = Trained(*made), Trained(*made)
    recorded.recorded = rm.TrainingStep(recorded.model, recorded.optimizer, recorded.loss)
    return ordinary, recorded


def assert_same(one, other):
    one, other = one.state(), other.state()
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert array.tobytes() == other[name].tobytes(), name


def batch(number, size, kind="classes"):
    generator = np.random.default_rng((number, size))
    x, y = generator.normal(size=(size, 2, SIDE, SIDE)).astype(np.float32), generator.integers(0, CLASSES, size)
    rows = np.eye(CLASSES, dtype=np.float32)[y]
    return x, {"classes": y, "rows": rows, "integers": rows.astype(np.int64)}[kind]


@pytest.fixture
def replays(monkeypatch):
    """Return a list that grows with each replay."""
    made, call = [], recording.Replay.__call__

    def counted(self, *given):
        made.append(self)
        return call(self, *given)

    monkeypatch.setattr(recording.Replay, "__call__", counted)
    return made


def change(trained, what):
    """Do to a training what its user may do between two steps."""
    model, optimizer, layers = trained.model, trained.optimizer, list(trained.model.layers())
    parameters = dict(trained.model.parameters())
    first = next(iter(parameters.values()))
    if what == "rate":
        optimizer.lr *= 0.5
    elif what == "set":
        first.set(first.as_ndarray() * 0.5)
    elif what == "state":
        model.set_state({name: array * np.float32(0.9) for name, array in model.state().items()})
    elif what == "freeze":
        first.requires_grad = not first.requires_grad
    elif what == "reset":
        optimizer.set_state(first, {})
    elif what == "load":
        states = [optimizer.state(parameter) for parameter in parameters.values()]
        for parameter, state in zip(parameters.values(), states, strict=True):
            optimizer.set_state(parameter, state)
    elif what == "decay":
        optimizer.weight_decay = 0.02
    elif what == "attribute":
        for _, layer in layers:
            if hasattr(layer, "dropout_ratio"):
                layer.dropout_ratio = 0.4
            if hasattr(layer, "momentum"):
                layer.momentum = 0.7
    elif what == "layer":
        model.append(rm.Relu())
    elif what == "evaluate":
        model(batch(99, 4)[0]).as_ndarray()
    elif what == "average" and optimizer.average_decay is not None:
        with optimizer.averaged():
            model(batch(99, 4)[0]).as_ndarray()


CHANGES = ("rate", "set", "state", "freeze", "reset", "load", "decay", "attribute", "layer", "evaluate", "average")


@given(st.data())
def test_a_replay_gives_the_bits_of_an_ordinary_step(opencl_backend, data):
    loss, kind = LOSSES[data.draw(st.sampled_from(sorted(LOSSES)))]
    with rm.use_backend(opencl_backend):
        trained = pair(data.draw(networks()), data.draw(optimizers()), loss)
        plan = data.draw(st.lists(st.sampled_from([None, None, None, *CHANGES]), min_size=6, max_size=16))
        for number, what in enumerate(plan):
            if number > 1 and what is not None:
                for one in trained:
                    change(one, what)
            size = data.draw(st.sampled_from([6, 6, 6, 4]))
            losses = [one.step(*batch(number, size, kind)) for one in trained]
            assert losses[0].tobytes() == losses[1].tobytes()
            assert_same(*trained)


SMALL = [functools.partial(rm.Conv2d, 3, 3), rm.BatchNormalization, rm.Relu, rm.Dropout, rm.Flatten]
SMALL += [functools.partial(rm.Dense, CLASSES)]


def trained_pair(opencl_backend, steps=4, parts=SMALL, optimizer=rm.Adam, loss=cross_entropy, kind="classes"):
    trained = pair(parts, optimizer, loss)
    for number in range(steps):
        for one in trained:
            one.step(*batch(number, 6, kind))
    return trained


@pytest.mark.parametrize("what", CHANGES)
def test_each_change_is_honoured_by_what_was_replayed(opencl_backend, replays, what):
    with rm.use_backend(opencl_backend):
        trained = trained_pair(opencl_backend, 6, optimizer=functools.partial(rm.AdamW, average_decay=0.9))
        assert replays
        for one in trained:
            change(one, what)
        before = len(replays)
        for number in range(6, 13):
            losses = [one.step(*batch(number, 6)) for one in trained]
            assert losses[0] == losses[1]
            assert_same(*trained)
        assert len(replays) > before


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_each_loss_of_refcnn_is_replayed(opencl_backend, replays, name):
    loss, kind = LOSSES[name]
    with rm.use_backend(opencl_backend):
        trained = trained_pair(opencl_backend, 7, loss=loss, kind=kind)
        assert_same(*trained)
        assert len(replays) == 4
        assert trained[1].recorded.obstacle is None


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_each_optimizer_is_replayed_with_a_rate_that_changes(opencl_backend, replays, optimizer):
    with rm.use_backend(opencl_backend):
        trained = pair(SMALL, optimizer, cross_entropy)
        for number in range(8):
            for one in trained:
                one.optimizer.lr = 0.01 / (1 + number)
                one.step(*batch(number, 6))
            assert_same(*trained)
        assert len(replays) == 5


def test_who_holds_former_values_does_not_see_them_change(opencl_backend, replays):
    with rm.use_backend(opencl_backend):
        trained = trained_pair(opencl_backend, 6)[1]
        held = []
        for number in range(6, 12):
            for _, entry in trained.model.named_state():
                array = rm.Variable.of(opencl_backend, entry.on(opencl_backend))
                held.append((array, array.as_ndarray()))
            trained.step(*batch(number, 6))
        assert len(replays) == 9
        for array, values in held:
            assert array.as_ndarray().tobytes() == values.tobytes()


def test_batches_of_two_sizes_are_both_replayed(opencl_backend, replays):
    with rm.use_backend(opencl_backend):
        trained = pair(SMALL, rm.Sgd, cross_entropy)
        for number, size in enumerate([6, 6, 6, 4] * 5):
            losses = [one.step(*batch(number, size)) for one in trained]
            assert losses[0] == losses[1]
        assert_same(*trained)
        assert len(replays) == (15 - 3) + (5 - 3)


def test_variables_are_taken_as_inputs(opencl_backend, replays):
    with rm.use_backend(opencl_backend):
        trained = pair(SMALL, rm.Sgd, rm.mean_squared_error)
        for number in range(6):
            x, rows = batch(number, 6, "rows")
            for one in trained:
                one.step(rm.Variable(x), rm.Variable(rows))
        assert_same(*trained)
        assert len(replays) == 3


def test_what_is_wrong_with_a_batch_is_told_by_a_replay_too(opencl_backend, replays):
    with rm.use_backend(opencl_backend):
        trained = trained_pair(opencl_backend, loss=rm.softmax_cross_entropy)
        x, y = batch(9, 6)
        for one in trained:
            with pytest.raises(rm.errors.OutOfRangeError):
                one.step(x, y + CLASSES)
        assert_same(*trained)


def test_a_batch_of_classes_without_weight_takes_another_way(opencl_backend, replays):
    loss, _ = LOSSES["weighted"]
    with rm.use_backend(opencl_backend):
        trained = trained_pair(opencl_backend, loss=loss)
        x, _ = batch(9, 6)
        for one in trained:
            one.step(x, np.ones(6, np.int64))
        assert_same(*trained)
        assert len(replays) == 1
        for one in trained:
            one.step(*batch(10, 6))
        assert_same(*trained)
        assert len(replays) == 2


@pytest.mark.parametrize("optimizer", [{"clip_norm": 0.1}, {"accumulation_steps": 2}])
def test_what_is_not_replayed_is_computed_all_the_same(opencl_backend, replays, optimizer):
    with rm.use_backend(opencl_backend):
        trained = trained_pair(opencl_backend, 9, optimizer=functools.partial(rm.Sgd, 0.01, **optimizer))
        assert_same(*trained)
        assert not replays


def test_numbers_that_nobody_knows_of_keep_a_step_from_being_replayed(opencl_backend, replays):
    factors = itertools.count(1)

    class Growing(rm.Layer):
        def forward(self, x):
            return x * float(next(factors))

    with rm.use_backend(opencl_backend):
        step = rm.TrainingStep(rm.Sequential([Growing(), rm.Flatten(), rm.Dense(CLASSES)]), rm.Sgd(0.01))
        for number in range(6):
            step(*batch(number, 6))
        assert next(factors) == 7
        assert not replays
        assert "Growing" in step.obstacle


def test_other_modes_are_steps_as_they_are_asked_for(opencl_backend, replays):
    with rm.use_backend(opencl_backend):
        trained = trained_pair(opencl_backend, 4)
        replays.clear()
        for block in (mode.recording, mode.reproducible, opencl_backend.device.capture):
            for one in trained:
                with block():
                    one.step(*batch(1, 6))
            assert not replays
            assert_same(*trained)
        with rm.use_backend("reference"):
            for one in trained:
                one.step(*batch(1, 6))
        assert not replays
        for one in trained:
            one.step(*batch(2, 6))
        assert replays
        assert_same(*trained)


def test_memory_is_lent_to_what_needs_it(opencl_backend, replays):
    with rm.use_backend(opencl_backend):
        trained = trained_pair(opencl_backend, 6)[1]
        (replay,) = set(replays)
        assert replay._memories
        free = opencl_backend.device._connection.arena.held
        large = rm.Variable(np.ones(free, np.float32))
        assert not replay._memories
        del large
        trained.step(*batch(9, 6))
        assert replay._memories


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "squeezenet"])
def test_ready_networks_are_replayed(opencl_backend, replays, name):
    with rm.use_backend(opencl_backend):
        generators = philox.Generator(0), philox.Generator(0)
        built = []
        for generator in generators:
            with philox.drawing_from(generator):
                built.append(models.build(name, (3, 32, 32), CLASSES))
        step = rm.TrainingStep(built[1], rm.Sgd(0.01))
        optimizer = rm.Sgd(0.01)
        x, y = (
            np.random.default_rng(0).normal(size=(5, 2, 3, 32, 32)).astype(np.float32),
            np.arange(10).reshape(5, 2) % 3,
        )
        for images, classes in zip(x, y, strict=True):
            with philox.drawing_from(generators[0]):
                with built[0].train():
                    loss = cross_entropy(built[0](images), classes)
                loss.grad().update(optimizer)
            with philox.drawing_from(generators[1]):
                other = step(images, classes)
            assert float(loss) == float(other)
        assert len(replays) == 2


def test_fit_replays_by_itself(opencl_backend, replays, monkeypatch):
    x, y = np.random.default_rng(0).normal(size=(26, 2, SIDE, SIDE)).astype(np.float32), np.arange(26) % CLASSES
    found = []
    with rm.use_backend(opencl_backend):
        for makes in (True, False):
            if not makes:
                monkeypatch.setattr(Repeated, "__call__", lambda self, compute, inputs, target: compute(inputs, target))
            rm.set_seed(3)
            model = build(SMALL)
            schedule = rm.schedules.Cosine()
            history = rm.fit(
                model, (x, y), validation=(x, y), epochs=5, batch_size=6, optimizer=rm.Adam(0.01), schedule=schedule,
                callbacks=rm.callbacks.EarlyStopping(), verbose=False,
            )  # fmt: skip
            found.append((model.state(), [(row["train_loss"], row["validation_loss"]) for row in history]))
    assert len(replays) == 5 * 4 - 3 + 5 - 3
    assert found[0][1] == found[1][1]
    for name, array in found[0][0].items():
        assert array.tobytes() == found[1][0][name].tobytes()


def test_a_copy_begins_without_recordings(opencl_backend):
    with rm.use_backend(opencl_backend):
        trained = trained_pair(opencl_backend, 5)[1]
        twin = copy.deepcopy(trained.recorded)
        before = trained.model.state()
        twin(*batch(8, 6))
        for name, array in trained.model.state().items():
            assert array.tobytes() == before[name].tobytes()

"""``fit``, ``evaluate`` and ``predict`` from Python: what data they take, what is called along the way, and metrics."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support, top_k_accuracy_score

import refcnn as rm
from refcnn.data import DataSet, Preprocessing
from refcnn.errors import ArgumentError, DataError, NonFiniteLossError, ShapeError
from refcnn.fitting import callbacks as fitting_callbacks
from refcnn.fitting.callbacks import EarlyStopping, TimeLimit
from refcnn.fitting.metrics import MONITORED, best_row, is_better_low
from refcnn.runs.options import make_loss

from .small_run import At

RNG = np.random.default_rng(0)
LABELS = np.arange(60) % 3
#: Points around three corners, which a single layer tells apart.
POINTS = (np.eye(3)[LABELS] * 3 + RNG.normal(size=(60, 3))).astype(np.float32)
DATA = (POINTS, LABELS)


@pytest.fixture(autouse=True)
def reference():
    with rm.use_backend("reference"):
        rm.set_seed(1)
        yield


def linear():
    return rm.Sequential([rm.Dense(3, input_size=3)])


def fit(data=DATA, model=None, **options):
    model = model or linear()
    defaults = {"epochs": 3, "batch_size": 16, "verbose": False, "optimizer": rm.Sgd(lr=0.1)}
    return model, rm.fit(model, data, **{**defaults, **options})


def test_training_learns_and_tells_each_epoch():
    model, history = fit(validation=DATA, epochs=5)
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5]
    assert history[-1]["train_loss"] < history[0]["train_loss"] / 2
    assert history[-1]["validation_accuracy"] == np.mean(rm.predict(model, POINTS).argmax(axis=1) == LABELS) > 0.9
    found = rm.evaluate(model, DATA)
    assert (found.accuracy, found.examples) == (history[-1]["validation_accuracy"], 60)
    assert found.loss == pytest.approx(history[-1]["validation_loss"], rel=1e-6)


#: The loss and its gradient by the logits, of PyTorch 2.13: torch.nn.CrossEntropyLoss(weight=tensor([1., 2, 4]), ...)
#: in float64, of LOGITS and the targets [2, 0, 1, 1].
OF_PYTORCH = [
    (
        {},
        1.2317312119370234,
        [
            [0.040013588, 0.108768209, -0.148781797],
            [-0.091634401, 0.004345841, 0.087288559],
            [0.187509941, -0.212886652, 0.025376711],
            [0.011782331, -0.110434579, 0.098652249],
        ],
    ),
    (
        {"label_smoothing": 0.1},
        1.2522280202366751,
        [
            [0.034642652, 0.096828793, -0.131471445],
            [-0.081630099, -0.00248212, 0.084112219],
            [0.186931403, -0.197916244, 0.010984841],
            [0.008274999, -0.093756637, 0.085481638],
        ],
    ),
    (
        {"ignore_index": 1},
        0.6743470308869357,
        [[0.072024459, 0.195782777, -0.267807235], [-0.164941922, 0.007822515, 0.157119407], [0, 0, 0], [0, 0, 0]],
    ),
]
LOGITS = np.array([[1, 2, 3], [0.5, -1, 2], [3, 0, 1], [-2, 0.25, 0.125]], np.float32)


def of_the_command_line(class_weight, label_smoothing=0.0):
    return make_loss({"label_smoothing": label_smoothing, "class_weights": class_weight}, LABELS, 3)


#: The command line ignores no class.
MADE = [(functools.partial(functools.partial, rm.softmax_cross_entropy), *numbers) for numbers in OF_PYTORCH]
MADE += [(of_the_command_line, *numbers) for numbers in OF_PYTORCH[:2]]


@pytest.mark.parametrize(("make", "options", "loss", "gradient"), MADE)
def test_a_step_with_class_weights_is_pytorchs(make, options, loss, gradient):
    model = rm.Sequential([rm.Dense(3, input_size=4, ignore_bias=True)])
    model.set_state({"0.w": LOGITS})
    _, history = fit(
        (np.eye(4), np.array([2, 0, 1, 1])),
        model,
        loss=make(class_weight=(1, 2, 4), **options),
        epochs=1,
        optimizer=rm.Sgd(lr=1, momentum=0),
    )
    assert history[0]["train_loss"] == pytest.approx(loss, rel=1e-6)
    np.testing.assert_allclose(LOGITS - model[0].params.w.as_ndarray(), gradient, atol=5e-7)


def test_a_batch_without_any_weight_teaches_nothing():
    """The mean by weights of such a one would be 0 / 0."""
    loss = of_the_command_line((0, 1, 2))
    assert float(loss(rm.Variable(LOGITS), np.zeros(4, int))) == 0
    model, history = fit(batch_size=1, loss=loss)
    assert np.isfinite(model[0].params.w.as_ndarray()).all() and np.isfinite(history[0]["train_loss"])


def test_what_the_loss_ignores_is_not_judged():
    labels = np.where(np.arange(60) < 20, -1, LABELS)
    loss = functools.partial(rm.softmax_cross_entropy, ignore_index=-1)
    model, _ = fit((POINTS, labels), loss=loss, validation=(POINTS, labels))
    # The first of the batches is ignored as a whole, the second in part.
    found, kept = (
        rm.evaluate(model, (POINTS, labels), loss=loss, batch_size=16),
        rm.evaluate(model, (POINTS[20:], LABELS[20:])),
    )
    assert found.accuracy == kept.accuracy and found.loss == pytest.approx(kept.loss, rel=1e-6)
    with pytest.raises(NonFiniteLossError):
        rm.evaluate(model, (POINTS, np.full(60, -1)), loss=loss)
    np.testing.assert_array_equal(found.classes.f1, kept.classes.f1)


def test_one_step_is_that_of_the_loop_written_by_hand():
    model, _ = fit(epochs=1, batch_size=60)
    rm.set_seed(1)
    own, optimizer = linear(), rm.Sgd(lr=0.1)
    with own.train():
        loss = rm.softmax_cross_entropy(own(POINTS), rm.data.one_hot(LABELS, 3))
    loss.grad().update(optimizer)
    np.testing.assert_allclose(model.state()["0.w"], own.state()["0.w"], rtol=1e-5)


def test_arrays_data_sets_and_batches_are_one():
    """In one batch, whose order does not matter but for rounding."""
    images = POINTS[:, :, None, None]
    data_set = DataSet(images, LABELS, ("a", "b", "c"), Preprocessing(1.0, 3, 1, 1))
    states = []
    for data in ((images, LABELS), data_set, [(images, LABELS)], (images, rm.data.one_hot(LABELS, 3))):
        rm.set_seed(1)
        model = rm.Sequential([rm.Flatten(), rm.Dense(3, input_size=3)])
        fit(data, model, batch_size=60)
        states.append(model.state()["1.w"])
        assert rm.predict(model, data, batch_size=7).shape == (60, 3)
        assert rm.evaluate(model, data).accuracy > 0.5
    for state in states[1:]:
        np.testing.assert_allclose(state, states[0], rtol=1e-4)


def test_inputs_alone_are_predicted():
    model = linear()
    whole = model(POINTS).as_ndarray()
    for data in (POINTS, rm.Variable(POINTS), [POINTS[:10], POINTS[10:]], iter([(POINTS, None)])):
        np.testing.assert_allclose(rm.predict(model, data, batch_size=7), whole, rtol=1e-6)


def test_several_inputs_and_a_loss_of_ones_own():
    class Sum(rm.Model):
        def __init__(self):
            super().__init__()
            self.first, self.second = rm.Dense(1, input_size=3), rm.Dense(1, input_size=3)

        def forward(self, a, b):
            return self.first(a) + self.second(b)

    def squares(output, target):
        difference = output - target
        return (difference * difference).mean()

    target = POINTS.sum(axis=1, keepdims=True)
    model, history = fit(
        ((POINTS, POINTS), target),
        Sum(),
        loss=squares,
        epochs=20,
        validation=((POINTS, POINTS), target),
        optimizer=rm.Sgd(lr=0.01),
    )
    assert history[-1]["validation_loss"] < 0.1
    assert not [name for name in history[-1] if "accuracy" in name or name.startswith("class_")]
    assert rm.predict(model, ((POINTS, POINTS), None)).shape == (60, 1)


def test_each_epoch_has_another_order_and_the_same_seed_the_same_end():
    states = [fit()[0].state() for _ in range(2) if rm.set_seed(5) is None]
    np.testing.assert_array_equal(states[0]["0.w"], states[1]["0.w"])
    assert not np.array_equal(states[0]["0.w"], fit()[0].state()["0.w"])


def test_callbacks_are_called_at_their_moments():
    moments = []
    names = [name for name in vars(rm.Callback) if name.startswith("on_")]
    callbacks = [At(name, lambda loop, name=name: moments.append(name)) for name in names]
    fit(epochs=2, batch_size=40, validation=DATA, callbacks=callbacks)
    batches = ["on_batch_end"] * 2 + ["on_batches_end"] + ["on_validation_batch_end"] * 2
    epoch = ["on_epoch_begin", *batches, "on_epoch_end"]
    assert moments == ["on_train_begin", *epoch, *epoch, "on_train_end"]


def test_the_rate_is_the_schedule_s_at_every_step_and_the_optimizer_s_own_at_the_end():
    rates, optimizer, schedule = [], rm.Sgd(lr=0.2), rm.schedules.WarmUp(rm.schedules.Cosine(), 1.5)
    note = At("on_batch_end", lambda loop: rates.append(loop.optimizer.lr))
    _, history = fit(epochs=3, optimizer=optimizer, schedule=schedule, callbacks=[note])
    assert rates == [0.2 * schedule.factor(step, 4, 3) for step in range(12)]
    assert [row["learning_rate"] for row in history] == rates[::4]
    assert optimizer.lr == 0.2


def test_a_callback_stops_the_training_after_the_batch_in_hand():
    def stop(loop):
        if len(loop.history) == 1 and len(loop.losses) == 2:
            loop.stop()

    _, history = fit(epochs=9, callbacks=[At("on_batch_end", stop)], validation=DATA)
    assert len(history) == 2 and "validation_loss" in history[1]


def test_the_time_limit_ends_a_training(a_second_each_look):
    a_second_each_look(fitting_callbacks)
    seen = []
    fit(epochs=9, callbacks=[TimeLimit(6), At("on_batch_end", lambda loop: seen.append(len(loop.history)))])
    # The clock is looked at before the training and after each batch, of which an epoch has four.
    assert seen == [0] * 4 + [1] * 2


@given(st.lists(st.sampled_from([0.1, 0.2, 0.3]), max_size=8), st.integers(1, 4), st.sampled_from(MONITORED))
def test_early_stopping_comes_after_so_many_epochs_without_a_better_one(values, patience, monitor):
    history = [{"epoch": number, monitor: value} for number, value in enumerate(values, 1)]
    stopping, better = EarlyStopping(patience, monitor), min if is_better_low(monitor) else max
    over = [stopping.is_over(history[:length]) for length in range(1, len(history) + 1)]
    for length, is_over in enumerate(over, 1):
        shown = values[:length]
        assert is_over == (length - 1 - shown.index(better(shown)) >= patience)


def test_early_stopping_gives_the_model_its_best_state():
    """Judged by wrong labels, it gets worse with every epoch."""
    states = []
    keep = At("on_epoch_end", lambda loop: states.append(loop.model.state()["0.w"]))
    wrong = (POINTS, (LABELS + 1) % 3)
    model, history = fit(epochs=9, validation=wrong, callbacks=[keep, EarlyStopping(2, "validation_loss")])
    assert best_row(history, "validation_loss")["epoch"] == 1 and len(history) == 3
    np.testing.assert_array_equal(model.state()["0.w"], states[0])
    assert not np.array_equal(states[0], states[2])


def test_early_stopping_needs_its_metric():
    with pytest.raises(ArgumentError, match="no validation_loss in the metrics.*Give validation data"):
        fit(callbacks=[EarlyStopping(2)])
    with pytest.raises(ArgumentError, match="monitor is 'acc'. Choose one of validation_accuracy"):
        EarlyStopping(monitor="acc")


SCORES = st.integers(2, 9).flatmap(
    lambda classes: st.lists(
        st.tuples(st.integers(0, classes - 1), st.permutations(range(classes))), min_size=1, max_size=30
    )
)


@given(SCORES, st.integers(1, 8))
def test_metrics_are_those_of_scikit_learn(rows, top_k):
    labels, scores = np.array([label for label, _ in rows]), np.array([row for _, row in rows], np.float32)
    classes = scores.shape[1]
    with rm.use_backend("reference"):
        found = rm.evaluate(rm.Sequential([]), (scores, labels), batch_size=7, top_k=top_k)
    names = range(classes)
    expected = precision_recall_fscore_support(labels, scores.argmax(axis=1), labels=names, zero_division=0)
    for one, other in zip((found.classes.precision, found.classes.recall, found.classes.f1), expected, strict=False):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    np.testing.assert_array_equal(found.classes.examples, expected[3])
    macro = precision_recall_fscore_support(labels, scores.argmax(axis=1), average="macro", zero_division=0)
    np.testing.assert_allclose(
        [found.row()[f"validation_{name}"] for name in ("precision", "recall", "f1")], macro[:3], rtol=1e-12
    )
    if top_k >= classes:
        assert found.top_k_accuracy is None
    elif classes > 2:
        assert found.top_k_accuracy == pytest.approx(top_k_accuracy_score(labels, scores, k=top_k, labels=names))


def test_of_images_with_a_class_for_each_pixel_every_pixel_counts():
    scores = RNG.normal(size=(5, 3, 4, 2)).astype(np.float32)
    labels = RNG.integers(0, 3, (5, 4, 2))
    found = rm.evaluate(rm.Sequential([]), (scores, labels), batch_size=2, top_k=2)
    rows = np.moveaxis(scores, 1, -1).reshape(-1, 3)
    flat = rm.evaluate(rm.Sequential([]), (rows, labels.reshape(-1)), top_k=2)
    assert (found.accuracy, found.top_k_accuracy) == (flat.accuracy, flat.top_k_accuracy)
    assert found.loss == pytest.approx(flat.loss, rel=1e-5) and found.examples == 5
    assert found.classes.examples.sum() == 40
    np.testing.assert_array_equal(found.classes.right, flat.classes.right)


def test_a_network_for_pixels_is_trained():
    pictures = np.repeat(np.repeat(np.eye(2)[LABELS % 2].reshape(60, 2, 1, 1), 3, axis=2), 3, axis=3)
    pixels = pictures.argmax(axis=1)
    model = rm.Sequential([rm.Conv2d(2, 1)])
    _, history = fit((pictures, pixels), model, validation=(pictures, pixels), epochs=10)
    assert history[-1]["validation_accuracy"] == 1


def test_of_equal_outputs_the_first_is_ahead():
    scores, labels = np.zeros((4, 6)), np.array([0, 1, 2, 5])
    found = rm.evaluate(rm.Sequential([]), (scores, labels), top_k=2)
    assert (found.accuracy, found.top_k_accuracy) == (0.25, 0.5)


def test_rows_of_probabilities_are_classes_too():
    found = rm.evaluate(linear(), (POINTS, np.eye(3)[LABELS] * 0.8 + 0.1))
    assert found.classes.examples.tolist() == [20, 20, 20]


def test_a_loss_that_is_not_finite_is_an_error():
    with pytest.raises(NonFiniteLossError, match=r"epoch 1, batch 1 of 4 \(Sgd, lr 0.1\).*smaller learning rate"):
        fit((POINTS * np.float32(np.inf), LABELS))


def test_an_iterable_that_gives_its_batches_once_alone_is_refused():
    with pytest.raises(DataError, match="gave no batch.*begins again"):
        fit(iter([DATA]))


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (POINTS, ArgumentError, r"fit: the data is ndarray of shape \(60, 3\)"),
        (None, ArgumentError, "fit: the data is NoneType"),
        ((POINTS, LABELS[:50]), ShapeError, r"\(60, 3\) and the target \(50,\)"),
        ((POINTS[:0], LABELS[:0]), DataError, "no examples"),
        ([POINTS], DataError, "batch 0 of the data is ndarray.*pair"),
    ],
)
def test_data_that_are_none(data, error, message):
    with pytest.raises(error, match=message):
        fit(data)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"top_k": 0}, "top_k is 0"),
        ({"optimizer": "momentun"}, "Did you mean 'momentum'"),
        ({"model": rm.Relu()}, "model is Relu.*Sequential"),
        ({"schedule": rm.schedules.Restarts(every=4)}, r"Restarts\(every=4\) needs 4 epochs, but the training has 3"),
        ({"data": iter([DATA]), "schedule": rm.schedules.Cosine()}, "Cosine.* needs the number of batches"),
    ],
)
def test_arguments_out_of_range(options, message):
    with pytest.raises(ArgumentError, match=message):
        fit(**options)

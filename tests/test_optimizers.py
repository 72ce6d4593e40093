"""What all optimizers have: weight decay, clipping, accumulation over steps and averages of the weights."""

import copy
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn import rooms
from refcnn.backend import find
from refcnn.errors import ArgumentError, CheckpointError

CHOICES = {
    name: choice
    for operation in rooms.operations()
    for name, choice in rooms.trait(rooms.OPTIMIZERS, operation, "CHOICES").items()
}
START = [np.array([1.0, -2.0, 0.5]), np.array([[3.0]])]
#: Gradients of both parameters, step after step.
GRADIENTS = [
    ([0.5, -1.0, 2.0], [[4.0]]),
    ([0.25, 3.0, -1.0], [[-2.0]]),
    ([-1.5, 0.0, 1.0], [[1.0]]),
    ([0.75, 1.0, 0.0], [[0.5]]),
]


def parameters(backend, values=START):
    with rm.use_backend(backend):
        return [rm.Parameter(value) for value in values]


def take(optimizer, entries, backend, gradients):
    optimizer.update(
        [
            (entry, backend.array(np.asarray(one, dtype=np.float64)))
            for entry, one in zip(entries, gradients, strict=True)
        ],
        backend,
    )


def trained(optimizer, backend, steps=GRADIENTS):
    entries = parameters(backend)
    for gradients in steps:
        take(optimizer, entries, backend, gradients)
    return [entry.as_ndarray() for entry in entries]


def assert_close(found, expected, rtol=1e-5):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=1e-6)


# The formulas as PyTorch 2.7's documentation has them, written down anew.


def adagrad(w, g, s, lr=0.1, epsilon=1e-10):
    s["sum"] = s.get("sum", 0) + g**2
    return w - lr * g / (np.sqrt(s["sum"]) + epsilon)


def adadelta(w, g, s, lr=0.1, rho=0.9, epsilon=1e-6):
    s["v"] = s.get("v", 0) * rho + g**2 * (1 - rho)
    delta = np.sqrt(s.get("u", 0) + epsilon) / np.sqrt(s["v"] + epsilon) * g
    s["u"] = s.get("u", 0) * rho + delta**2 * (1 - rho)
    return w - lr * delta


def rmsprop(w, g, s, lr=0.1, rho=0.99, epsilon=1e-8, momentum=0.5):
    s["v"] = rho * s.get("v", 0) + (1 - rho) * g**2
    s["b"] = momentum * s.get("b", 0) + g / (np.sqrt(s["v"]) + epsilon)
    return w - lr * s["b"]


def adamax(w, g, s, lr=0.1, beta1=0.9, beta2=0.999, epsilon=1e-8):
    s["t"] = s.get("t", 0) + 1
    s["m"] = beta1 * s.get("m", 0) + (1 - beta1) * g
    s["u"] = np.maximum(beta2 * s.get("u", 0), np.abs(g) + epsilon)
    return w - lr * s["m"] / ((1 - beta1 ** s["t"]) * s["u"])


def adamw(w, g, s, lr=0.1, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.3):
    s["t"] = s.get("t", 0) + 1
    w = w - lr * weight_decay * w
    s["m"] = beta1 * s.get("m", 0) + (1 - beta1) * g
    s["v"] = beta2 * s.get("v", 0) + (1 - beta2) * g**2
    m, v = s["m"] / (1 - beta1 ** s["t"]), s["v"] / (1 - beta2 ** s["t"])
    return w - lr * m / (np.sqrt(v) + epsilon)


FORMULAS = [
    (rm.Adagrad(0.1, epsilon=1e-10), adagrad),
    (rm.Adadelta(0.1, rho=0.9), adadelta),
    (rm.RmsProp(0.1, rho=0.99, momentum=0.5), rmsprop),
    (rm.Adamax(0.1), adamax),
    (rm.AdamW(0.1, weight_decay=0.3), adamw),
]


@pytest.mark.parametrize(("optimizer", "formula"), FORMULAS)
def test_several_steps_are_those_of_pytorch(backend, optimizer, formula):
    weights, states = list(START), ({}, {})
    for gradients in GRADIENTS:
        weights = [formula(w, np.asarray(g), s) for w, g, s in zip(weights, gradients, states, strict=True)]
    assert_close(trained(copy.deepcopy(optimizer), backend), weights)


@pytest.mark.parametrize("name", CHOICES)
def test_every_optimizer_descends(name):
    """On sum (w - 3)^2 at its default rate, or at one that suits so small a task; options reach the constructor."""
    backend, (make, lr) = find("reference"), CHOICES[name]
    optimizer = make(max(lr, 0.02), weight_decay=1e-6, clip_norm=1e6, accumulation_steps=1, average_decay=0.5)
    (w,) = entries = parameters(backend, [np.zeros(3)])
    for _ in range(100):
        take(optimizer, entries, backend, [2 * (w.as_ndarray() - 3)])
    assert optimizer.weight_decay == 1e-6 and optimizer.clip_norm == 1e6 and optimizer.average_decay == 0.5
    assert np.all(w.as_ndarray() > 0.01) and np.all(w.as_ndarray() < 4)


@pytest.mark.parametrize("name", CHOICES)
def test_coupled_weight_decay_adds_the_weights_to_the_gradient(name):
    backend = find("reference")
    make, lr = CHOICES[name]
    if make(lr).decays_weights:
        pytest.skip("its operation lets the weights decay")
    once = [[g + 0.25 * w for w, g in zip(START, GRADIENTS[0], strict=True)]]
    assert_close(
        trained(make(lr, weight_decay=0.25), backend, GRADIENTS[:1]), trained(make(lr), backend, once), rtol=1e-6
    )


def test_weight_decay_of_plain_descent(backend):
    """w - lr (g + weight_decay w), where one gradient is 0."""
    optimizer = rm.Sgd(0.5, momentum=0, nesterov=False, weight_decay=0.25)
    assert_close(trained(optimizer, backend, [([0, 0, 8], [[1]])]), [[0.875, -1.75, -3.5625], [[2.125]]])


def test_gradients_are_clipped_to_their_norm_together(backend):
    """The norm of (3, 0, 4) and 12 is 13; all are scaled by 6.5 / 13."""
    optimizer = rm.Sgd(1.0, momentum=0, nesterov=False, clip_norm=6.5)
    assert_close(trained(optimizer, backend, [([3, 0, 4], [[12]])]), [[-0.5, -2, -1.5], [[-3]]])


def test_gradients_are_cut_to_a_value_and_then_to_the_norm(backend):
    """(3, 0, -40) and 12 are cut to (3, 0, -4) and 4 by 4, whose norm is the root of 41."""
    gradients, start = [([3, 0, -40], [[12]])], {"momentum": 0, "nesterov": False, "clip_value": 4}
    assert_close(trained(rm.Sgd(1.0, **start), backend, gradients), [[-2, -2, 4.5], [[-1]]])
    both = trained(rm.Sgd(1.0, **start, clip_norm=math.sqrt(41) / 2), backend, gradients)
    assert_close(both, [[-0.5, -2, 2.5], [[1]]])


@pytest.mark.parametrize("options", [{"clip_norm": 100}, {"clip_value": 100}])
def test_smaller_gradients_keep_their_bits(backend, options):
    optimizer = rm.Adam(0.1)
    expected = trained(optimizer, backend)
    for one, other in zip(trained(rm.Adam(0.1, **options), backend), expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("size", [1e30, 1e-30])
def test_the_norm_does_not_overflow_or_vanish(backend, size):
    """Squares of such gradients are infinite, or 0, in float32."""
    entries = parameters(backend, [np.zeros(3), np.zeros((1, 1))])
    optimizer = rm.Sgd(1.0, momentum=0, nesterov=False, clip_norm=size)
    take(optimizer, entries, backend, ([3 * size, 0, 4 * size], [[12 * size]]))
    moved = [entry.as_ndarray() / size for entry in entries]
    assert_close(moved, [[-3 / 13, 0, -4 / 13], [[-12 / 13]]])


def test_what_is_not_finite_is_not_clipped_to_a_number(backend):
    optimizer = rm.Sgd(1.0, momentum=0, nesterov=False, clip_norm=1)
    nan, number = trained(optimizer, backend, [([np.nan, 1, 1], [[1]])])
    np.testing.assert_array_equal(nan, [np.nan, -3, -0.5])
    assert number == 2
    infinite, number = trained(optimizer, backend, [([np.inf, 1, 1], [[1]])])
    np.testing.assert_array_equal(infinite, [np.nan, -2, 0.5])
    assert number == 3


def test_gradients_of_several_steps_become_their_mean(backend):
    """Two halves of a batch, whose gradients are means over them, give the step of the whole."""
    means = [tuple((np.asarray(a) + b) / 2 for a, b in zip(*GRADIENTS[k : k + 2], strict=True)) for k in (0, 2)]
    found = trained(rm.Adam(0.1, accumulation_steps=2), backend)
    assert_close(found, trained(rm.Adam(0.1), backend, means))


def test_until_a_step_is_due_nothing_changes(backend):
    optimizer = rm.Sgd(1.0, weight_decay=0.5, average_decay=0.5, accumulation_steps=3)
    for one, start in zip(trained(optimizer, backend, GRADIENTS[:2]), START, strict=True):
        np.testing.assert_array_equal(one, start.astype(np.float32))


def test_parameters_accumulate_each_for_itself(backend):
    """One that is not in every loss, as in adversarial training, takes its step when it has its own gradients."""
    optimizer = rm.Sgd(1.0, momentum=0, nesterov=False, accumulation_steps=2)
    first, second = parameters(backend, [np.zeros(1), np.zeros(1)])
    for entries in ((first,), (first, second), (second,)):
        take(optimizer, entries, backend, [[2.0]] * len(entries))
    assert first.as_ndarray() == second.as_ndarray() == -2


def test_the_mean_is_clipped_and_then_the_weights_are_added(backend):
    optimizer = rm.Sgd(
        1.0, momentum=0, nesterov=False, accumulation_steps=2, clip_norm=5, weight_decay=0.5, average_decay=0.9
    )
    (w,) = entries = parameters(backend, [np.array([2.0, 4.0])])
    # The mean is (6, 8), whose norm is 10: (3, 4), and with the weights' share (4, 6).
    for gradient in ([12, 0], [0, 16]):
        take(optimizer, entries, backend, [gradient])
    np.testing.assert_allclose(w.as_ndarray(), [-2, -2], rtol=1e-6)


def test_averages_follow_the_weights(backend):
    """w is 4, 2, 0 after the steps, and the average 4, 3/4 4 + 1/4 2 = 3.5, 3/4 3.5 = 2.625."""
    optimizer = rm.Sgd(1.0, momentum=0, nesterov=False, average_decay=0.75)
    entries = (w, other) = parameters(backend, [np.array([6.0]), np.array([7.0])])
    for expected in (4, 3.5, 2.625):
        take(optimizer, entries[:1], backend, [[2.0]])
        before = w.as_ndarray()
        with optimizer.averaged():
            assert w.as_ndarray() == expected and other.as_ndarray() == 7
        assert w.as_ndarray() == before
    assert w.as_ndarray() == 0


def test_the_weights_come_back_after_an_error():
    backend = find("reference")
    optimizer = rm.Sgd(1.0, momentum=0, nesterov=False, average_decay=0.5)
    (w,) = entries = parameters(backend, [np.array([6.0])])
    for _ in range(2):
        take(optimizer, entries, backend, [[2.0]])
    with pytest.raises(KeyError), optimizer.averaged():
        raise KeyError
    assert w.as_ndarray() == 2


def test_without_averages_there_is_nothing_to_apply():
    with pytest.raises(ArgumentError, match="average_decay"), rm.Sgd().averaged():
        pass


OPTIONS = {"weight_decay": 0.1, "clip_norm": 2.0, "clip_value": 5.0, "accumulation_steps": 3, "average_decay": 0.9}


@pytest.mark.parametrize("name", CHOICES)
@given(stop=st.integers(0, 8))
def test_a_state_goes_on_with_the_same_bits(name, stop):
    """Stopped anywhere, between two steps or while gradients accumulate, weights and averages end the same."""
    backend, make = find("reference"), CHOICES[name][0]
    steps = [tuple(np.asarray(g) * (k + 1) for g in GRADIENTS[k % 4]) for k in range(8)]
    whole, part, resumed = (make(0.1, **OPTIONS) for _ in range(3))
    entries, others = parameters(backend), parameters(backend)
    for gradients in steps:
        take(whole, entries, backend, gradients)
    for gradients in steps[:stop]:
        take(part, others, backend, gradients)
    fresh = parameters(backend, [other.as_ndarray() for other in others])
    for other, entry in zip(others, fresh, strict=True):
        resumed.set_state(entry, part.state(other))
    for gradients in steps[stop:]:
        take(resumed, fresh, backend, gradients)
    for entry, other in zip(entries, fresh, strict=True):
        np.testing.assert_array_equal(entry.as_ndarray(), other.as_ndarray())
    with whole.averaged(), resumed.averaged():
        for entry, other in zip(entries, fresh, strict=True):
            np.testing.assert_array_equal(entry.as_ndarray(), other.as_ndarray())


def test_a_state_of_other_options_is_refused():
    backend = find("reference")
    averaging, plain = rm.Sgd(average_decay=0.5), rm.Sgd()
    (entry,) = entries = parameters(backend, [np.zeros(2)])
    take(averaging, entries, backend, [[1.0, 2.0]])
    with pytest.raises(CheckpointError, match="average"):
        plain.set_state(entry, averaging.state(entry))
    accumulating = rm.Sgd(accumulation_steps=2)
    take(accumulating, entries, backend, [[1.0, 2.0]])
    assert accumulating.state(entry)["gradients"] == 1
    with pytest.raises(CheckpointError, match="gradient"):
        plain.set_state(entry, accumulating.state(entry))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clip_value": 0}, "clip_value is 0"),
        ({"weight_decay": -1}, "weight_decay is -1"),
        ({"clip_norm": 0}, "clip_norm is 0"),
        ({"clip_norm": math.inf}, "clip_norm is inf"),
        ({"accumulation_steps": 0}, "accumulation_steps is 0"),
        ({"accumulation_steps": 1.5}, "accumulation_steps is 1.5"),
        ({"average_decay": 1}, "average_decay is 1"),
    ],
)
@pytest.mark.parametrize("name", CHOICES)
def test_options_out_of_range_are_refused(name, options, message):
    with pytest.raises(ArgumentError, match=message):
        CHOICES[name][0](0.1, **options)


def test_options_are_shown_where_they_are_given():
    optimizer = rm.Sgd(0.5, weight_decay=0.25, clip_norm=1, accumulation_steps=2, average_decay=0.5)
    assert repr(optimizer) == (
        "Sgd(lr=0.5, momentum=0.4, nesterov=True, weight_decay=0.25, clip_norm=1.0, accumulation_steps=2, "
        "average_decay=0.5)"
    )
    assert repr(rm.AdamW()) == "AdamW(lr=0.001)"


def test_a_copy_goes_on_by_itself():
    backend = find("reference")
    optimizer = rm.Adam(0.1, **OPTIONS)
    entries = parameters(backend)
    for gradients in GRADIENTS:
        take(optimizer, entries, backend, gradients)
    others, twin = copy.deepcopy((entries, optimizer))
    for own, by in ((entries, optimizer), (others, twin)):
        for gradients in GRADIENTS:
            take(by, own, backend, gradients)
    for entry, other in zip(entries, others, strict=True):
        np.testing.assert_array_equal(entry.as_ndarray(), other.as_ndarray())

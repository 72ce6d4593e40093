"""Losses of numbers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn.conformance.operations.loss import OPERATIONS
from refcnn.conformance.theory.strategies import Case
from refcnn.errors import ArgumentError, ShapeError

from .checks import check_example, check_gradients

LOG2, LOG3, LOG4 = map(math.log, (2, 3, 4))
# Probabilities 1/2 and 3/4.
LOGITS, TRUTHS = [[0, LOG3], [LOG3, 0]], [[1, 1], [0, 0.5]]

#: Inputs, attributes, terms, dy, and the gradients of both inputs.
EXAMPLES = {
    "mean_squared_error": (
        ([[1, -2], [0.5, 3]], [[3, 1], [0.5, -1]]),
        {},
        [[4, 9], [0, 16]],
        [[1, 2], [3, 0.5]],
        ([[-4, -12], [0, 4]], [[4, 12], [0, -4]]),
    ),
    "smoothed_l1": (
        ([[1, -2], [0.5, 3]], [[3, -1], [0.5, -1]]),
        {"delta": 1.5},
        [[1.5 * (2 - 0.75), 0.5], [0, 1.5 * (4 - 0.75)]],
        [[2, 3], [5, 2]],
        ([[-3, -3], [0, 3]], [[3, 3], [0, -3]]),
    ),
    "sigmoid_cross_entropy": (
        (LOGITS, TRUTHS),
        {},
        [[LOG2, LOG4 - LOG3], [LOG4, LOG2]],
        [[2, 4], [4, 8]],
        ([[-1, -1], [3, 0]], [[0, -4 * LOG3], [-4 * LOG3, 0]]),
    ),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_worked_example(page_backend, operation):
    inputs, attributes, terms, dy, gradients = EXAMPLES[operation]
    attributes = attributes | {"reduce_sum": False}
    check_example(operation, inputs, attributes, terms, dy, gradients, backend=page_backend)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_sum_is_divided_by_the_batch(page_backend, operation):
    """Of two examples half the sum, and half of dy reaches every term."""
    inputs, attributes, terms, dy, gradients = EXAMPLES[operation]
    halves = [np.divide(gradient, dy) * 3 / 2 for gradient in gradients]
    attributes = attributes | {"reduce_sum": True}
    check_example(operation, inputs, attributes, np.sum(terms) / 2, 3, halves, backend=page_backend)


#: Output, target, the loss and the output's gradient, of operations at their limits.
LIMITS = [
    ("mean_squared_error", 3e38, -3e38, np.inf, np.inf),
    ("mean_squared_error", np.inf, 1, np.inf, np.inf),
    ("mean_squared_error", np.nan, 1, np.nan, np.nan),
    ("smoothed_l1", 1e30, 0, 1e30, 1),
    ("smoothed_l1", -np.inf, 0, np.inf, -1),
    ("smoothed_l1", np.inf, np.inf, np.nan, np.nan),
    ("smoothed_l1", np.nan, 0, np.nan, np.nan),
    ("smoothed_l1", 0, np.nan, np.nan, np.nan),
    # A naive log(sigmoid(x) + 1e-8) would be 18.4 at most, log(1 - p) infinite from 17 on.
    ("sigmoid_cross_entropy", 1000, 0, 1000, 1),
    ("sigmoid_cross_entropy", -1000, 1, 1000, -1),
    ("sigmoid_cross_entropy", 50, 1, math.exp(-50), -math.exp(-50)),
    ("sigmoid_cross_entropy", -50, 0, math.exp(-50), math.exp(-50)),
    ("sigmoid_cross_entropy", np.inf, 1, 0, 0),
    ("sigmoid_cross_entropy", -np.inf, 0, 0, 0),
    ("sigmoid_cross_entropy", np.inf, 0, np.inf, 1),
    ("sigmoid_cross_entropy", -np.inf, 0.5, np.inf, -0.5),
    ("sigmoid_cross_entropy", np.nan, 1, np.nan, np.nan),
    ("sigmoid_cross_entropy", 0, np.nan, np.nan, np.nan),
]


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
@pytest.mark.parametrize(("operation", "output", "target", "loss", "slope"), LIMITS)
def test_limits(page_backend, operation, output, target, loss, slope):
    implementation = page_backend.operation(operation)
    attributes = EXAMPLES[operation][1] | {"reduce_sum": True} | ({"delta": 1.0} if operation == "smoothed_l1" else {})
    x, t, dy = (page_backend.array(np.asarray(entry, np.float32)) for entry in ([output], [target], 1))
    found, saved = implementation.forward(x, t, **attributes)
    dx, _ = implementation.backward(dy, saved, (True, False), **attributes)
    # exp may be 3 units off by OpenCL's specification, and more in a tail of tiny numbers.
    np.testing.assert_allclose(page_backend.to_host(found), loss, rtol=2e-6)
    np.testing.assert_allclose(page_backend.to_host(dx), [slope], rtol=2e-6)


def test_the_target_of_an_infinite_logit_has_a_gradient_where_it_takes_part(page_backend):
    x, t = [[np.inf, -np.inf, np.inf, -np.inf]], [[1, 0, 0, 1]]
    implementation = page_backend.operation("sigmoid_cross_entropy")
    arrays = [page_backend.array(np.array(entry, np.float32)) for entry in (x, t, np.ones((1, 4)))]
    _, saved = implementation.forward(*arrays[:2], reduce_sum=False)
    _, dt = implementation.backward(arrays[2], saved, (False, True), reduce_sum=False)
    np.testing.assert_array_equal(page_backend.to_host(dt), [[0, 0, -np.inf, np.inf]])


@pytest.mark.parametrize("operation", OPERATIONS)
@given(data=st.data())
def test_gradients_of_reference(operation, data):
    case = data.draw(OPERATIONS[operation].cases("tiny", integers=True))
    x, t = case.inputs
    # Away from the kinks of smoothed_l1, whose deltas are multiples of a half, and where e^-|x| is smooth.
    x, t = x / np.float32(x.size and max(1, np.abs(x).max() / 4)), t / np.float32(max(1, np.abs(t).max() / 4))
    case = Case((x + np.float32(0.3), t), case.attributes, case.dy)
    if operation == "smoothed_l1":
        distance = np.abs(np.abs(case.inputs[0].astype(np.float64) - t) - case.attributes["delta"])
        case = Case((np.where(distance < 0.01, t, case.inputs[0]), t), case.attributes, case.dy)
    check_gradients(operation, case, step=2.0**-12, tolerance=1e-6)


@given(seed=st.integers(0, 999), reduce_sum=st.booleans())
def test_losses_are_those_of_pytorch(seed, reduce_sum):
    """The formulas of MSELoss, HuberLoss and BCEWithLogitsLoss as its documentation has them, in float64."""
    rng = np.random.default_rng(seed)
    x, t = rng.normal(size=(3, 2, 2)) * 3, rng.random((3, 2, 2))
    with np.errstate(over="ignore"):
        p = 1 / (1 + np.exp(-x))
    d = np.abs(x - t)
    expected = {
        "mean_squared_error": d**2,
        "smoothed_l1": np.where(d < 0.7, 0.5 * d**2, 0.7 * (d - 0.5 * 0.7)),
        "sigmoid_cross_entropy": -(t * np.log(p) + (1 - t) * np.log(1 - p)),
    }
    with rm.use_backend("reference:float64"):
        for operation, terms in expected.items():
            options = {"delta": 0.7} if operation == "smoothed_l1" else {}
            found = getattr(rm, operation)(x, t, reduce_sum=reduce_sum, **options).as_ndarray()
            np.testing.assert_allclose(found, terms.sum() / 3 if reduce_sum else terms, rtol=1e-9)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_training_follows_the_loss(page_backend, operation):
    """From the sum, over the tape, into the parameters of a layer."""
    x, t = np.eye(3, dtype=np.float32), np.array([[0.0, 1], [1, 0], [1, 1]], np.float32)
    rm.set_seed(0)
    with rm.use_backend(page_backend):
        model, optimizer, losses = rm.Sequential([rm.Dense(2)]), rm.Sgd(0.3), []
        for _ in range(20):
            with model.train():
                loss = getattr(rm, operation)(model(x), t)
            loss.grad().update(optimizer)
            losses.append(float(loss))
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("shapes", [((2, 3), (3,)), ((2, 3), (2, 1)), ((), ()), ((0, 3), (0, 3)), ((2,), (2, 1))])
def test_other_shapes_are_refused(operation, shapes):
    with pytest.raises(ShapeError, match=f"{operation}: the output has shape"):
        getattr(rm, operation)(*map(np.zeros, shapes))


@pytest.mark.parametrize("delta", [0, -1, np.inf, "wide"])
def test_delta_is_a_number_above_0(delta):
    with pytest.raises(ArgumentError, match="delta"):
        rm.smoothed_l1([1.0], [2.0], delta=delta)

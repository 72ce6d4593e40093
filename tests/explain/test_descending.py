"""The gradients of all results of a network: held against differences, and against the library's own gradients."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import refcnn as rm
from refcnn import program
from refcnn.backend import results_of
from refcnn.explain import walk
from refcnn.explain.descending import CROSS_ENTROPY, NEGATIVE_LOG, SCORE, descent, with_loss
from refcnn.explain.recording import input_names
from refcnn.mode import recording
from refcnn.program import named

FLOAT64 = "reference:float64"
SMOOTH = (rm.Tanh, rm.Sigmoid, rm.Swish, rm.Softplus)


class Residual(rm.Model):
    """Two ways that meet again, of which one is used twice."""

    def __init__(self, inner, channels):
        self.inner, self.other = inner, rm.Conv2d(channels, 1)

    def forward(self, x):
        a = self.inner(x)
        return rm.concat([a * a, self.other(x) + a], axis=1)


class Split(rm.Model):
    """Two parts go on, one of them twice, and one does not."""

    def forward(self, x):
        first, _, last = rm.split(x, [1, 1, x.shape[1] - 2], axis=1)
        return rm.concat([last, first, last], axis=1)


@st.composite
def networks(draw):
    """Draw a network of layers that have slopes everywhere, or kinks that drawn numbers do not meet."""
    activations = st.sampled_from(SMOOTH)
    layers = [rm.Conv2d(3, 3, padding=draw(st.integers(0, 1))), draw(activations)()]
    kinds = ["residual", "split", "pool", "average", "normal", "convolution"]
    drawn = draw(st.lists(st.sampled_from(kinds), max_size=2))
    for place, kind in enumerate(drawn):
        # Windows that overlap have the same largest pixel, of which no maximum after them has a slope.
        least = 2 if "pool" in drawn[place + 1 :] else 1
        made = {
            "residual": lambda: Residual(rm.Sequential([rm.Conv2d(3, 3, padding=1), draw(activations)()]), 3),
            "split": Split,
            "pool": lambda least=least: rm.MaxPool2d(2, stride=draw(st.integers(least, 2))),
            "average": lambda: rm.AveragePool2d(2, stride=1, padding=draw(st.integers(0, 1))),
            "normal": rm.BatchNormalize,
            "convolution": lambda: rm.Conv2d(4, 2, stride=2),
        }
        layers.append(made[kind]())
    return rm.Sequential([*layers, rm.Flatten(), rm.Dense(3)])


def traced(model, x):
    with rm.use_backend("reference"):
        model(x)
        return program.trace(model, x)


def loss_of(steps, x, changed=None, delta=0.0):
    """Return the loss in float64, with a number of a result changed."""
    backend = rm.backend.find(FLOAT64)
    arrays = {name: backend.array(array) for name, array in steps.constants.items()}
    arrays[steps.inputs[0]] = np.asarray(x, np.float64)

    def change(found):
        for name, index in found.keys() & {changed[0]} and [changed] if changed else ():
            found[name] = found[name].copy()
            found[name][index] += delta

    change(arrays)
    for step in steps.steps:
        given_arrays = [None if name is None else arrays[name] for name in step.inputs]
        results = named(
            step, results_of(backend.operation(step.operation).forward(*given_arrays, **step.attributes)[0])
        )
        change(results)
        arrays |= results
    return float(np.ravel(arrays[steps.outputs[0]])[0])


@settings(max_examples=15, deadline=None)
@given(networks(), st.integers(0, 2), st.sampled_from([CROSS_ENTROPY, SCORE]), st.data())
def test_all_gradients_are_slopes(model, number, loss, data):
    rm.set_seed(data.draw(st.integers(0, 99)))
    x = np.random.default_rng(data.draw(st.integers(0, 99))).normal(size=(1, 2, 6, 7)).astype(np.float32)
    steps = traced(model, x)
    steps = with_loss(steps, steps.outputs[0], number, loss)
    found = descent(steps, rm.backend.find(FLOAT64), [x.astype(np.float64)])
    assert set(found.gradients) >= {
        steps.inputs[0],
        *(step.results[0] for step in steps.steps if step.operation != "split"),
    }
    for name, gradient in found.gradients.items():
        index = tuple(data.draw(st.integers(0, size - 1)) for size in gradient.shape)
        high, low = (loss_of(steps, x, (name, index), delta) for delta in (1e-5, -1e-5))
        assert gradient[index] == pytest.approx((high - low) / 2e-5, rel=1e-4, abs=1e-7)


@settings(max_examples=10, deadline=None)
@given(networks(), st.integers(0, 2), st.integers(0, 99))
def test_shares_add_up_and_each_is_followed(model, number, seed):
    rm.set_seed(seed)
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(1, 2, 6, 7)).astype(np.float32)
    steps = traced(model, x)
    steps = with_loss(steps, steps.outputs[0], number, CROSS_ENTROPY)
    found = descent(steps, rm.backend.find("reference"), [x])
    for name, shares in found.shares.items():
        total = sum(share.gradient.astype(np.float64) for share in shares)
        np.testing.assert_allclose(found.gradients[name], total, rtol=1e-5, atol=1e-6)
        index = tuple(int(draw.integers(size)) for size in total.shape)
        for share in shares:
            step = steps.steps[share.step]
            inputs = [None if one is None else found.arrays[one] for one in step.inputs]
            result = f"d{input_names(step.operation, len(inputs))[share.position]}"
            walked = walk(step.operation, inputs, step.attributes, index, dy=found.dy[share.step], result=result)
            assert abs(walked.exact - share.gradient[index]) <= walked.bound


def test_the_image_has_the_gradient_of_the_tape():
    rm.set_seed(2)
    model = rm.Sequential(
        [rm.Conv2d(3, 3), rm.Relu(), Residual(rm.Conv2d(3, 3, padding=1), 3), rm.Flatten(), rm.Dense(4)]
    )
    x = np.random.default_rng(0).normal(size=(1, 2, 6, 7)).astype(np.float32)
    steps = traced(model, x)
    steps = with_loss(steps, steps.outputs[0], 1, CROSS_ENTROPY)
    found = descent(steps, rm.backend.find("reference"), [x])
    with rm.use_backend("reference"), recording():
        leaf = rm.Variable(x, requires_grad=True)
        loss = rm.softmax_cross_entropy(model(leaf), np.eye(1, 4, 1, np.float32))
        np.testing.assert_array_equal(found.gradients[steps.inputs[0]], loss.grad().get(leaf).as_ndarray())
        assert float(found.arrays[steps.outputs[0]]) == float(loss.as_ndarray())


def test_losses():
    rm.set_seed(1)
    model = rm.Sequential([rm.Flatten(), rm.Dense(3), rm.Softmax()])
    x = np.random.default_rng(0).normal(size=(1, 2, 2, 2)).astype(np.float32)
    steps = traced(model, x)
    (probabilities,) = steps.outputs
    logits = steps.steps[-1].inputs[0]
    found = {}
    for loss, output in ((CROSS_ENTROPY, logits), (NEGATIVE_LOG, probabilities), (SCORE, probabilities)):
        whole = with_loss(steps, output, 2, loss)
        assert whole.steps[: len(steps.steps)] == steps.steps
        found[loss] = descent(whole, rm.backend.find(FLOAT64), [x]), whole.outputs[0]
    values = {loss: float(np.ravel(one.arrays[output])[0]) for loss, (one, output) in found.items()}
    assert values[CROSS_ENTROPY] == pytest.approx(values[NEGATIVE_LOG], rel=1e-6)
    assert values[NEGATIVE_LOG] == pytest.approx(-math.log(values[SCORE]), rel=1e-12)
    # The loss is the same, whether the softmax is the network's own or the loss's.
    gradients = [found[loss][0].gradients[logits] for loss in (CROSS_ENTROPY, NEGATIVE_LOG)]
    np.testing.assert_allclose(*gradients, rtol=1e-6)
    assert probabilities not in found[CROSS_ENTROPY][0].gradients


def test_what_has_no_gradient():
    class Chosen(rm.Model):
        def forward(self, x):
            return rm.one_hot(rm.arg_max(x, axis=1), 3).astype("float32") * x

    x = np.random.default_rng(0).normal(size=(1, 3)).astype(np.float32)
    steps = traced(Chosen(), x)
    whole = with_loss(steps, steps.outputs[0], 0, SCORE)
    found = descent(whole, rm.backend.find("reference"), [x])
    kinds = {name: array.dtype.kind for name, array in found.arrays.items() if name not in whole.constants}
    assert "i" in kinds.values()
    assert all(kinds[name] == "f" for name in found.gradients)
    expected = np.eye(1, 3, 0) * (x.argmax() == 0)
    np.testing.assert_array_equal(found.gradients[whole.inputs[0]], expected)


def test_on_a_device_no_gradient_is_cut_by_what_made_its_result(page_backend):
    """Where layers are computed together, the later may hand back nothing to what the one before made 0."""
    rm.set_seed(5)
    layers = [rm.Conv2d(8, 3, padding=1), rm.Relu(), Residual(rm.Conv2d(8, 3, padding=1), 8), rm.Relu()]
    layers += [
        rm.MaxPool2d(2, stride=2),
        rm.Conv2d(8, 3, padding=1),
        rm.BatchNormalize(),
        rm.Relu(),
        rm.MaxPool2d(2, stride=2),
    ]
    model = rm.Sequential([*layers, rm.Conv2d(4, 3, padding=1), rm.Flatten(), rm.Dense(3)])
    draw = np.random.default_rng(0)
    x = draw.normal(size=(1, 3, 16, 16)).astype(np.float32)
    steps = traced(model, x)
    steps = with_loss(steps, steps.outputs[0], 1, CROSS_ENTROPY)
    found, exact = (descent(steps, one, [x]) for one in (page_backend, rm.backend.find(FLOAT64)))
    for name, gradient in exact.gradients.items():
        on_device = page_backend.to_host(found.gradients[name])
        np.testing.assert_allclose(on_device, gradient, atol=1e-5 * np.abs(gradient).max(), err_msg=name)
    to_host = page_backend.to_host
    for name, shares in found.shares.items():
        for share in shares:
            step, gradient = steps.steps[share.step], to_host(share.gradient)
            inputs = [None if one is None else to_host(found.arrays[one]) for one in step.inputs]
            result = f"d{input_names(step.operation, len(inputs))[share.position]}"
            for _ in range(3):
                index = tuple(int(draw.integers(size)) for size in gradient.shape)
                dy = to_host(found.dy[share.step])
                walked = walk(step.operation, inputs, step.attributes, index, dy=dy, result=result)
                assert abs(walked.exact - gradient[index]) <= walked.bound, (name, step)

"""Bounds that are carried along gradients: worked examples, and that right computations keep to them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import refcnn as rm
from refcnn.conformance.theory import probable
from refcnn.onnx.proof import carrying
from refcnn.onnx.proof.exact import Exact
from refcnn.onnx.proof.judging import End
from refcnn.program import trace

U = 2.0**-24


@pytest.fixture(autouse=True)
def reference():
    with rm.use_backend("reference"):
        yield


def dense(*weights):
    model = rm.Sequential([rm.Dense(len(entry[0]), ignore_bias=True) for entry in weights])
    model(np.zeros((1, len(weights[0]))))
    model.set_state({f"{place}.w": np.array(entry, np.float64) for place, entry in enumerate(weights)})
    return model


def carried(model, x, places):
    exact = Exact(trace(model, x))
    chain = exact.chain([x])
    (name,) = exact.program.outputs
    return exact, chain, carrying.carried(exact, chain, {name: places})[name]


def test_worked_example():
    """Of h = x w and y = h v, whose signs cancel: forward the error of h counts twice, along the gradient once."""
    x = np.array([[3, 4]], np.float32)
    exact, chain, found = carried(dense([[1], [1]], [[2]]), x, [0])
    (name,) = exact.program.outputs
    # h is a sum of two products of size 7, which two roundings touch; y = 2 h, one product of size 14.
    of_h, of_y = 2 * U * 7, 1 * U * 14
    assert found.proved[0, 0] == pytest.approx(2 * of_h + of_y, rel=1e-5)
    assert chain.bounds[name][0, 0] == pytest.approx(2 * of_h + of_y, rel=1e-5)
    # The sum of squares is 9 + 16; two products and one sum are rounded, then one product.
    of_sum = 2 * U * math.sqrt((7**2 + 25) + 25)
    assert found.probable[0, 0] == pytest.approx(6 * math.hypot(of_sum, of_y), rel=1e-5)
    assert carrying.may_flip(exact, chain) == 0


def test_signs_that_cancel_are_known_along_the_gradient_alone():
    """y = (h + h') - (h + h'), say: whatever h is off by, y is not."""
    exact, chain, found = carried(dense([[1], [1]], [[1, 1]], [[1], [-1]]), np.array([[3, 4]], np.float32), [0])
    (name,) = exact.program.outputs
    of_h, of_copies, of_y = 2 * U * 7, 1 * U * 7, 2 * U * 14
    assert found.proved[0, 0] == pytest.approx(2 * of_copies + of_y, rel=1e-5)
    assert chain.bounds[name][0, 0] == pytest.approx(2 * of_h + 2 * of_copies + of_y, rel=1e-5)


def test_what_can_turn_is_bounded_forward():
    """A rectifier of a sum that is 0 but for rounding has no slope that could be told."""
    model = rm.Sequential([rm.Dense(1, ignore_bias=True), rm.Relu(), rm.Dense(1, ignore_bias=True)])
    model(np.zeros((1, 2)))
    model.set_state({"0.w": np.array([[1.0], [-1.0]]), "2.w": np.array([[1.0]])})
    exact, chain, found = carried(model, np.array([[3, 3]], np.float32), [0])
    assert carrying.may_flip(exact, chain) == 1
    assert np.isinf(found.proved).all() and np.isfinite(found.probable).all()


def test_slopes_that_vary_are_carried_as_probable_alone():
    model = rm.Sequential([rm.Dense(2), rm.Tanh(), rm.Dense(1)])
    x = np.ones((3, 2), np.float32)
    model(x)
    exact, chain, found = carried(model, x, [0])
    assert carrying.may_flip(exact, chain) is None and np.isinf(found.proved).all() and (found.probable > 0).all()


@settings(max_examples=40)
@given(st.data())
def test_float32_keeps_to_all_bounds(data):
    """The reference in float32, which sums in an order of its own, is within the proved and the probable bound."""
    with rm.use_backend("reference"):
        rm.set_seed(data.draw(st.integers(0, 2**32)))
        layers = []
        for _ in range(data.draw(st.integers(1, 3))):
            layers += [rm.Conv2d(data.draw(st.integers(1, 6)), 3, padding=1), data.draw(st.sampled_from(ACTIVATIONS))()]
        if data.draw(st.booleans()):
            layers += [rm.MaxPool2d(2, stride=2), rm.BatchNormalization()]
        model = rm.Sequential([*layers, rm.Flatten(), rm.Dense(3)])
        random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
        x = random.standard_normal((data.draw(st.integers(1, 3)), 2, 6, 7)).astype(np.float32)
        y = model(x).as_ndarray()
        exact = Exact(trace(model, x))
        (name,) = exact.program.outputs
        end = End(exact, [x])
        assert end.verdict(name, y).within and end.suspect(name, y) is None
        chain = exact.chain([x])
        found = carrying.carried(exact, chain, {name: [0, 1, 2]})[name]
    error = np.abs(y.astype(np.float64) - chain.arrays[name])
    assert (error <= chain.bounds[name]).all() and (error <= found.proved).all() and (error <= found.probable).all()
    bounds = end.bounds()
    assert error.max() <= bounds.probable <= 1.001 * found.probable.max() and error.max() <= bounds.proved


ACTIVATIONS = (rm.Relu, rm.Tanh, rm.Sigmoid, rm.Relu6)


def test_the_probability_is_hoeffding_s():
    assert probable.failure_probability(1) == pytest.approx(2 * math.exp(-18))
    assert probable.failure_probability(1e12) == 1

"""The bounds are bounds: right float32 computations stay inside, wrong ones do not, and none is loose without need."""

import dataclasses
import types

import numpy as np
import pytest
from hypothesis import assume, event, given, target
from hypothesis import strategies as st

from refcnn import rooms
from refcnn.backend import Reference, find, results_of
from refcnn.conformance.judging import comparison, judge
from refcnn.conformance.operations import (
    activation,
    adam,
    arithmetic,
    average_pool2d,
    conv2d,
    conv_transpose2d,
    dense,
    max_pool2d,
    normalization,
    reduction,
    sgd,
    softmax,
    softmax_cross_entropy,
    sparse_softmax_cross_entropy,
)
from refcnn.conformance.theory.approximation import Approximation
from refcnn.conformance.theory.bounds import UNDEFINED, computed_in, gamma, input_error, subnormals, widest
from refcnn.conformance.theory.strategies import Case, arrays
from refcnn.formats import FLOAT16, FLOAT32
from refcnn.shapes import window_output_shape

REFERENCE = find("reference")
U, TINY, LARGEST = FLOAT32.roundoff, FLOAT32.smallest_normal, FLOAT32.largest
FLUSHING = types.SimpleNamespace(denormals=False, name="flushing", array=np.array, to_host=np.array)
seeds = st.integers(0, 2**32 - 1)

#: How often each case is computed, every sum in another order each time.
ORDERS = 10


def worst_of_orders(operation, case, implementation):
    """Hold a case, computed in so many orders, against its bounds; return the worst error / bound."""
    checks = [(judge.check_forward, judge.expect_forward(operation, case, REFERENCE))]
    if case.dy is not None:
        checks.append((judge.check_backward, judge.expect_backward(operation, case, REFERENCE)))
    return max(
        check(operation, case, REFERENCE, implementation=implementation, expected=expected)
        for _ in range(ORDERS)
        for check, expected in checks
    )


def note(worst, label):
    target(worst, label=label)
    event(f"error / bound in tenths: {int(10 * worst)}")


# The operations that are linear, as tables of their products: column by column the places in y, x and w of one
# product, written down from the formula without the reference's help.


def conv2d_table(x, w, y, stride, padding, dilation, groups):
    """All (n, k, i, j), (n, c, row, column) and (k, c', p, q) whose product is part of the sum, as flat places."""
    table = []
    steps = list(zip(stride, dilation, padding, x[2:], strict=False))
    for n, k, *place in np.ndindex(*y):
        for c, *taps in np.ndindex(*w[1:]):
            channel = k // (w[0] // groups) * w[1] + c
            pixel = [i * s + p * d - before for i, p, (s, d, before, _) in zip(place, taps, steps, strict=True)]
            if all(0 <= i < size for i, (*_, size) in zip(pixel, steps, strict=True)):
                table.append(((n, k, *place), (n, channel, *pixel), (k, c, *taps)))
    return [
        np.ravel_multi_index(np.array(places, int).reshape(-1, len(shape)).T, shape)
        for places, shape in zip(zip(*table, strict=True) if table else ((), (), ()), (y, x, w), strict=True)
    ]


def conv_transpose2d_table(x, w, y, stride, padding, output_padding, dilation, groups):
    """That of the convolution of the result, with the roles of x and y exchanged."""
    in_x, in_y, in_w = conv2d_table(y, w, x, stride, padding, dilation, groups)
    return [in_y, in_x, in_w]


def dense_table(x, w, y):
    n, i, o = np.array(list(np.ndindex(x[0], *w))).T
    return [np.ravel_multi_index(places, shape) for places, shape in (((n, o), y), ((n, i), x), ((i, o), w))]


def sum_in_random_order(rng, places, values, size):
    """Add float32 values at their places one by one, in a random order and in a random number of parts."""
    order = rng.permutation(len(values))
    total = np.zeros(size, np.float32)
    for part in np.array_split(order, rng.integers(1, 5)):
        partial = np.zeros(size, np.float32)
        np.add.at(partial, places[part], values[part])
        total += partial
    return total


def linear_implementation(rng, table, channel_axis):
    """Forward and backward by a table of products, every sum in a random order."""

    def forward(x, w, b, **attributes):
        y = table["y"]
        in_y, in_x, in_w = table["places"]
        places, values = in_y, x.ravel()[in_x] * w.ravel()[in_w]
        if b is not None:
            places = np.concatenate([places, np.arange(np.prod(y))])
            values = np.concatenate([values, np.broadcast_to(b, y).ravel()])
        return sum_in_random_order(rng, places, values, np.prod(y)).reshape(y), (x, w, b)

    def backward(dy, saved, needs, **attributes):
        x, w, b = saved
        in_y, in_x, in_w = table["places"]
        dx = sum_in_random_order(rng, in_x, dy.ravel()[in_y] * w.ravel()[in_w], x.size).reshape(x.shape)
        dw = sum_in_random_order(rng, in_w, dy.ravel()[in_y] * x.ravel()[in_x], w.size).reshape(w.shape)
        if b is None:
            return dx, dw, None
        channel = np.indices(dy.shape)[channel_axis].ravel()
        return dx, dw, sum_in_random_order(rng, channel, dy.ravel(), b.size).reshape(b.shape)

    return types.SimpleNamespace(forward=forward, backward=backward)


def linear(operation, case, seed):
    """The table of a case and the implementation on it."""
    x, w, b = case.inputs
    y = case.dy.shape
    tables = {"conv2d": conv2d_table, "conv_transpose2d": conv_transpose2d_table, "dense": dense_table}
    make = tables[operation]
    table = {"y": y, "places": make(x.shape, w.shape, y, **case.attributes)}
    return table, linear_implementation(np.random.default_rng(seed), table, 1)


LINEAR = [
    ("conv2d", conv2d.cases("tiny")),
    ("conv_transpose2d", conv_transpose2d.cases("tiny")),
    ("dense", dense.cases("tiny")),
]


@pytest.mark.parametrize(("operation", "cases"), LINEAR)
@given(data=st.data(), seed=seeds)
def test_any_order_of_summation_is_within(operation, cases, data, seed):
    case = data.draw(cases)
    _, implementation = linear(operation, case, seed)
    note(worst_of_orders(operation, case, implementation), operation)


@pytest.mark.parametrize(("operation", "cases"), LINEAR)
@given(data=st.data(), seed=seeds)
def test_a_dropped_product_is_outside(operation, cases, data, seed):
    case = data.draw(cases)
    rng = np.random.default_rng(seed)
    case = dataclasses.replace(
        case,
        inputs=tuple(None if e is None else (0.5 + rng.random(e.shape)).astype(np.float32) for e in case.inputs),
        dy=(0.5 + rng.random(case.dy.shape)).astype(np.float32),
    )
    table, implementation = linear(operation, case, seed)
    assume(len(table["places"][0]))
    judge.check_backward(operation, case, REFERENCE, implementation=implementation)
    lost = rng.integers(len(table["places"][0]))
    table["places"] = [np.delete(places, lost) for places in table["places"]]
    with pytest.raises(comparison.ConformanceFailure, match="bound"):
        judge.check_forward(operation, case, REFERENCE, implementation=implementation)
    for index in range(2):
        with pytest.raises(comparison.ConformanceFailure, match="bound"):
            needs = (index == 0, index == 1, False)
            judge.check_backward(operation, case, REFERENCE, needs=needs, implementation=implementation)


@pytest.mark.parametrize(
    "fault",
    [{"padding": (0, 1, 1, 1)}, {"padding": (1, 2, 1, 1)}, {"stride": (2, 1)}, {"dilation": (2, 1)}, {"groups": 1}],
)
def test_wrong_geometry_is_outside(fault):
    rng = np.random.default_rng(0)
    attributes = {"stride": (1, 2), "padding": (1, 1, 1, 1), "dilation": (1, 2), "groups": 2}
    shapes = (2, 4, 7, 8), (6, 2, 3, 3), (1, 6, 1, 1)
    x, w, b = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    y = (2, 6, *window_output_shape((7, 8), (3, 3), (1, 2), (1, 1, 1, 1), (1, 2)))
    case = Case((x, w, b), attributes, rng.standard_normal(y).astype(np.float32))
    table, implementation = linear("conv2d", case, 0)
    assert 0 < judge.check_forward("conv2d", case, REFERENCE, implementation=implementation) <= 1
    table["places"] = conv2d_table(x.shape, w.shape, y, **{**attributes, **fault})
    with pytest.raises(comparison.ConformanceFailure):
        judge.check_forward("conv2d", case, REFERENCE, implementation=implementation)
    with pytest.raises(comparison.ConformanceFailure):
        judge.check_backward("conv2d", case, REFERENCE, implementation=implementation)


def pooling_table(case):
    """The places in y and in x of all pixels under all windows, window by window and in each row by row."""
    kernel, stride, padding, dilation = (case.attributes[name] for name in ("kernel", "stride", "padding", "dilation"))
    x, y = case.inputs[0].shape, case.dy.shape
    return conv2d_table(x, (y[1], 1, *kernel), y, stride, padding, dilation, y[1])[:2]


def counted_taps(case):
    """How many taps of each window count in a mean, found tap by tap."""
    attributes, image, y = case.attributes, case.inputs[0].shape[2:], case.dy.shape
    padding, axes, counts = attributes["padding"], len(image), np.zeros(y[2:], np.float32)
    counted = padding if attributes["count_include_padding"] else (0,) * len(padding)
    for place in np.ndindex(*y[2:]):
        for tap in np.ndindex(*attributes["kernel"]):
            steps = zip(place, tap, attributes["stride"], attributes["dilation"], padding, strict=False)
            pixel = [i * stride + p * spread - before for i, p, stride, spread, before in steps]
            within = zip(pixel, image, counted[:axes], counted[axes:], strict=True)
            counts[place] += all(-before <= at < size + after for at, size, before, after in within)
    return np.broadcast_to(counts, y).ravel()


@given(case=average_pool2d.cases("tiny"), seed=seeds, reciprocal=st.booleans())
def test_average_in_any_order_is_within(case, seed, reciprocal):
    device, (in_y, in_x) = Device(np.random.default_rng(seed)), pooling_table(case)

    def mean(total, count):
        return total * device.divide(np.float32(1), count) if reciprocal else device.divide(total, count)

    def forward(x, **attributes):
        total = sum_in_random_order(device.rng, in_y, x.ravel()[in_x], case.dy.size)
        return mean(total, counted_taps(case)).reshape(case.dy.shape), x.shape

    def backward(dy, shape, needs, **attributes):
        shares = mean(dy.ravel(), counted_taps(case))[in_y]
        return (sum_in_random_order(device.rng, in_x, shares, np.prod(shape)).reshape(shape),)

    implementation = types.SimpleNamespace(forward=forward, backward=backward)
    note(worst_of_orders("average_pool2d", case, implementation), "average_pool2d")


@given(case=max_pool2d.cases("tiny", special=False), seed=seeds)
def test_gradients_of_winners_in_any_order_are_within(case, seed):
    rng, (in_y, in_x) = np.random.default_rng(seed), pooling_table(case)

    def forward(x, **attributes):
        values = x.ravel()[in_x]
        ranked = np.lexsort((np.arange(len(values)), -values, in_y))
        winner = in_x[ranked[np.unique(in_y[ranked], return_index=True)[1]]]
        return x.ravel()[winner].reshape(case.dy.shape), (winner, x.shape)

    def backward(dy, saved, needs, **attributes):
        winner, shape = saved
        return (sum_in_random_order(rng, winner, dy.ravel(), np.prod(shape)).reshape(shape),)

    implementation = types.SimpleNamespace(forward=forward, backward=backward)
    note(worst_of_orders("max_pool2d", case, implementation), "max_pool2d")


class Device:
    """float32 functions as wrong as the specification lets them be; zeros, which it fixes, are right."""

    def __init__(self, rng):
        self.rng = rng

    def _nudged(self, exact, units):
        """A float32 at most ``units`` units in the last place from the exact value, often nearly so many."""
        unit = np.spacing(np.maximum(np.abs(exact), TINY).astype(np.float32)).astype(np.float64)
        share = np.sign(exact) * self.rng.choice([-1, 1], np.shape(exact)) * self.rng.random(np.shape(exact)) ** 0.25
        result = np.where(np.isfinite(unit), exact + share * units * unit, exact).astype(np.float32)
        # The smallest numbers are less than those units, yet no function gives them another sign.
        result = np.where(result * np.sign(exact) < 0, np.float32(0), result)
        return np.where(np.abs(result - exact) > units * unit, exact.astype(np.float32), result)

    def exp(self, x):
        return self._nudged(np.exp(x.astype(np.float64)), 3)

    def log(self, x):
        return self._nudged(np.log(x.astype(np.float64)), 3)

    def sqrt(self, x):
        return self._nudged(np.sqrt(x.astype(np.float64)), 3)

    def divide(self, a, b):
        return self._nudged(a.astype(np.float64) / b.astype(np.float64), 2.5)

    def sum(self, x, axis):
        shuffled = self.rng.permuted(x, axis=axis)
        return np.take(np.add.accumulate(shuffled, axis=axis), [-1], axis=axis)


def softmax_implementation(device):
    def forward(x, *, axis):
        exponential = device.exp(x - x.max(axis=axis, keepdims=True))
        y = device.divide(exponential, device.sum(exponential, axis))
        return y, y

    def backward(dy, y, needs, *, axis):
        return (y * (dy - device.sum(dy * y, axis)),)

    return types.SimpleNamespace(forward=forward, backward=backward)


def log_softmax_implementation(device):
    def forward(x, *, axis):
        shifted = x - x.max(axis=axis, keepdims=True)
        y = shifted - device.log(device.sum(device.exp(shifted), axis))
        return y, y

    def backward(dy, y, needs, *, axis):
        return (dy - device.exp(y) * device.sum(dy, axis),)

    return types.SimpleNamespace(forward=forward, backward=backward)


def cross_entropy_implementation(device):
    def forward(x, t, *, reduce_sum):
        shifted = x - x.max(axis=1, keepdims=True)
        log_p = shifted - device.log(device.sum(device.exp(shifted), 1))
        loss = _weighted(-t, log_p)
        if reduce_sum:
            loss = device.divide(device.sum(loss.reshape(1, -1), 1), np.float32(len(x))).reshape(())
        return loss, (log_p, t)

    def backward(dy, saved, needs, *, reduce_sum):
        log_p, t = saved
        g = np.broadcast_to(device.divide(dy, np.float32(len(t))) if reduce_sum else dy, t.shape)
        gt = _weighted(t, g)
        dx = device.exp(log_p) * device.sum(gt, 1) - gt
        dx = np.where((t != 0).any(axis=1, keepdims=True), dx, np.float32(0))
        return dx, np.where(np.isfinite(log_p) | (t != 0), -g * log_p, np.float32(0))

    return types.SimpleNamespace(forward=forward, backward=backward)


def sparse_cross_entropy_implementation(device):
    def forward(x, t, *, class_weight, label_smoothing, ignore_index, reduce_sum):
        shifted = x - x.max(axis=1, keepdims=True)
        log_p = shifted - device.log(device.sum(device.exp(shifted), 1))
        classes, counts = x.shape[1], t != ignore_index
        u = np.ones(classes, np.float32) if class_weight is None else np.array(class_weight, np.float32)
        is_own = np.moveaxis(np.arange(classes) == t[..., None], -1, 1)
        q = np.float32(1 - label_smoothing) * is_own + np.float32(label_smoothing / classes)
        q = q * u.reshape(-1, *[1] * (t.ndim - 1)) * counts[:, None]
        weight = u[np.where(counts, t, 0)] * counts
        total = device.sum(weight.reshape(1, -1), 1).reshape(())
        terms = _weighted(-q, log_p)
        if reduce_sum:
            return device.divide(device.sum(terms.reshape(1, -1), 1).reshape(()), total), (log_p, q, total)
        return device.sum(terms, 1)[:, 0], (log_p, q, total)

    def backward(dy, saved, needs, *, reduce_sum, **attributes):
        log_p, q, total = saved
        gq = _weighted(q, device.divide(dy, total) if reduce_sum else dy[:, None])
        dx = device.exp(log_p) * device.sum(gq, 1) - gq
        return np.where((q != 0).any(axis=1, keepdims=True), dx, np.float32(0)), None

    return types.SimpleNamespace(forward=forward, backward=backward)


def _weighted(t, values):
    return np.where(t == 0, np.float32(0), t * values)


def adam_implementation(device):
    def forward(w, g, m, r, *, lr, beta1, beta2, epsilon, step):
        m_new = np.float32(beta1) * m + np.float32(1 - beta1) * g
        r_new = np.float32(beta2) * r + np.float32(1 - beta2) * (g * g)
        m_hat = device.divide(m_new, np.float32(1 - beta1**step))
        root = device.sqrt(device.divide(r_new, np.float32(1 - beta2**step))) + np.float32(epsilon)
        lr = np.float32(lr)
        change = device.divide(lr * m_hat, root) if device.rng.random() < 0.5 else lr * device.divide(m_hat, root)
        return w - change, m_new, r_new

    return types.SimpleNamespace(forward=forward)


def sgd_implementation(device):
    def forward(w, g, v, *, lr, momentum, nesterov):
        lr, momentum = np.float32(lr), np.float32(momentum)
        v_new = momentum * v + lr * g
        ahead = [-(np.float32(1) + momentum) * v_new, momentum * v] if nesterov else [-v_new]
        if device.rng.random() < 0.5:
            return w + device.sum(np.stack(ahead), 0)[0], v_new
        return device.sum(np.stack([w, *ahead]), 0)[0], v_new

    return types.SimpleNamespace(forward=forward)


FUNCTIONS = [
    ("softmax", softmax.cases("small"), softmax_implementation),
    ("log_softmax", softmax.cases("small"), log_softmax_implementation),
    ("softmax_cross_entropy", softmax_cross_entropy.cases("small"), cross_entropy_implementation),
    ("sparse_softmax_cross_entropy", sparse_softmax_cross_entropy.cases("tiny"), sparse_cross_entropy_implementation),
    ("adam", adam.cases("small"), adam_implementation),
    ("sgd", sgd.cases("small"), sgd_implementation),
]


@pytest.mark.parametrize(("operation", "cases", "implement"), FUNCTIONS)
@given(data=st.data(), seed=seeds)
def test_functions_at_their_limit_are_within(operation, cases, implement, data, seed):
    case, implementation = data.draw(cases), implement(Device(np.random.default_rng(seed)))
    note(worst_of_orders(operation, case, implementation), operation)


OPERATIONS = (
    *activation.OPERATIONS,
    *arithmetic.OPERATIONS,
    *normalization.OPERATIONS,
    *reduction.OPERATIONS,
    "average_pool2d",
    "conv2d",
    "dense",
    "dropout",
    "log_softmax",
    "max_pool2d",
    "relu",
    "sgd",
    "softmax",
    "softmax_cross_entropy",
)


def _is_of_floats(case):
    """Whether its inputs may be off: whole numbers are not."""
    return all(entry.dtype.kind == "f" for entry in case.arrays)


@pytest.mark.parametrize("operation", OPERATIONS)
@given(data=st.data(), seed=seeds, size=st.sampled_from([1e-7, 1e-4, 0.1]))
def test_errors_of_inputs_are_carried_on(operation, data, seed, size):
    """What is computed from inputs that are off by their errors stays within the bound for the exact inputs."""
    module = judge.conformance(operation)
    case = data.draw(module.cases("tiny", integers=True).filter(_is_of_floats))
    rng = np.random.default_rng(seed)
    off = [None if e is None else (e + size * rng.uniform(-1, 1, e.shape)).astype(np.float32) for e in case.inputs]
    errors = tuple(
        None if e is None else np.abs(o.astype(np.float64) - e) for e, o in zip(case.inputs, off, strict=True)
    )
    outputs, _ = judge.exact(operation, case, (False,) * len(off))
    with np.errstate(all="ignore"):
        computed = REFERENCE.operation(operation).forward(*off, **case.attributes)
        computed = tuple(map(REFERENCE.to_host, computed if operation == "sgd" else results_of(computed[0])))
        bounds = module.forward_bound(case.inputs, case.attributes, errors)
    bounds = bounds if isinstance(bounds, tuple) else (bounds,)
    note(max(map(comparison.compare, [operation] * len(outputs), computed, outputs, bounds)), operation)


@given(case=conv2d.cases("small"), seed=seeds)
def test_bound_of_convolution_is_no_looser_than_its_sum_is_long(case, seed):
    rng = np.random.default_rng(seed)
    x, w, b = (None if e is None else rng.random(e.shape).astype(np.float32) for e in case.inputs)
    (y,), _ = judge.exact("conv2d", Case((x, w, b), case.attributes), (False,) * 3)
    # With no negative numbers the sum of magnitudes is the result itself.
    bound = conv2d.forward_bound((x, w, b), case.attributes)
    assert np.all(bound <= gamma(w[0].size + 1) * y * (1 + 1e-9) + 1e-30)


def test_bounds_of_functions_are_some_dozens_of_roundings():
    rng = np.random.default_rng(0)
    x = rng.uniform(-3, 3, (4, 10)).astype(np.float32)
    (y,), _ = judge.exact("softmax", Case((x,), {}), (False,))
    assert np.all(softmax.forward_bound((x,), {}) < 50 * U * y)
    t = np.eye(10, dtype=np.float32)[:4]
    assert softmax_cross_entropy.forward_bound((x, t), {"reduce_sum": True}) < 50 * U * 10
    w, g, m = (rng.standard_normal(100).astype(np.float32) for _ in range(3))
    attributes = {"lr": 0.001, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "step": 3}
    for bound in adam.forward_bound((w, g, m, m * m), attributes):
        assert np.all(bound < 4 * U * (np.abs(w) + np.abs(m) + np.abs(g) + m * m + g * g) + 1e-2 * U)


ROUNDED = {
    "add": (2, lambda a, b: a + b, lambda device, a, b: a + b),
    "subtract": (2, lambda a, b: a - b, lambda device, a, b: a - b),
    "multiply": (2, lambda a, b: a * b, lambda device, a, b: a * b),
    "divide": (2, lambda a, b: a / b, lambda device, a, b: device.divide(a, b)),
    "reciprocal": (2, lambda a, b: a / b, lambda device, a, b: a * device.divide(np.float32(1), b)),
    "exp": (1, lambda a: a.exp() if isinstance(a, Approximation) else np.exp(a), lambda device, a: device.exp(a)),
    "log": (1, lambda a: a.log() if isinstance(a, Approximation) else np.log(a), lambda device, a: device.log(a)),
    "sqrt": (1, lambda a: a.sqrt() if isinstance(a, Approximation) else np.sqrt(a), lambda device, a: device.sqrt(a)),
    "expm1": (1, np.expm1, lambda device, a: device._nudged(np.expm1(a.astype(np.float64)), 3)),
    "log1p": (1, np.log1p, lambda device, a: device._nudged(np.log1p(a.astype(np.float64)), 2)),
    "tanh": (1, np.tanh, lambda device, a: device._nudged(np.tanh(a.astype(np.float64)), 5)),
    "root of a magnitude": (
        1,
        lambda a: a.power_of_magnitude(1 / 3) if isinstance(a, Approximation) else np.power(a, 1 / 3),
        lambda device, a: device._nudged(np.power(a.astype(np.float64), 1 / 3), 16),
    ),
    "power": (2, np.power, lambda device, *ab: device._nudged(np.power(*(one.astype(np.float64) for one in ab)), 16)),
    "maximum": (2, np.maximum, lambda device, a, b: np.maximum(a, b)),
    "sign": (1, np.sign, lambda device, a: np.sign(a)),
    "where": (2, lambda a, b: np.where(a > b, a, b - a), lambda device, a, b: np.where(a > b, a, b - a)),
    "sum": (
        1,
        lambda a: a.sum(axis=0, **({} if isinstance(a, Approximation) else {"keepdims": True})),
        lambda device, a: device.sum(a, 0),
    ),
}


@pytest.mark.parametrize("name", sorted(ROUNDED))
@given(data=st.data(), seed=seeds, size=st.sampled_from([0, 1e-7, 1e-3, 0.5]))
def test_each_rule_of_running_error_analysis(name, data, seed, size):
    """With operands off by their errors and a function at its limit, the result is off by no more than the rule."""
    count, formula, compute = ROUNDED[name]
    rng = np.random.default_rng(seed)
    computed, operands = [], []
    for _ in range(count):
        value = data.draw(arrays((7,), scales=(1.0, 1e-10)))
        if name in ("log", "log1p", "sqrt", "divide", "power", "reciprocal", "root of a magnitude"):
            value = np.abs(value) + np.float32(1e-12)
        exact = value.astype(np.float64) * (1 + size * rng.uniform(-1, 1, 7))
        computed.append(value)
        operands.append(Approximation(exact, np.abs(value - exact)))
    assume(name not in ("exp", "expm1") or np.all(np.abs(computed[0]) < 80))
    # Of larger numbers the reciprocal is subnormal: no device may divide by them so.
    assume(name != "reciprocal" or np.all(computed[1] < 2.0**125))
    rule = formula(*operands)
    exact = formula(*(operand.exact for operand in operands))
    np.testing.assert_allclose(rule.exact, exact, rtol=1e-15)
    with np.errstate(divide="ignore"):
        result = compute(Device(rng), *computed)
    note(comparison.compare(name, np.asarray(result, np.float32), exact, rule.bound), name)


def test_each_of_many_quotients_may_be_off_below_the_normal_numbers():
    """A pixel under two windows: both shares are 2.5 units of 2^-149 too large, as a device's division may be."""
    attributes = {"kernel": (2, 2), "stride": (1, 1), "padding": (0, 0, 0, 0), "count_include_padding": False}
    dy = np.full((1, 1, 1, 2), 10 * 2.0**-149, np.float32)
    case = Case((np.ones((1, 1, 2, 3), np.float32),), attributes, dy)
    shares = np.array([[5, 10, 5], [5, 10, 5]]) * 2.0**-149

    def judged(shares):
        gradient = shares.astype(np.float32).reshape(1, 1, 2, 3)
        found = types.SimpleNamespace(forward=lambda x, **_: (x, x), backward=lambda *_, **__: (gradient,))
        return judge.check_backward("average_pool2d", case, REFERENCE, implementation=found)

    assert judged(shares) <= 1
    with pytest.raises(comparison.ConformanceFailure, match="average_pool2d.backward"):
        judged(shares * 4)


def test_gamma_is_that_of_the_source():
    assert gamma(0) == 0
    assert gamma(1) == 1 / (2**24 - 1)
    assert gamma(2**23) == 1


def test_a_device_that_keeps_subnormal_numbers_gets_no_room_to_flush_them():
    x = np.array([1e-40, 1], np.float32)
    flushed = types.SimpleNamespace(
        forward=lambda x: (np.where(np.abs(x) < TINY, np.float32(0), x),) * 2, backward=None
    )
    case = Case((x,), {}, x)
    with pytest.raises(comparison.ConformanceFailure, match="1 of 2 elements are wrong"):
        judge.check_forward("relu", case, REFERENCE, implementation=flushed)
    assert judge.check_forward("relu", case, FLUSHING, implementation=flushed) == 1
    with subnormals(are_kept=True):
        assert input_error(x).tolist() == [0, 0]
        assert (Approximation(2.0**-140) * Approximation(2.0**-20)).error == gamma(1) * 2.0**-160 + 2.0**-150
        assert dense.forward_bound((x[None], x[:, None], None), {}) < 1e-6


def _float32(*values):
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("operation", "inputs", "attributes", "computed"),
    [
        # Both read as zero.
        ("divide", (_float32(1e-45), _float32(0)), {}, np.nan),
        # They tie when they are compared, and the one that is taken is stored as it is.
        ("maximum", (_float32(-2e-39), _float32(1e-45)), {}, -2e-39),
        ("minimum", (_float32(1e-40), _float32(-2e-39)), {}, 1e-40),
        ("reduce_max", (_float32(-2e-39, 1e-45),), {"axes": (0,), "keepdims": True}, -2e-39),
        ("reduce_min", (_float32(1e-40, -2e-39),), {"axes": (0,), "keepdims": True}, 1e-40),
        ("global_max_pool2d", (_float32(-2e-39, 1e-45).reshape((1, 1, 1, 2)),), {}, -2e-39),
        (
            "max_pool2d",
            (_float32(-2e-39, 1e-45).reshape((1, 1, 1, 2)),),
            {"kernel": (1, 2), "stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1), "ceil_mode": False},
            -2e-39,
        ),
    ],
)
def test_what_devices_make_of_flushed_numbers_is_taken_from_those_alone(operation, inputs, attributes, computed):
    with np.errstate(divide="ignore"):
        exact, _ = REFERENCE.operation(operation).forward(*inputs, **attributes)
    implementation = types.SimpleNamespace(
        forward=lambda *inputs, **attributes: (np.full_like(exact, computed), None), backward=None
    )
    case = Case(inputs, attributes, exact)
    judge.check_forward(operation, case, FLUSHING, implementation=implementation)
    with pytest.raises(comparison.ConformanceFailure):
        judge.check_forward(operation, case, REFERENCE, implementation=implementation)


@pytest.mark.parametrize(
    ("operation", "inputs", "attributes", "dy", "computed"),
    [
        ("relu", (_float32(1e-40),), {}, _float32(np.inf), 0),
        ("gather", (_float32(1), np.int64([0])), {"axis": 0}, _float32(1e-40), 0),
        ("gather_elements", (_float32(1), np.int64([0])), {"axis": 0}, _float32(1e-40), 0),
        ("tile", (_float32(1),), {"repeats": (1,)}, _float32(1e-40), 0),
        (
            "max_pool2d",
            (_float32(2e-39, 1e-45).reshape((1, 1, 1, 2)),),
            {"kernel": (1, 2), "stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1), "ceil_mode": False},
            _float32(np.inf).reshape((1, 1, 1, 1)),
            [0, np.inf],
        ),
    ],
)
def test_so_is_what_they_make_of_gradients(operation, inputs, attributes, dy, computed):
    reference = REFERENCE.operation(operation)
    implementation = types.SimpleNamespace(
        forward=reference.forward,
        backward=lambda *given, **attributes: (np.full_like(inputs[0], computed), *(None for _ in inputs[1:])),
    )
    case = Case(inputs, attributes, dy)
    judge.check_backward(operation, case, FLUSHING, implementation=implementation)
    with pytest.raises(comparison.ConformanceFailure):
        judge.check_backward(operation, case, REFERENCE, implementation=implementation)


@pytest.mark.parametrize(
    ("w", "computed", "accepted"),
    [
        # The weight's left column meets the padding in y[..., 0] and x[..., 0] = 1 in y[..., 1].
        (np.inf, [np.nan, np.inf], True),
        (np.inf, [0, np.inf], True),
        (np.inf, [0, np.nan], False),
        (np.inf, [0, -np.inf], False),
        (np.nan, [0, np.nan], True),
        (np.nan, [0, np.inf], False),
        (-np.inf, [np.nan, -np.inf], True),
        (-np.inf, [np.nan, 0], False),
    ],
)
def test_infinite_weights_reach_what_the_definition_says(w, computed, accepted):
    weights = np.array([w, 0], np.float32).reshape(1, 1, 1, 2)
    attributes = {"stride": (1, 1), "padding": (0, 1, 0, 0), "dilation": (1, 1), "groups": 1}
    case = Case((np.ones((1, 1, 1, 2), np.float32), weights, None), attributes, np.ones((1, 1, 1, 2), np.float32))
    y = np.array(computed, np.float32).reshape(1, 1, 1, 2)
    implementation = types.SimpleNamespace(forward=lambda *arrays, **attributes: (y, None), backward=None)
    if accepted:
        judge.check_forward("conv2d", case, REFERENCE, implementation=implementation)
    else:
        with pytest.raises(comparison.ConformanceFailure):
            judge.check_forward("conv2d", case, REFERENCE, implementation=implementation)


def test_inputs_below_the_normal_numbers_may_be_flushed():
    x = np.array([0, 2.0**-127, -(2.0**-130), 2.0**-126, 1], np.float32)
    assert input_error(x).tolist() == [0, 2.0**-127, 2.0**-130, 0, 0]
    assert input_error(x, np.full(5, 2.0**-128)).tolist() == [
        2.0**-127,
        2.0**-126,
        2.0**-128 + 2.0**-130 + 2.0**-128,
        2.0**-128 + 2.0**-126,
        2.0**-128,
    ]


@given(case=conv2d.cases("tiny"), seed=seeds)
def test_flushing_device_is_within(case, seed):
    """A device that reads and writes zero in place of every number below the normal ones."""

    def flush(array):
        return None if array is None else np.where(np.abs(array) < TINY, np.float32(0), array)

    rng = np.random.default_rng(seed)
    small = [
        None if e is None else (rng.uniform(-4, 4, e.shape) * s).astype(np.float32)
        for e, s in zip(case.inputs, (1e-19, 1e-19, 1e-38), strict=True)
    ]
    case = dataclasses.replace(case, inputs=tuple(small))
    table, _ = linear("conv2d", case, seed)
    x, w, b = map(flush, small)
    in_y, in_x, in_w = table["places"]
    y = sum_in_random_order(rng, in_y, flush(x.ravel()[in_x] * w.ravel()[in_w]), case.dy.size).reshape(case.dy.shape)
    y = flush(flush(y) if b is None else flush(y) + b)
    implementation = types.SimpleNamespace(forward=lambda *arrays, **attributes: (y, None), backward=None)
    note(judge.check_forward("conv2d", case, FLUSHING, implementation=implementation), "flush to zero")


@pytest.mark.parametrize(
    ("computed", "expected", "bound", "accepted"),
    [
        (np.nan, np.nan, 0, True),
        (np.nan, 1, 1e9, False),
        (1, np.nan, 1e9, False),
        (np.inf, np.inf, 0, True),
        (-np.inf, np.inf, 1, False),
        (np.inf, 1, 1, False),
        (np.inf, LARGEST, LARGEST * U, True),
        (-np.inf, LARGEST, LARGEST * U, False),
        (np.nan, LARGEST, np.inf, True),
        (1, np.inf, np.inf, False),
        (np.inf, np.inf, np.inf, True),
        (1, np.inf, UNDEFINED, True),
        (np.nan, np.inf, UNDEFINED, True),
        (np.nan, 1, UNDEFINED, True),
        (1, np.nan, UNDEFINED, True),
        (1, 2, np.nan, False),
        (-0.0, 0, 0, True),
        (1, 1 + 2.0**-24, 2.0**-24, True),
        (1, 1 + 2.0**-23, 2.0**-24, False),
    ],
)
def test_verdict_on_what_is_no_ordinary_number(computed, expected, bound, accepted):
    entries = (np.array([entry], kind) for entry, kind in ((computed, np.float32), (expected, float), (bound, float)))
    if accepted:
        assert 0 <= comparison.compare("verdict", *entries) <= 1
    else:
        with pytest.raises(comparison.ConformanceFailure, match=r"\(0,\)"):
            comparison.compare("verdict", *entries)


def test_a_verdict_says_how_far_numbers_differ():
    exact = np.array([1, np.inf, np.nan, 5, 5.0])
    computed, bound = np.array([1.5, np.inf, np.nan, -7, np.nan], np.float32), np.array([2, 0, 0, np.inf, UNDEFINED])
    verdict = comparison.verdict(computed, exact, bound)
    assert (verdict.within, verdict.ratio, verdict.worst, verdict.difference) == (True, 0.25, (0,), 0.5)
    verdict = comparison.verdict(np.full(5, np.nan, np.float32), exact, bound)
    assert (verdict.within, verdict.ratio, verdict.worst, verdict.difference) == (False, np.inf, (0,), np.inf)
    # A known fault is that of the elements that are wrong, beside which large ones may be right and further off.
    verdict = comparison.verdict(np.array([1001, 1.5], np.float32), np.array([1000, 1.0]), np.array([2, 0.25]))
    assert (verdict.difference, verdict.difference_of_wrong, verdict.worst) == (1, 0.5, (1,))


def test_what_is_infinite_at_0_may_be_anything_where_a_sum_may_be_0():
    """The sum is 0 in float64 in one order of its terms alone, so that what is exact is infinite or is not."""
    for terms, exact in (((1e20, -1e20, 1, -1), 0), ((1e20, 1, -1e20, -1), -1), ((1e20, -1, -1e20, 1), 1)):
        total = Approximation.of_input(np.array(terms, np.float32), None).sum()
        assert total.exact == exact
        assert (Approximation.of_input(np.float32(1), None) / total).bound == UNDEFINED
        assert total.log().bound == UNDEFINED
        assert (total - Approximation(1.0)).log1p().bound == UNDEFINED


def test_a_bound_that_holds_for_either_of_two():
    first, second = np.array([1, UNDEFINED, 0, np.inf]), np.array([2, 3, UNDEFINED, 0])
    np.testing.assert_array_equal(widest([first, second]), [2, UNDEFINED, UNDEFINED, np.inf])


def test_message_names_the_call_and_the_worst_element():
    case = Case((np.array([1, -1], np.float32),), {}, np.array([1, 1], np.float32))
    wrong = types.SimpleNamespace(forward=lambda x: (x, x), backward=None)
    with pytest.raises(comparison.ConformanceFailure) as failure:
        judge.check_forward("relu", case, REFERENCE, implementation=wrong)
    message = str(failure.value)
    for part in ("relu.forward(np.array([1.0, -1.0], np.float32)) on reference", "(1,)", "-1.0", "bound      0.0"):
        assert part in message


def test_wrong_shape_or_dtype_is_a_failure():
    case = Case((np.ones(2, np.float32),), {}, np.ones(2, np.float32))
    for result in (np.ones(3, np.float32), np.ones(2, np.float64)):
        wrong = types.SimpleNamespace(forward=lambda x, result=result: (result, None), backward=None)
        with pytest.raises(comparison.ConformanceFailure, match="float32 of shape"):
            judge.check_forward("relu", case, REFERENCE, implementation=wrong)


class InHalf:
    """Products and sums in float16, in a random order and each rounded by itself."""

    backward = None

    def __init__(self, rng):
        self.rng = rng

    def forward(self, x, w, b):
        places = self.rng.permutation(x.shape[1])
        products = x[:, places, None] * w[places]
        # accumulate rounds each partial sum, where sum would add in pairs, or in float32.
        y = np.add.accumulate(products, axis=1, dtype=np.float16)[:, -1]
        return y if b is None else y + b, None


@given(data=st.data(), seed=seeds, scale=st.sampled_from([2.0**-14, 2.0**-7, 1.0, 16.0]))
def test_bounds_are_those_of_another_format_inside_computed_in(data, seed, scale):
    rng = np.random.default_rng(seed)
    rows, terms, columns = (data.draw(st.integers(1, most)) for most in (3, 300, 3))
    x, w, b = (
        (scale * rng.standard_normal(shape)).astype(np.float16)
        for shape in ((rows, terms), (terms, columns), (1, columns))
    )
    case = Case((x, w, b if data.draw(st.booleans()) else None), {}, x[:, :1] * w[:1])
    half = Reference(np.float16)
    with computed_in(FLOAT16):
        worst = judge.check_forward("dense", case, half, implementation=InHalf(rng))
        worst = max(worst, judge.check_forward("dense", case, half), judge.check_backward("dense", case, half))
        y = half.operation("dense").forward(*case.inputs)[0]
        bound = dense.forward_bound(case.inputs, {})
        wrong = (y + 3 * bound + np.spacing(np.abs(y))).astype(np.float16)
        off = types.SimpleNamespace(forward=lambda *inputs: (wrong, None), backward=None)
        with pytest.raises(comparison.ConformanceFailure, match="bound"):
            judge.check_forward("dense", case, half, implementation=off)
    note(worst, "float16")


def has_attributes_of_float16(case):
    """Whether none of the case's attributes becomes infinite in float16."""
    numbers = [entry for entry in case.attributes.values() if isinstance(entry, float) and np.isfinite(entry)]
    return all(abs(entry) <= FLOAT16.largest for entry in numbers)


@pytest.mark.parametrize("operation", rooms.operations())
@given(data=st.data())
def test_every_operation_in_float16_is_within_the_bounds_of_float16(operation, data):
    half = Reference(np.float16)
    with computed_in(FLOAT16):
        case = data.draw(judge.conformance(operation).cases("tiny").filter(has_attributes_of_float16))
        worst = judge.check_forward(operation, case, half)
        if case.dy is not None:
            worst = max(worst, judge.check_backward(operation, case, half))
    note(worst, f"{operation} in float16")


def test_what_is_right_in_float16_is_wrong_in_float32():
    x, w = np.full((1, 64), 0.1, np.float16), np.full((64, 1), 0.3, np.float16)
    half = Reference(np.float16)
    y = half.operation("dense").forward(x, w, None)[0]
    exact = x.astype(np.float64) @ w.astype(np.float64)
    bound_of_float32 = dense.forward_bound((x, w, None), {})
    with computed_in(FLOAT16):
        comparison.compare("y", y, exact, dense.forward_bound((x, w, None), {}))
        with pytest.raises(comparison.ConformanceFailure, match="bound"):
            comparison.compare("y", y, exact, bound_of_float32)
    with pytest.raises(comparison.ConformanceFailure, match="float32"):
        comparison.compare("y", y, exact, np.inf)


def test_sums_of_too_many_roundings_have_no_bound():
    with computed_in(FLOAT16):
        assert gamma(2**11 - 1) == 2**11 - 1 and gamma(2**11) == gamma(2**12) == np.inf
    assert gamma(2**11) < 2.0**-12

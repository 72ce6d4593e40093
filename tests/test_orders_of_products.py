"""Factors may be multiplied in any order, though some overflow on the way or vanish; what does so in none is wrong."""

import itertools
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcnn import rooms
from refcnn.conformance.judging import comparison, judge
from refcnn.conformance.theory.approximation import Approximation
from refcnn.conformance.theory.bounds import UNDEFINED
from refcnn.conformance.theory.strategies import Case

from .test_bounds import FLUSHING, REFERENCE, TINY, seeds

f = np.float32
#: So many numbers of each array.
_SIZE = 60


def _logistic(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, f(1), e), 1 + e


def _elu(dy, x, alpha, *others):
    branches = [np.where(x > 0, f(1), one) for one in (f(alpha), np.exp(np.minimum(x, 0)))]
    return [dy, *map(f, others), *branches], []


def _softplus(dy, x):
    above, below = _logistic(x)
    return [dy, above], [below]


def _sigmoid(dy, x):
    above, below = _logistic(x)
    y = above / below
    return [dy, y, 1 - y], []


def _l2(dy, x):
    return [dy, x], [np.abs(x)]


#: By operation and the input whose gradient it is: its attributes, and what factors it has above and below the line,
#: given the gradient of the result and the inputs.
GRADIENTS = {
    ("mean_squared_error", 0): ({"reduce_sum": False}, lambda dy, x, t: ([f(2), dy, x - t], [])),
    ("mean_squared_error", 1): ({"reduce_sum": False}, lambda dy, x, t: ([f(2), dy, t - x], [])),
    ("divide", 1): ({}, lambda dy, a, b: ([-dy, a], [b, b])),
    ("power", 0): ({}, lambda dy, a, b: ([dy, b, np.power(np.abs(a), b - 1)], [])),
    ("power", 1): ({}, lambda dy, a, b: ([dy, np.power(np.abs(a), b), np.log(np.abs(a))], [])),
    ("reciprocal", 0): ({}, lambda dy, x: ([-dy], [x, x])),
    ("elu", 0): ({"alpha": 3.0}, lambda dy, x: _elu(dy, x, 3.0)),
    ("selu", 0): ({"alpha": 1.5, "gamma": 3.0}, lambda dy, x: _elu(dy, x, 1.5, 3.0)),
    ("softplus", 0): ({}, _softplus),
    ("sigmoid", 0): ({}, _sigmoid),
    ("softsign", 0): ({}, lambda dy, x: ([dy], [1 + np.abs(x)] * 2)),
    ("sqrt", 0): ({}, lambda dy, x: ([dy, f(0.5)], [np.sqrt(np.abs(x))])),
    ("reduce_l2", 0): ({"axes": (), "keepdims": False}, _l2),
    ("reduce_sum_square", 0): ({"axes": (), "keepdims": False}, lambda dy, x: ([dy, f(2), x], [])),
    ("reduce_prod", 0): ({"axes": (1,), "keepdims": True}, lambda dy, x: ([dy, *x.T[1:, :, None]], [])),
    ("lp_pool2d", 0): ({"p": 2, "kernel": (1, 1), "stride": (1, 1), "padding": (0,) * 4}, _l2),
}
#: Operations whose inputs are magnitudes.
_POSITIVE = ("power", "sqrt")


def trees(above, below):
    """Yield each way to multiply and divide factors: products above and below the line, and quotients of these."""
    if len(above) + len(below) == 1 and above:
        yield above[0]
        return
    for share in itertools.product((0, 1), repeat=len(above)):
        for share_below in itertools.product((0, 1), repeat=len(below)):
            parts = [([], []), ([], [])]
            for one, side in zip(above, share, strict=True):
                parts[side][0].append(one)
            for one, side in zip(below, share_below, strict=True):
                parts[side][1].append(one)
            (left, left_below), (right, right_below) = parts
            if left and right and share[0] == 0:
                for one in trees(left, left_below):
                    yield from (one * other for other in trees(right, right_below))
            elif left and not right and right_below:
                for one in trees(left, left_below):
                    yield from (one / other for other in trees(right_below, []))


def case_of(operation, attributes, rng):
    """Draw a case of numbers of all sizes, of which products of three often leave the range of float32."""
    arrays = 3 if operation in ("mean_squared_error", "divide", "power") else 2

    def numbers(shape):
        return (2 ** rng.uniform(-126, 126, shape) * rng.choice((-1, 1), shape)).astype(f)

    shape = (_SIZE, 1, 1, 1) if operation == "lp_pool2d" else (_SIZE,)
    dy, *inputs = (numbers(shape) for _ in range(arrays))
    if operation in _POSITIVE:
        inputs[0] = np.abs(inputs[0])
    if operation == "power":
        inputs[1] = rng.uniform(-3, 3, shape).astype(f)
    if operation in ("elu", "selu", "softplus", "sigmoid"):
        inputs[0] = rng.uniform(-80, 20, shape).astype(f)
    if operation == "reduce_prod":
        dy, inputs[0] = dy.reshape(-1, 1), numbers((_SIZE, 3))
    return Case(tuple(inputs), attributes, dy)


def check(operation, gradient, case, found, device=REFERENCE):
    """Hold the gradient of one input, of the first element of each row, against what the judge expects."""
    needs = tuple(place == gradient for place in range(len(case.inputs)))

    def backward(dy, saved, needs, **attributes):
        others = judge.exact(operation, case, needs)[1][gradient].astype(f)
        if operation == "reduce_prod":
            others[:, :1] = found
        return tuple((others if operation == "reduce_prod" else found) if need else None for need in needs)

    implementation = types.SimpleNamespace(
        forward=lambda *inputs, **attributes: (None, None), backward=backward, needs_forward=False
    )
    judge.check_backward(operation, case, device, needs=needs, implementation=implementation)


@pytest.mark.parametrize(("operation", "gradient"), GRADIENTS)
@given(seed=seeds, flushes=st.booleans())
def test_any_order_is_right(operation, gradient, seed, flushes):
    attributes, factors = GRADIENTS[operation, gradient]
    with np.errstate(all="ignore"):
        case = case_of(operation, attributes, np.random.default_rng(seed))
        found = list(trees(*factors(case.dy, *case.inputs)))
        assert len(found) >= 3
        for one in found:
            check(operation, gradient, case, one, FLUSHING if flushes else REFERENCE)


@pytest.mark.parametrize(("operation", "gradient"), GRADIENTS)
@pytest.mark.parametrize("wrong", [np.inf, 0])
def test_what_no_order_makes_is_wrong(operation, gradient, wrong):
    attributes, factors = GRADIENTS[operation, gradient]
    with np.errstate(all="ignore"):
        case = case_of(operation, attributes, np.random.default_rng(7))
        found = np.stack(list(trees(*factors(case.dy, *case.inputs))))
        span = np.abs(found).min(axis=0), np.abs(found).max(axis=0)
        # All orders give the same number, to some digits.
        is_sure = (span[0] > 1e-30) & (span[1] < 1e30) & (span[1] - span[0] < 1e-5 * span[0])
        place = tuple(map(int, np.argwhere(is_sure)[0]))
        broken = found[0].copy()
        check(operation, gradient, case, broken)
        broken[place] = wrong
        with pytest.raises(comparison.ConformanceFailure):
            check(operation, gradient, case, broken)


@pytest.mark.parametrize("operation", ["rmsprop", "adam"])
@given(seed=seeds)
def test_a_square_may_be_taken_of_what_is_multiplied_first(operation, seed):
    """(1 - decay) g g may be a number where g g is none."""
    rng, zeros = np.random.default_rng(seed), np.zeros(_SIZE, f)
    g = (2 ** rng.uniform(60, 68, _SIZE)).astype(f)
    attributes = {"lr": 1.0, "epsilon": 1.0}
    if operation == "rmsprop":
        attributes |= {"rho": 0.9375, "momentum": 0.0}
    else:
        attributes |= {"beta1": 0.0, "beta2": 0.9375, "step": 10**6}

    def forward(w, g, *slots, **attributes):
        square = f(0.0625) * g * g
        step = g / (np.sqrt(square) + f(1))
        results = (w - step, square, step) if operation == "rmsprop" else (w - step, g, square)
        return tuple(entry.astype(f) for entry in results)

    with np.errstate(all="ignore"):
        case = Case((zeros, g, zeros, zeros), attributes)
        assert np.isfinite(forward(*case.inputs)[2 if operation == "adam" else 1]).any()
        judge.check_forward(operation, case, REFERENCE, implementation=types.SimpleNamespace(forward=forward))


def test_a_partial_product_that_is_flushed_makes_0_of_the_whole():
    a, b, c = (Approximation(np.float64([f(value)])) for value in (1e-30, 1e-9, 1e3))
    found = a * (b * c)
    # The exact answer may be another by what float64 rounds.
    assert abs(found.exact[0]) * (1 + 1e-15) < found.bound[0] < 1.01 * abs(found.exact[0]) + 2 * TINY


def test_where_partial_products_overflow_even_the_exact_answer_nothing_is_asked():
    """The judge's exact answer may be infinite in float64 where that of the bound, in another order, is not."""
    x, dy = np.array([[1e38] * 10 + [1e-38] * 3], np.float32), np.array([-1e-38], np.float32)
    with np.errstate(all="ignore"):
        module = rooms.find(rooms.CONFORMANCE, "reduce_prod")
        (bound,) = module.backward_bound(dy, (x,), {"axes": (1,), "keepdims": False}, (True,))
    np.testing.assert_array_equal(bound, np.full(x.shape, UNDEFINED))

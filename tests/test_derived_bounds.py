"""Bounds that the reference's own formulas give: those that are written by hand, and valid at OpenCL's limits."""

import inspect
import math
import types

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import refcnn as rm
from refcnn import rooms, special
from refcnn.conformance.judging import comparison, judge
from refcnn.conformance.operations import activation, adam, arithmetic, elementary, loss, reduction, sgd
from refcnn.conformance.theory.approximation import Approximation
from refcnn.conformance.theory.bounds import UNDEFINED, subnormals
from refcnn.conformance.theory.derived import Derived
from refcnn.conformance.theory.strategies import Case
from refcnn.reference import activation as formulas
from refcnn.reference import adam as adam_formula
from refcnn.reference import sgd as sgd_formula

from .test_bounds import REFERENCE, Device, note, seeds, worst_of_orders

DERIVED = {
    stem: room
    for page in (activation, arithmetic, elementary, loss, reduction)
    for stem, room in page.OPERATIONS.items()
    if isinstance(room, Derived)
}

#: Units in the last place that OpenCL's specification allows.
UNITS = {np.exp: 3, np.log: 3, np.log1p: 2, np.expm1: 3, np.sqrt: 3, np.tanh: 5, np.power: 16, np.true_divide: 2.5}
UNITS |= {special.ERF: 16, special.ERFC: 16}


class AtTheLimit(np.lib.mixins.NDArrayOperatorsMixin):
    """float32 numbers of which NumPy's functions are as wrong as OpenCL lets them be, and sums of any order."""

    def __init__(self, values, device):
        self.values, self.device = np.asarray(values, np.float32), device
        self.dtype, self.shape, self.ndim = self.values.dtype, self.values.shape, self.values.ndim

    def __array_ufunc__(self, ufunc, method, *inputs):
        arrays = [_float32(entry) for entry in inputs]
        if ufunc not in UNITS:
            return self._wrapped(ufunc(*arrays))
        exact = np.float64(ufunc(*(array.astype(np.float64) for array in arrays)))
        return self._wrapped(self.device._nudged(exact, UNITS[ufunc]))

    def __array_function__(self, function, types, arguments, keywords):
        return self._wrapped(function(*(_float32(entry) for entry in arguments[:3]), **keywords))

    def sum(self, axis, keepdims, dtype=None):
        axis = axis if isinstance(axis, tuple) else (axis % self.ndim,)
        kept = [size for place, size in enumerate(self.shape) if place not in axis]
        rows = np.moveaxis(self.values, axis, range(-len(axis), 0)).reshape(*kept, -1)
        total = self.device.sum(rows, -1)
        shape = [1 if place in axis else size for place, size in enumerate(self.shape)]
        return self._wrapped(total.reshape(shape if keepdims else kept))

    def max(self, **options):
        return self._wrapped(self.values.max(**options))

    def prod(self, axis, keepdims, dtype):
        return self._wrapped(self.device.rng.permuted(self.values, axis=axis).prod(axis=axis, keepdims=keepdims))

    def reshape(self, *shape):
        return self._wrapped(self.values.reshape(*shape))

    def __getitem__(self, key):
        return self._wrapped(self.values[key])

    def _wrapped(self, result):
        return result if result.dtype.kind == "b" else AtTheLimit(result, self.device)


def _float32(entry):
    if isinstance(entry, AtTheLimit):
        return entry.values
    if isinstance(entry, list):
        return list(map(_float32, entry))
    is_number = not isinstance(entry, (tuple, range)) and getattr(entry, "dtype", np.dtype(float)).kind != "b"
    return np.float32(entry) if is_number else entry


def at_the_limit(operation, device):
    """An implementation: the reference's formula on such numbers."""
    reference = rooms.require(rooms.REFERENCE, operation)

    def forward(*inputs, **attributes):
        y, saved = reference.forward(*(AtTheLimit(entry, device) for entry in inputs), **attributes)
        return y.values, saved

    def backward(dy, saved, needs, **attributes):
        return tuple(entry.values for entry in reference.backward(AtTheLimit(dy, device), saved, needs, **attributes))

    return types.SimpleNamespace(forward=forward, backward=backward)


@pytest.mark.parametrize("operation", DERIVED)
@given(data=st.data(), seed=seeds)
def test_formulas_at_their_limit_are_within(operation, data, seed):
    case = data.draw(DERIVED[operation].cases("small"))
    assume(all(entry.dtype.kind == "f" for entry in case.inputs))
    with np.errstate(all="ignore"):
        note(worst_of_orders(operation, case, at_the_limit(operation, Device(np.random.default_rng(seed)))), operation)


UPDATES = [stem for stem in rooms.operations() if rooms.find(rooms.OPTIMIZERS, stem) is not None]


@pytest.mark.parametrize("operation", UPDATES)
@given(data=st.data(), seed=seeds)
def test_updates_at_their_limit_are_within(operation, data, seed):
    formula, device = rooms.require(rooms.REFERENCE, operation), Device(np.random.default_rng(seed))

    def forward(*inputs, **attributes):
        results = formula.forward(*(AtTheLimit(entry, device) for entry in inputs), **attributes)
        return tuple(result.values for result in results)

    with np.errstate(all="ignore"):
        case = data.draw(judge.conformance(operation).cases("tiny"))
        note(worst_of_orders(operation, case, types.SimpleNamespace(forward=forward)), operation)


@pytest.mark.parametrize("operation", UPDATES)
def test_bounds_of_updates_are_some_dozens_of_roundings(operation):
    """None is loose: for numbers of ordinary size they are not more than 100 roundings of them."""
    rng = np.random.default_rng(0)
    optimizer = next(one for one in rm.Optimizer.__subclasses__() if one.operation == operation)(lr=0.1)
    w, g, *slots = (rng.uniform(0.5, 2, 50).astype(np.float32) for _ in range(2 + len(optimizer.slots)))
    attributes = optimizer.attributes(step=3)
    results, _ = judge.exact(operation, Case((w, g, *slots), attributes))
    with subnormals(are_kept=True):
        bounds = judge.conformance(operation).forward_bound((w, g, *slots), attributes)
    for result, bound in zip(results, bounds, strict=True):
        assert np.all(bound <= 100 * 2.0**-24 * np.maximum(np.abs(result), 1))


@pytest.mark.parametrize(("module", "formula"), [(adam, adam_formula), (sgd, sgd_formula)])
@given(data=st.data(), are_kept=st.booleans())
def test_formulas_give_the_bounds_that_are_written_by_hand(module, formula, data, are_kept):
    case = data.draw(module.cases("tiny"))
    # With Nesterov's look ahead the hand-written bound takes any order of the sum. Adam's takes two orders of a product
    # and a quotient, which differ below the normal numbers alone, and where something overflows.
    attributes = case.attributes | ({"nesterov": False} if "nesterov" in case.attributes else {})
    underflow = 4 * 2.0**-126 / attributes["epsilon"] if "epsilon" in attributes else 0
    inputs = tuple(np.clip(np.nan_to_num(entry), -1e10, 1e10).astype(np.float32) for entry in case.inputs)
    with subnormals(are_kept), np.errstate(all="ignore"):
        by_hand = module.forward_bound(inputs, attributes)
        derived = formula.forward(*map(Approximation.of_input, inputs), **attributes)
        for result, bound in zip(derived, by_hand, strict=True):
            np.testing.assert_allclose(result.bound, bound, rtol=1e-15, atol=underflow)


@pytest.mark.parametrize("operation", DERIVED)
def test_derived_bounds_are_some_dozens_of_roundings(operation):
    """None is loose: for numbers of ordinary size and no cancellation they are not more than 100 roundings."""
    rng = np.random.default_rng(0)
    room = DERIVED[operation]
    x = rng.uniform(0.5, 2, (3, 4)).astype(np.float32)
    parameters = inspect.signature(rooms.function(operation)).parameters.values()
    attributes = {one.name: one.default for one in parameters if one.kind == one.KEYWORD_ONLY}
    attributes |= {"axes": (1,)} if operation in reduction.OPERATIONS else {}
    attributes |= {"min": -1.0, "max": 1.0} if operation == "clip" else {}
    inputs = (x, x[::-1]) if operation in (*arithmetic.OPERATIONS, *loss.OPERATIONS) else (x,)
    (y,), _ = judge.exact(operation, Case(inputs, attributes), (False,) * len(inputs))
    with subnormals(are_kept=True):
        assert np.all(room.forward_bound(inputs, attributes) <= 100 * 2.0**-24 * np.maximum(np.abs(y), 1))


def test_an_open_condition_takes_the_hull_of_both_branches():
    x = Approximation(np.array([1.0, 0.25, -0.25, -1.0, 0.0]), np.array([0.5, 0.5, 0.5, 0.5, 0.0]))
    y = np.where(x > 0, 10, x)
    np.testing.assert_array_equal(y.exact, [10, 10, -0.25, -1, 0])
    np.testing.assert_array_equal(y.error, [0, 10.25, 10.25, 0.5, 0])
    lost = np.where(x > 0, np.inf, x)
    np.testing.assert_array_equal(lost.bound, [0, -1, np.inf, 0.5, 0])
    np.testing.assert_array_equal(np.maximum(x, 0).error, 0.5 * np.array([1, 1, 1, 1, 0]))
    np.testing.assert_array_equal(np.sign(x).error, [0, 2, 2, 0, 0])
    np.testing.assert_array_equal(np.abs(x).error, x.error)
    both = (x > 0) & (x > -9)
    np.testing.assert_array_equal(np.where(both, 1, 0).error, [0, 1, 1, 0, 0])


def test_what_is_not_known_is_refused_and_not_computed():
    x = Approximation(np.ones(2))
    for call in (np.sinh, np.cumsum, np.add.reduce, lambda x: np.add(x, x, out=np.ones(2))):
        with pytest.raises(TypeError):
            call(x)


@given(case=activation.OPERATIONS["softplus"].cases("small"), seed=seeds)
def test_another_way_to_compute_softplus_is_within(case, seed):
    """As PyTorch does it, whose digits are as many."""
    with np.errstate(all="ignore"):
        x = AtTheLimit(case.inputs[0], Device(np.random.default_rng(seed)))
        y = np.where(x > 20, x, np.log1p(np.exp(x))).values
        judge.check_forward("softplus", case, REFERENCE, implementation=computing(lambda x: y))


def computing(formula):
    return types.SimpleNamespace(forward=lambda x: (formula(x), None), backward=None)


@pytest.mark.parametrize(
    "product", [lambda dy, y: dy * (y * (1 - y)), lambda dy, y: dy * y * (1 - y), lambda dy, y: dy * (1 - y) * y]
)
@given(data=st.data(), seed=seeds)
def test_factors_of_the_gradient_of_sigmoid_may_be_multiplied_in_any_order(product, data, seed):
    """Down to the subnormal numbers, where each product loses digits of its own."""
    size = data.draw(st.sampled_from([1, 1e-30, 1e-38, 1e-41]))
    case = Case((np.float32([6, 2, 0, -4, -3, -8]),), {}, np.float32(size * np.arange(1, 7)))
    limit = AtTheLimit(case.inputs[0], Device(np.random.default_rng(seed)))
    gradient = types.SimpleNamespace(
        forward=lambda x: (None, formulas.sigmoid(limit)),
        backward=lambda dy, y, needs: (product(AtTheLimit(dy, limit.device), y).values,),
    )
    with np.errstate(under="ignore"):
        judge.check_backward("sigmoid", case, REFERENCE, implementation=gradient)


@pytest.mark.parametrize(
    ("operation", "formula", "x"),
    [
        ("sigmoid", lambda x: (1 + np.tanh(x / 2)) / 2, -9),
        ("sigmoid", lambda x: 1 - 1 / (1 + np.exp(x)), -9),
        ("softplus", lambda x: np.log(1 + np.exp(x)), -9),
        ("softplus", lambda x: np.where(x > 9, x, np.log1p(np.exp(x))), 9.5),
        ("tanh", lambda x: 1 - 2 / (np.exp(2 * x) + 1), 2.0**-9),
    ],
)
def test_a_formula_in_which_digits_cancel_is_wrong(operation, formula, x):
    case = Case((np.full(4, x, np.float32),), {})
    with pytest.raises(comparison.ConformanceFailure):
        judge.check_forward(operation, case, REFERENCE, implementation=computing(formula))


@pytest.mark.parametrize(("step", "is_at"), [(np.floor, 2.0), (np.ceil, 2.0), (np.rint, 2.5)])
@given(distance=st.floats(2.0**-20, 0.4), error=st.floats(0, 0.4))
def test_a_function_that_steps_is_open_within_the_error_of_its_argument(step, is_at, distance, error):
    for x in (is_at - distance, is_at + distance):
        found = step(Approximation(np.float64([x]), error))
        assert found.exact == step(x)
        assert found.bound == (1 if step(x - error) != step(x + error) else 0)
    assert step(Approximation(is_at)).bound == 0


@given(x=st.floats(-10, 10), error=st.floats(0, 3), share=st.floats(-1, 1))
def test_the_error_functions_know_what_their_argument_s_error_makes_of_them(x, error, share):
    for function, exact in ((special.erf, math.erf), (special.erfc, math.erfc)):
        found = function(Approximation(np.float64([x]), error))
        assert found.exact == exact(x)
        assert abs(exact(x + share * error) - exact(x)) <= found.bound[0]
        # 16 units in the last place, and what is too small for normal numbers, where the argument is exact.
        at_once = function(Approximation(np.float64([x]))).bound[0]
        assert 32 * 2.0**-24 * abs(exact(x)) <= at_once <= 33 * 2.0**-24 * abs(exact(x)) + 2.0**-120


@pytest.mark.parametrize("base", [-2, -0.0])
@pytest.mark.parametrize("exponent", [2.0**-30, -(2.0**-30)])
def test_a_power_of_a_negative_base_is_open_where_the_rounded_exponent_may_be_whole(base, exponent):
    # b - 1 is rounded to -1, of which there is a power, where the exact one has none, or one with another sign.
    case = Case((np.full(3, base, np.float32), np.full(3, exponent, np.float32)), {}, np.ones(3, np.float32))
    judge.check_backward("power", case, REFERENCE)
    with np.errstate(invalid="ignore"):
        bounds = DERIVED["power"].backward_bound(case.dy, case.inputs, {}, (True, True))
        positive = DERIVED["power"].backward_bound(case.dy, (-case.inputs[0], case.inputs[1]), {}, (True, True))
    assert np.all(bounds[0] == UNDEFINED)
    assert np.all((positive[0] != UNDEFINED) & np.isfinite(positive[0]))


def test_a_gradient_of_a_power_of_a_negative_base_is_judged_where_the_exponent_is_a_small_integer():
    # b - 1 is rounded nowhere then.
    a, b = np.repeat(np.float32([-3, -0.5, 2.25]), 3), np.tile(np.float32([2, 3, -4]), 3)
    case = Case((a, b), {}, np.ones(9, np.float32))
    bounds = DERIVED["power"].backward_bound(case.dy, case.inputs, {}, (True, True))
    exact = b.astype(np.float64) * a.astype(np.float64) ** (b - 1)
    assert np.all((bounds[0] >= 0) & (bounds[0] <= 100 * 2.0**-24 * np.abs(exact)))


@pytest.mark.parametrize(
    ("a", "b", "is_exact"), [(5, -3, True), (1, 2.0**-23, True), (1, 2.0**-25, False), (0.1, 0.2, False), (0, 0, True)]
)
def test_sums_and_products_that_the_format_holds_are_rounded_nowhere(a, b, is_exact):
    a, b = Approximation.of_input(np.float32([a])), Approximation.of_input(np.float32([b]))
    assert ((a + b).bound == 0) == is_exact
    once = Approximation.of_input(np.float32([3]))
    assert (once * (a + b)).bound > 0 or is_exact
    assert (once * a).bound == 0 or a.exact == np.float32(0.1)
    # What is off already is rounded as ever.
    assert (Approximation(np.float64([2]), 1e-9) + once).bound > 1e-9


@pytest.mark.parametrize("are_kept", [True, False])
def test_what_is_rounded_nowhere_may_still_be_flushed(are_kept):
    with subnormals(are_kept):
        product = Approximation(2.0**-127) * Approximation(1.0)
    assert product.exact == 2.0**-127
    assert (product.bound == 0) if are_kept else (product.bound >= 2.0**-127)


def _swish_slope_by_difference(x, dy):
    y = 1 / (1 + np.exp(-x / 2))
    return dy * (y + x / 2 * (y * (1 - y)))


def _mish_slope_by_rule(x, dy):
    share = np.tanh(np.logaddexp(0, x))
    return dy * (share + x / (1 + np.exp(-x)) * (1 - share * share))


@pytest.mark.parametrize(
    ("operation", "attributes", "other", "is_gradient"),
    [
        ("hard_swish", {}, lambda x, dy: x * np.clip(x + 3, 0, 6) / 6, False),
        ("swish", {"alpha": 0.5}, _swish_slope_by_difference, True),
        ("mish", {}, _mish_slope_by_rule, True),
    ],
)
def test_formulas_of_others_are_right_and_a_thousandth_is_not(operation, attributes, other, is_gradient):
    """PyTorch's, each of which was called wrong where digits cancel that the reference keeps, or at one rounding."""
    x = np.concatenate([np.linspace(-8, 40, 5000), [-0.0013183325, 30.0]]).astype(np.float32)
    dy = np.full_like(x, 5)
    case = Case((x,), attributes, dy)
    (y,), (dx,) = judge.exact(operation, case)
    room = DERIVED[operation]
    if is_gradient:
        exact, (bound,) = dx, room.backward_bound(dy, case.inputs, attributes, (True,))
    else:
        exact, bound = y, room.forward_bound(case.inputs, attributes)
    assert comparison.verdict(other(x, dy), exact, bound, dtype=np.float32).within
    wrong = other(x, dy)
    wrong[np.searchsorted(x[:5000], 1)] *= np.float32(1.001)
    assert not comparison.verdict(wrong, exact, bound).within
    # Of what is not finite no more is open than by the reference's formula.
    limits, own = (np.array([np.inf, -np.inf, np.nan], np.float32),), Derived(formulas.OPERATIONS[operation], None)
    found, expected = (
        (one.forward_bound(limits, attributes), *one.backward_bound(dy[:3], limits, attributes, (True,)))
        for one in (room, own)
    )
    np.testing.assert_array_equal(found, expected)


def test_the_textbook_gradient_of_cross_entropy_is_right():
    """p - t, whose digits cancel: PyTorch gives -0.07194495 for a logit of 4, a target of 1 and a gradient of 4."""
    x, t, dy = (np.array([value], np.float32) for value in (4, 1, 4))
    case = Case((x, t), {"reduce_sum": False}, dy)
    _, (exact, _) = judge.exact("sigmoid_cross_entropy", case)
    bound, _ = DERIVED["sigmoid_cross_entropy"].backward_bound(dy, case.inputs, case.attributes, (True, True))
    for number, is_right in ((-0.07194495, True), (-0.0719, False)):
        assert comparison.verdict(np.array([number], np.float32), exact, bound).within == is_right

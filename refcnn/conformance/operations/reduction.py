"""Reductions: cases and error bounds; those of most follow from the reference's formulas."""

import math

import numpy as np
from hypothesis import strategies as st

from ... import formats
from ...reference import reduction as reference
from ..theory.approximation import Approximation
from ..theory.bounds import (
    QUOTIENT_ROUNDINGS,
    UNDEFINED,
    extreme_error,
    gamma,
    input_error,
    may_overflow,
    number_format,
    underflow,
)
from ..theory.derived import Derived
from ..theory.examples import of_shapes
from ..theory.probable import Sum
from ..theory.random_numbers import planes
from ..theory.strategies import FEW_NOT_FINITE, Case, arrays, exact_arrays, shapes, subnormal_numbers

_SPECIAL = {"special": (*FEW_NOT_FINITE["special"], *subnormal_numbers()), "shares": FEW_NOT_FINITE["shares"]}
#: How many bits whole numbers have, at most, so that none of their sums overflows, or of their squares: runtimes differ
#: in what they make of those, and in whether they know all digits of sums beyond 2^53.
_OF_SUMS, _OF_SQUARES = ({formats.INT64: 31, formats.INT32: 13}, {formats.INT64: 17, formats.INT32: 6})


def _cases_of(numbers, whole_numbers=None):
    """Return the ``cases`` of a reduction, given what draws floats of a shape, and the bits of whole ones by format."""
    whole_numbers = whole_numbers or {}

    @st.composite
    def cases(draw, size="small", integers=False):
        """Draw an array of any shape, and which of its axes to reduce."""
        shape = draw(shapes(size))
        axes = tuple(axis for axis in range(len(shape)) if draw(st.booleans()))
        attributes = {"axes": axes, "keepdims": draw(st.booleans())}
        of = draw(st.sampled_from((None, None, None, *whole_numbers)))
        if of is not None:
            return Case((draw(_whole_numbers(shape, of, whole_numbers[of])),), attributes)
        x = draw(numbers(shape, integers, axes))
        y, _ = reference.OPERATIONS["reduce_sum"].forward(x, **attributes)
        return Case((x,), attributes, draw(arrays(y.shape, integers, special=_SPECIAL["special"])))

    return cases


@st.composite
def _whole_numbers(draw, shape, of, bits):
    """Draw whole numbers of all sizes up to so many bits; of 0 bits 1 and -1, and seldom others; of None any."""
    if bits is None:
        return draw(exact_arrays(shape, of))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if bits:
        return (rng.integers(-(2**bits), 2**bits, shape, endpoint=True) >> rng.integers(0, bits, shape)).astype(
            of.dtype
        )
    values = rng.choice((1, -1), shape)
    values.flat[rng.integers(0, values.size, 5)] = rng.integers(-30, 30, 5)
    return values.astype(of.dtype)


def _any_numbers(shape, integers, axes):
    return arrays(shape, integers, **_SPECIAL)


#: What much of an array may be, and how much.
_OFTEN = (*[(None, ())] * 4, (-np.inf, (0.9, 1)), (np.inf, (0.9, 1)), (np.nan, (0.01, 0.2, 0.5)))


@st.composite
def _often_the_same(draw, shape, integers, axes):
    """Draw the same; at times much of the array is infinite, so that it is the extreme somewhere, or NaN."""
    value, shares = draw(st.sampled_from(_OFTEN))
    if integers or value is None:
        return draw(arrays(shape, integers, **_SPECIAL))
    return draw(arrays(shape, special=(value,), shares=shares))


@st.composite
def _often_zero(draw, shape, integers, axes):
    """Draw any numbers; at times most of them are 0."""
    if integers or draw(st.integers(0, 3)):
        return draw(_any_numbers(shape, integers, axes))
    return draw(arrays(shape, special=(0.0,), shares=(0.9, 1)))


@st.composite
def _factors(draw, shape, integers, axes):
    """Draw numbers whose products often stay finite, and above 0: near 1 or -1 in proportion to how many there are."""
    if draw(st.integers(0, 3)) == 0:
        return draw(arrays(shape, integers, **_SPECIAL))
    count = max(1, int(np.prod([shape[axis] for axis in axes])))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    exponents = rng.uniform(-1, 1, shape) * draw(st.sampled_from((0.1, 3.0, 80.0 / np.sqrt(count), 0.0)))
    values = np.exp2(exponents) * rng.choice((-1, 1), shape)
    share = draw(st.sampled_from((0, 0, 1 / count)))
    return np.where(rng.random(shape) < share, 0, values).astype(number_format().dtype)


@st.composite
def _with_positive_sums(draw, shape, integers, axes):
    """Draw numbers whose sums are positive as a rule."""
    x = draw(arrays(shape, integers, **_SPECIAL))
    return draw(st.sampled_from((np.abs(x), np.abs(x), x)))


@st.composite
def _exponents(draw, shape, integers, axes):
    """Draw exponents, small and large, some of which are excluded by -infinity."""
    special = draw(st.sampled_from(({}, {"special": (-np.inf,), "shares": (0.2, 1)}, _SPECIAL)))
    return draw(arrays(shape, integers, scales=(1.0, 1e-3, 10.0, 1e3, 1e30), **special))


@st.composite
def place_cases(draw, size="small", integers=False):
    """Draw an array of any shape, of floats or integers, with equal elements as a rule, and one of its axes."""
    shape = draw(shapes(size))
    of = draw(st.sampled_from((None, None, formats.INT64, formats.INT32)))
    x = draw(_often_the_same(shape, integers, None) if of is None else exact_arrays(shape, of))
    attributes = {"keepdims": draw(st.booleans()), "select_last_index": draw(st.booleans())}
    return Case((x,), {"axis": draw(st.integers(0, len(shape) - 1)), **attributes})


def _edges(case):
    """Which axes are reduced."""
    (x,), axes = case.inputs, case.attributes["axes"]
    inner = [axis in axes for axis, side in enumerate(x.shape) if side > 1]
    return {
        "no axes": not axes,
        "all axes": len(axes) == x.ndim,
        "the last axis kept": x.ndim - 1 not in axes,
        "reduced axes apart": sum(now and not before for before, now in zip([False, *inner], inner, strict=False)) > 1,
    }


#: Rows that become a number each.
_examples = of_shapes((2, 4), dy=(2,), least=1, axes=(1,), keepdims=False)


class _Derived(Derived):
    """Of integers nothing is rounded: they wrap around, whatever the order."""

    edges, examples = staticmethod(_edges), staticmethod(_examples)

    def forward_bound(self, inputs, attributes, errors=None):
        """By running error analysis of the reference's formula."""
        if inputs[0].dtype.kind != "f":
            return np.zeros(())
        return super().forward_bound(inputs, attributes, errors)


def _derived(stem, numbers=_any_numbers, whole_numbers=None, **traits):
    return _Derived(reference.OPERATIONS[stem], _cases_of(numbers, whole_numbers), **traits)


def _is_summed(is_mean):
    """Return the traits of a sum, or of a mean."""

    def sums(case):
        """Of all along the axes."""
        terms = math.prod(case.inputs[0].shape[axis] for axis in case.attributes["axes"])
        return Sum(terms, 1 / terms, QUOTIENT_ROUNDINGS) if is_mean else Sum(terms), (None,)

    def random_cases(direction):
        """Draw few or many numbers, along the axes that are reduced or one more."""
        if direction == "backward":
            return None
        ways = st.sampled_from(({"axes": (2, 3), "keepdims": False}, {"axes": (0, 2, 3), "keepdims": True}))
        return st.builds(lambda x, way: Case((x,), way, random_signs=True), planes(), ways)

    return {"sums": sums, "random_cases": random_cases}


def _has_sums(are_positive=False):
    """Return the trait of what adds up functions of the numbers along its axes, or the numbers, if they are above 0."""

    def of_plane(x):
        attributes = {"axes": (2, 3), "keepdims": False}
        return Case((np.abs(x) if are_positive else x,), attributes, random_signs=True)

    return {"random_cases": lambda direction: planes().map(of_plane) if direction == "forward" else None}


def _log_sum_exp(x):
    """y = m + log(sum of e^(x - m)); where m is not finite, so is y, and as what it is."""
    m = x.max(axis=-1)
    is_finite = np.isfinite(m.exact)
    m = Approximation(np.where(is_finite, m.exact, 0), np.where(is_finite, m.error, 0))
    y = m + (x - m).exp(x.is_far_below(m)).sum(axis=-1).log()
    return Approximation(y.exact, np.where(is_finite, y.error, 0))


def _of_log_sum_exp(dy, x, y):
    return dy * (x - y).exp(x.is_far_below(y))


def _product(x):
    """n - 1 roundings in any order."""
    return _product_of(x, lambda factors: factors.prod(axis=-1, keepdims=True), x.shape[-1])


def _of_product(dy, x, y):
    """dy is one more factor of each product of others, which may come first."""
    factors = Approximation(*(np.concatenate(pair, axis=-1) for pair in ((x.exact, dy.exact), (x.error, dy.error))))
    return _product_of(factors, lambda factors: reference.products_of_others(factors)[..., :-1], x.shape[-1])


def _product_of(x, product, factors):
    """Return a product of factors, multiplied in any order, that are found in x by a function.

    A partial product is at most that of all magnitudes above 1, and at least that of all below. Where the latter may
    be too small for the normal numbers, it is off by so much, which further factors make larger. What is exactly 0
    makes it 0, unless another partial product overflows.
    """
    magnitude, is_finite = np.abs(x.exact) + x.error, np.isfinite(x.exact)
    is_zero = (x.exact == 0) & (x.error == 0)
    largest = product(np.where(is_finite, np.maximum(magnitude, 1), 1))
    least = np.where(is_finite & ~is_zero, np.clip(np.abs(x.exact) - x.error, 0, 1), 1)
    is_small = product(least) < number_format().smallest_normal
    of_finite, exact = product(np.where(is_finite, magnitude, 1)), product(x.exact)
    roundings = max(factors - 1, 0)
    error = of_finite - product(np.where(is_finite, np.abs(x.exact), 1)) + gamma(roundings) * of_finite
    error = error + np.where(is_small, roundings * underflow() * largest * (1 + gamma(roundings)), 0)
    has_zero, has_infinite = product(np.where(is_zero, 0.0, 1)) == 0, product(np.where(is_finite, 1.0, 0)) == 0
    error = np.where(has_zero, 0, error)
    is_lost = may_overflow(largest) & (factors > 1) | (has_infinite & is_small) | ~np.isfinite(error)
    # In another order even the exact answer may overflow, so that what was found here tells nothing then.
    return Approximation(np.where(is_lost, np.nan, exact), np.where(is_lost, np.inf, np.where(has_infinite, 0, error)))


class Extreme:
    """The largest, or with the sign -1 the smallest: exact, and no error grows in it."""

    EXACT_ON_INTEGERS = True

    cases = staticmethod(_cases_of(_often_the_same, dict.fromkeys(formats.EXACT)))
    edges, examples = staticmethod(_edges), staticmethod(_examples)

    def __init__(self, sign):
        self._sign = sign

    def forward_bound(self, inputs, attributes, errors=None):
        """|max of a - max of b| <= max of |a - b|."""
        error = input_error(inputs[0], errors and errors[0])
        over = {"axis": attributes["axes"], "keepdims": attributes["keepdims"]}
        with np.errstate(invalid="ignore"):
            extreme = self._sign * (self._sign * inputs[0].astype(np.float64)).max(**over, initial=-np.inf)
        return extreme_error(extreme, error.max(**over, initial=0))

    def backward_bound(self, dy, inputs, attributes, needs):
        """Each dy is passed on to the first of the largest, or the first NaN; which it is may be open.

        It is so where x may be flushed, of those that may be the largest then.
        """
        if not needs[0]:
            return (None,)
        (x,), axes = inputs, attributes["axes"]
        kept = [1 if axis in axes else side for axis, side in enumerate(x.shape)]
        dy = np.broadcast_to(dy.reshape(kept), x.shape)
        error = input_error(x)
        is_candidate = _may_be_largest(self._sign * x, error, axes)
        is_open = (is_candidate & (error > 0)).any(axis=axes, keepdims=True) & is_candidate
        bound = np.where(is_open, np.where(np.isfinite(dy), np.abs(dy), np.inf), 0) + input_error(dy)
        return (np.where(is_open & ~np.isfinite(dy), UNDEFINED, bound),)


class PlaceOfExtreme:
    """Where the largest is, or with the sign -1 the smallest: open where x may be flushed, or is off itself."""

    HAS_GRADIENT = False
    EXACT_ON_INTEGERS = True

    cases = staticmethod(place_cases)
    examples = staticmethod(of_shapes((2, 4), axis=1, keepdims=False, select_last_index=False))

    def __init__(self, sign):
        self._sign = sign

    def forward_bound(self, inputs, attributes, errors=None):
        """As far as the first and the last that may be the largest are from each other, unless it is sure which is."""
        (x,), axis = inputs, attributes["axis"]
        error = input_error(x, errors and errors[0]) if x.dtype.kind == "f" else np.zeros(x.shape)
        is_candidate = _may_be_largest(self._sign * x.astype(np.float64), error, axis)
        is_open = (is_candidate & (error > 0)).any(axis=axis, keepdims=True) & is_candidate
        places = np.arange(x.shape[axis]).reshape([-1 if one == axis else 1 for one in range(x.ndim)])
        ends = [np.where(is_open, places, other) for other in (-1, x.shape[axis])]
        distance = np.maximum(ends[0].max(axis, keepdims=True) - ends[1].min(axis, keepdims=True), 0)
        return distance if attributes["keepdims"] else distance.squeeze(axis)

    def backward_bound(self, dy, inputs, attributes, needs):
        """None, as there is no gradient."""
        return (None,)

    @staticmethod
    def edges(case):
        """Which of several that are equal is wanted, and along which axis."""
        (x,), axis = case.inputs, case.attributes["axis"]
        inner = int(np.prod(x.shape[axis + 1 :]))
        return {"the last axis": inner == 1, "an axis further to the front": inner > 1}


def _may_be_largest(x, error, axes):
    """Return where the largest of those that may be off may be; nowhere where one is NaN, which is the largest."""
    return x + error >= (x - error).max(axis=axes, keepdims=True)


OPERATIONS = {
    "arg_max": PlaceOfExtreme(1),
    "arg_min": PlaceOfExtreme(-1),
    "reduce_l1": _derived("reduce_l1", whole_numbers=_OF_SUMS, EXACT_ON_INTEGERS=True, **_has_sums()),
    "reduce_l2": _derived("reduce_l2", _often_zero, **_has_sums()),
    "reduce_log_sum": _derived("reduce_log_sum", _with_positive_sums, **_has_sums(are_positive=True)),
    "reduce_log_sum_exp": _Derived(
        reference.Reduction(_log_sum_exp, _of_log_sum_exp), _cases_of(_exponents), **_has_sums()
    ),
    "reduce_max": Extreme(1),
    "reduce_mean": _derived("reduce_mean", **_is_summed(is_mean=True)),
    "reduce_min": Extreme(-1),
    "reduce_prod": _Derived(
        reference.Reduction(_product, _of_product), _cases_of(_factors, {formats.INT64: 0, formats.INT32: 0})
    ),
    "reduce_sum": _derived("reduce_sum", whole_numbers=_OF_SUMS, EXACT_ON_INTEGERS=True, **_is_summed(is_mean=False)),
    "reduce_sum_square": _derived(
        "reduce_sum_square", whole_numbers=_OF_SQUARES, EXACT_ON_INTEGERS=True, **_has_sums()
    ),
}

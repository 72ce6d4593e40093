"""Formulas on exact numbers that know how far float results in their place may be off.

Functions. The OpenCL C specification (table "ULP values for single precision
built-in math functions", full profile) allows exp, log, expm1 and sqrt 3 units
in the last place, log1p 2, tanh 5, pow, erf and erfc 16 and division 2.5; the
extended versions of the specification name this section "Relative Error as
ULPs". One unit in the last place of v is at most 2 U |v|, so k units count as
2 k roundings. floor, ceil and rint are exact.
"""

import functools
import math
import types

import numpy as np

from ... import special
from . import probable
from .bounds import (
    QUOTIENT_ROUNDINGS,
    UNDEFINED,
    are_subnormals_kept,
    extreme_error,
    gamma,
    input_error,
    may_overflow,
    number_format,
    underflow,
)
from .factors import Factors

# exp of what is this far below 0 is 0, in float64 too.
_FAR = 1000.0

EXP_ULP = 3.0
EXPM1_ULP = 3.0
LOG_ULP = 3.0
LOG1P_ULP = 2.0
TANH_ULP = 5.0
POW_ULP = 16.0
ERF_ULP = 16.0
ERFC_ULP = 16.0
SQRT_ULP = 3.0


def _is_held(value):
    """Return where float64 numbers are normal numbers of the format, or 0, a bool ndarray."""
    of, magnitude = number_format(), np.abs(value)
    with np.errstate(over="ignore"):
        is_number = (value == value.astype(of.dtype)) & (magnitude <= of.largest)
    return is_number & ((value == 0) | (magnitude >= of.smallest_normal))


def _or_any(exact, error, magnitude, is_lost):
    """Return the error of a result that is computed from others, and infinity where it can be anything.

    A number can be anything that may overflow, or is computed from what can be anything. NaN and infinity are
    computed as such from exact ones.
    """
    is_lost = is_lost | (np.isfinite(exact) & (np.isnan(error) | may_overflow(magnitude)))
    return np.where(is_lost, np.inf, np.where(np.isfinite(exact), error, 0))


class Condition:
    """Where a condition on :class:`Approximation` holds for the exact numbers, and where the computed ones agree.

    Attributes
    ----------
    holds, is_sure : ndarray of bool
    """

    def __init__(self, holds, is_sure):
        self.holds, self.is_sure = holds, is_sure

    @property
    def bound(self):
        """How far the computed truth value may be off: 1 where it is not sure."""
        return np.where(self.is_sure, 0.0, 1.0)

    def __and__(self, other):
        is_surely_not = (self.is_sure & ~self.holds) | (other.is_sure & ~other.holds)
        return Condition(self.holds & other.holds, (self.is_sure & other.is_sure) | is_surely_not)

    def __array_function__(self, function, types, arguments, keywords):
        return Approximation.__array_function__(self, function, types, arguments, keywords)


class Approximation(np.lib.mixins.NDArrayOperatorsMixin):
    """Exact numbers, and how far results in floats in their place may be off: running error analysis.

    Each operation gives the exact result and a bound of the computed one's
    error: what the operands' errors make of it, then the rounding of the
    result as large as it may have become, then its underflow.
    Source: Higham, section 3.3.

    Functions of NumPy take it too, so that a formula of :mod:`refcnn.reference` that is given such numbers gives its
    own error bound. Numbers beside them are taken as rounded to floats.

    Of what is a product or a quotient the factors are known: those of three and more may be multiplied in any order,
    whatever the formula's own is (:mod:`.factors`).

    Attributes
    ----------
    exact, error : ndarray of float64
    factors : Factors or None
        None of what is none of several factors.
    """

    def __init__(self, exact, error=0.0, factors=None):
        self.exact = np.asarray(exact, dtype=np.float64)
        self.error = np.broadcast_to(np.asarray(error, dtype=np.float64), self.exact.shape)
        self.factors = factors

    @classmethod
    def of_input(cls, x, error=None):
        """An input of the operation."""
        return cls(x, input_error(np.asarray(x), error))

    @classmethod
    def of_attribute(cls, value):
        """Numbers that are rounded to floats once: an attribute, or what the host computes from attributes."""
        value = np.asarray(value, dtype=np.float64)
        error = number_format().roundoff * np.abs(value) + underflow()
        return cls(value, np.where(_is_held(value) | ~np.isfinite(value), 0, error))

    @classmethod
    def _of(cls, value):
        return value if isinstance(value, cls) else cls.of_attribute(value)

    def __array_ufunc__(self, ufunc, method, *inputs, **keywords):
        if method != "__call__" or keywords or ufunc not in _RULES:
            return NotImplemented
        with np.errstate(all="ignore"):
            return _RULES[ufunc](*map(Approximation._of, inputs))

    def __array_function__(self, function, types, arguments, keywords):
        if function not in _RULES:
            return NotImplemented
        with np.errstate(all="ignore"):
            return _RULES[function](*arguments, **keywords)

    @property
    def dtype(self):
        """Has ``type``, by which formulas round their attributes, and the ``kind`` of floats."""
        return types.SimpleNamespace(type=self.of_attribute, kind="f")

    @property
    def shape(self):
        """As of an array."""
        return self.exact.shape

    @property
    def ndim(self):
        """As of an array."""
        return self.exact.ndim

    def reshape(self, *shape):
        """As of an array."""
        return Approximation(self.exact.reshape(*shape), self.error.reshape(*shape))

    def taken(self, places):
        """Those at some places of what it is broadcast to, a bool ndarray."""
        return Approximation(*(np.broadcast_to(entry, places.shape)[places] for entry in (self.exact, self.error)))

    def broadcast_to(self, shape):
        """As NumPy's function."""
        return Approximation(*(np.broadcast_to(entry, shape) for entry in (self.exact, self.error)), self.factors)

    @property
    def bound(self):
        """The error, UNDEFINED where NaN or infinity is computed from what can be anything."""
        return np.where(np.isinf(self.error) & ~np.isfinite(self.exact), UNDEFINED, self.error)

    @functools.cached_property
    def span(self):
        """The least magnitude that a finite computed one may have, but for exact zeros, and the largest."""
        magnitude, is_finite = np.abs(self.exact), np.isfinite(self.exact)
        least = np.maximum(magnitude - self.error, 0)
        is_open = is_finite & self.is_not_zero
        return (
            float(least.min(where=is_open, initial=np.inf)),
            float((magnitude + self.error).max(where=is_finite, initial=0)),
        )

    @property
    def _may_be_zero(self):
        return (self.error > 0) & (np.abs(self.exact) <= self.error)

    @property
    def is_not_zero(self):
        """Where the computed number need not be exactly 0, a bool ndarray."""
        return (self.exact != 0) | (self.error > 0)

    @property
    def is_surely_not_zero(self):
        """Where the computed number cannot be 0, a bool ndarray; NaN is none."""
        return self.is_not_zero & ~self._may_be_zero

    def _rounded(self, exact, error, roundings=1, is_lost=False, is_exact=False, if_not_finite=lambda: False):
        """Return a result after some roundings.

        Parameters
        ----------
        exact, error : ndarray of float64
        roundings : int
        is_lost : ndarray of bool
            Where it can be anything.
        is_exact : ndarray of bool
            Where it is not rounded at all.
        if_not_finite : callable
            Returns where it can be anything too, if something is not finite, or may overflow.
        """
        if roundings == 1:
            # A sum or product of exact numbers, which is rounded once, is exact where it is a number of the format.
            has_no_error = error == 0
            if has_no_error.any():
                is_exact = is_exact | (has_no_error & _is_held(exact))
        magnitude = np.abs(exact) + error
        if np.any(is_exact):
            # What is rounded nowhere may still be flushed.
            is_normal = np.abs(exact) - error >= number_format().smallest_normal
            is_safe = is_exact & (are_subnormals_kept() | is_normal | (magnitude == 0))
            lost = np.where(is_safe, 0, np.where(is_exact, underflow(0), underflow(roundings)))
            total = error + np.where(is_exact, 0, gamma(roundings)) * magnitude + lost
        else:
            total = error + gamma(roundings) * magnitude + underflow(roundings)
        is_finite = np.isfinite(total.max(initial=0)) and not may_overflow(magnitude.max(initial=0))
        if is_finite and not np.any(is_lost):
            # All are numbers, and so are those of which they were computed, as nearly always.
            return Approximation(exact, total)
        return Approximation(exact, _or_any(exact, total, magnitude, is_lost | if_not_finite() | np.isinf(self.error)))

    def __neg__(self):
        return Approximation(-self.exact, self.error, self.factors and self.factors.negated())

    def __add__(self, other):
        other = self._of(other)
        return self._rounded(
            self.exact + other.exact, self.error + other.error, if_not_finite=lambda: np.isinf(other.error)
        )

    def __sub__(self, other):
        return self + -self._of(other)

    @property
    def _is_zero_or_one(self):
        """Where a product with it is rounded nowhere."""
        magnitude = np.abs(self.exact)
        return (self.error == 0) & ((magnitude == 0) | (magnitude == 1))

    def __mul__(self, other):
        other = self._of(other)
        return Factors.of(self).times(Factors.of(other)).in_any_order(self.times(other))

    def times(self, other):
        """The product with another, these two alone."""
        # (a + da)(b + db) - a b = da b + a db + da db
        error = self.error * np.abs(other.exact) + (np.abs(self.exact) + self.error) * other.error

        def may_be_lost():
            found = np.isinf(other.error) | self._may_be_zero & np.isinf(other.exact)
            return found | other._may_be_zero & np.isinf(self.exact)

        is_exact = self._is_zero_or_one | other._is_zero_or_one
        return self._rounded(self.exact * other.exact, error, 1, False, is_exact, may_be_lost)

    def __truediv__(self, other):
        other = self._of(other)
        return Factors.of(self).over(other).in_any_order(self.over(other))

    def over(self, other):
        """The quotient with another, these two alone."""
        # (a + da)/(b + db) - a/b = (da - (a/b) db)/(b + db)
        # Infinite where it may be: whether a sum that cancels is 0 in float64 too depends on its order.
        quotient = np.where(other._may_be_zero, np.inf, self.exact / other.exact)
        smallest = np.maximum(np.abs(other.exact) - other.error, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.where(smallest > 0, (self.error + np.abs(quotient) * other.error) / smallest, np.inf)

        def may_be_lost():
            # 0 / 0 is NaN, also where the numerator alone may be one.
            return np.isinf(other.error) | other._may_be_zero | (self._may_be_zero & (other.exact == 0))

        return self._rounded(quotient, error, QUOTIENT_ROUNDINGS, if_not_finite=may_be_lost)

    def or_as(self, other):
        """The same number where it may be computed in two ways; anything where one way alone gives NaN or infinity."""
        is_same = (self.exact == other.exact) | (np.isnan(self.exact) & np.isnan(other.exact))
        is_lost = ~is_same & ~(np.isfinite(self.exact) & np.isfinite(other.exact))
        return Approximation(self.exact, np.where(is_lost, np.inf, np.maximum(self.error, other.error)))

    def max(self, axis):
        """The largest over an axis (kept): as far off as the one that is furthest off, at most."""
        exact = self.exact.max(axis, keepdims=True)
        return Approximation(exact, extreme_error(exact, self.error.max(axis, keepdims=True)))

    def sum(self, axis=None, keepdims=None, dtype=None, random_signs=False):
        """The sum over an axis or several (kept unless told otherwise), or over all, in any order; always of floats.

        Where all terms have random signs, given what else they are made of, probable bounds are less for it.
        """
        axes = tuple(range(self.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        terms = math.prod(self.shape[one] for one in axes)
        keep = axis is not None if keepdims is None else keepdims
        exact, error = self.exact.sum(axis, keepdims=keep), self.error.sum(axis, keepdims=keep)
        magnitude = (np.abs(self.exact) + self.error).sum(axis, keepdims=keep)
        additions = max(terms - 1, 0)
        # Of few terms the worst is no further off.
        if additions > probable.LAMBDA**2 and probable.noted(exact.size):
            off = probable.of_any_terms(additions) * magnitude
            if random_signs:
                last = [np.moveaxis(entry, tuple(axes), range(-len(axes), 0)) for entry in (self.exact, self.error)]
                last = [entry.reshape(*entry.shape[: entry.ndim - len(axes)], -1) for entry in last]
                off = np.minimum(off, probable.of_random_signs(*last).reshape(off.shape))
        else:
            off = gamma(additions) * magnitude
        bound = error + off + terms * underflow() * (1 + gamma(terms))
        is_lost = np.isinf(self.error).any(axis, keepdims=keep)
        # What is finite may overflow before the infinity of the other sign is added.
        of_finite = np.where(np.isfinite(self.exact), np.abs(self.exact) + self.error, 0).sum(axis, keepdims=keep)
        is_lost = is_lost | may_overflow(of_finite)
        return Approximation(exact, _or_any(exact, bound, magnitude, is_lost))

    @classmethod
    def total(cls, *terms):
        """The sum of several of one shape, in any order."""
        stacked = cls(np.stack([term.exact for term in terms]), np.stack([term.error for term in terms])).sum(axis=0)
        return cls(stacked.exact[0], stacked.error[0])

    def where(self, holds, surely):
        """The same where a condition holds, exactly 0 elsewhere, and either where it holds but not surely."""
        is_lost = ~surely & ~np.isfinite(self.exact)
        return Approximation(np.where(holds, self.exact, 0), np.where(holds, np.where(is_lost, np.inf, self.error), 0))

    def weighted(self, weight):
        """The product with a weight, which takes no part where it is 0, even of what is not finite."""
        return (self * weight).where(weight.is_not_zero, weight.is_surely_not_zero)

    def is_far_below(self, other):
        """Return where the difference to another is surely so far below 0 that its exp is 0, a bool ndarray.

        The difference may pass LARGEST there, and its error be infinite.
        """
        return self.exact - other.exact + self.error + other.error < -_FAR

    def exp(self, vanishes=False):
        """The exponential function, whose argument's error e gives exp(v + e) - exp(v).

        Parameters
        ----------
        vanishes : ndarray of bool, optional
            Where the argument is known to be far below 0, perhaps -infinity, whatever its error is.
        """
        argument, error = np.where(vanishes, -np.inf, self.exact), np.where(vanishes, 0, self.error)
        exact = np.exp(argument)
        return Approximation(exact, error)._rounded(exact, np.exp(argument + error) - exact, 2 * EXP_ULP)

    def expm1(self):
        """exp(v) - 1, whose argument's error e gives exp(v + e) - exp(v)."""
        error = np.exp(self.exact) * np.expm1(self.error)
        return self._rounded(np.expm1(self.exact), error, 2 * EXPM1_ULP)

    def log(self):
        """The natural logarithm, whose argument's error e gives log(v) - log(v - e)."""
        with np.errstate(divide="ignore"):
            error = -np.log1p(-np.minimum(self.error / self.exact, 1))
        # Infinite where it may be, as a quotient.
        exact = np.where(self._may_be_zero, -np.inf, np.log(self.exact))
        return self._rounded(exact, error, 2 * LOG_ULP, self._may_be_zero)

    def log1p(self):
        """log(1 + v), whose argument's error e gives log(1 + v) - log(1 + v - e)."""
        with np.errstate(divide="ignore"):
            error = -np.log1p(-np.minimum(self.error / (1 + self.exact), 1))
        may_be_least = (self.error > 0) & (np.abs(1 + self.exact) <= self.error)
        exact = np.where(may_be_least, -np.inf, np.log1p(self.exact))
        return self._rounded(exact, error, 2 * LOG1P_ULP, may_be_least)

    def tanh(self):
        """The hyperbolic tangent, whose argument's error e gives at most e, and tanh(v) - tanh(|v| - e)."""
        exact, magnitude = np.tanh(self.exact), np.abs(self.exact)
        error = np.minimum(self.error, np.tanh(magnitude) - np.tanh(magnitude - self.error))
        return self._rounded(exact, error, 2 * TANH_ULP)

    def erf(self):
        """The error function: see :meth:`_erf_error`."""
        return self._rounded(special.erf(self.exact), self._erf_error(), 2 * ERF_ULP)

    def erfc(self):
        """1 - erf(v): see :meth:`_erf_error`."""
        return self._rounded(special.erfc(self.exact), self._erf_error(), 2 * ERFC_ULP)

    def _erf_error(self):
        """The argument's error e times the steepest slope from v - e to v + e, where v is nearest to 0."""
        nearest = np.maximum(np.abs(self.exact) - self.error, 0)
        return np.where(self.error == 0, 0, self.error * (2 / math.sqrt(math.pi)) * np.exp(-nearest * nearest))

    def stepped(self, step):
        """A function that rises in steps and gives whole numbers, such as floor, which is exact: off by its steps."""
        exact = step(self.exact)
        below, above = step(self.exact - self.error), step(self.exact + self.error)
        error = np.where(self.error == 0, 0, np.maximum(exact - below, above - exact))
        return Approximation(exact, _or_any(exact, error, np.abs(exact) + error, np.isinf(self.error)))

    def sqrt(self):
        """The square root, whose argument's error e gives sqrt(v) - sqrt(v - e), or sqrt(e) at zero."""
        exact = np.sqrt(self.exact)
        lost = np.minimum(self.exact, self.error)
        with np.errstate(invalid="ignore"):
            below = np.where(lost > 0, lost / (exact + np.sqrt(self.exact - lost)), 0)
        above = np.sqrt(self.exact + self.error) - exact
        is_lost = self._may_be_zero & (self.exact < 0)
        return self._rounded(exact, np.maximum(below, above), 2 * SQRT_ULP, is_lost)

    def power(self, other):
        """v^w, monotonic in each operand on either side of v = 0: furthest off in a corner of both intervals, or at 0.

        Where NaN or infinity comes of some of these and not of others, it can be anything. So it can where v may be
        below 0, and w a whole number, for which alone there is a power then, or another; and where v is -0 and w below
        0, since odd numbers alone give -infinity.
        """
        exact = np.power(self.exact, other.exact)
        bases = [self.exact - self.error, self.exact, self.exact + self.error]
        # The error of an input that may be flushed ends at 0.
        bases.append(np.where((bases[0] <= 0) & (bases[2] >= 0), 0, self.exact))
        corners = [np.power(v, other.exact + sign * other.error) for v in bases for sign in (-1, 0, 1)]
        may_be_whole = np.floor(other.exact + other.error) >= np.ceil(other.exact - other.error)
        error = np.zeros(exact.shape)
        is_negative_zero = (bases[0] == 0) & np.signbit(bases[0])
        is_signed = (bases[0] < 0) | is_negative_zero & (other.exact < 0)
        is_lost = np.isinf(other.error) | is_signed & (other.error > 0) & may_be_whole
        for corner in corners:
            is_same = (corner == exact) | (np.isnan(corner) & np.isnan(exact))
            error = np.fmax(error, np.where(is_same, 0, np.abs(corner - exact)))
            is_lost = is_lost | (~is_same & ~(np.isfinite(corner) & np.isfinite(exact)))
        return self._rounded(exact, error, 2 * POW_ULP, is_lost)

    def power_of_magnitude(self, exponent):
        """v^w of what is not below 0 whatever its error is: being monotonic, furthest off at an end of both intervals.

        Parameters
        ----------
        exponent : float
            Above 0; rounded to a float, as a device may be given it.
        """
        exponent = self.of_attribute(exponent)
        exact = np.power(self.exact, exponent.exact)
        ends = np.maximum(self.exact - self.error, 0), self.exact + self.error
        corners = [np.power(v, exponent.exact + sign * exponent.error) for v in ends for sign in (-1, 1)]
        error = np.max([np.abs(corner - exact) for corner in corners], axis=0)
        return self._rounded(exact, np.where(np.isfinite(exact), error, 0), 2 * POW_ULP)

    def _compared(self, compare, other):
        """Return a :class:`Condition`: it is not sure where the intervals meet, unless both are exact."""
        error = self.error + other.error
        is_sure = (error == 0) | ~(np.abs(self.exact - other.exact) <= error)
        return Condition(compare(self.exact, other.exact), is_sure & ~np.isinf(error))

    def _extreme(self, choose, other):
        """The larger or smaller of two: as far off as the one that is further off, at most."""
        exact = choose(self.exact, other.exact)
        error = extreme_error(exact, np.maximum(self.error, other.error))
        return Approximation(exact, np.where(np.isinf(error) | np.isfinite(exact), error, 0))

    @classmethod
    def _choice(cls, condition, first, second):
        """The first where a condition holds, the second elsewhere; the hull of both where it is not sure."""
        if not isinstance(condition, Condition):
            condition = Condition(condition, np.True_)
        first, second = cls._of(first), cls._of(second)
        exact, other = (np.where(holds, first.exact, second.exact) for holds in (condition.holds, ~condition.holds))
        error, of_other = (np.where(holds, first.error, second.error) for holds in (condition.holds, ~condition.holds))
        factors = Factors.choice(condition.holds, first, second)
        is_same = (exact == other) | (np.isnan(exact) & np.isnan(other))
        gap = np.where(is_same, 0, np.abs(other - exact)) + of_other
        is_lost = ~is_same & ~(np.isfinite(exact) & np.isfinite(other))
        error = np.where(condition.is_sure, error, np.where(is_lost, np.inf, np.maximum(error, gap)))
        return cls(exact, error, factors)

    def _sign(self):
        of_zero = Approximation(np.where(np.isnan(self.exact), np.nan, 0))
        below = self._choice(self._compared(np.less, Approximation(0)), -1, of_zero)
        return self._choice(self._compared(np.greater, Approximation(0)), 1, below)


#: What becomes of :class:`Approximation` in functions of NumPy.
_RULES: dict = {
    np.add: lambda a, b: a + b,
    np.subtract: lambda a, b: a - b,
    np.multiply: lambda a, b: a * b,
    np.true_divide: lambda a, b: a / b,
    np.power: Approximation.power,
    np.negative: lambda a: -a,
    np.absolute: lambda a: Approximation(np.abs(a.exact), a.error),
    np.sign: Approximation._sign,
    np.exp: Approximation.exp,
    np.expm1: Approximation.expm1,
    np.log: Approximation.log,
    np.log1p: Approximation.log1p,
    np.sqrt: Approximation.sqrt,
    special.ERF: Approximation.erf,
    special.ERFC: Approximation.erfc,
    np.floor: lambda a: a.stepped(np.floor),
    np.ceil: lambda a: a.stepped(np.ceil),
    np.rint: lambda a: a.stepped(np.rint),
    np.tanh: Approximation.tanh,
    np.maximum: lambda a, b: a._extreme(np.maximum, b),
    np.minimum: lambda a, b: a._extreme(np.minimum, b),
    np.where: Approximation._choice,
    np.broadcast_to: lambda a, shape: a.broadcast_to(shape),
    np.copy: lambda a, order: a,
    np.moveaxis: lambda a, *axes: Approximation(*(np.moveaxis(entry, *axes) for entry in (a.exact, a.error))),
}
_COMPARISONS = (np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal)
_RULES |= {one: functools.partial(lambda compare, a, b: a._compared(compare, b), one) for one in _COMPARISONS}

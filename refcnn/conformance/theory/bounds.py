"""How far a correct computation in floats may be from the exact result.

The format of the floats, :func:`number_format`, is float32, or what
:func:`computed_in` says; U, TINY and LARGEST below are its unit roundoff, its
smallest normal and its largest number, 2^-24, 2^-126 and about 2^128.

The model. A device computes a sum, difference or product as the exact one,
rounded to the nearest number: fl(a op b) = (a op b)(1 + d), |d| <= U. A chain
of n roundings multiplies a term by a factor within 1 + gamma(n) of one,
gamma(n) = n U / (1 - n U). Source: Higham, Accuracy and Stability of
Numerical Algorithms (2nd edition, 2002), lemma 3.1.

Sums of products, in any order and with or without fused multiply-add:

    |computed - exact| <= gamma(n) (|x| |w| + |b|)

where n counts the roundings that one term can pass: its product, and one
fewer additions than there are terms (Higham, section 3.1; adding a zero
rounds nothing). For every n there holds the sharper n U in place of gamma(n)
(Jeannerod and Rump, "Improved error bounds for inner products in
floating-point arithmetic", 2013); what lies between the two, about
n^2 U^2, outweighs by far the error of the exact answer, which is computed
in float64, n 2^-53.

Underflow. A device that keeps subnormal numbers (``CL_FP_DENORM``) rounds
below TINY to a multiple of the smallest of them (2^-149), so that each
rounding may be off by half of that more. One that does not may flush numbers below TINY to zero,
whether it reads or writes them. A number that is written may then be off by
TINY, once: what was flushed at the writing is read as the zero that it is. An
input below TINY may be read as zero, so it counts as an input that is off by
as much, and errs a product with w by |w| TINY. :func:`subnormals` says which
of the two holds; flushing is allowed where nothing is said.

Functions. The OpenCL C specification (table "ULP values for single precision
built-in math functions", full profile) allows exp, log, expm1 and sqrt 3 units
in the last place, log1p 2, tanh 5, pow 16 and division 2.5; the extended
versions of the specification name this section "Relative Error as ULPs". One
unit in the last place of v is at most 2 U |v|, so k units count as 2 k
roundings.

Where the sums' magnitude passes LARGEST, intermediate results may
overflow in one order and not in another: the bound is infinite there, and any
number will do. Where the definition leaves open even whether the result is a
number, as where a zero of the padding meets an infinite weight and may be
multiplied or skipped, the bound is UNDEFINED.
"""

import contextvars
import functools
import math
import types

import numpy as np

from ...formats import FLOAT32
from ...mode import setting

#: In the place of a bound: anything is taken, NaN and infinity too.
UNDEFINED = -1.0

# exp of what is this far below 0 is 0, in float64 too.
_FAR = 1000.0

_format = contextvars.ContextVar("refcnn format of the numbers that are bounded", default=FLOAT32)
_are_kept = contextvars.ContextVar("refcnn subnormal numbers are kept", default=False)

EXP_ULP = 3.0
EXPM1_ULP = 3.0
LOG_ULP = 3.0
LOG1P_ULP = 2.0
TANH_ULP = 5.0
POW_ULP = 16.0
SQRT_ULP = 3.0
DIVIDE_ULP = 2.5

#: Roundings of a quotient, computed as such or as the product with a reciprocal.
QUOTIENT_ROUNDINGS = 2 * DIVIDE_ULP + 1


def number_format():
    """Return the :class:`~refcnn.formats.Format` in which what is bounded computes."""
    return _format.get()


def computed_in(number_format):
    """Bound, inside a ``with`` block, what computes in another format than float32."""
    return setting(_format, number_format)


def gamma(n):
    """Return n U / (1 - n U): n roundings together change a number relatively by no more.

    Parameters
    ----------
    n : float or ndarray
        From 1 / U on, which is 2**24 for float32, nothing is known: infinity.
    """
    relative = np.asarray(n * number_format().roundoff)
    with np.errstate(divide="ignore"):
        return np.where(relative < 1, relative / (1 - relative), np.inf)[()]


def subnormals(are_kept):
    """Bound, inside a ``with`` block, what a device does that keeps subnormal numbers, or may flush them."""
    return setting(_are_kept, are_kept)


def underflow(roundings=1):
    """Return how far a result may be off because it is too small for the normal numbers.

    Parameters
    ----------
    roundings : float
        Relative errors of U that the result may have among the normal numbers.
    """
    of = number_format()
    return roundings * (of.smallest_subnormal / 2) if _are_kept.get() else of.smallest_normal


def may_be_flushed(x):
    """Return where an input may be read as zero though it is none, a bool ndarray of the shape of x."""
    return (np.abs(x) < number_format().smallest_normal) & (x != 0) & (not _are_kept.get())


def input_error(x, error=None):
    """Return how far an input may be off when it is read: by its own error, and by TINY where it may be flushed.

    Parameters
    ----------
    x : ndarray
    error : ndarray, optional
        By how much x may be off already.

    Returns
    -------
    ndarray of float64, of the shape of x
    """
    error = np.zeros(x.shape) if error is None else np.asarray(error, dtype=np.float64)
    if _are_kept.get():
        return error
    magnitude, tiny = np.abs(x.astype(np.float64)), number_format().smallest_normal
    is_flushed = (magnitude - error < tiny) & (magnitude + error > 0)
    return error + np.where(is_flushed, np.minimum(magnitude + error, tiny), 0)


def sum_of_products(product, x, w, terms, b=None, errors=(None, None, None), undefined=None):
    """Return the bound of y = product(x, w) + b, an operation that is linear in x and in w.

    With inputs that are off by e_x, e_w and e_b, and X = |x| + e_x,
    W = |w| + e_w, B = |b| + e_b:

        product(e_x, |w|) + product(X, e_w) + e_b              the inputs' errors
        + gamma(n) (product(X, W) + B)                         n roundings of each term
        + 2 n (1 + gamma(n)) times the underflow of one of as many results

    where n is ``terms``, plus one for b.

    Parameters
    ----------
    product : callable
        The operation on float64 arrays; it is called with magnitudes.
    x, w : ndarray
    terms : int
        Products that are summed for one element at most.
    b : ndarray, optional
    errors : tuple of (ndarray or None)
        By how much x, w and b may be off.
    undefined : ndarray of bool, optional
        Where the definition leaves the result open.

    Returns
    -------
    ndarray of float64
    """
    inputs = [entry for entry in (x, w, b) if entry is not None]
    if not all(np.isfinite(entry).all() for entry in inputs):
        # What is NaN or infinite must be just that, unless finite terms beside it may overflow.
        finite = [None if entry is None else np.where(np.isfinite(entry), entry, 0) for entry in (x, w, b)]
        of_finite = sum_of_products(product, *finite[:2], terms, finite[2], errors)
        touched = product(*(np.where(np.isfinite(entry), np.abs(entry), np.inf) for entry in (x, w)))
        touched = touched if b is None else touched + b
        bound = np.where(np.isinf(of_finite), UNDEFINED, 0.0)
        # A subnormal number that is read as zero makes NaN of an infinity.
        if may_be_flushed(x).any() or may_be_flushed(w).any():
            bound = np.full_like(bound, UNDEFINED)
        bound = np.where(np.isfinite(touched), of_finite, bound)
        return bound if undefined is None else np.where(undefined, UNDEFINED, bound)
    x_error, w_error = input_error(x, errors[0]), input_error(w, errors[1])
    x, w = np.abs(x.astype(np.float64)), np.abs(w.astype(np.float64))
    n = terms + (b is not None)
    magnitude = product(x + x_error, w + w_error)
    propagated = np.zeros_like(magnitude)
    if x_error.any():
        propagated += product(x_error, w)
    if w_error.any():
        propagated += product(x + x_error, w_error)
    if b is not None:
        b_error = input_error(b, errors[2])
        magnitude = magnitude + np.abs(b.astype(np.float64)) + b_error
        propagated = propagated + b_error
    return overflowing(propagated + gamma(n) * magnitude + 2 * n * underflow() * (1 + gamma(n)), magnitude)


def sum_of_terms(total, x, terms, extra_roundings=0, error=None):
    """Return the bound of y = total(x), an operation that adds elements of x, each weighted by at most one.

    Parameters
    ----------
    total : callable
        The operation on a float64 array; it is called with magnitudes.
    x : ndarray
    terms : int
        Elements that are summed for one result at most.
    extra_roundings : float
        Roundings of the weight and of the product with it; each term may be weighted by itself.
    error : ndarray, optional
        By how much x may be off.

    Returns
    -------
    ndarray of float64
    """
    if not np.isfinite(x).all():
        finite = np.isfinite(x)
        of_finite = sum_of_terms(total, np.where(finite, x, 0), terms, extra_roundings, error)
        bound = np.where(np.isinf(of_finite), UNDEFINED, 0.0)
        return np.where(total((~finite).astype(np.float64)) > 0, bound, of_finite)
    x_error = input_error(x, error)
    n = terms - 1 + extra_roundings
    magnitude = total(np.abs(x.astype(np.float64)) + x_error)
    propagated = total(x_error) if x_error.any() else np.zeros_like(magnitude)
    # A term passes n roundings, but what each of them is off by below the normal numbers adds up over all terms.
    smallest = (terms - 1 + terms * extra_roundings) * underflow()
    return overflowing(propagated + gamma(n) * magnitude + smallest * (1 + gamma(n)), magnitude * terms)


def may_overflow(magnitude):
    """Return where sums of that magnitude may overflow in some order, a bool ndarray."""
    return magnitude * (1 + 2**-10) > number_format().largest


def overflowing(bound, magnitude):
    """Return the bound, infinite where sums of that magnitude may overflow in some order."""
    return np.where(may_overflow(magnitude), np.inf, bound)


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


def widest(bounds):
    """Return how far a result may be off that keeps to one of several bounds: UNDEFINED where one of them is.

    Parameters
    ----------
    bounds : sequence of ndarray
    """
    is_open = functools.reduce(np.logical_or, (bound == UNDEFINED for bound in bounds))
    return np.where(is_open, UNDEFINED, functools.reduce(np.maximum, bounds))


def windows_over_a_pixel(kernel, stride, dilation=(1, 1)):
    """Return how many places of a window have a tap on one pixel, at most.

    Along one axis tap p of the window at place i lies on pixel i s + p d
    (padding only moves this). Two taps can lie on one pixel if (p - p') d is a
    multiple of s, so p - p' one of s / gcd(s, d).

    Parameters
    ----------
    kernel, stride, dilation : (int, int)
    """
    places = 1
    for taps, step, spread in zip(kernel, stride, dilation, strict=True):
        places *= math.ceil(taps / (step // math.gcd(step, spread)))
    return places


class Condition:
    """Where a condition on :class:`Approximation` holds for the exact numbers, and where the computed ones agree.

    Attributes
    ----------
    holds, is_sure : ndarray of bool
    """

    def __init__(self, holds, is_sure):
        self.holds, self.is_sure = holds, is_sure

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

    Attributes
    ----------
    exact, error : ndarray of float64
    """

    def __init__(self, exact, error=0.0):
        self.exact = np.asarray(exact, dtype=np.float64)
        self.error = np.broadcast_to(np.asarray(error, dtype=np.float64), self.exact.shape)

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
        """Has ``type``, by which formulas round their attributes."""
        return types.SimpleNamespace(type=self.of_attribute)

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

    @property
    def bound(self):
        """The error, UNDEFINED where NaN or infinity is computed from what can be anything."""
        return np.where(np.isinf(self.error) & ~np.isfinite(self.exact), UNDEFINED, self.error)

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

    def _rounded(self, exact, error, roundings=1, is_lost=False):
        # A sum or product of exact numbers, which is rounded once, is exact where it is a number of the format.
        roundings = np.where((np.asarray(roundings) == 1) & (error == 0) & _is_held(exact), 0, roundings)
        magnitude = np.abs(exact) + error
        # What is rounded nowhere may still be flushed.
        is_normal = np.abs(exact) - error >= number_format().smallest_normal
        is_safe = (roundings == 0) & (_are_kept.get() | is_normal | (magnitude == 0))
        error = error + gamma(roundings) * magnitude + np.where(is_safe, 0, underflow(roundings))
        return Approximation(exact, _or_any(exact, error, magnitude, is_lost | np.isinf(self.error)))

    def __neg__(self):
        return Approximation(-self.exact, self.error)

    def __add__(self, other):
        other = self._of(other)
        return self._rounded(self.exact + other.exact, self.error + other.error, is_lost=np.isinf(other.error))

    def __sub__(self, other):
        return self + -self._of(other)

    @property
    def _is_zero_or_one(self):
        """Where a product with it is rounded nowhere."""
        return (self.error == 0) & np.isin(np.abs(self.exact), (0, 1))

    def __mul__(self, other):
        other = self._of(other)
        # (a + da)(b + db) - a b = da b + a db + da db
        error = self.error * np.abs(other.exact) + (np.abs(self.exact) + self.error) * other.error
        is_lost = np.isinf(other.error) | self._may_be_zero & np.isinf(other.exact)
        is_lost = is_lost | other._may_be_zero & np.isinf(self.exact)
        roundings = np.where(self._is_zero_or_one | other._is_zero_or_one, 0, 1)
        return self._rounded(self.exact * other.exact, error, roundings, is_lost)

    def __truediv__(self, other):
        other = self._of(other)
        # (a + da)/(b + db) - a/b = (da - (a/b) db)/(b + db)
        quotient = self.exact / other.exact
        smallest = np.maximum(np.abs(other.exact) - other.error, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.where(smallest > 0, (self.error + np.abs(quotient) * other.error) / smallest, np.inf)
        return self._rounded(quotient, error, QUOTIENT_ROUNDINGS, np.isinf(other.error) | other._may_be_zero)

    def or_as(self, other):
        """The same number where it may be computed in two ways."""
        return Approximation(self.exact, np.maximum(self.error, other.error))

    def max(self, axis):
        """The largest over an axis (kept): as far off as the one that is furthest off, at most."""
        return Approximation(self.exact.max(axis, keepdims=True), self.error.max(axis, keepdims=True))

    def sum(self, axis=None, keepdims=None):
        """The sum over an axis or several (kept unless told otherwise), or over all, in any order."""
        axes = range(self.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        terms = math.prod(self.shape[one] for one in axes)
        keep = axis is not None if keepdims is None else keepdims
        exact, error = self.exact.sum(axis, keepdims=keep), self.error.sum(axis, keepdims=keep)
        magnitude = (np.abs(self.exact) + self.error).sum(axis, keepdims=keep)
        bound = error + gamma(max(terms - 1, 0)) * magnitude + terms * underflow() * (1 + gamma(terms))
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
        is_lost = self._may_be_zero & (self.exact <= 0)
        return self._rounded(np.log(self.exact), error, 2 * LOG_ULP, is_lost)

    def log1p(self):
        """log(1 + v), whose argument's error e gives log(1 + v) - log(1 + v - e)."""
        with np.errstate(divide="ignore"):
            error = -np.log1p(-np.minimum(self.error / (1 + self.exact), 1))
        is_lost = (self.error > 0) & (self.exact <= -1) & (self.exact + self.error >= -1)
        return self._rounded(np.log1p(self.exact), error, 2 * LOG1P_ULP, is_lost)

    def tanh(self):
        """The hyperbolic tangent, whose argument's error e gives at most e, and tanh(v) - tanh(|v| - e)."""
        exact, magnitude = np.tanh(self.exact), np.abs(self.exact)
        error = np.minimum(self.error, np.tanh(magnitude) - np.tanh(magnitude - self.error))
        return self._rounded(exact, error, 2 * TANH_ULP)

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
        below 0, and w a whole number, for which alone there is a power then, or another.
        """
        exact = np.power(self.exact, other.exact)
        bases = [self.exact - self.error, self.exact, self.exact + self.error]
        # The error of an input that may be flushed ends at 0.
        bases.append(np.where((bases[0] <= 0) & (bases[2] >= 0), 0, self.exact))
        corners = [np.power(v, other.exact + sign * other.error) for v in bases for sign in (-1, 0, 1)]
        may_be_whole = np.floor(other.exact + other.error) >= np.ceil(other.exact - other.error)
        error = np.zeros(exact.shape)
        is_lost = np.isinf(other.error) | (bases[0] < 0) & (other.error > 0) & may_be_whole
        for corner in corners:
            is_same = (corner == exact) | (np.isnan(corner) & np.isnan(exact))
            error = np.fmax(error, np.where(is_same, 0, np.abs(corner - exact)))
            is_lost = is_lost | (~is_same & ~(np.isfinite(corner) & np.isfinite(exact)))
        return self._rounded(exact, error, 2 * POW_ULP, is_lost)

    def _compared(self, compare, other):
        """Return a :class:`Condition`: it is not sure where the intervals meet, unless both are exact."""
        error = self.error + other.error
        is_sure = (error == 0) | ~(np.abs(self.exact - other.exact) <= error)
        return Condition(compare(self.exact, other.exact), is_sure & ~np.isinf(error))

    def _extreme(self, choose, other):
        """The larger or smaller of two: as far off as the one that is further off, at most."""
        exact, error = choose(self.exact, other.exact), np.maximum(self.error, other.error)
        return Approximation(exact, np.where(np.isinf(error) | np.isfinite(exact), error, 0))

    @classmethod
    def _choice(cls, condition, first, second):
        """The first where a condition holds, the second elsewhere; the hull of both where it is not sure."""
        if not isinstance(condition, Condition):
            condition = Condition(condition, np.True_)
        first, second = cls._of(first), cls._of(second)
        exact, other = (np.where(holds, first.exact, second.exact) for holds in (condition.holds, ~condition.holds))
        error, of_other = (np.where(holds, first.error, second.error) for holds in (condition.holds, ~condition.holds))
        is_same = (exact == other) | (np.isnan(exact) & np.isnan(other))
        gap = np.where(is_same, 0, np.abs(other - exact)) + of_other
        is_lost = ~is_same & ~(np.isfinite(exact) & np.isfinite(other))
        return cls(exact, np.where(condition.is_sure, error, np.where(is_lost, np.inf, np.maximum(error, gap))))

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
    np.tanh: Approximation.tanh,
    np.maximum: lambda a, b: a._extreme(np.maximum, b),
    np.minimum: lambda a, b: a._extreme(np.minimum, b),
    np.where: Approximation._choice,
    np.broadcast_to: lambda a, shape: Approximation(*(np.broadcast_to(entry, shape) for entry in (a.exact, a.error))),
}
_COMPARISONS = (np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal)
_RULES |= {one: functools.partial(lambda compare, a, b: a._compared(compare, b), one) for one in _COMPARISONS}

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

Where the sums' magnitude passes LARGEST, intermediate results may
overflow in one order and not in another: the bound is infinite there, and any
number will do. Where the definition leaves open even whether the result is a
number, as where a zero of the padding meets an infinite weight and may be
multiplied or skipped, the bound is UNDEFINED.
"""

import contextvars
import functools
import math
import weakref

import numpy as np

from ...formats import FLOAT32
from ...mode import setting

#: In the place of a bound: anything is taken, NaN and infinity too.
UNDEFINED = -1.0

_format = contextvars.ContextVar("refcnn format of the numbers that are bounded", default=FLOAT32)
_are_kept = contextvars.ContextVar("refcnn subnormal numbers are kept", default=False)

#: Units in the last place by which OpenCL allows a quotient to be off: see :mod:`.approximation`.
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


def are_subnormals_kept():
    """Return whether bounds are of what keeps subnormal numbers, and does not flush them."""
    return _are_kept.get()


def underflow(roundings=1):
    """Return how far a result may be off because it is too small for the normal numbers.

    Parameters
    ----------
    roundings : float
        Relative errors of U that the result may have among the normal numbers.
    """
    of = number_format()
    return roundings * (of.smallest_subnormal / 2) if are_subnormals_kept() else of.smallest_normal


def may_be_flushed(x):
    """Return where an input may be read as zero though it is none, a bool ndarray of the shape of x."""
    return (np.abs(x) < number_format().smallest_normal) & (x != 0) & (not are_subnormals_kept())


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
    if error is None:
        # Weights are many, and hardly ever subnormal.
        is_flushed = may_be_flushed(x)
        return np.where(is_flushed, np.abs(x), 0.0) if is_flushed.any() else np.zeros(x.shape)
    error = np.asarray(error, dtype=np.float64)
    if are_subnormals_kept():
        return error
    magnitude, tiny = np.abs(x.astype(np.float64)), number_format().smallest_normal
    is_flushed = (magnitude - error < tiny) & (magnitude + error > 0)
    return error + np.where(is_flushed, np.minimum(magnitude + error, tiny), 0)


def extreme_error(extreme, error):
    """Return how far the largest or smallest of several may be off, given how far off these may be themselves.

    Where numbers are flushed when they are compared, those below TINY tie, and any of them may be taken, as it is.

    Parameters
    ----------
    extreme : ndarray
        The exact one.
    error : ndarray
        The largest of the errors of all that compete, 0 where nothing is flushed.
    """
    may_tie = (error > 0) & (np.abs(extreme) - error < number_format().smallest_normal) & (not are_subnormals_kept())
    return error + np.where(may_tie, number_format().smallest_normal, 0)


class Facts:
    """What bounds ask of an array: its magnitudes, whether it is finite, and how far off it is read.

    Attributes
    ----------
    magnitude : ndarray of float64
    largest : float
        The largest of these, NaN if there is one.
    is_finite : bool
    error : ndarray of float64 or None
        None where it is 0 everywhere.
    """

    __slots__ = ("magnitude", "largest", "is_finite", "error", "__weakref__")

    def __init__(self, x, error=None):
        with np.errstate(invalid="ignore"):
            self.magnitude = np.abs(x.astype(np.float64, copy=False))
            self.largest = float(self.magnitude.max(initial=0))
        self.is_finite = math.isfinite(self.largest)
        self.error = None
        if error is not None:
            found = input_error(x, error)
            self.error = found if found.any() else None
        elif not are_subnormals_kept():
            smallest = number_format().smallest_normal
            # Counted, which is quick: weights are many, and hardly ever subnormal.
            if np.count_nonzero(self.magnitude < smallest) > np.count_nonzero(self.magnitude == 0):
                self.error = input_error(x)

    @property
    def readable(self):
        """The magnitudes that may be read."""
        return self.magnitude if self.error is None else self.magnitude + self.error


_constants = {}


def facts(x, error=None):
    """Return the :class:`Facts` of an array, which are kept of arrays that cannot be written to, as weights are."""
    if error is not None or x.flags.writeable or x.base is not None:
        return Facts(x, error)
    setting_now = number_format().name, are_subnormals_kept()
    key = id(x), *setting_now
    if key not in _constants:
        _constants[key] = Facts(x)
        weakref.finalize(x, _constants.pop, key, None)
    return _constants[key]


def sum_of_products(product, x, w, terms, b=None, errors=(None, None, None), undefined=None):
    """Return the bound of y = product(x, w) + b, an operation that is linear in x and in w.

    With inputs that are off by e_x, e_w and e_b, and X = |x| + e_x,
    W = |w| + e_w, B = |b| + e_b:

        product(e_x, W) + product(|x|, e_w) + e_b              the inputs' errors
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
    inputs = of_x, of_w, of_b = [
        None if entry is None else facts(entry, error) for entry, error in zip((x, w, b), errors, strict=True)
    ]
    if not all(entry is None or entry.is_finite for entry in inputs):
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
    n = terms + (b is not None)
    share, of_bias = gamma(n), 0.0 if b is None else of_b.readable
    if of_x.error is None or not np.isfinite(share):
        magnitude = product(of_x.readable, of_w.readable) + of_bias
        # Of none of too many terms anything is known, also where all are 0.
        bound = share * magnitude if np.isfinite(share) else np.full(magnitude.shape, np.inf)
    else:
        # Errors of x and roundings alike are linear in what multiplies W.
        bound = product(of_x.error + share * of_x.readable, of_w.readable) + share * of_bias
        magnitude = bound / share
        if may_overflow(magnitude.max(initial=0)):
            magnitude = product(of_x.readable, of_w.readable) + of_bias
    if of_w.error is not None:
        bound += product(of_x.magnitude, of_w.error)
    if b is not None and of_b.error is not None:
        bound += of_b.error
    bound += 2 * n * underflow() * (1 + share)
    return overflowing(bound, magnitude)


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
    if not may_overflow(np.asarray(magnitude).max(initial=0)):
        return bound
    return np.where(may_overflow(magnitude), np.inf, bound)


def widest(bounds):
    """Return how far a result may be off that keeps to one of several bounds: UNDEFINED where one of them is.

    Parameters
    ----------
    bounds : sequence of ndarray
    """
    is_open = functools.reduce(np.logical_or, (bound == UNDEFINED for bound in bounds))
    return np.where(is_open, UNDEFINED, functools.reduce(np.maximum, bounds))


def windows_over_a_pixel(kernel, stride, dilation=None):
    """Return how many places of a window have a tap on one pixel, at most.

    Along one axis tap p of the window at place i lies on pixel i s + p d
    (padding only moves this). Two taps can lie on one pixel if (p - p') d is a
    multiple of s, so p - p' one of s / gcd(s, d).

    Parameters
    ----------
    kernel, stride, dilation : tuple of int
        A number for each spatial axis; a dilation of 1 if it is not given.
    """
    places = 1
    for taps, step, spread in zip(kernel, stride, dilation or (1,) * len(kernel), strict=True):
        places *= math.ceil(taps / (step // math.gcd(step, spread)))
    return places

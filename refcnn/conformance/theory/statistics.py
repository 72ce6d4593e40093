"""How far means and variances in floats may be off, in whatever order and parts they are summed."""

import math

import numpy as np

from . import probable
from .approximation import Approximation
from .bounds import QUOTIENT_ROUNDINGS, gamma, may_overflow, number_format, underflow


def mean_and_variance(x, axes):
    """Return mean and variance of an :class:`Approximation` over some axes, which stay with one element each.

    The mean is a sum in any order, divided by the number n of its terms.

    The variance may be the mean of the squares of what each x is off from the mean, or the like of parts of x, whose
    sums of squares S are then merged in any order (Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm
    for computing sample variances", 1979):

        S = S_a + S_b + (n_a n_b / (n_a + n_b)) (mean_a - mean_b)^2

    which is exact for exact means. Be the mean of each part p off by e_p, |e_p| <= g mean_p |x| with g = gamma of the
    roundings of a mean. A part that is summed directly gets n_p e_p^2 too much, for what its values are off from their
    exact mean sums to 0. A merger with the weight w = n_a n_b / (n_a + n_b) is off by
    2 w (mean_a - mean_b)(e_a - e_b) + w (e_a - e_b)^2. By the inequality of Cauchy and Schwarz all of these together
    are at most 2 sqrt(S E) + E, with E the sum of all n_p e_p^2 and w (e_a - e_b)^2. Since n_p e_p^2 <= g^2 times the
    sum of the x^2 of the part, and (e_a - e_b)^2 <= 2 e_a^2 + 2 e_b^2, each x^2 counts in E once by the part that is
    summed directly; twice with each merger in which it is in the smaller part, which are log2 n at most; and
    2 n_b / n_a times with each in which it is in the larger part a, 4 ln n in all at most, since the part grows by as
    much: n_b / n_a <= 2 ln((n_a + n_b) / n_a). So

        E <= g^2 (1 + 5 log2 n) sum of x^2

    Parts that are merged all at once about their common mean are no worse: each has n_p (e_p^2 + 2 e_p^2 + 2 e^2).
    What the x themselves are off by changes S as exactly: by 2 sqrt(S D) + D at most, D being the sum of their squares.

    The ``mean(x^2) - mean(x)^2`` has no such bound: there all digits may cancel.

    Where roundings are independent and the x have random signs, n_p e_p^2 <= f^2 U^2 (1 + k^2) times the sum of the x^2
    of the part (:mod:`.probable`; k are the roundings of a quotient), of all 2 n parts together with f for as many
    sums, so that f U sqrt(1 + k^2) takes the place of g. The at most 2 n additions of what is not negative are off by
    lambda U sqrt(2 n) times the whole.
    """
    n = math.prod(x.shape[axis] for axis in axes)
    mean = x.sum(axis=axes, keepdims=True, random_signs=True) / Approximation(n)
    deviation = x.exact - mean.exact
    variance = np.square(deviation).mean(axis=axes, keepdims=True)

    def root_mean_square(array):
        return np.sqrt(np.square(array).mean(axis=axes, keepdims=True))

    magnitude = np.abs(x.exact) + x.error
    share, of_each = gamma(n - 1 + QUOTIENT_ROUNDINGS), gamma(n + 4 + 2 * QUOTIENT_ROUNDINGS)
    if probable.noted(2 * mean.exact.size):
        of_parts = probable.factor_of(2 * n) * number_format().roundoff * math.hypot(1, QUOTIENT_ROUNDINGS)
        share = min(share, of_parts * (1 + gamma(n)))
        of_each = min(of_each, gamma(4 + 2 * QUOTIENT_ROUNDINGS) + probable.of_any_terms(2 * n))
    of_mean = share * root_mean_square(magnitude) + 3 * underflow(QUOTIENT_ROUNDINGS)
    off = root_mean_square(x.error) + math.sqrt(1 + 5 * math.log2(n)) * of_mean
    error = 2 * np.sqrt(variance) * off + np.square(off)
    # A term passes as many additions as there are terms, and the rounding of a difference, twice, of two products, of
    # the weight and of the division by n.
    largest = variance + error
    error = error + of_each * largest + 4 * underflow(QUOTIENT_ROUNDINGS)
    total = n * np.maximum(largest, np.square(magnitude).max(axis=axes, keepdims=True))
    is_lost = np.isinf(x.error).any(axis=axes, keepdims=True) | np.isinf(mean.error)
    is_lost = is_lost | (np.isfinite(variance) & (may_overflow(total) | np.isnan(error)))
    # Of what is not finite there is no variance but NaN, in every order.
    return mean, Approximation(variance, np.where(is_lost, np.inf, np.where(np.isfinite(variance), error, 0)))

"""How far a sum may be off but for one case in millions, where roundings know nothing of each other.

A proved bound grows with the number of terms n, an error with its square root, so that a loss of precision hides below
the bound of a long sum. What follows is a model: it takes the relative errors d, |d| <= U, of roundings as independent
and 0 in the mean, also given the numbers that are rounded. It holds of numbers with random mantissas, not of equal
ones, of integers or of constants. Errors then add up as their squares: if s^2 at most bounds the square of each, their
sum is, with probability 1 - 2 exp(-lambda^2 / 2), off by less than lambda sqrt(sum of s^2), by Hoeffding's inequality.
Source: Higham and Mary, "A New Approach to Probabilistic Rounding Error Analysis", SIAM Journal on Scientific Computing
41 (2019).

For a sum of n terms t that is lambda U sqrt(n) sum of |t|, which is hardly less than what products of ten bits err by
where n is 2,000. Where each term has a random sign, in one order of summation the partial sums are a random walk:

Whatever the order, if signs have no part in it, a sum is a tree of n - 1 additions. Addition v adds up the terms of a
set L_v: it computes their sum s_v, and what was off in them before, times 1 + d_v. What is off in y is the sum of all
d_v s_v, and of d_i t_i for each product that was rounded, to first order in U; the rest is less than 1 + gamma(n) times
as much. For any 0 < a, by the same inequality and then with the signs e and normal numbers g, of which exp(a g) is
exp(a^2 / 2) in the mean, and no random sign's is more,

    E exp(a sum of d_v s_v)  <=  E exp(a^2 U^2 / 2 sum of s_v^2)  =  E exp(a U sum of g_v s_v)
                             <=  E exp(a^2 U^2 / 2 |W g|^2)  =  product of 1 / sqrt(1 - a^2 U^2 m)
                             <=  1 / sqrt(1 - a^2 U^2 (sum of m)),

where W has t_i at (i, v) if i is in L_v, and m are the eigenvalues of W W'. Their sum is that of all t_i^2, each as
often as the term is added to something, so it is at most (n - 1) S, S being the sum of t^2; products' roundings add S
at most, as does a sum that is rounded once more. A fused multiply-add, an accumulator that begins with 0 or with the
bias as a term, blocks, vectors and pairs are all such trees. By Markov's inequality, for any 0 < a < 1,

    P(|error| >= f U sqrt(n S))  <=  2 exp(-a f) / sqrt(1 - a^2),

and this is 2 exp(-lambda^2 / 2) for f = (lambda^2 / 2 - log(1 - a^2) / 2) / a. With a^2 = 1 - 1 / lambda^2 that is
nearly least: :data:`FACTOR`, which is 20 where lambda is 6.

Where sums are a part of a formula, running error analysis takes such bounds of each of them
(:func:`independent_roundings`), and the worst of all else. Of terms of any signs no addition gives more than the sum of
their magnitudes M, so that in any order, by the first inequality, |error| <= lambda U sqrt(n) M, with no word on signs:
this is what there is for sums of squares, exponentials and losses. Where terms have random signs, given all they are
multiplied with, as those of a gradient have that is drawn, the sharper bound holds. Results that need several sums are
off if one of them is: what fails at times is each sum.
"""

import contextlib
import contextvars
import dataclasses
import math

import numpy as np

from ...mode import setting
from .bounds import gamma, number_format, underflow

#: With which an output is within the probable bound but for one in 33 million.
LAMBDA = 6.0


def factor_of(sums):
    """Return f of the docstring for so many sums together, of which one fails as seldom as one alone would."""
    return (LAMBDA**2 / 2 + math.log(LAMBDA * sums)) / math.sqrt(1 - LAMBDA**-2)


#: The same for a sum of terms with random signs, of what it errs by as a rule at most: see above.
FACTOR = factor_of(1)

_sums = contextvars.ContextVar("refcnn sums whose roundings are independent", default=None)


@dataclasses.dataclass
class Sums:
    """What was bounded so.

    Attributes
    ----------
    count : int
        Sums, each of one element.
    """

    count: int = 0


@contextlib.contextmanager
def independent_roundings():
    """Bound sums, inside a ``with`` block, as they err if roundings know nothing of each other.

    Yields
    ------
    Sums
    """
    sums = Sums()
    with setting(_sums, sums):
        yield sums


def noted(count):
    """Return whether sums are to be bounded so, of which so many are to come, each of one element."""
    sums = _sums.get()
    if sums is not None:
        sums.count += count
    return sums is not None


def of_any_terms(additions):
    """Return by how much sums are off at most, as a rule, beside the sum of the magnitudes of their terms."""
    share = LAMBDA * number_format().roundoff * math.sqrt(additions) * (1 + gamma(additions))
    return min(share, gamma(additions))


def of_random_signs(terms, error):
    """Return how far sums over the last axis are off at most, as a rule, whose terms have random signs.

    Parameters
    ----------
    terms, error : ndarray of float64
        And by how much these are off, which has no sign of its own.
    """
    additions = max(terms.shape[-1] - 1, 0)
    squares = np.square(np.abs(terms) + error).sum(axis=-1)
    off = FACTOR * number_format().roundoff * np.sqrt(additions * squares) * (1 + gamma(additions))
    return off + gamma(additions) * error.sum(axis=-1)


def failure_probability(outputs):
    """Return with which probability one of so many outputs at most is beyond its probable bound, by that model."""
    return min(1.0, 2 * outputs * math.exp(-(LAMBDA**2) / 2))


def over_all_orders(y, squares, terms):
    """Return, in units of U, the square of what a sum errs by as a rule at most, in the mean over all orders.

    It is that of sums y of any terms, with random signs or not, whose order knows nothing of the terms. Such a sum
    rounds each product and n - 1 sums of some of them. The square of a sum of k of them is, in the mean,

        (k/n y)^2 + k/n (1 - k/n) n / (n - 1) (sum of t^2 - y^2 / n)  <=  y^2 + sum of t^2

    so that squares add up to (n - 1)(y^2 + sum of t^2) + sum of t^2.

    Parameters
    ----------
    y, squares : ndarray of float64
        The sum, and that of the squares of its terms.
    terms : int
    """
    return (terms - 1) * (np.square(y) + squares) + squares


@dataclasses.dataclass(frozen=True)
class Sum:
    """What an operation adds up for an element of a result.

    Attributes
    ----------
    terms : int
        Elements of an input, or products of an element of each of two, at most.
    weight : float
        What each term is multiplied by.
    roundings : float
        Of the weight and of the product with it, of each term or of their sum.
    """

    terms: int
    weight: float = 1.0
    roundings: float = 0.0

    def bound(self, squares):
        """Return the probable bound, given what the operation makes of the squares of its inputs.

        Parameters
        ----------
        squares : ndarray of float64
            The sum of weight t^2 for each element, t being without the weight. A factor of 1 + d for all terms or for
            each, |d| <= k U, adds k^2 to n.
        """
        variance = (self.terms + self.roundings**2) * self.weight * squares
        lost = 2 * (self.terms + self.roundings) * underflow()
        return FACTOR * number_format().roundoff * np.sqrt(variance) * (1 + gamma(self.terms)) + lost

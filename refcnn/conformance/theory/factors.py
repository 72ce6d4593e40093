"""Products of several factors, multiplied and divided in any order.

However three factors are multiplied, the product passes two roundings. But a b may overflow where b c does not, or lose
its digits below the normal numbers, so that (a b) c is no number, or 0, where a (b c) is right: who computes either has
kept to the definition. Where a factor divides, what others it is multiplied with first may overflow as well:
a c / (b b), a / b (c / b).
"""

import functools
import itertools
import math
import operator

import numpy as np

from .bounds import are_subnormals_kept, number_format, subnormals


class Factors:
    """What a number is the product of, and what it is divided by.

    Parameters
    ----------
    numerators, denominators : tuple of Approximation
    """

    #: So many may be multiplied in any order: of more there are too many orders.
    _MOST = 4

    def __init__(self, numerators, denominators=()):
        self._numerators, self._denominators = numerators, denominators

    def __len__(self):
        return len(self._numerators) + len(self._denominators)

    @classmethod
    def of(cls, number):
        """Return those of an Approximation: itself if it is no product, and none of 1."""
        if number.factors is not None:
            return number.factors
        is_one = number.exact.ndim == 0 and number.exact == 1 and number.error == 0
        return cls(() if is_one else (number,))

    @classmethod
    def choice(cls, holds, first, second):
        """Return those of the first of two Approximations where a condition holds, of the second elsewhere."""
        pair, one = [cls.of(first), cls.of(second)], type(first)(1.0)
        if max(map(len, pair)) < 2:
            return None

        def chosen(*sides):
            pairs = itertools.zip_longest(*sides, fillvalue=one)
            return tuple(
                type(first)(np.where(holds, a.exact, b.exact), np.where(holds, a.error, b.error)) for a, b in pairs
            )

        return cls(chosen(*(side._numerators for side in pair)), chosen(*(side._denominators for side in pair)))

    def negated(self):
        """Return those of the number with the other sign."""
        if not self._numerators:
            return Factors((type(self._denominators[0])(-1.0),), self._denominators)
        first, *others = self._numerators
        return Factors((-first, *others), self._denominators)

    def times(self, other):
        """Return those of the product with what has others."""
        return Factors(self._numerators + other._numerators, self._denominators + other._denominators)

    def over(self, number):
        """Return those of the quotient by an Approximation, which stays whole if it is a quotient itself."""
        other = Factors.of(number)
        divisors = (number,) if other._denominators else other._numerators
        return Factors(self._numerators, self._denominators + divisors)

    def in_any_order(self, found):
        """Return what was found in one order, as far off as it may be in any.

        Parameters
        ----------
        found : Approximation

        Returns
        -------
        Approximation
        """
        number, error = type(found), found.error
        if 2 < len(self) <= self._MOST and np.logical_or(*self._leaves_the_range(lambda factor: factor.span)):
            may_overflow, may_vanish = (np.broadcast_to(one, found.shape) for one in self._leaves_the_range(_spans))
            places = may_overflow | may_vanish
            here = Factors(*([one.taken(places) for one in side] for side in (self._numerators, self._denominators)))
            exact, error = found.exact[places], error.copy()
            of_orders = found.taken(places).or_as(here._orders(number)).error
            vanished = np.where(may_vanish[places] & np.isfinite(exact) & (not are_subnormals_kept()), np.abs(exact), 0)
            # The exact answer that is judged by may have been found in another order.
            error[places] = np.maximum(of_orders, vanished * (1 + number_format().roundoff))
        is_several = len(self) > 1 or self._denominators
        return number(found.exact, error, self if is_several and len(self) <= self._MOST else None)

    def _leaves_the_range(self, spans):
        """Return whether a product of some factors may overflow in some order, and be too small for the normal numbers.

        What divides may do either, and the quotient overflows then.

        Parameters
        ----------
        spans : callable
            Of a factor the least magnitude and the largest: of all, or of each.
        """
        of, slack, sides = number_format(), 1 + 2**-10, []
        for side in (self._numerators, self._denominators):
            pairs = [spans(factor) for factor in side]
            sides += [math.prod(np.maximum(1, most) for _, most in pairs)]
            sides += [math.prod(np.minimum(1, least) for least, _ in pairs)]
        above, least_above, below, least_below = sides
        smallest = of.smallest_normal * slack
        is_below_largest = np.maximum(np.divide(above, least_below), below) * slack <= of.largest
        is_normal = least_above / below >= smallest
        return np.logical_not(is_below_largest & (least_below >= smallest)), np.logical_not(is_normal)

    def _orders(self, number):
        """Return the product, as far off as it is in the worst of all orders, but for what is flushed to 0 on the way.

        If a product of some factors is, the whole is 0, however the others come to it.
        """
        leaves = self._numerators or [number(1.0)]
        first = len(leaves)
        # By which of the factors are multiplied with each other, as the bits of a number.
        products = {1 << place: leaf for place, leaf in enumerate(leaves)}
        divisors = _products({1 << first + place: leaf for place, leaf in enumerate(self._denominators)}, {})
        with subnormals(are_kept=True):
            return _products(products, divisors)[(1 << first + len(self._denominators)) - 1]


def _products(found, divisors):
    """Return the products of several factors, by the bits of what they are, and with them what any of them divides.

    Parameters
    ----------
    found, divisors : dict of int to Approximation
        The factors alone, and all products of what divides.
    """
    found, every = dict(found), functools.reduce(operator.or_, (*found, *divisors), 0)
    for several in range(1, every + 1):
        ways = []
        # A subset after the other.
        one = (several - 1) & several
        while one:
            other = several ^ one
            if one < other and one in found and other in found:
                ways.append(found[one].times(found[other]))
            if one in found and other in divisors:
                ways.append(found[one].over(divisors[other]))
            one = (one - 1) & several
        if ways:
            found[several] = functools.reduce(type(ways[0]).or_as, ways)
    return found


def _spans(factor):
    """Return the least and the largest magnitude of each computed one; 1 of zeros and of what is not finite."""
    is_plain = np.isfinite(factor.exact) & factor.is_not_zero
    magnitude = np.abs(factor.exact)
    ends = np.maximum(magnitude - factor.error, 0), magnitude + factor.error
    return [np.where(is_plain, end, 1) for end in ends]

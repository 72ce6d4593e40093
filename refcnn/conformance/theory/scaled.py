"""Running error analysis of elements that factors of their channel multiply, once for each channel.

The bounds of :class:`~refcnn.conformance.theory.approximation.Approximation` are linear in the magnitude of such an
element and in its error, but where a result happens to need no rounding: the channels' coefficients tell the bounds of
all of their elements.
"""

import dataclasses

import numpy as np

from .bounds import QUOTIENT_ROUNDINGS, gamma, may_overflow, underflow


@dataclasses.dataclass(frozen=True)
class Scaled:
    """Numbers that are computed as factor z of elements z, which may be off by e, and how far off these may be:

        of_size |z| + of_error e + rest

    Attributes
    ----------
    factor, of_size, of_error, rest : ndarray of float64
        A number for each channel; the factor's magnitude.
    largest : tuple of (ndarray or float)
        The largest |z| and e.
    is_lost : bool
        Whether something on the way may overflow, or be divided by zero, so that nothing of this holds.
    """

    factor: np.ndarray
    of_size: np.ndarray
    of_error: np.ndarray
    rest: np.ndarray
    largest: tuple
    is_lost: bool

    @classmethod
    def of_elements(cls, shape, size, error):
        """Return that of elements as they are, for channels of some shape, by the largest |z| and e."""
        return cls(np.ones(shape), np.zeros(shape), np.ones(shape), np.zeros(shape), (size, error), False)

    @property
    def most(self):
        """As large as any may be, a number for each channel."""
        size, error = self.largest
        return self.factor * size + self.of_size * size + self.of_error * error + self.rest

    def off_by(self, error):
        """Return that of numbers that are off by as much more: of what is then added to them, say."""
        return dataclasses.replace(self, rest=self.rest + error)

    def rounded(self):
        """Return that of numbers that are rounded once more."""
        return self._rounded(self.factor, self.of_size, self.of_error, self.rest)

    def __mul__(self, other):
        size = np.abs(other.exact)
        most = size + other.error
        return self._rounded(
            self.factor * size, self.of_size * most + self.factor * other.error, self.of_error * most, self.rest * most
        )

    def __truediv__(self, other):
        size = np.abs(other.exact)
        least, factor = size - other.error, self.factor / size
        found = self._rounded(
            factor,
            (self.of_size + factor * other.error) / least,
            self.of_error / least,
            self.rest / least,
            QUOTIENT_ROUNDINGS,
        )
        return dataclasses.replace(found, is_lost=found.is_lost or not (least > 0).all())

    def _rounded(self, factor, of_size, of_error, rest, roundings=1):
        share = gamma(roundings)
        found = Scaled(
            factor,
            of_size + share * (factor + of_size),
            (1 + share) * of_error,
            (1 + share) * rest + underflow(roundings),
            self.largest,
            self.is_lost,
        )
        return dataclasses.replace(found, is_lost=self.is_lost or bool(may_overflow(found.most).any()))

    def or_as(self, other):
        """Return that of the same numbers where they may be computed in two ways from the same elements."""
        pairs = ("factor", "of_size", "of_error", "rest")
        most = {name: np.maximum(getattr(self, name), getattr(other, name)) for name in pairs}
        return Scaled(**most, largest=self.largest, is_lost=self.is_lost or other.is_lost)

    def error(self, size, error=None):
        """Return how far off they may be, for elements of some size and error."""
        found = self.of_size * size
        found += self.rest
        if error is not None:
            found += self.of_error * error
        return found

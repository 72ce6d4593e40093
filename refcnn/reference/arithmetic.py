"""Arithmetic of two numbers, element by element; arrays are broadcast as in NumPy."""

import numpy as np

from ..shapes import repeated_axes


class Binary:
    """An operation of two arrays: y = formula(a, b), and what the gradient of y makes of theirs, before it is summed.

    Attributes
    ----------
    formula : callable
        ``formula(a, b)`` -> y
    of_a, of_b : callable
        ``of_a(dy, a, b, y)`` -> dy times the derivative by a (by b), in the shape of y
    """

    def __init__(self, formula, of_a, of_b):
        self.formula, self.of_a, self.of_b = formula, of_a, of_b

    def forward(self, a, b):
        """a, b of shapes that broadcast -> y of the shape that they broadcast to."""
        y = self.formula(a, b)
        return y, (a, b, y)

    def backward(self, dy, saved, needs):
        """Each operand's gradient is summed over the axes along which the operand was repeated."""
        return tuple(
            unbroadcast(gradient(dy, *saved), operand.shape) if need else None
            for gradient, operand, need in zip((self.of_a, self.of_b), saved[:2], needs, strict=True)
        )


def unbroadcast(gradient, shape):
    """Return the sum of a gradient over the axes along which an array of a shape was repeated."""
    if gradient.shape == shape:
        return gradient
    return gradient.sum(axis=repeated_axes(shape, gradient.shape), keepdims=True).reshape(shape)


def add(a, b):
    """y = a + b, so that da = db = dy."""
    return a + b


def maximum(a, b):
    """y = the larger of a and b, NaN if one is NaN; the larger has dy, and each half of it where both are equal."""
    return np.maximum(a, b)


def maximum_of_a(dy, a, b, y):
    """da = dy, times 0 where b is larger, and 1 / 2 where both are equal."""
    return dy * _share(a == b, a < b, dy.dtype.type)


def maximum_of_b(dy, a, b, y):
    """As that of a, the other way round."""
    return maximum_of_a(dy, b, a, y)


def minimum(a, b):
    """y = the smaller of a and b, with gradients as of the larger."""
    return np.minimum(a, b)


def minimum_of_a(dy, a, b, y):
    """da = dy, times 0 where b is smaller, and 1 / 2 where both are equal."""
    return dy * _share(a == b, a > b, dy.dtype.type)


def minimum_of_b(dy, a, b, y):
    """As that of a, the other way round."""
    return minimum_of_a(dy, b, a, y)


def prelu(a, b):
    """y = a from 0 on, a b below: a rectifier with a slope b."""
    return np.where(a >= 0, a, a * b)


def prelu_of_a(dy, a, b, y):
    """da = dy above 0, dy b elsewhere, at 0 too."""
    return np.where(a > 0, dy, dy * b)


def prelu_of_b(dy, a, b, y):
    """db = dy a below 0, else 0."""
    return np.where(a > 0, dy.dtype.type(0), dy * a)


def subtract(a, b):
    """y = a - b, so that da = dy, db = -dy."""
    return a - b


def multiply(a, b):
    """y = a b, so that da = dy b, db = dy a."""
    return a * b


def divide(a, b):
    """y = a / b, so that da = dy / b, db = -dy a / b^2.

    Of integers it is that without what is behind the point, and by 0 it is 0.
    """
    return a / b if a.dtype.kind == "f" else (a - np.fmod(a, b)) // b


def divide_of_b(dy, a, b, y):
    """db = -(dy / b) y, where no square of b can overflow."""
    return -(dy / b) * y


def power(a, b):
    """y = a^b, so that da = dy b a^(b - 1), db = dy y log(a)."""
    return np.power(a, b) if a.dtype.kind == "f" else _power_of_integers(a, b)


def _power_of_integers(a, b):
    """Modulo 2^64 or 2^32; where b is below 0 it is 1 / a^-b without what is behind the point, and 0 where a is 0."""
    inverse = np.where(a == 1, a, np.where(a == -1, 1 - 2 * (b & 1), 0))
    return np.where(b < 0, inverse, np.power(a, np.maximum(b, 0)))


def power_of_a(dy, a, b, y):
    """da = dy b a^(b - 1), and 0 where b is 0, even if a is too."""
    return np.where(b == 0, 0, dy * b * np.power(a, b - 1))


def power_of_b(dy, a, b, y):
    """db = dy y log(a), and 0 where a is 0 and b is not below: 0^b stays 0 there."""
    return np.where((a == 0) & (b >= 0), 0, dy * y * np.log(a))


def _share(are_equal, is_other, number):
    return np.where(are_equal, number(0.5), np.where(is_other, number(0), number(1)))


def _whole(dy, a, b, y):
    return dy


OPERATIONS = {
    "add": Binary(add, _whole, _whole),
    "divide": Binary(divide, lambda dy, a, b, y: dy / b, divide_of_b),
    "maximum": Binary(maximum, maximum_of_a, maximum_of_b),
    "minimum": Binary(minimum, minimum_of_a, minimum_of_b),
    "multiply": Binary(multiply, lambda dy, a, b, y: dy * b, lambda dy, a, b, y: dy * a),
    "power": Binary(power, power_of_a, power_of_b),
    "prelu": Binary(prelu, prelu_of_a, prelu_of_b),
    "subtract": Binary(subtract, _whole, lambda dy, a, b, y: -dy),
}

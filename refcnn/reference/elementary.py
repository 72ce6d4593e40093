"""Elementary functions of one number, taken of each element. A formula and its slope dy/dx are a few lines each."""

import math

import numpy as np

from .. import special


class Unary:
    """An operation of one array: y = formula(x), and dx = dy slope(x, y).

    Attributes
    ----------
    formula : callable
        ``formula(x, **attributes)`` -> y
    slope : callable
        ``slope(x, y, **attributes)`` -> dy/dx
    """

    def __init__(self, formula, slope):
        self.formula, self.slope = formula, slope

    def forward(self, x, **attributes):
        """x of any shape -> y of that shape."""
        y = self.formula(x, **attributes)
        return y, (x, y)

    def backward(self, dy, saved, needs, **attributes):
        """dx = dy dy/dx."""
        return (dy * self.slope(*saved, **attributes),)


def absolute(x):
    """y = |x|."""
    return np.abs(x)


def absolute_slope(x, y):
    """dy/dx = 1 above 0, -1 below, and 0 at 0."""
    return np.sign(x)


def ceil(x):
    """y = the least whole number that is not below x."""
    return np.ceil(x)


def constant_slope(x, y):
    """dy/dx = 0, where y jumps too."""
    return 0


def erf(x):
    """y = 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x."""
    return special.erf(x)


def erf_slope(x, y):
    """dy/dx = 2 / sqrt(pi) e^(-x^2); where that is 0 in any float, the square does not overflow."""
    bounded = np.minimum(np.abs(x), 40)
    return 2 / math.sqrt(math.pi) * np.exp(-bounded * bounded)


def exp(x):
    """y = e^x."""
    return np.exp(x)


def exp_slope(x, y):
    """dy/dx = e^x."""
    return y


def floor(x):
    """y = the largest whole number that is not above x."""
    return np.floor(x)


def log(x):
    """y = the natural logarithm of x."""
    return np.log(x)


def log_slope(x, y):
    """dy/dx = 1 / x."""
    return 1 / x


def negative(x):
    """y = -x."""
    return -x


def negative_slope(x, y):
    """dy/dx = -1."""
    return -1


def reciprocal(x):
    """y = 1 / x."""
    return 1 / x


def reciprocal_slope(x, y):
    """dy/dx = -1 / x^2."""
    return -y * y


def round(x):
    """y = the nearest whole number, of two the even one."""
    return np.rint(x)


def sign(x):
    """y = 1 above 0, -1 below, and 0 at 0."""
    return np.sign(x)


def sqrt(x):
    """y = the square root of x."""
    return np.sqrt(x)


def sqrt_slope(x, y):
    """dy/dx = 1 / (2 sqrt(x))."""
    return 0.5 / y


OPERATIONS = {
    "absolute": Unary(absolute, absolute_slope),
    "ceil": Unary(ceil, constant_slope),
    "erf": Unary(erf, erf_slope),
    "exp": Unary(exp, exp_slope),
    "floor": Unary(floor, constant_slope),
    "log": Unary(log, log_slope),
    "negative": Unary(negative, negative_slope),
    "reciprocal": Unary(reciprocal, reciprocal_slope),
    "round": Unary(round, constant_slope),
    "sign": Unary(sign, constant_slope),
    "sqrt": Unary(sqrt, sqrt_slope),
}

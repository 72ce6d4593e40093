"""Functions of one number, taken of each element: activations, and the arithmetic of one number.

A formula and its slope dy/dx are a few lines each.

The rectifier has a module of its own, since other operations' kernels compute it with their results.
"""

import numpy as np


class Activation:
    """An operation of this page.

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


def sigmoid(x):
    """y = 1 / (1 + e^-x), written so that e^-x cannot overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def sigmoid_slope(x, y):
    """dy/dx = y (1 - y)."""
    return y * (1 - y)


def tanh(x):
    """y = (e^x - e^-x) / (e^x + e^-x)."""
    return np.tanh(x)


def tanh_slope(x, y):
    """dy/dx = 1 - y^2."""
    return 1 - y * y


def softplus(x):
    """y = log(1 + e^x), written so that e^x cannot overflow."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def softplus_slope(x, y):
    """dy/dx = 1 / (1 + e^-x)."""
    return sigmoid(x)


def leaky_relu(x, *, alpha):
    """y = x above 0, alpha x elsewhere."""
    return np.where(x > 0, x, x.dtype.type(alpha) * x)


def leaky_relu_slope(x, y, *, alpha):
    """dy/dx = 1 above 0, alpha elsewhere, at 0 too."""
    return np.where(x > 0, 1, x.dtype.type(alpha))


def absolute(x):
    """y = |x|."""
    return np.abs(x)


def absolute_slope(x, y):
    """dy/dx = 1 above 0, -1 below, and 0 at 0."""
    return np.sign(x)


def negative(x):
    """y = -x."""
    return -x


def negative_slope(x, y):
    """dy/dx = -1."""
    return -1


OPERATIONS = {
    "absolute": Activation(absolute, absolute_slope),
    "leaky_relu": Activation(leaky_relu, leaky_relu_slope),
    "negative": Activation(negative, negative_slope),
    "sigmoid": Activation(sigmoid, sigmoid_slope),
    "softplus": Activation(softplus, softplus_slope),
    "tanh": Activation(tanh, tanh_slope),
}

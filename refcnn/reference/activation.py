"""Activations, functions of one number that are taken of each element. A formula and its slope are a few lines each.

The rectifier has a module of its own, since other operations' kernels compute it with their results.
"""

import math

import numpy as np

from .. import special
from .elementary import Unary


def celu(x, *, alpha):
    """y = x above 0, alpha (e^(x / alpha) - 1) elsewhere."""
    alpha = x.dtype.type(alpha)
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha))


def celu_slope(x, y, *, alpha):
    """dy/dx = 1 above 0, e^(x / alpha) elsewhere."""
    return np.where(x > 0, 1, np.exp(np.minimum(x, 0) / x.dtype.type(alpha)))


def clip(x, *, min, max):
    """y = x, but min where x is below that, and max where it is above that; max where min is above max."""
    return np.minimum(np.maximum(x, x.dtype.type(min)), x.dtype.type(max))


def clip_slope(x, y, *, min, max):
    """dy/dx = 1 from min to max, both included, else 0."""
    return np.where((x >= x.dtype.type(min)) & (x <= x.dtype.type(max)), x.dtype.type(1), 0)


def elu(x, *, alpha):
    """y = x above 0, alpha (e^x - 1) elsewhere."""
    return np.where(x > 0, x, x.dtype.type(alpha) * np.expm1(np.minimum(x, 0)))


def elu_slope(x, y, *, alpha):
    """dy/dx = 1 above 0, alpha e^x elsewhere, at 0 too."""
    return np.where(x > 0, 1, x.dtype.type(alpha) * np.exp(np.minimum(x, 0)))


def gelu(x, *, approximate):
    """y = x / 2 (1 + erf(x / sqrt(2))), in which no digits cancel if 1 + erf(v) is taken as erfc(-v).

    With ``approximate="tanh"`` y = x / 2 (1 + tanh(v)), v = sqrt(2 / pi) (x + 0.044715 x^3); 1 + tanh(v) is twice the
    logistic function of 2 v.
    """
    if approximate == "tanh":
        return x * sigmoid(_doubled_argument(x))
    return 0.5 * x * special.erfc(-math.sqrt(0.5) * x)


def gelu_slope(x, y, *, approximate):
    """dy/dx = y / x + x / sqrt(2 pi) e^(-x^2 / 2); with "tanh" y / x + x s(2 v) s(-2 v) 2 dv/dx, s the logistic."""
    if approximate == "tanh":
        v2, bounded = _doubled_argument(x), np.minimum(np.abs(x), _SATURATED)
        dv2 = 2 * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * bounded * bounded)
        return sigmoid(v2) + x * (sigmoid(v2) * sigmoid(-v2) * dv2)
    bounded = np.minimum(np.abs(x), _SATURATED)
    density = math.sqrt(0.5 / math.pi) * np.exp(-0.5 * bounded * bounded)
    return 0.5 * special.erfc(-math.sqrt(0.5) * x) + x * density


#: From where on e^(-x^2 / 2) is 0 in any float; powers of what is farther out could overflow.
_SATURATED = 40


def _doubled_argument(x):
    bounded = np.minimum(np.maximum(x, -_SATURATED), _SATURATED)
    return 2 * math.sqrt(2 / math.pi) * (bounded + 0.044715 * bounded * bounded * bounded)


def hard_sigmoid(x, *, alpha, beta):
    """y = alpha x + beta, but 0 below that and 1 above that."""
    return np.minimum(np.maximum(x.dtype.type(alpha) * x + x.dtype.type(beta), 0), 1)


def hard_sigmoid_slope(x, y, *, alpha, beta):
    """dy/dx = alpha where y is between 0 and 1, else 0."""
    return np.where((y > 0) & (y < 1), x.dtype.type(alpha), 0)


def hard_swish(x):
    """y = x (x / 6 + 1 / 2), but 0 below -3 and x above 3."""
    return x * np.minimum(np.maximum(x / 6 + 0.5, 0), 1)


def hard_swish_slope(x, y):
    """dy/dx = x / 3 + 1 / 2 between -3 and 3, 0 below and 1 above."""
    return np.where(x >= 3, 1, np.where(x <= -3, 0, x / 3 + 0.5))


def leaky_relu(x, *, alpha):
    """y = x above 0, alpha x elsewhere."""
    return np.where(x > 0, x, x.dtype.type(alpha) * x)


def leaky_relu_slope(x, y, *, alpha):
    """dy/dx = 1 above 0, alpha elsewhere, at 0 too."""
    return np.where(x > 0, 1, x.dtype.type(alpha))


def mish(x):
    """y = x tanh(log(1 + e^x)), which is x (1 + 2 e) / (1 + 2 e + 2 e^2) with e = e^-x.

    With e = e^x instead, which cannot overflow below 0, it is x (2 e + e^2) / (2 + 2 e + e^2).
    """
    e = np.exp(-np.abs(x))
    return x * (np.where(x >= 0, 1 + 2 * e, e * (2 + e)) / _mish_divisor(x, e))


def mish_slope(x, y):
    """dy/dx = y / x + x (1 - tanh(log(1 + e^x))^2) / (1 + e^-x), where the same e leave no digits to cancel."""
    e = np.exp(-np.abs(x))
    divisor = _mish_divisor(x, e)
    share = np.where(x >= 0, 1 + 2 * e, e * (2 + e)) / divisor
    return share + x * (4 * (1 + e) * np.where(x >= 0, e * e, e) / (divisor * divisor))


def _mish_divisor(x, e):
    return np.where(x >= 0, 1 + 2 * e + 2 * e * e, 2 + 2 * e + e * e)


def selu(x, *, alpha, gamma):
    """y = gamma x above 0, gamma alpha (e^x - 1) elsewhere."""
    return x.dtype.type(gamma) * elu(x, alpha=alpha)


def selu_slope(x, y, *, alpha, gamma):
    """dy/dx = gamma above 0, gamma alpha e^x elsewhere, at 0 too."""
    return x.dtype.type(gamma) * elu_slope(x, y, alpha=alpha)


def sigmoid(x):
    """y = 1 / (1 + e^-x), written so that e^-x cannot overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def sigmoid_slope(x, y):
    """dy/dx = y (1 - y)."""
    return y * (1 - y)


def softplus(x):
    """y = log(1 + e^x), written so that e^x cannot overflow."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def softplus_slope(x, y):
    """dy/dx = 1 / (1 + e^-x)."""
    return sigmoid(x)


def softsign(x):
    """y = x / (1 + |x|)."""
    return x / (1 + np.abs(x))


def softsign_slope(x, y):
    """dy/dx = 1 / (1 + |x|)^2, where no square can overflow."""
    share = 1 / (1 + np.abs(x))
    return share * share


def swish(x, *, alpha):
    """y = x / (1 + e^(-alpha x))."""
    return x * sigmoid(x.dtype.type(alpha) * x)


def swish_slope(x, y, *, alpha):
    """dy/dx = s(alpha x) + alpha x s(alpha x) s(-alpha x), s the logistic function."""
    scaled = x.dtype.type(alpha) * x
    return sigmoid(scaled) + scaled * (sigmoid(scaled) * sigmoid(-scaled))


def tanh(x):
    """y = (e^x - e^-x) / (e^x + e^-x)."""
    return np.tanh(x)


def tanh_slope(x, y):
    """dy/dx = 1 - y^2."""
    return 1 - y * y


OPERATIONS = {
    "celu": Unary(celu, celu_slope),
    "clip": Unary(clip, clip_slope),
    "elu": Unary(elu, elu_slope),
    "gelu": Unary(gelu, gelu_slope),
    "hard_sigmoid": Unary(hard_sigmoid, hard_sigmoid_slope),
    "hard_swish": Unary(hard_swish, hard_swish_slope),
    "leaky_relu": Unary(leaky_relu, leaky_relu_slope),
    "mish": Unary(mish, mish_slope),
    "selu": Unary(selu, selu_slope),
    "sigmoid": Unary(sigmoid, sigmoid_slope),
    "softplus": Unary(softplus, softplus_slope),
    "softsign": Unary(softsign, softsign_slope),
    "swish": Unary(swish, swish_slope),
    "tanh": Unary(tanh, tanh_slope),
}

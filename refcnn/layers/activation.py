"""Activations, functions of one number: for each its layer, its function and its card."""

import math

from .. import attributes as attribute
from ..formats import FLOAT32
from ..function import apply
from ..layer import Layer
from ..variable import Input, Variable, as_variable
from .activation_in_onnx import write_gelu, write_hard_swish, write_mish, write_swish
from .arithmetic import maximum, minimum
from .cast import cast_like
from .page import Card, reader_of_one

#: With these a network of many layers keeps mean and variance: Klambauer et al., "Self-Normalizing Neural Networks",
#: 2017, to the digits that float32 has, as ONNX gives them.
_SELU_ALPHA, _SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875


class Sigmoid(Layer):
    """y = 1 / (1 + e^-x), element by element; x of any shape."""

    def forward(self, x: Variable) -> Variable:
        """x of any shape -> the same shape."""
        return sigmoid(x)


class Tanh(Layer):
    """y = tanh(x), element by element; x of any shape."""

    def forward(self, x: Variable) -> Variable:
        """x of any shape -> the same shape."""
        return tanh(x)


class Softplus(Layer):
    """y = log(1 + e^x), element by element; x of any shape."""

    def forward(self, x: Variable) -> Variable:
        """x of any shape -> the same shape."""
        return softplus(x)


class Softsign(Layer):
    """y = x / (1 + |x|), element by element; x of any shape."""

    def forward(self, x: Variable) -> Variable:
        """x of any shape -> the same shape."""
        return softsign(x)


class LeakyRelu(Layer):
    """y = x above 0, alpha x elsewhere, element by element; x of any shape.

    Parameters
    ----------
    alpha : float
        The slope below 0, and at 0.

    Raises
    ------
    ArgumentError
        If alpha is no finite number.
    """

    def __init__(self, alpha: float = 0.01) -> None:
        super().__init__()
        self.alpha = attribute.number("LeakyRelu", "alpha", alpha)

    def forward(self, x: Variable) -> Variable:
        """x of any shape -> the same shape."""
        return leaky_relu(x, alpha=self.alpha)


class Elu(Layer):
    """y = x above 0, alpha (e^x - 1) elsewhere, element by element; x of any shape.

    Parameters
    ----------
    alpha : float
        -alpha is where y goes to far below 0.

    Raises
    ------
    ArgumentError
        If alpha is no finite number.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = attribute.number("Elu", "alpha", alpha)

    def forward(self, x: Variable) -> Variable:
        """x of any shape -> the same shape."""
        return elu(x, alpha=self.alpha)


class Selu(Layer):
    """y = 1.0507 x above 0, 1.0507 1.6733 (e^x - 1) elsewhere, element by element; x of any shape."""

    def forward(self, x: Variable) -> Variable:
        """x of any shape -> the same shape."""
        return selu(x)


class Celu(Layer):
    """y = x above 0, alpha (e^(x / alpha) - 1) elsewhere, element by element; x of any shape.

    Parameters
    ----------
    alpha : float
        -alpha is where y goes to far below 0.

    Raises
    ------
    ArgumentError
        If alpha is no number above 0.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = attribute.number("Celu", "alpha", alpha, above=0)

    def forward(self, x: Variable) -> Variable:
        """x of any shape -> the same shape."""
        return celu(x, alpha=self.alpha)


class Gelu(Layer):
    """y = x times the share of a normal distribution that is below x, element by element; x of any shape.

    Parameters
    ----------
    approximate : "none" or "tanh"
        As in :func:`gelu`.

    Raises
    ------
    ArgumentError
        If approximate is neither.
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = _approximate("Gelu", approximate)

    def forward(self, x: Variable) -> Variable:
        """x of any shape -> the same shape."""
        return gelu(x, approximate=self.approximate)


class HardSigmoid(Layer):
    """y = alpha x + beta, but 0 below that and 1 above that, element by element; x of any shape.

    Parameters
    ----------
    alpha, beta : float
        As ONNX and TensorFlow have them; PyTorch's alpha is 1 / 6.

    Raises
    ------
    ArgumentError
        If one is no finite number.
    """

    def __init__(self, alpha: float = 0.2, beta: float = 0.5) -> None:
        super().__init__()
        self.alpha = attribute.number("HardSigmoid", "alpha", alpha)
        self.beta = attribute.number("HardSigmoid", "beta", beta)

    def forward(self, x: Variable) -> Variable:
        """x of any shape -> the same shape."""
        return hard_sigmoid(x, alpha=self.alpha, beta=self.beta)


class HardSwish(Layer):
    """y = x (x / 6 + 1 / 2), but 0 below -3 and x above 3, element by element; x of any shape."""

    def forward(self, x: Variable) -> Variable:
        """x of any shape -> the same shape."""
        return hard_swish(x)


class Swish(Layer):
    """y = x / (1 + e^(-alpha x)), element by element, also called SiLU where alpha is 1; x of any shape.

    Parameters
    ----------
    alpha : float

    Raises
    ------
    ArgumentError
        If alpha is no finite number.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = attribute.number("Swish", "alpha", alpha)

    def forward(self, x: Variable) -> Variable:
        """x of any shape -> the same shape."""
        return swish(x, alpha=self.alpha)


class Mish(Layer):
    """y = x tanh(log(1 + e^x)), element by element; x of any shape."""

    def forward(self, x: Variable) -> Variable:
        """x of any shape -> the same shape."""
        return mish(x)


class Clip(Layer):
    """y = x, but min where x is below that, and max where x is above that; x of any shape.

    Parameters
    ----------
    min, max : float, optional
        Without one there is no such limit.

    Raises
    ------
    ArgumentError
        If one is no finite number.
    """

    def __init__(self, min: float | None = None, max: float | None = None) -> None:
        super().__init__()
        self.min, self.max = _limits("Clip", min, max)

    def forward(self, x: Variable) -> Variable:
        """x of any shape -> the same shape."""
        return clip(x, self.min, self.max)


class Relu6(Layer):
    """y = x between 0 and 6, 0 below and 6 above, element by element; x of any shape."""

    def forward(self, x: Variable) -> Variable:
        """x of any shape -> the same shape."""
        return relu6(x)


def sigmoid(x: Input) -> Variable:
    """Return 1 / (1 + e^-x), element by element, as a Variable of the shape of x."""
    return apply("sigmoid", as_variable(x))


def tanh(x: Input) -> Variable:
    """Return the hyperbolic tangent, element by element, as a Variable of the shape of x."""
    return apply("tanh", as_variable(x))


def softplus(x: Input) -> Variable:
    """Return log(1 + e^x), element by element, as a Variable of the shape of x."""
    return apply("softplus", as_variable(x))


def softsign(x: Input) -> Variable:
    """Return x / (1 + |x|), element by element, as a Variable of the shape of x."""
    return apply("softsign", as_variable(x))


def leaky_relu(x: Input, *, alpha: float = 0.01) -> Variable:
    """Return x above 0 and alpha x elsewhere, element by element, as a Variable of the shape of x.

    Raises
    ------
    ArgumentError
        If alpha is no finite number.
    """
    return apply("leaky_relu", as_variable(x), alpha=attribute.number("leaky_relu", "alpha", alpha))


def elu(x: Input, *, alpha: float = 1.0) -> Variable:
    """Return x above 0 and alpha (e^x - 1) elsewhere, element by element, as a Variable of the shape of x.

    The gradient at 0 is alpha.

    Raises
    ------
    ArgumentError
        If alpha is no finite number.
    """
    return apply("elu", as_variable(x), alpha=attribute.number("elu", "alpha", alpha))


def selu(x: Input, *, alpha: float = _SELU_ALPHA, gamma: float = _SELU_GAMMA) -> Variable:
    """Return gamma x above 0 and gamma alpha (e^x - 1) elsewhere, element by element, as a Variable.

    Raises
    ------
    ArgumentError
        If alpha or gamma is no finite number.
    """
    alpha, gamma = attribute.number("selu", "alpha", alpha), attribute.number("selu", "gamma", gamma)
    return apply("selu", as_variable(x), alpha=alpha, gamma=gamma)


def celu(x: Input, *, alpha: float = 1.0) -> Variable:
    """Return x above 0 and alpha (e^(x / alpha) - 1) elsewhere, element by element, as a Variable of the shape of x.

    Raises
    ------
    ArgumentError
        If alpha is no number above 0.
    """
    return apply("celu", as_variable(x), alpha=attribute.number("celu", "alpha", alpha, above=0))


def gelu(x: Input, *, approximate: str = "none") -> Variable:
    """Return x times the share of a normal distribution that is below x, element by element, as a Variable.

    Parameters
    ----------
    x : Variable or array_like
    approximate : "none" or "tanh"
        x / 2 (1 + erf(x / sqrt(2))), or x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), off by 5e-4 at most:
        Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016.

    Raises
    ------
    ArgumentError
        If approximate is neither.
    """
    return apply("gelu", as_variable(x), approximate=_approximate("gelu", approximate))


def hard_sigmoid(x: Input, *, alpha: float = 0.2, beta: float = 0.5) -> Variable:
    """Return alpha x + beta, but 0 below that and 1 above that, element by element, as a Variable of the shape of x.

    Raises
    ------
    ArgumentError
        If alpha or beta is no finite number.
    """
    alpha, beta = attribute.number("hard_sigmoid", "alpha", alpha), attribute.number("hard_sigmoid", "beta", beta)
    return apply("hard_sigmoid", as_variable(x), alpha=alpha, beta=beta)


def hard_swish(x: Input) -> Variable:
    """Return x (x / 6 + 1 / 2), but 0 below -3 and x above 3, element by element, as a Variable of the shape of x."""
    return apply("hard_swish", as_variable(x))


def swish(x: Input, *, alpha: float = 1.0) -> Variable:
    """Return x / (1 + e^(-alpha x)), element by element, as a Variable of the shape of x.

    Raises
    ------
    ArgumentError
        If alpha is no finite number.
    """
    return apply("swish", as_variable(x), alpha=attribute.number("swish", "alpha", alpha))


def mish(x: Input) -> Variable:
    """Return x tanh(log(1 + e^x)), element by element, as a Variable of the shape of x."""
    return apply("mish", as_variable(x))


def clip(x: Input, min: float | None = None, max: float | None = None) -> Variable:
    """Return x, but min where x is below that and max where it is above that, as a Variable of the shape of x.

    NaN stays NaN. The gradient is passed on from min to max, both included.

    Parameters
    ----------
    x : Variable or array_like
    min, max : float, optional
        Without one there is no such limit. Where min is above max all is max, as in NumPy and ONNX.

    Raises
    ------
    ArgumentError
        If one is no finite number.
    """
    min, max = _limits("clip", min, max)
    least, most = -math.inf if min is None else min, math.inf if max is None else max
    return apply("clip", as_variable(x), min=least, max=most)


def relu6(x: Input) -> Variable:
    """Return x between 0 and 6, 0 below and 6 above, element by element, as a Variable: :func:`clip`."""
    return clip(x, 0, 6)


def _approximate(owner, value):
    return attribute.choice(owner, "approximate", value, ("none", "tanh"))


def _limits(owner, least, most):
    """Return the limits of a clip as floats, None for one that is not."""
    limits = (("min", least), ("max", most))
    return tuple(None if limit is None else attribute.number(owner, name, limit) for name, limit in limits)


OPERATIONS = {
    "celu": Card(celu, "Celu"),
    "clip": Card(clip, "Clip"),
    "elu": Card(elu, "Elu"),
    "gelu": Card(gelu, write_gelu),
    "hard_sigmoid": Card(hard_sigmoid, "HardSigmoid"),
    "hard_swish": Card(hard_swish, write_hard_swish),
    "leaky_relu": Card(leaky_relu, "LeakyRelu"),
    "mish": Card(mish, write_mish),
    "selu": Card(selu, "Selu"),
    "sigmoid": Card(sigmoid, "Sigmoid"),
    "softplus": Card(softplus, "Softplus"),
    "softsign": Card(softsign, "Softsign"),
    "swish": Card(swish, write_swish),
    "tanh": Card(tanh, "Tanh"),
}


def _read_gelu(x, *, approximate="none"):
    return gelu(x, approximate=approximate)


def _read_clip(input, *, min=None, max=None):
    # Some exporters give the numbers along an axis.
    (min,), (max,) = attribute.entries(min), attribute.entries(max)
    # Of versions before 11 the limits are the largest floats where none are given.
    limits = (None if limit is None or abs(limit) >= FLOAT32.largest else limit for limit in (min, max))
    if input.dtype.kind != "f":
        least, most = (None if limit is None else cast_like([limit], input) for limit in (min, max))
        input = input if least is None else maximum(input, least)
        return input if most is None else minimum(input, most)
    return clip(input, *limits)


def _read_selu(x, *, alpha=_SELU_ALPHA, gamma=_SELU_GAMMA):
    return selu(x, alpha=alpha, gamma=gamma)


def _read_of_alpha(function, default):
    def read(x, *, alpha=default):
        return function(x, alpha=alpha)

    return read


def _read_hard_sigmoid(x, *, alpha=0.2, beta=0.5):
    return hard_sigmoid(x, alpha=alpha, beta=beta)


FROM_ONNX = {
    "Celu": _read_of_alpha(celu, 1.0),
    "Clip": _read_clip,
    "Elu": _read_of_alpha(elu, 1.0),
    "Gelu": _read_gelu,
    "HardSigmoid": _read_hard_sigmoid,
    "HardSwish": reader_of_one(hard_swish),
    "LeakyRelu": _read_of_alpha(leaky_relu, 0.01),
    "Mish": reader_of_one(mish),
    "Selu": _read_selu,
    "Sigmoid": reader_of_one(sigmoid),
    "Softplus": reader_of_one(softplus),
    "Softsign": reader_of_one(softsign),
    "Swish": _read_of_alpha(swish, 1.0),
    "Tanh": reader_of_one(tanh),
}

"""Functions of one number, activations above all: for each its layer, its function and its card."""

from .. import attributes as attribute
from ..function import apply
from ..layer import Layer
from ..variable import Input, Variable, as_variable
from .page import Card


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


def sigmoid(x: Input) -> Variable:
    """Return 1 / (1 + e^-x), element by element, as a Variable of the shape of x."""
    return apply("sigmoid", as_variable(x))


def tanh(x: Input) -> Variable:
    """Return the hyperbolic tangent, element by element, as a Variable of the shape of x."""
    return apply("tanh", as_variable(x))


def softplus(x: Input) -> Variable:
    """Return log(1 + e^x), element by element, as a Variable of the shape of x."""
    return apply("softplus", as_variable(x))


def leaky_relu(x: Input, *, alpha: float = 0.01) -> Variable:
    """Return x above 0 and alpha x elsewhere, element by element, as a Variable of the shape of x.

    Raises
    ------
    ArgumentError
        If alpha is no finite number.
    """
    return apply("leaky_relu", as_variable(x), alpha=attribute.number("leaky_relu", "alpha", alpha))


def negative(x: Input) -> Variable:
    """Return -x as a Variable of the shape of x."""
    return apply("negative", as_variable(x))


def absolute(x: Input) -> Variable:
    """Return |x|, element by element, as a Variable of the shape of x; the gradient at 0 is 0."""
    return apply("absolute", as_variable(x))


OPERATIONS = {
    "absolute": Card(absolute, "Abs", abs="refcnn.absolute", fabs="refcnn.absolute"),
    "leaky_relu": Card(leaky_relu, "LeakyRelu"),
    "negative": Card(negative, "Neg"),
    "sigmoid": Card(sigmoid, "Sigmoid"),
    "softplus": Card(softplus, "Softplus"),
    "tanh": Card(tanh, "Tanh"),
}

"""Activations on an OpenCL device: their formulas and slopes are functions of kernels/activation.cl."""

from .elementary import Unary


class Choice:
    """An operation that is one function or another by the value of an attribute.

    Parameters
    ----------
    attribute : str
    **functions : Unary
        By the attribute's value.
    """

    KERNELS = Unary.KERNELS

    def __init__(self, attribute, **functions):
        self.attributes, self._functions = (attribute,), functions

    def forward(self, x, **attributes):
        """x of any shape -> y of that shape."""
        return self._chosen(attributes).forward(x)

    def backward(self, dy, saved, needs, **attributes):
        """dx = dy dy/dx."""
        return self._chosen(attributes).backward(dy, saved, needs)

    def _chosen(self, attributes):
        (attribute,) = self.attributes
        return self._functions[attributes[attribute]]


OPERATIONS = {
    "celu": Unary("celu", "alpha", in_vectors=True),
    "clip": Unary("clip", "min", "max"),
    "elu": Unary("elu", "alpha", in_vectors=True),
    "gelu": Choice("approximate", none=Unary("gelu", in_vectors=True), tanh=Unary("gelu_tanh", in_vectors=True)),
    "hard_sigmoid": Unary("hard_sigmoid", "alpha", "beta"),
    "hard_swish": Unary("hard_swish"),
    "leaky_relu": Unary("leaky_relu", "alpha"),
    "mish": Unary("mish", in_vectors=True),
    "selu": Unary("selu", "alpha", "gamma", in_vectors=True),
    "sigmoid": Unary("sigmoid", in_vectors=True),
    "softplus": Unary("softplus", in_vectors=True),
    "softsign": Unary("softsign"),
    "swish": Unary("swish", "alpha", in_vectors=True),
    "tanh": Unary("tanh", in_vectors=True),
}

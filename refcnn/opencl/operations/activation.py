"""Activations on an OpenCL device: their formulas and slopes are functions of kernels/activation.cl."""

import functools

from ...formats import FLOAT32
from ...mode import is_recording
from ..shared import fusion
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


class Clip(Unary):
    """What keeps floats within limits, together with what computes them where that need not be stored for gradients."""

    def __init__(self):
        super().__init__("clip", "min", "max")

    def forward(self, x, **attributes):
        """x of any shape -> y of that shape."""
        origin, y = fusion.origin(x), None
        if x.dtype == FLOAT32.dtype and (origin is not None or not is_recording()):
            y = fusion.limited(x, self._limits(attributes))
        if y is None:
            (y, _), origin = super().forward(x, **attributes), None
        return y, (x, y, origin)

    def backward(self, dy, saved, needs, **attributes):
        """dx = dy where x is within the limits, else 0."""
        *arrays, origin = saved
        run = functools.partial(self._masked, dy, arrays, attributes)
        return (run() if origin is None else fusion.Masked(dy, self._limits(attributes), origin, run).array(),)

    def _limits(self, attributes):
        return fusion.Limits(*(attributes[name] for name in self.attributes))

    def _masked(self, dy, arrays, attributes):
        (dx,) = super().backward(dy, arrays, (True,), **attributes)
        return dx


OPERATIONS = {
    "celu": Unary("celu", "alpha", in_vectors=True),
    "clip": Clip(),
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

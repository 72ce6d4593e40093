"""Functions of one number: cases; their error bounds follow from the reference's formulas."""

import numpy as np
from hypothesis import strategies as st

from ...reference import activation as reference
from ..theory.derived import Derived
from ..theory.strategies import Case, arrays, shapes, special_numbers

#: From where a function is all but linear to where it is all but constant, and where e^x would overflow.
_SCALES = (1.0, 10.0, 1e-3, 30.0, 1e3, 1e30, 1e-30)

#: With which integers stay what float32 holds.
_EXACT_ALPHAS = (0.5, 0.25, 0.0)


@st.composite
def cases(draw, size="small", integers=False):
    """Draw an array of any shape."""
    shape = draw(shapes(size))
    special = special_numbers()
    x = draw(arrays(shape, integers, scales=_SCALES, special=special))
    return Case((x,), {}, draw(arrays(shape, integers, special=special)))


@st.composite
def leaky_relu_cases(draw, size="small", integers=False):
    """Draw an array of any shape, and alpha."""
    case = draw(cases(size, integers))
    alpha = draw(st.sampled_from(_EXACT_ALPHAS if integers else [0.01, 0.1, 0.0, 1.0, -0.5, 3.0]))
    return Case(case.inputs, {"alpha": alpha}, case.dy)


class Sigmoid(reference.Activation):
    """Gradients of the logistic function by the reference's formula, or multiplied from the left, as others do it.

    Below the normal numbers the one product is rounded less often than the others.
    """

    def backward(self, dy, saved, needs):
        """As that of the reference."""
        (dx,), (_, y) = super().backward(dy, saved, needs), saved
        return (dx.or_as(dy * y * (1 - y)).or_as(dy * (1 - y) * y),)


def softplus(x):
    """By the reference's formula, or as log(1 + e^x) up to 20 and x above, as PyTorch does it."""
    return reference.softplus(x).or_as(np.where(x > 20, x, np.log1p(np.exp(x))))


def _keeps_zeros(direction, case):
    """Zeros get the other sign, or in gradients keep it."""
    return True


OPERATIONS = {
    "absolute": Derived(reference.OPERATIONS["absolute"], cases, EXACT_ON_INTEGERS=True),
    "leaky_relu": Derived(
        reference.OPERATIONS["leaky_relu"],
        leaky_relu_cases,
        EXACT_ON_INTEGERS=True,
        is_exact_with=lambda attributes: attributes["alpha"] in _EXACT_ALPHAS,
    ),
    "negative": Derived(reference.OPERATIONS["negative"], cases, EXACT_ON_INTEGERS=True, is_copy=_keeps_zeros),
    "sigmoid": Derived(Sigmoid(reference.sigmoid, reference.sigmoid_slope), cases),
    "softplus": Derived(reference.Activation(softplus, reference.softplus_slope), cases),
    "tanh": Derived(reference.OPERATIONS["tanh"], cases),
}

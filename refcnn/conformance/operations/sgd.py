"""Stochastic gradient descent: cases and error bounds, by running error analysis of the formula."""

from hypothesis import strategies as st

from ..theory.approximation import Approximation
from ..theory.strategies import ZEROS_AND_NOT_FINITE, Case, arrays, shapes

EXACT_ON_INTEGERS = True
EDGES_AT_ZERO = ("momentum",)


@st.composite
def cases(draw, size="small", integers=False):
    """Draw parameter, gradient and velocity; with ``integers`` every product and sum is exact."""
    shape = draw(shapes(size))
    attributes = {
        "lr": draw(st.sampled_from([1.0, 0.5] if integers else [0.1, 1.0, 1e-3, 1e-6])),
        "momentum": draw(st.sampled_from([0.0, 0.5] if integers else [0.4, 0.0, 0.9, 0.999])),
        "nesterov": draw(st.booleans()),
    }
    w, g = (draw(arrays(shape, integers, special=ZEROS_AND_NOT_FINITE)) for _ in range(2))
    # A momentum of 0 may be left out, or multiplied with a velocity that must be finite then.
    return Case((w, g, draw(arrays(shape, integers))), attributes)


def forward_bound(inputs, attributes, errors=None):
    """v_new = m v + lr g, and w_new = w - v_new, or w - (1 + m) v_new + m v in any order."""
    w, g, v = map(Approximation.of_input, inputs, errors or (None, None, None))
    lr, momentum = (Approximation.of_attribute(attributes[name]) for name in ("lr", "momentum"))
    v_new = momentum * v + lr * g
    if not attributes["nesterov"]:
        return (w - v_new).bound, v_new.bound
    w_new = Approximation.total(w, -((Approximation(1) + momentum) * v_new), momentum * v)
    return w_new.bound, v_new.bound


def is_exact_with(attributes):
    """With powers of two all products are exact."""
    return attributes["lr"] in (0.5, 1.0) and attributes["momentum"] in (0.0, 0.5)

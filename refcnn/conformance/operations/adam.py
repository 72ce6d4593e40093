"""Adam: cases and error bounds, by running error analysis of the formula."""

import numpy as np
from hypothesis import strategies as st

from ..theory.approximation import Approximation
from ..theory.strategies import ZEROS_AND_NOT_FINITE, Case, arrays, shapes

EDGES_AT_ZERO = ("beta1", "beta2")


@st.composite
def cases(draw, size="small", integers=False):
    """Draw parameter, gradient, the two moments and all attributes."""
    shape = draw(shapes(size))
    decay = st.sampled_from([0.9, 0.0, 0.5, 0.999])
    attributes = {
        "lr": draw(st.sampled_from([1e-3, 1.0, 0.1])),
        "beta1": draw(decay),
        "beta2": draw(decay),
        "epsilon": draw(st.sampled_from([1e-8, 1e-3, 1.0])),
        "step": draw(st.one_of(st.integers(1, 10), st.integers(1, 10**6))),
    }
    w, g = (draw(arrays(shape, integers, special=ZEROS_AND_NOT_FINITE)) for _ in range(2))
    # A decay of 0 may be left out, or multiplied with a moment that must be finite then.
    m, r = (draw(arrays(shape, integers)) for _ in range(2))
    return Case((w, g, m, np.abs(r)), attributes)


def forward_bound(inputs, attributes, errors=None):
    """The formulas of :mod:`refcnn.reference.adam`; 1 - beta and 1 - beta^step are numbers rounded once."""
    w, g, m, r = map(Approximation.of_input, inputs, errors or (None,) * 4)
    beta1, beta2, step = (attributes[name] for name in ("beta1", "beta2", "step"))
    number = Approximation.of_attribute
    m_new = number(beta1) * m + number(1 - beta1) * g
    r_new = number(beta2) * r + number(1 - beta2) * (g * g)
    m_hat = m_new / number(1 - beta1**step)
    r_hat = r_new / number(1 - beta2**step)
    lr, scale = number(attributes["lr"]), r_hat.sqrt() + number(attributes["epsilon"])
    return (w - lr * m_hat / scale).bound, m_new.bound, r_new.bound

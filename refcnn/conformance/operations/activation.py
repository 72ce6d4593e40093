"""Activations: cases; their error bounds follow from the reference's formulas."""

import dataclasses

import numpy as np
from hypothesis import strategies as st

from ...reference import activation as reference
from ...reference.elementary import Unary
from ...special import erf
from ..theory.derived import Derived
from ..theory.examples import of_shapes
from ..theory.pieces import turns_at
from .elementary import cases

#: With which integers stay what float32 holds.
_EXACT_ALPHAS = (0.5, 0.25, 0.0)
_ALPHAS = (1.0, 0.01, 0.1, 0.0, -0.5, 3.0)


@st.composite
def _with(draw, attributes, exact, size, integers):
    chosen = exact if integers and exact else attributes
    case = draw(cases(size, integers))
    return dataclasses.replace(case, attributes={name: draw(st.sampled_from(chosen[name])) for name in chosen})


def cases_with(exact=None, **attributes):
    """Return a strategy of cases, as :func:`.elementary.cases`, with a value for each attribute.

    Parameters
    ----------
    exact : dict of str to sequence, optional
        Values of each attribute with which integers stay what float32 holds.
    **attributes : sequence
        Values to choose from.
    """

    def of(size="small", integers=False):
        return _with(attributes, exact, size, integers)

    return of


def _within(exact):
    """Return whether attributes are all among such with which integers stay what float32 holds."""
    return lambda attributes: all(attributes[name] in values for name, values in exact.items())


def softplus(x):
    """By the reference's formula, or as log(1 + e^x) up to 20 and x above, as PyTorch does it."""
    return reference.softplus(x).or_as(np.where(x > 20, x, np.log1p(np.exp(x))))


def gelu(x, *, approximate):
    """By the reference's formula, or as ONNX writes it, whose digits cancel below 0."""
    if approximate == "tanh":
        bounded = np.minimum(np.maximum(x, -40), 40)
        cube = bounded * bounded * bounded
        share = 1 + np.tanh(np.sqrt(2 / np.pi) * (bounded + 0.044715 * cube))
    else:
        share = 1 + erf(x / np.sqrt(2))
    return reference.gelu(x, approximate=approximate).or_as(0.5 * x * share)


def hard_swish(x):
    """By the reference's formula, or as x (x + 3) / 6 up to 3 and x above, as PyTorch writes it."""
    return reference.hard_swish(x).or_as(np.where(x >= 3, x, x * np.maximum(np.minimum(x, 3) + 3, 0) / 6))


def mish(x):
    """By the reference's formula, or as x tanh(softplus(x))."""
    return reference.mish(x).or_as(x * np.tanh(softplus(x)))


def mish_slope(x, y):
    """By the reference's formula, or by the product's rule from tanh(softplus(x)), whose digits cancel for large x."""
    slope, share = reference.mish_slope(x, y), np.tanh(softplus(x))
    return slope.or_as(_up_to_40(x, share + x * (reference.sigmoid(x) * (1 - share * share)), slope))


def swish_slope(x, y, *, alpha):
    """By the reference's formula, or with 1 - s(alpha x) in the place of s(-alpha x), whose digits cancel."""
    slope, scaled = reference.swish_slope(x, y, alpha=alpha), x.dtype.type(alpha) * x
    share = reference.sigmoid(scaled)
    return slope.or_as(_up_to_40(scaled, share + scaled * (share * (1 - share)), slope))


def _up_to_40(x, one, other):
    """Return one number where x is at most so large, beyond which no digits of the other are left to cancel."""
    return np.where(np.abs(x) <= 40, one, other)


def _derived(operation, cases, **traits):
    return Derived(reference.OPERATIONS[operation], cases, **traits)


_CLIPPED = {"min": -1.0, "max": 2.0}


def _clip_may_route(y, bound, is_open, dy):
    """Where y may be on either side of a limit, its gradient may be passed on or not."""
    is_near = (np.abs(y - _CLIPPED["min"]) <= bound) | (np.abs(y - _CLIPPED["max"]) <= bound)
    return is_open | is_near & (bound > 0), dy


def _clip_may_flip(inputs, errors, attributes):
    return turns_at(attributes["min"], attributes["max"])(inputs, errors, attributes)


_EXACT_LEAKY = {"alpha": _EXACT_ALPHAS}
_LIMITS = {"min": (-np.inf, -3.0, 0.0, 0.5, 7.0), "max": (np.inf, 6.0, 0.0, 0.1, -2.0)}
_EXACT_HARD = {"alpha": _EXACT_ALPHAS, "beta": (0.5, 0.0, 1.0)}

OPERATIONS = {
    "celu": _derived("celu", cases_with(alpha=(1.0, 0.1, 3.0, 1e-3, 30.0))),
    "clip": _derived(
        "clip",
        cases_with({"min": (-3.0, 0.0, -np.inf), "max": (6.0, 0.0, np.inf)}, **_LIMITS),
        EXACT_ON_INTEGERS=True,
        is_exact_with=_within({"min": (-np.inf, -3.0, 0.0, 0.5, 7.0), "max": (np.inf, 6.0, 0.0, -2.0)}),
        AS_FOLLOWER=_CLIPPED,
        may_route=_clip_may_route,
        may_flip=_clip_may_flip,
        examples=of_shapes((2, 3), dy=(2, 3), min=-0.5, max=0.5),
    ),
    "elu": _derived("elu", cases_with(alpha=_ALPHAS)),
    "gelu": Derived(Unary(gelu, reference.gelu_slope), cases_with(approximate=("none", "tanh"))),
    "hard_sigmoid": _derived(
        "hard_sigmoid",
        cases_with(_EXACT_HARD, alpha=(0.2, 1 / 6, 0.5, -0.25, 0.0, 3.0), beta=(0.5, 0.0, 1.0, 0.1, -1.0)),
        EXACT_ON_INTEGERS=True,
        is_exact_with=_within(_EXACT_HARD),
    ),
    "hard_swish": Derived(Unary(hard_swish, reference.hard_swish_slope), cases),
    "leaky_relu": _derived(
        "leaky_relu",
        cases_with(_EXACT_LEAKY, alpha=(0.01, 0.1, 0.0, 1.0, -0.5, 3.0)),
        EXACT_ON_INTEGERS=True,
        is_exact_with=_within(_EXACT_LEAKY),
        may_flip=turns_at(0),
    ),
    "mish": Derived(Unary(mish, mish_slope), cases),
    "selu": _derived("selu", cases_with(alpha=(1.6732632423543772, 1.0, -0.5), gamma=(1.0507009873554805, 1.0, 3.0))),
    "sigmoid": _derived("sigmoid", cases),
    "softplus": Derived(Unary(softplus, reference.softplus_slope), cases),
    "softsign": _derived("softsign", cases),
    "swish": Derived(Unary(reference.swish, swish_slope), cases_with(alpha=(1.0, 1.702, 0.5, 0.0, -1.0, 30.0))),
    "tanh": _derived("tanh", cases),
}

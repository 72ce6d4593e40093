"""Cross entropy of the softmax: cases and error bounds, by running error analysis of the formulas."""

import numpy as np
from hypothesis import strategies as st

from .bounds import Approximation
from .softmax import LOGIT_SCALES, logit_shapes
from .strategies import FEW_NOT_FINITE, Case, arrays


@st.composite
def cases(draw, size="small", integers=False):
    """Draw rows of logits, and targets: one-hot rows or arbitrary numbers."""
    shape = draw(logit_shapes(size))
    # An absent class has an infinite loss, whose product with a target of 0 is left open.
    x = draw(arrays(shape, integers, scales=LOGIT_SCALES, special=(np.nan,), shares=FEW_NOT_FINITE["shares"]))
    if draw(st.booleans()):
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        t = np.eye(shape[1], dtype=np.float32)[rng.integers(0, shape[1], shape[0])]
    else:
        t = draw(arrays(shape, integers, scales=(1.0, 1e-3)))
    reduce_sum = draw(st.booleans())
    dy = draw(arrays(() if reduce_sum else shape, integers, scales=(1.0, 1e-3, 1e3)))
    return Case((x, t), {"reduce_sum": reduce_sum}, dy)


def forward_bound(inputs, attributes, errors=None):
    """loss = -t log p; with reduce_sum the sum of all, divided by the batch."""
    log_p, t = _log_p_and_t(inputs, errors)
    loss = -t * log_p
    if attributes["reduce_sum"]:
        loss = loss.sum() / _batch(inputs)
    return loss.bound


def backward_bound(dy, inputs, attributes, needs):
    """dx = p sum of g t - g t and dt = -g log p, with log p as forward rounded it; g is dy, or dy / N."""
    log_p, t = _log_p_and_t(inputs)
    g = Approximation.of_input(dy)
    if attributes["reduce_sum"]:
        g = g / _batch(inputs)
    dx = log_p.exp() * (g * t).sum(axis=1) - g * t
    dt = -g * log_p
    return dx.bound if needs[0] else None, dt.bound if needs[1] else None


def _log_p_and_t(inputs, errors=None):
    x, t = map(Approximation.of_input, inputs, errors or (None, None))
    shifted = x - x.max(axis=1)
    return shifted - shifted.exp().sum(axis=1).log(), t


def _batch(inputs):
    return Approximation(inputs[0].shape[0])

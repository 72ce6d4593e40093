"""Cross entropy of the softmax: cases and error bounds, by running error analysis of the formulas."""

import numpy as np
from hypothesis import strategies as st

from ..theory.approximation import Approximation
from ..theory.bounds import number_format
from ..theory.examples import of_shapes
from ..theory.random_numbers import rows
from ..theory.strategies import FEW_NOT_FINITE, Case, arrays
from . import log_softmax
from .softmax import logit_shapes, logits, probabilities


@st.composite
def cases(draw, size="small", integers=False):
    """Draw rows of logits, and targets: one-hot rows, some of which may be left out by zeros, or arbitrary numbers."""
    shape = draw(logit_shapes(size))
    x = draw(logits(shape, integers))
    if draw(st.booleans()):
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        t = np.zeros(shape, number_format().dtype)
        t[np.arange(shape[0]), rng.integers(0, shape[1], shape[0])] = 1
        left_out = rng.random(shape[0]) < draw(st.sampled_from((0, 0.3)))
        t[left_out], x[left_out, 0] = 0, draw(st.sampled_from((0,) if integers else (0, np.nan)))
    else:
        t = draw(arrays(shape, integers, scales=(1.0, 1e-3)))
    reduce_sum = draw(st.booleans())
    dy = draw(arrays(() if reduce_sum else shape, integers, scales=(1.0, 1e-3, 1e3), **FEW_NOT_FINITE))
    return Case((x, t), {"reduce_sum": reduce_sum}, dy)


def exact_forward(x, t, *, reduce_sum):
    """As :func:`refcnn.reference.softmax_cross_entropy.forward`, all rows at once."""
    log_p, _ = log_softmax.exact_forward(x, axis=1)
    loss = _weighted(-t, log_p)
    return np.asarray(loss.sum() / x.shape[0]) if reduce_sum else loss, (log_p, t)


def exact_backward(dy, saved, needs, *, reduce_sum):
    """As :func:`refcnn.reference.softmax_cross_entropy.backward`, all rows at once."""
    log_p, t = saved
    g = np.broadcast_to(dy / t.shape[0] if reduce_sum else dy, t.shape)
    dx = dt = None
    if needs[0]:
        gt = _weighted(t, g)
        dx = np.where(t.any(axis=1, keepdims=True), np.exp(log_p) * gt.sum(axis=1, keepdims=True) - gt, 0)
    if needs[1]:
        dt = np.where(np.isfinite(log_p) | (t != 0), -g * log_p, 0)
    return dx, dt


def _weighted(t, values):
    return np.where(t != 0, t * values, 0)


def forward_bound(inputs, attributes, errors=None):
    """loss = -t log p, 0 where t is; with reduce_sum the sum of all, divided by the batch."""
    log_p, _, t = _log_p_p_and_t(inputs, errors)
    loss = -log_p.weighted(t)
    if attributes["reduce_sum"]:
        loss = loss.sum() / _batch(inputs)
    return loss.bound


def backward_bound(dy, inputs, attributes, needs):
    """dx = p sum of g t - g t and dt = -g log p, with log p as forward rounded it; g is dy, or dy / N.

    Where t is 0, so are g t and, if log p is not finite, dt; of a row of zeros alone dx is 0.
    """
    log_p, p, t = _log_p_p_and_t(inputs)
    g = Approximation.of_input(dy)
    if attributes["reduce_sum"]:
        g = g / _batch(inputs)
    gt = g.weighted(t)
    dx = p * gt.sum(axis=1, random_signs=True) - gt
    dx = dx.where(t.is_not_zero.any(axis=1, keepdims=True), t.is_surely_not_zero.any(axis=1, keepdims=True))
    dt = (-g * log_p).where(np.isfinite(log_p.exact) | t.is_not_zero, t.is_surely_not_zero)
    return dx.bound if needs[0] else None, dt.bound if needs[1] else None


@st.composite
def random_cases(draw, direction):
    """Draw rows of few or many logits, with any numbers for targets."""
    x, t, dy = draw(rows(3))
    reduce_sum = draw(st.booleans())
    return Case((x, t), {"reduce_sum": reduce_sum}, dy[0, :1].reshape(()) if reduce_sum else dy, random_signs=True)


def _log_p_p_and_t(inputs, errors=None):
    x_error, t_error = errors or (None, None)
    return *probabilities(inputs[0], x_error), Approximation.of_input(inputs[1], t_error)


def _batch(inputs):
    return Approximation(inputs[0].shape[0])


examples = of_shapes((2, 3), np.eye(3, dtype=np.float32)[[0, 2]], dy=(), reduce_sum=True)

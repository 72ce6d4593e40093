"""Cross entropy of the softmax and the numbers of classes: cases and error bounds, by running error analysis."""

import math

import numpy as np
from hypothesis import strategies as st

from ...reference import sparse_softmax_cross_entropy
from ..theory.approximation import Approximation
from ..theory.random_numbers import rows
from ..theory.sizes import extents
from ..theory.strategies import FEW_NOT_FINITE, Case, arrays
from .softmax import logit_shapes, logits, probabilities

EDGES_AT_ZERO = ("label_smoothing",)

#: The most axes behind the classes.
_FURTHER = 5


@st.composite
def cases(draw, size="small", integers=False):
    """Draw logits, at times with further axes, and classes, some of which may be ignored."""
    shape = draw(logit_shapes(size))
    if size != "vast" and draw(st.booleans()):
        shape, most = tuple(min(extent, 17) for extent in shape), 60 if size == "tiny" else 20_000
        for _ in range(draw(st.integers(1, _FURTHER))):
            shape += (draw(extents(max(1, min(9, most // math.prod(shape))))),)
    classes, places = shape[1], (shape[0], *shape[2:])
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    t = rng.integers(0, classes, places)
    ignore_index = draw(st.sampled_from((None, None, -100, 0, classes - 1)))
    if ignore_index is not None:
        t[rng.random(places) < draw(st.sampled_from((0.3, 0.0, 1.0)))] = ignore_index
    weights = rng.choice((1.0, 0.5, 2.0, 0.0) if integers else (0.3, 1.0, 0.0, 17.5, 1e-3), classes)
    reduce_sum = draw(st.booleans())
    attributes = {
        "class_weight": draw(st.sampled_from((None, tuple(weights.tolist())))),
        "label_smoothing": draw(st.sampled_from((0.0, 0.0, 0.1, 0.5))),
        "ignore_index": ignore_index,
        "reduce_sum": reduce_sum,
    }
    dy = draw(arrays(() if reduce_sum else places, integers, scales=(1.0, 1e-3, 1e3), **FEW_NOT_FINITE))
    x = draw(logits(shape, integers))
    if not integers and draw(st.booleans()):
        # Of what takes no part it does not matter what it is.
        np.moveaxis(x, 1, 0)[0][_takes_no_part(t, attributes)] = np.nan
    return Case((x, t), attributes, dy)


def _takes_no_part(t, attributes):
    """Return the places whose targets are all 0."""
    is_ignored, weights = t == attributes["ignore_index"], attributes["class_weight"]
    if weights is None or attributes["label_smoothing"]:
        return is_ignored
    return is_ignored | (np.array(weights)[np.where(is_ignored, 0, t)] == 0)


def edges(case):
    """Which places take part, and whether there are further axes."""
    t, ignored = case.inputs[1], case.attributes["ignore_index"]
    return {
        "further axes": t.ndim > 1,
        "weights": case.attributes["class_weight"] is not None,
        "some ignored": bool((t == ignored).any()),
        "all ignored": bool((t == ignored).all()),
    }


def exact_forward(x, t, **attributes):
    """As :func:`refcnn.reference.sparse_softmax_cross_entropy.forward`, the examples as places of one."""
    loss, saved = sparse_softmax_cross_entropy.forward(_as_places(x), t[None], **attributes)
    return loss if attributes["reduce_sum"] else loss[0], saved


def exact_backward(dy, saved, needs, **attributes):
    """As :func:`refcnn.reference.sparse_softmax_cross_entropy.backward`, the examples as places of one."""
    dy = dy if attributes["reduce_sum"] else dy[None]
    dx, _ = sparse_softmax_cross_entropy.backward(dy, saved, needs, **attributes)
    return np.moveaxis(dx[0], 1, 0), None


def _as_places(x):
    return np.moveaxis(x, 0, 1)[None]


@st.composite
def random_cases(draw, direction):
    """Draw rows of few or many logits, and a class for each."""
    x, dy = draw(rows(2))
    classes = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).integers(0, x.shape[1], len(x))
    reduce_sum = draw(st.booleans())
    attributes = {"class_weight": None, "label_smoothing": 0.0, "ignore_index": None, "reduce_sum": reduce_sum}
    return Case((x, classes), attributes, dy[0, :1].reshape(()) if reduce_sum else dy[:, 0].copy(), random_signs=True)


def forward_bound(inputs, attributes, errors=None):
    """loss = -sum of q log p, with terms of 0 where q is; with reduce_sum the sum of all by that of the weights."""
    log_p, _ = probabilities(inputs[0], errors and errors[0])
    q, total = _targets(inputs, attributes)
    terms = -log_p.weighted(q)
    if attributes["reduce_sum"]:
        return (terms.sum() / total).bound
    return terms.sum(axis=1).bound[:, 0]


def backward_bound(dy, inputs, attributes, needs):
    """dx = p sum of g q - g q, with log p as forward rounded it; g is dy, or dy / the sum of the weights."""
    log_p, p = probabilities(inputs[0])
    q, total = _targets(inputs, attributes)
    g = Approximation.of_input(dy)
    g = g / total if attributes["reduce_sum"] else g.reshape(dy.shape[0], 1, *dy.shape[1:])
    gq = g.weighted(q)
    dx = p * gq.sum(axis=1) - gq
    dx = dx.where(q.is_not_zero.any(axis=1, keepdims=True), q.is_surely_not_zero.any(axis=1, keepdims=True))
    return (dx.bound if needs[0] else None), None


def _targets(inputs, attributes):
    """Return q, and the sum of the weights of the places that are not ignored."""
    x, t = inputs
    classes, number = x.shape[1], Approximation.of_attribute
    smoothing, weights = attributes["label_smoothing"], attributes["class_weight"]
    u = number(np.ones(classes) if weights is None else weights)
    counts = t != attributes["ignore_index"]
    of_class = np.arange(classes).reshape(-1, *[1] * (t.ndim - 1))
    is_own = (of_class == t[:, None]).astype(np.float64)
    q = u.reshape(of_class.shape) * (Approximation(is_own) * number(1 - smoothing) + number(smoothing / classes))
    counted = np.broadcast_to(counts[:, None], x.shape)
    of_places = np.where(counts, t, 0)
    weight = Approximation(u.exact[of_places], u.error[of_places]).where(counts, counts)
    return q.where(counted, counted), weight.sum()

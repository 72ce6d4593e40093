"""Normalisation: cases and error bounds, by running error analysis of the formulas."""

import functools
import math

import numpy as np
from hypothesis import strategies as st

from ..theory.approximation import Approximation
from ..theory.bounds import UNDEFINED, facts, gamma, number_format, underflow
from ..theory.examples import numbers, of_shapes
from ..theory.pieces import linear_in_first
from ..theory.random_numbers import numbers as random_numbers
from ..theory.random_numbers import row_shapes
from ..theory.scaled import Scaled
from ..theory.sizes import LONG, VAST, extents, sized
from ..theory.statistics import mean_and_variance
from ..theory.strategies import FEW_NOT_FINITE, Case, arrays

_SCALES = (1.0, 1.0, 1.0, 1e3, 1e-3, 1e14, 1e-20, 1e-40)
#: What is added to all values, in multiples of the median of their magnitudes, so that all digits of
#: mean(x^2) - mean(x)^2 cancel.
_OFFSETS = (0, 0, 0, 100, -3e4)
#: Values of x at most: mostly few, and at times more than one work-item does.
_MOST = (4_000, 4_000, 4_000, 40_000)
_EPSILONS = (1e-5, 1e-5, 1e-3, 1.0, 1e-12)


@st.composite
def images(draw, size, least=1):
    """Draw the shape (N, C, ...) of images of 0 to 3 axes, with ``least`` values of each channel at least."""
    batch, channels = draw(extents(9 if size == "tiny" else 40)), draw(extents(6 if size == "tiny" else 70))
    # Rows that are shorter than vectors, and such as are cut into parts.
    longest = 60 if size == "tiny" else draw(st.sampled_from((20, 70, 1100)))
    spatial = ()
    for _ in range(draw(st.integers(0, 3))):
        spatial += (draw(extents(max(1, longest // math.prod(spatial)))),)
    if not spatial and size != "tiny" and draw(st.booleans()):
        # Blocks of rows of which the last may have one.
        batch = draw(st.sampled_from((64, 65, 129, 20 * batch)))
    most = 4_000 if size == "tiny" else draw(st.sampled_from(_MOST))
    if most == max(_MOST):
        batch, channels = 8 * batch, 2 * channels
    channels = max(1, min(channels, most // (batch * math.prod(spatial))))
    batch = max(1, min(batch, most // math.prod(spatial)), -(-least // math.prod(spatial)))
    shape = batch, channels, *spatial
    return draw(sized(shape, size))


@st.composite
def values(draw, shape, integers):
    """Draw an array, at times of values that are far from 0 beside what they differ by."""
    x = draw(arrays(shape, integers, scales=_SCALES, **FEW_NOT_FINITE))
    offset = 0 if integers else draw(st.sampled_from(_OFFSETS))
    magnitudes = np.abs(x[np.isfinite(x)].astype(np.float64))
    if not offset or not magnitudes.size:
        return x
    with np.errstate(over="ignore"):
        return (x + offset * np.median(magnitudes)).astype(x.dtype)


@st.composite
def batch_cases(draw, size="small", integers=False):
    """Draw images, what is kept of former batches, and whether they are of training."""
    training = draw(st.booleans())
    shape = draw(images(size, least=2 if training else 1))
    channels = shape[1:2]
    positive = ("counting", "ones", "positive")
    inputs = (
        draw(values(shape, integers)),
        *(draw(arrays(channels, integers, **FEW_NOT_FINITE)) for _ in range(3)),
        draw(arrays(channels, integers, patterns=positive[:2] if integers else positive, **FEW_NOT_FINITE)),
    )
    attributes = {
        "epsilon": draw(st.sampled_from(_EPSILONS)),
        "momentum": draw(st.sampled_from((0.9, 0.5, 0.0, 0.99))),
        "training": training,
    }
    dy = draw(arrays(shape, integers, **FEW_NOT_FINITE))
    if training:
        dy = (dy, *(draw(arrays(channels, integers, scales=(1.0, 1e-3, 1e3), **FEW_NOT_FINITE)) for _ in range(2)))
    return Case(inputs, attributes, dy)


def _edges(case):
    """In training or not, and rows of few pixels or many."""
    pixels = math.prod(case.inputs[0].shape[2:])
    return {"training": case.attributes["training"], "rows of few": pixels < 64, "rows of parts": pixels > 512}


@st.composite
def _random_batches(draw, direction):
    """Draw images of few channels and many pixels, or of few pixels and a large batch."""
    channels, terms = draw(row_shapes())
    pixels = draw(st.sampled_from((1, 7, 64)))
    shape = max(1, terms // pixels), min(channels, 4), pixels
    x, dy, *others = draw(random_numbers(shape, shape, *[shape[1:2]] * 6))
    scale, bias, mean, variance, *of_running = others
    training = draw(st.sampled_from((True, True, False)))
    attributes = {"epsilon": 1e-5, "momentum": draw(st.sampled_from((0.9, 0.5))), "training": training}
    dy = (dy, *of_running) if training else dy
    return Case((x, scale, bias, mean, np.abs(variance)), attributes, dy, random_signs=True)


def _either(*forms):
    """The same number in whichever form it is computed."""
    return functools.reduce(Approximation.or_as, forms)


def _shifted(x, mean, deviation, scale, bias):
    """y = scale (x - mean) / deviation + bias, in any order, or as x times a factor and a number added to it."""
    factor, difference = scale / deviation, x - mean
    return _either(difference * factor + bias, x * factor + (bias - mean * factor))


#: Of four examples with two channels each, and what is kept of former ones.
_batch_examples = of_shapes(
    *((4, 2), (2,), (2,), (2,), np.array([0.5, 0.25], np.float32)),
    dy=(numbers((4, 2), 9), np.zeros(2, np.float32), np.zeros(2, np.float32)),
    epsilon=1e-5,
    momentum=0.9,
    training=True,
)


class BatchNormalization:
    """The statistics are those of each channel, over the batch and all pixels."""

    AS_FOLLOWER = {"epsilon": 0.5, "momentum": 0.9, "training": False}

    cases, random_cases = staticmethod(batch_cases), staticmethod(_random_batches)
    edges, examples = staticmethod(_edges), staticmethod(_batch_examples)

    @staticmethod
    def may_flip(inputs, errors, attributes):
        """Outside of training it is linear in x."""
        return None if attributes["training"] else linear_in_first(inputs, errors, attributes)

    @staticmethod
    def inputs_as_follower(shape):
        """Return scale, bias, mean and variance, which make no number much larger."""
        k = np.arange(shape[1])
        return tuple(entry.astype(np.float32) for entry in (np.cos(k), np.sin(3 * k), 3 * np.cos(2 * k), 1 + k % 5 / 3))

    def fused_bound(self, y, bound, *own):
        """As alone, of numbers that are off already."""
        error = np.where(bound == UNDEFINED, np.inf, bound)
        found = self.forward_bound((y, *own), self.AS_FOLLOWER, (error, *(None,) * len(own)))
        return np.where(bound == UNDEFINED, UNDEFINED, found)

    def folded(self, w, b, *own):
        """Kernels w factor and the bias (b - mean) factor + bias, where factor = scale / sqrt(variance + epsilon)."""
        scale, bias, mean, variance = (Approximation.of_input(entry.reshape(-1, *(1,) * (w.ndim - 1))) for entry in own)
        factor = scale / (variance + Approximation.of_attribute(self.AS_FOLLOWER["epsilon"])).sqrt()
        former = Approximation(0) if b is None else Approximation.of_input(b.reshape(scale.shape))
        shift = (former - mean) * factor + bias
        return Approximation.of_input(w) * factor, shift.reshape(1, -1, *(1,) * (w.ndim - 2))

    def forward_bound(self, inputs, attributes, errors=None):
        """y = scale (x - mean) / sqrt(variance + epsilon) + bias; running = momentum running + (1 - momentum) batch."""
        bound = None if attributes["training"] else self._bound_by_channels(inputs, attributes, errors)
        if bound is not None:
            return bound
        given = self._given(inputs, errors)
        mean, variance, deviation = self._statistics(given, attributes)
        x, scale, bias, *running = given
        y = _shifted(x, mean, deviation, scale, bias).bound
        if not attributes["training"]:
            return y
        batches = zip(running, (mean, variance), strict=True)
        return (y, *(_running(*pair, attributes["momentum"]).bound.reshape(-1) for pair in batches))

    def _bound_by_channels(self, inputs, attributes, errors):
        """Return the bound of :func:`_shifted` by coefficients of each channel; None if something may be no number."""
        x, errors = inputs[0].astype(np.float64, copy=False), errors or (None,) * len(inputs)
        known, others = facts(inputs[0], errors[0]), self._of_channels(inputs[1:], errors[1:], x.ndim)
        if not known.is_finite or not all(np.isfinite(entry.exact + entry.error).all() for entry in others):
            return None
        scale, bias, mean, _ = others
        _, _, deviation = self._statistics((None, *others), attributes)
        factor = scale / deviation
        shift = bias - mean * factor
        error = 0.0 if known.error is None else known.error.max(initial=0)
        distance = Scaled.of_elements(scale.shape, known.largest + np.abs(mean.exact), error)
        distance = distance.off_by(mean.error).rounded()
        from_mean = (distance / deviation * scale).or_as(distance * factor).or_as(distance * scale / deviation)
        from_mean = from_mean.off_by(bias.error)
        from_zero = (Scaled.of_elements(scale.shape, known.largest, error) * factor).off_by(shift.error)
        # The sum of either and bias or shift is rounded once more; that of its exact magnitude is added below.
        largest = np.abs(bias.exact) + np.abs(shift.exact) + from_mean.most + from_zero.most
        if from_mean.is_lost or from_zero.is_lost or not (largest < number_format().largest / 2).all():
            return None
        difference, share = x - mean.exact, gamma(1)
        y = difference * (share * factor.exact)
        y += share * bias.exact
        bound = from_mean.error(np.abs(difference, out=difference), known.error)
        np.maximum(bound, from_zero.error(known.magnitude, known.error), out=bound)
        bound *= 1 + share
        bound += np.abs(y, out=y)
        bound += underflow()
        return bound

    def backward_bound(self, dy, inputs, attributes, needs):
        """As the reference's formulas, with the statistics as forward rounded them."""
        given = self._given(inputs)
        mean, variance, deviation = self._statistics(given, attributes)
        x, scale, axes = given[0], given[1], _all_but_channels(inputs[0])
        dy, *d_running = (Approximation.of_input(entry) for entry in (dy if attributes["training"] else (dy,)))
        xhat, slope = (x - mean) / deviation, scale / deviation
        dbias = _sum_by_dy(dy, axes)
        dscale = _either(_sum_by_dy(dy * xhat, axes), _sum_by_dy(dy * (x - mean), axes) / deviation)
        if not attributes["training"]:
            dx, d_mean = dy * slope, slope * dbias
            twice = Approximation(2)
            # A half of the slope may be below the normal numbers where that of the product is not.
            d_variance = _either(
                slope * dscale / (deviation * twice),
                slope / twice * dscale / deviation,
                scale * dscale / (deviation * deviation * twice),
            )
            return _wanted(needs, dx, dscale, dbias, d_mean, d_variance)
        d_mean, d_variance = (entry.reshape(scale.shape) for entry in d_running)
        share = _share(attributes["momentum"]) / Approximation(_count(x, axes))
        of_variance = d_variance * share + d_variance * share
        dx = _added(
            _through_statistics(dy, x - mean, scale, deviation, axes),
            d_mean * share,
            _either((x - mean) * of_variance, xhat * (of_variance * deviation)),
        )
        kept = Approximation.of_attribute(attributes["momentum"])
        return _wanted(needs, dx, dscale, dbias, d_mean * kept, d_variance * kept)

    @staticmethod
    def open_gradients(inputs, attributes, open_dy):
        """By the magnitudes of all terms, which are linear in dy; mean and variance have a share outside training."""
        x, *others = (np.asarray(entry, np.float64) for entry in inputs)
        axes = _all_but_channels(x)
        scale, _, mean, variance = (entry.reshape(1, -1, *[1] * (x.ndim - 2)) for entry in others)
        if attributes["training"]:
            mean, variance = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
        deviation = np.sqrt(variance + attributes["epsilon"])
        xhat, slope = np.abs(x - mean) / deviation, np.abs(scale) / deviation
        dbias, dscale = (entry.sum(axis=axes, keepdims=True) for entry in (open_dy, open_dy * xhat))
        dx, d_mean, d_variance = slope * open_dy, slope * dbias, slope * dscale / (2 * deviation)
        if attributes["training"]:
            dx = dx + slope * (dbias + xhat * dscale) / _count(x, axes)
            d_mean, d_variance = 0 * d_mean, 0 * d_variance
        return dx, *(entry.reshape(-1) for entry in (dscale, dbias, d_mean, d_variance))

    @staticmethod
    def _given(inputs, errors=None):
        """Return the inputs, all but x in a shape that is broadcast with x."""
        errors = errors or (None,) * len(inputs)
        x = Approximation.of_input(inputs[0], errors[0])
        return x, *BatchNormalization._of_channels(inputs[1:], errors[1:], x.ndim)

    @staticmethod
    def _of_channels(inputs, errors, dimensions):
        shape = 1, -1, *[1] * (dimensions - 2)
        return [entry.reshape(shape) for entry in map(Approximation.of_input, inputs, errors)]

    @staticmethod
    def _statistics(given, attributes):
        """Return the mean, the variance and the standard deviation that x is normalised by."""
        x, _, _, *statistics = given
        mean, variance = mean_and_variance(x, _all_but_channels(x)) if attributes["training"] else statistics
        return mean, variance, (variance + Approximation.of_attribute(attributes["epsilon"])).sqrt()


def _running(former, batch, momentum):
    """momentum former + (1 - momentum) batch, or as a step from the former one to that of the batch."""
    kept, share = Approximation.of_attribute(momentum), _share(momentum)
    return _either(former * kept + batch * share, former + (batch - former) * share)


def _share(momentum):
    """1 - momentum, rounded once, or of the momentum that was rounded before, which ONNX's attribute is."""
    return _either(Approximation.of_attribute(1 - momentum), Approximation(1) - Approximation.of_attribute(momentum))


def _through_statistics(dy, difference, scale, deviation, axes, is_centred=True):
    """dx = (dxhat - mean dxhat - xhat mean (dxhat xhat)) / deviation, dxhat = scale dy, or without the first mean.

    The scale may be multiplied before a sum or after it, and with the inverse of the deviation.
    """
    xhat, slope, one, n = difference / deviation, scale / deviation, Approximation(1), Approximation(_count(dy, axes))
    inner = tuple(axis for axis in axes if scale.shape[axis] == 1)

    def mean(entry, factor):
        return _either(_sum_by_dy(entry * factor, axes), _sum_by_dy(_sum_by_dy(entry, inner) * factor, axes)) / n

    def added(factor):
        product = _either(mean(dy * xhat, factor), mean(dy * difference, factor) / deviation)
        return _added(dy * factor, *[-mean(dy, factor)] * is_centred, -(xhat * product))

    scaled = added(scale)
    return _either(scaled / deviation, scaled * (one / deviation), added(slope))


def _sum_by_dy(terms, axes):
    """The sum of dy times what is made of x and scale: its terms have the signs of dy."""
    return terms.sum(axis=axes, random_signs=True)


def _added(*terms):
    """The sum of several that are broadcast, in any order."""
    shape = np.broadcast_shapes(*(term.shape for term in terms))
    return Approximation.total(*(np.broadcast_to(term, shape) for term in terms))


def _wanted(needs, dx, *others):
    bounds = dx.bound, *(entry.bound.reshape(-1) for entry in others)
    return tuple(bound if need else None for bound, need in zip(bounds, needs, strict=True))


def _all_but_channels(x):
    return tuple(axis for axis in range(x.ndim) if axis != 1)


def _count(x, axes):
    return math.prod(x.shape[axis] for axis in axes)


class Rows:
    """Normalisation of rows of x, each by itself.

    Parameters
    ----------
    cases : callable
    forms : callable
        Given the shape of x and the attributes, returns the shape in which x is cut into (examples, groups, parts,
        values), of which the last two are normalised together, and that in which scale and bias are broadcast with it.
    random_shapes : callable
        Given how many rows there are, and how many numbers in each: (shape of x, of scale and bias, attributes).
    is_centred : bool
        Whether the mean is taken away, and a bias added.
    examples : callable, optional
    """

    def __init__(self, cases, forms, random_shapes, is_centred=True, examples=None):
        self.cases, self._forms, self._is_centred, self.examples = cases, forms, is_centred, examples
        self._random_shapes = random_shapes

    def random_cases(self, direction):
        """Draw few or many numbers that are normalised together."""
        return _random_rows(self._random_shapes, 2 if self._is_centred else 1)

    def edges(self, case):
        """Rows of few values and of many."""
        shape, _ = self._forms(case.inputs[0].shape, case.attributes)
        return {"rows of few": math.prod(shape[2:]) < 16, "rows of many": math.prod(shape[2:]) > 512}

    def forward_bound(self, inputs, attributes, errors=None):
        """y = scale (x - mean) / sqrt(variance + epsilon) + bias, or y = scale x / sqrt(mean of x^2 + epsilon)."""
        x, scale, *bias = self._given(inputs, attributes, errors)
        mean, deviation = self._statistics(x, attributes)
        y = _shifted(x, mean, deviation, scale, *bias) if self._is_centred else scale * x / deviation
        return y.bound.reshape(inputs[0].shape)

    def backward_bound(self, dy, inputs, attributes, needs):
        """As the reference's formulas, with the statistics as forward rounded them."""
        x, scale, *bias = self._given(inputs, attributes)
        mean, deviation = self._statistics(x, attributes)
        dy, difference = Approximation.of_input(dy).reshape(x.shape), x - mean if self._is_centred else x
        axes = tuple(axis for axis, size in enumerate(scale.shape) if size == 1)
        # Those of each mean may be divided by its deviation when they are summed.
        product, inner = dy * difference, tuple(axis for axis in axes if axis > 1)
        dscale = _either(
            _sum_by_dy(dy * (difference / deviation), axes), _sum_by_dy(_sum_by_dy(product, inner) / deviation, axes)
        )
        gradients = [_through_statistics(dy, difference, scale, deviation, (2, 3), self._is_centred), dscale]
        gradients += [_sum_by_dy(dy, axes)] * len(bias)
        return tuple(
            gradient.bound.reshape(entry.shape) if need else None
            for gradient, entry, need in zip(gradients, inputs, needs, strict=True)
        )

    def _given(self, inputs, attributes, errors=None):
        (shape, form), errors = self._forms(inputs[0].shape, attributes), errors or (None,) * len(inputs)
        given = map(Approximation.of_input, inputs, errors)
        return [entry.reshape(form if number else shape) for number, entry in enumerate(given)]

    def _statistics(self, x, attributes):
        """Return the mean and the standard deviation that x is normalised by."""
        if self._is_centred:
            mean, square = mean_and_variance(x, (2, 3))
        else:
            mean, square = None, (x * x).sum(axis=(2, 3)) / Approximation(_count(x, (2, 3)))
        return mean, (square + Approximation.of_attribute(attributes["epsilon"])).sqrt()


def _of_examples(shape, attributes):
    """All axes from one on are normalised together, and scale and bias have the shape of these."""
    axis = attributes["axis"]
    length = math.prod(shape[axis:])
    return (math.prod(shape[:axis]), 1, 1, length), (1, 1, 1, length)


def _of_groups(shape, attributes):
    """Groups of channels are, each channel without the attribute; scale and bias have a number for each channel."""
    groups = attributes.get("groups", shape[1])
    cut = groups, shape[1] // groups
    return (shape[0], *cut, math.prod(shape[2:])), (1, *cut, 1)


@st.composite
def _random_rows(draw, random_shapes, parameters):
    shape, of_parameters, attributes = random_shapes(*draw(row_shapes()))
    x, dy, *others = draw(random_numbers(shape, shape, *[of_parameters] * parameters))
    return Case((x, *others), {**attributes, "epsilon": 1e-5}, dy, random_signs=True)


def _several(size):
    """Draw how many values are normalised together where there would be one; few beside a long dimension."""
    return st.integers(2, 3 if size in LONG else 40)


@st.composite
def instance_cases(draw, size="small", integers=False, of_groups=False):
    """Draw images, and how many groups there are if that is to be told."""
    n, channels, *pixels = draw(images(size))
    groups = {}
    if of_groups:
        groups = {"groups": draw(st.sampled_from([count for count in range(1, channels + 1) if channels % count == 0]))}
    if not pixels or (math.prod(pixels) == 1 and groups.get("groups", channels) == channels):
        pixels = [*pixels[:2], draw(_several(size))]
        # There were many rows of few numbers, perhaps.
        most = 2 * VAST if size == "vast" else 20_000
        n = min(n, most // (channels * math.prod(pixels)) + 1)
    return _case(draw, (n, channels, *pixels), (channels,), 2, groups, integers)


@st.composite
def group_cases(draw, size="small", integers=False):
    """Draw the same with groups."""
    return draw(instance_cases(size, integers, of_groups=True))


@st.composite
def layer_cases(draw, size="small", integers=False, parameters=2):
    """Draw an array of any shape, and from which axis on it is normalised."""
    shape = draw(images(size))
    axis = draw(st.integers(0, len(shape) - 1))
    if parameters == 2 and math.prod(shape[axis:]) == 1:
        shape = (*shape[:-1], draw(_several(size)))
    return _case(draw, shape, shape[axis:], parameters, {"axis": axis}, integers)


@st.composite
def rms_cases(draw, size="small", integers=False):
    """Draw the same without a bias."""
    return draw(layer_cases(size, integers, parameters=1))


def _random_examples(rows, terms):
    return (rows, terms), (terms,), {"axis": 1}


def _case(draw, shape, of_parameters, parameters, attributes, integers):
    x = draw(values(shape, integers))
    others = (draw(arrays(of_parameters, integers, **FEW_NOT_FINITE)) for _ in range(parameters))
    attributes = {**attributes, "epsilon": draw(st.sampled_from(_EPSILONS))}
    return Case((x, *others), attributes, draw(arrays(shape, integers, **FEW_NOT_FINITE)))


OPERATIONS = {
    "batch_normalization": BatchNormalization(),
    "group_normalization": Rows(
        group_cases, _of_groups, lambda rows, terms: ((1, 2 * rows, terms), (2 * rows,), {"groups": rows})
    ),
    "instance_normalization": Rows(instance_cases, _of_groups, lambda rows, terms: ((rows, 2, terms), (2,), {})),
    "layer_normalization": Rows(
        layer_cases,
        _of_examples,
        _random_examples,
        examples=of_shapes((2, 4), (4,), (4,), dy=(2, 4), axis=1, epsilon=1e-5),
    ),
    "rms_normalization": Rows(
        rms_cases,
        _of_examples,
        _random_examples,
        False,
        examples=of_shapes((2, 4), (4,), dy=(2, 4), axis=1, epsilon=1e-5),
    ),
}

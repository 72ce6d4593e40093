"""Resize: cases and error bounds.

An implementation computes in floats where a pixel lies, and from that the weights: by ONNX's formulas, with divisions
that are rounded correctly. How far the weights may be off follows from the same formulas on numbers that know their
errors; what that makes of a result is a product over the axes, as the result is.
"""

import itertools
import math

import numpy as np
from hypothesis import strategies as st

from ... import interpolation
from ...formats import BOOL, FLOAT32
from ...reference import resize
from ..theory import moving
from ..theory.approximation import Approximation
from ..theory.bounds import UNDEFINED, gamma, input_error, may_overflow, underflow
from ..theory.sizes import LONG, VAST, batches, extents, sized
from ..theory.strategies import FEW_NOT_FINITE, Case, arrays, subnormal_numbers

_COORDINATES = (
    *("half_pixel", "half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize"),
    *("half_pixel_symmetric", "pytorch_half_pixel", "tf_crop_and_resize"),
)
_NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
_POLICIES = ("stretch", "stretch", "not_larger", "not_smaller")
_SPECIAL = (*FEW_NOT_FINITE["special"], *subnormal_numbers())
_GEOMETRY = ("axes", "scales", "sizes", "keep_aspect_ratio_policy", "roi")
_WEIGHTS = ("mode", "cubic_coeff_a", "antialias", "exclude_outside")


@st.composite
def cases(draw, size="small", integers=False):
    """Draw images of one to three spatial axes, which of them to resize, and all that says how."""
    spatial = draw(st.sampled_from((2, 2, 1, 3)))
    most = {1: 40, 2: 17, 3: 7}[spatial] if size != "tiny" else 5
    shape = (draw(batches(size)), draw(extents(3)), *(draw(extents(most)) for _ in range(spatial)))
    if size in LONG:
        # Weights are a matrix, of which a side is what an axis has.
        shape = draw(sized(shape, size, 512 if size == "pixels" else 4096))
    if size == "vast":
        least = (2, 1, *(min(most, 9),) * spatial)
        shape = tuple(map(max, shape, least))
        shape = (VAST // math.prod(shape[1:]) + 1, *shape[1:])
    axes = tuple(sorted(draw(st.permutations(range(2, 2 + spatial)))[: draw(st.integers(1, spatial))]))
    mode = draw(st.sampled_from(("nearest", "linear", "cubic")))
    coordinates = draw(st.sampled_from(_COORDINATES))
    is_weighted, crops, has_scales = mode != "nearest", coordinates == "tf_crop_and_resize", draw(st.booleans())
    attributes = {
        "axes": axes,
        "scales": tuple(draw(_scales(shape[axis])) for axis in axes) if has_scales else None,
        "sizes": None if has_scales else tuple(draw(extents(most)) for _ in axes),
        "mode": mode,
        "coordinate_transformation_mode": coordinates,
        "nearest_mode": "round_prefer_floor" if is_weighted else draw(st.sampled_from(_NEAREST)),
        "cubic_coeff_a": draw(st.sampled_from((-0.75, -0.5))) if mode == "cubic" else -0.75,
        "exclude_outside": False,
        "antialias": is_weighted and draw(st.booleans()),
        # Of other arrays than images no file can say it with the cubic kernel.
        "keep_aspect_ratio_policy": "stretch"
        if has_scales or (mode == "cubic" and spatial != 2)
        else draw(st.sampled_from(_POLICIES)),
        "roi": tuple(draw(_parts(len(axes)))) if crops else None,
        "extrapolation_value": draw(st.sampled_from((0.0, 10.0, -3.0))) if crops else 0.0,
    }
    if any(axis.length < 1 for axis in _axes(shape, attributes)):
        attributes["keep_aspect_ratio_policy"] = "not_smaller"
    if mode == "cubic" or attributes["antialias"]:
        attributes["exclude_outside"] = draw(st.booleans())
    if is_weighted:
        x = draw(arrays(shape, integers, special=_SPECIAL, shares=FEW_NOT_FINITE["shares"]))
        y, _ = resize.forward(x, **attributes)
        return Case((x,), attributes, draw(arrays(y.shape, integers, special=_SPECIAL, shares=(0, 0, 0.02))))
    x = draw(moving.numbers(shape, integers))
    if x.dtype == BOOL.dtype:
        attributes["extrapolation_value"] = int(bool(attributes["extrapolation_value"]))
    elif x.dtype.kind == "i":
        attributes["extrapolation_value"] = int(attributes["extrapolation_value"])
    return draw(moving.case(resize, (x,), attributes, integers))


@st.composite
def _scales(draw, side):
    """Draw a scale in float32 that leaves something of an axis, the most common ones as often as all others."""
    least = 1 / side
    scale = draw(st.one_of(st.sampled_from((2.0, 1.0, 3.0, 0.5, 1.5)), st.floats(0.2, 2.5)))
    return FLOAT32.round(max(scale, least + 1e-3))


@st.composite
def _parts(draw, count):
    """Draw where the part of each axis begins, then where each ends, at times beyond the axis, or backwards."""
    places = st.sampled_from((0.0, 0.25, -0.2, 0.1, 1.0, 0.6, 1.2))
    return [FLOAT32.round(draw(places)) for _ in range(2 * count)]


def edges(case):
    """How it is resized."""
    of, (x,) = case.attributes, case.inputs
    axes = _axes(x.shape, of)
    return {
        **{f"mode {name}": of["mode"] == name for name in ("nearest", "linear", "cubic")},
        **{f"coordinates {name}": of["coordinate_transformation_mode"] == name for name in sorted(set(_COORDINATES))},
        "antialias": of["antialias"],
        "exclude outside": of["exclude_outside"],
        "larger": any(axis.length > axis.size for axis in axes),
        "smaller": any(axis.length < axis.size for axis in axes),
        "to one element": any(axis.length == 1 < axis.size for axis in axes),
        "one spatial axis": x.ndim == 3,
        "three spatial axes": x.ndim == 5,
    }


def is_copy(direction, case):
    """The nearest elements, where it cannot be open which they are."""
    (x,), attributes = case.inputs, case.attributes
    if direction == "backward" or attributes["mode"] != "nearest":
        return False
    choices = _choices(x.shape, attributes)
    return not any((low != high).any() or (outside & inside).any() for _, low, _, high, outside, inside in choices)


def _axes(shape, attributes):
    return interpolation.resized_axes(shape, **{name: attributes[name] for name in _GEOMETRY})


def _scale(axis):
    """Return the scale of an axis as it is computed: given in floats, or a quotient of sizes.

    Where its product with the size is rounded up to a whole number, a file has the next float.
    """
    scale = float(axis.scale)
    is_held = scale == interpolation.scale_in_float32(axis)
    return Approximation(scale, 0 if is_held else 2 * gamma(1) * scale)


def _quotient(a, b):
    """Return a quotient that is rounded correctly, as the host's and most devices' are."""
    b = Approximation._of(b)
    exact = a.exact / b.exact
    error = (a.error + np.abs(exact) * b.error) / (np.abs(b.exact) - b.error)
    is_exact = (error == 0) & (exact == exact.astype(np.float32))
    return Approximation(exact, np.where(is_exact, 0, error + gamma(1) * (np.abs(exact) + error)))


def _places(axis, mode):
    """Return where in the axis before each element after lies, as it is computed."""
    exact, k = interpolation.coordinates(axis, mode), Approximation(np.arange(axis.length))
    size, length = axis.size, axis.length
    if length == 1 and mode in ("align_corners", "pytorch_half_pixel"):
        return Approximation(exact)
    if mode == "align_corners":
        found = _quotient(k * (size - 1), length - 1)
    elif mode == "asymmetric":
        found = _quotient(k, _scale(axis))
    elif mode == "tf_crop_and_resize":
        start, end = (np.broadcast_to(Approximation.of_attribute(one), k.shape) for one in axis.roi)
        if length == 1:
            found = 0.5 * (start + end) * (size - 1)
        else:
            # The last product and the quotient are taken in either order.
            step = _quotient((end - start) * (size - 1), length - 1)
            found = start * (size - 1) + (k * step).or_as(_quotient(k * (end - start) * (size - 1), length - 1))
    else:
        found = _quotient(k + 0.5, _scale(axis)) - 0.5
        if mode == "half_pixel_symmetric":
            adjustment = _quotient(Approximation(float(length)), _scale(axis) * size)
            found = found + np.broadcast_to((1 - adjustment) * (size / 2), k.shape)
    return Approximation(exact, found.error)


def _choices(shape, attributes):
    """Return of each axis (axis, nearest indices at the least coordinates, at the exact ones, at the largest, which may
    lie outside, which may lie inside)."""
    mode, found = attributes["coordinate_transformation_mode"], []
    for axis in _axes(shape, attributes):
        places = _places(axis, mode)
        ends = [places.exact - places.error, places.exact, places.exact + places.error]
        indices = [interpolation.nearest(end, axis.size, attributes["nearest_mode"]) for end in ends]
        outside = [interpolation.is_outside(axis, end, mode) for end in ends]
        found.append((axis, *indices, np.logical_or.reduce(outside), ~np.logical_and.reduce(outside)))
    return found


def _tables(shape, attributes):
    """Return of each axis what each element after takes of each before: matrices (length, size) and what is open.

    Returns
    -------
    list of (int, ndarray, ndarray, ndarray, int)
        The axis; the magnitudes of the exact weights; how far weights may be off; where a weight surely is not 0; and
        whether an element after may lie outside, and may lie inside.
    """
    mode, found = attributes["coordinate_transformation_mode"], []
    for axis, low, exact, high, may_be_outside, may_be_inside in _choices(shape, attributes):
        if attributes["mode"] == "nearest":
            rows = np.arange(axis.length)
            weight, error = np.zeros((2, axis.length, axis.size))
            weight[rows, exact] = 1
            for other in (low, high):
                is_open = other != exact
                error[rows[is_open], other[is_open]] = error[rows[is_open], exact[is_open]] = 1
        else:
            weight, error = _weights(axis, _places(axis, mode), attributes)
        is_outside = interpolation.is_outside(axis, interpolation.coordinates(axis, mode), mode)
        error = np.where((may_be_outside & may_be_inside)[:, None], weight + error, error)
        weight = np.where(is_outside[:, None], 0, weight)
        error = np.where((is_outside & ~may_be_inside)[:, None], 0, error)
        found.append((axis.number, weight, error, may_be_outside, may_be_inside))
    # Others may go through a kernel whose other weights are 0 too.
    for number in set(range(len(shape))).difference(number for number, *_ in found):
        whole = np.eye(shape[number])
        found.append((number, whole, 0 * whole, np.zeros(shape[number], bool), np.ones(shape[number], bool)))
    return found


def _weights(axis, places, attributes):
    """Return the magnitudes of the weights (length, size) and how far they may be off."""
    antialias, mode = attributes["antialias"], attributes["mode"]
    # One index further on either side, into which an error of the coordinate may reach.
    indices, _ = interpolation.neighbours(axis, places.exact, mode=mode, antialias=antialias, margin=1)
    column = places.reshape(-1, 1)
    column = Approximation(*(np.broadcast_to(entry, indices.shape) for entry in (column.exact, column.error)))
    distances = Approximation(indices) - column
    if antialias and axis.scale < 1:
        distances = distances * _scale(axis)
    shares = interpolation.weights(
        distances, indices, axis.size, **{name: attributes[name] for name in _WEIGHTS if name in attributes}
    )
    weight, error = np.zeros((2, axis.length, axis.size))
    rows, clipped = np.arange(axis.length)[:, None], np.clip(indices, 0, axis.size - 1)
    np.add.at(weight, (rows, clipped), np.abs(shares.exact))
    np.add.at(error, (rows, clipped), shares.error)
    return weight, error


def _bound(x, tables, error):
    """Return the bound of x multiplied by a matrix along each of some axes.

    With weights W that are off by E, and x by e: (W + E)(|x| + e) - W |x|, and as many roundings of the former as a
    term may pass: one of each weight, and those of sums in any order, along one axis after the other or along all.

    Parameters
    ----------
    x, error : ndarray
    tables : list of (int, ndarray, ndarray)
        The axis, W and E.
    """

    def product(x, choose):
        for axis, *table in tables:
            x = np.moveaxis(np.tensordot(choose(*table), x, (1, axis)), 0, axis)
        return x

    def widest(weight, error):
        return weight + error

    largest = math.prod(max(1.0, (weight + error).sum(axis=1).max(initial=0)) for _, weight, error in tables)
    # What may overflow along one axis, though not along all of them.
    is_lost = ~np.isfinite(x) | may_overflow(np.abs(x.astype(np.float64)) * largest)
    if is_lost.any():
        of_others = _bound(np.where(is_lost, 0, x), tables, error)
        # Whether one counts at all may be open, and weights of 0 make NaN of infinity, or of NaN where none is exact.
        touched = product(is_lost, lambda weight, error: (_reach(weight + error, len(tables)) > 0).astype(float))
        is_nan = product(np.isnan(x), lambda weight, error: (weight > error).astype(float))
        return np.where(touched == 0, of_others, np.where(is_nan > 0, 0.0, UNDEFINED))
    exact, error = np.abs(x.astype(np.float64)), input_error(x, error)
    magnitude = product(exact + error, widest)
    terms = [max(1, np.count_nonzero(weight + error, axis=1).max(initial=0)) for _, weight, error in tables]
    roundings = max(math.prod(terms), sum(terms)) + 2 * len(tables)
    bound = magnitude - product(exact, lambda weight, error: weight) + gamma(roundings) * magnitude
    return bound + 2 * roundings * underflow() * largest * (1 + gamma(roundings))


def _reach(table, times):
    """Return a table in which neighbours of what counts do too: they may have the weight 0, by which NaN stays NaN.

    It may be so each time that the array is gone through, along one axis or another.
    """
    wide = np.pad(table, ((0, 0), (2 * times, 2 * times)))
    return sum(wide[:, shift : shift + table.shape[1]] for shift in range(4 * times + 1))


def forward_bound(inputs, attributes, errors=None):
    """As :func:`_bound` has it of the weights; of the nearest element, what else the nearest may be.

    Where it is open whether an element lies outside, it may be the other number too.
    """
    (x,), error = inputs, errors and errors[0]
    if attributes["mode"] == "nearest":
        return _bound_of_nearest(x, attributes, error)
    tables = _tables(x.shape, attributes)
    bound = _bound(x, [(axis, weight, off) for axis, weight, off, *_ in tables], error)
    value = abs(attributes["extrapolation_value"])
    is_outside, is_open = _outside(tables, bound.ndim)
    bound = np.where(is_open, np.where(bound == UNDEFINED, UNDEFINED, bound + value), bound)
    return np.where(is_outside, value * _error_of_a_constant(tables), bound)


def _error_of_a_constant(tables):
    """Return how far 1 may be off where it stands outside along one axis and is interpolated along others after."""
    off = math.prod(1 + error.sum(axis=1).max(initial=0) for _, _, error, *_ in tables) - 1
    largest = math.prod(max(1.0, (weight + error).sum(axis=1).max(initial=0)) for _, weight, error, *_ in tables)
    terms = sum(np.count_nonzero(weight + error, axis=1).max(initial=0) + 2 for _, weight, error, *_ in tables)
    return off + gamma(terms) * largest


def _outside(tables, dimensions):
    """Return where a result surely lies outside, and where that is open."""
    surely, maybe = False, False
    for axis, _, _, may_be_outside, may_be_inside in tables:
        shape = (1,) * axis + (-1,) + (1,) * (dimensions - axis - 1)
        surely = surely | ~may_be_inside.reshape(shape)
        maybe = maybe | may_be_outside.reshape(shape)
    return surely, maybe & ~surely


def _bound_of_nearest(x, attributes, error):
    choices = _choices(x.shape, attributes)
    y, _ = resize.forward(x, **attributes)
    of_errors = np.zeros(x.shape) if error is None else error
    bound, _ = resize.forward(of_errors, **{**attributes, "extrapolation_value": 0})
    with np.errstate(invalid="ignore"):
        for picked in itertools.product((1, 2, 3), repeat=len(choices)):
            other, off = x, of_errors
            for (axis, *indices), which in zip(choices, picked, strict=True):
                other, off = (entry.take(indices[which - 1], axis.number) for entry in (other, off))
            bound = _or_as(bound, y, other, off, True)
        is_outside, is_open = _outside([(axis.number, None, None, *of) for axis, _, _, _, *of in choices], x.ndim)
        bound = _or_as(bound, y, np.asarray(attributes["extrapolation_value"], x.dtype), 0, is_open)
    return np.where(is_outside, 0, bound)


def _or_as(bound, y, other, off, may_be):
    """Return the bound of what may be another number too, which may be off."""
    distance = np.abs(other.astype(np.float64) - y.astype(np.float64))
    distance = np.where((other == y) | ((other != other) & (y != y)), 0, distance)
    wider = np.maximum(bound, np.where(np.isnan(distance), UNDEFINED, distance + off * (distance > 0)))
    wider = np.where((bound == UNDEFINED) | np.isnan(distance) | np.isinf(distance), UNDEFINED, wider)
    return np.where(may_be, wider, bound)


def backward_bound(dy, inputs, attributes, needs):
    """The same of the matrices the other way round."""
    if not needs[0]:
        return (None,)
    tables = [(axis, weight.T, off.T) for axis, weight, off, *_ in _tables(inputs[0].shape, attributes)]
    return (_bound(dy, tables, None),)

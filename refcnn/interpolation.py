"""Where the pixels of a resized image lie in the image, and how much each pixel there counts for them.

Coordinates, and the weights that follow from them, depend on sizes alone: they are computed here once for each axis, in
float64, for every backend. Source: ONNX operator specification, Resize.
"""

import dataclasses
import fractions
import functools
import math

import numpy as np


@dataclasses.dataclass(frozen=True)
class Axis:
    """How one axis is resized.

    Attributes
    ----------
    number : int
        Of the axis.
    size, length : int
        Its elements before and after.
    scale : fractions.Fraction
        Elements after for one before, as it was asked for; length / size is less where that was rounded off.
    roi : (float, float)
        Which part of it becomes the result, from 0 to 1, in the coordinates' mode that crops.
    """

    number: int
    size: int
    length: int
    scale: fractions.Fraction
    roi: tuple


def resized_axes(shape, *, axes, scales, sizes, keep_aspect_ratio_policy, roi):
    """Return the :class:`Axis` of each axis that is resized.

    Parameters
    ----------
    shape : tuple of int
    axes : tuple of int
    scales : tuple of float or None
        For each of the axes; their products with the sizes are rounded down, as float32 has them.
    sizes : tuple of int or None
        The sizes after, in their place.
    keep_aspect_ratio_policy : str
        Whether each size is meant so (``"stretch"``), or all axes get one scale, by which none becomes larger than
        that (``"not_larger"``), or none smaller (``"not_smaller"``).
    roi : tuple of float or None
        Where the part of each axis begins, then where each ends.
    """
    before = [shape[axis] for axis in axes]
    if scales is not None:
        factors = [fractions.Fraction(float(np.float32(scale))) for scale in scales]
        lengths = [int(np.float32(size) * np.float32(scale)) for size, scale in zip(before, scales, strict=True)]
    else:
        factors = [fractions.Fraction(after, size) for after, size in zip(sizes, before, strict=True)]
        lengths = list(sizes)
        if keep_aspect_ratio_policy != "stretch":
            factor = min(factors) if keep_aspect_ratio_policy == "not_larger" else max(factors)
            factors = [factor] * len(axes)
            lengths = [math.floor(factor * size + fractions.Fraction(1, 2)) for size in before]
    parts = [(0.0, 1.0)] * len(axes) if roi is None else list(zip(roi[: len(axes)], roi[len(axes) :], strict=True))
    return [Axis(*entry) for entry in zip(axes, before, lengths, factors, parts, strict=True)]


def coordinates(axis, mode):
    """Return where in the axis before each element after lies, an ndarray of float64.

    Parameters
    ----------
    axis : Axis
    mode : str
        ONNX's ``coordinate_transformation_mode``.
    """
    size, length, k = axis.size, axis.length, np.arange(axis.length, dtype=np.float64)
    per_element = float(axis.scale.denominator), float(axis.scale.numerator)
    if mode == "asymmetric":
        return k * per_element[0] / per_element[1]
    if mode == "align_corners":
        return k * (size - 1) / max(1, length - 1)
    if mode == "tf_crop_and_resize":
        start, end = axis.roi
        if length == 1:
            return np.full(1, 0.5 * (start + end) * (size - 1))
        return start * (size - 1) + k * ((end - start) * (size - 1)) / (length - 1)
    if mode == "pytorch_half_pixel" and length == 1:
        return np.zeros(1)
    centers = (k + 0.5) * per_element[0] / per_element[1] - 0.5
    if mode == "half_pixel_symmetric":
        # What the length lacks of the scale is taken off at both ends alike.
        return float(fractions.Fraction(size, 2) * (1 - length / (axis.scale * size))) + centers
    return centers


def is_outside(axis, places, mode):
    """Return which coordinates lie outside of the axis, where the mode that crops does not look."""
    return ((places < 0) | (places > axis.size - 1)) & (mode == "tf_crop_and_resize")


def nearest(places, size, nearest_mode):
    """Return the index that is nearest to each coordinate, in an axis of a size."""
    rounded = {
        "round_prefer_floor": lambda: np.ceil(places - 0.5),
        "round_prefer_ceil": lambda: np.floor(places + 0.5),
        "floor": lambda: np.floor(places),
        "ceil": lambda: np.ceil(places),
    }[nearest_mode]()
    return np.clip(rounded, 0, size - 1).astype(np.int64)


def linear(t):
    """Return the weight of what is t away, a triangle."""
    return np.maximum(1 - np.abs(t), 0)


def cubic(t, a):
    """Return the weight of what is t away, by Keys' cubic convolution. Source: Keys 1981, equation (4)."""
    t = np.abs(t)
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0))


def neighbours(axis, places, *, mode, antialias, margin=0):
    """Return the indices that count for each coordinate, also those outside, and by how much distances are shrunk.

    Parameters
    ----------
    axis : Axis
    places : ndarray of float64
    mode : str
        ``"linear"`` or ``"cubic"``.
    antialias : bool
        Whether the kernel is as wide as the elements after, where they are fewer.
    margin : int
        How many further indices on either side.

    Returns
    -------
    indices : ndarray of int64, (length, indices for each)
    shrinking : float
    """
    shrinking = float(min(axis.scale, 1)) if antialias else 1.0
    reach = math.ceil((1 if mode == "linear" else 2) / shrinking) + margin
    return np.floor(places).astype(np.int64)[:, None] + np.arange(1 - reach, reach + 1), shrinking


def weights(distances, indices, size, *, mode, cubic_coeff_a, antialias, exclude_outside):
    """Return the weight of each neighbour, from its distance in the kernel.

    Parameters
    ----------
    distances : ndarray of float64, or what behaves like one
        As far as neighbours are from the coordinates, shrunk.
    indices : ndarray of int64
        The neighbours.
    size : int
        Of the axis.
    """
    found = linear(distances) if mode == "linear" else cubic(distances, cubic_coeff_a)
    if exclude_outside:
        found = np.where((indices >= 0) & (indices < size), found, 0)
    if antialias or exclude_outside:
        total = found.sum(axis=-1, keepdims=True)
        # Of what lies far outside nothing counts.
        found = found / np.where(total == 0, 1, total)
    return found


@functools.lru_cache(maxsize=256)
def tables(
    shape, *, mode, coordinate_transformation_mode, nearest_mode, cubic_coeff_a, antialias, exclude_outside, **of
):
    """Return for each axis that is resized its table.

    Parameters
    ----------
    shape : tuple of int
    **of
        As :func:`resized_axes` takes it, and what else the operation has.

    Returns
    -------
    tuple of (Axis, ndarray of int64, ndarray of float64, ndarray of bool)
        The indices for each element after, (length, indices for each), within the axis; their weights, 0 of those that
        do not count; and which elements lie outside, for which none counts.
    """
    names = ("axes", "scales", "sizes", "keep_aspect_ratio_policy", "roi")
    found = []
    for axis in resized_axes(shape, **{name: of[name] for name in names}):
        places = coordinates(axis, coordinate_transformation_mode)
        outside = is_outside(axis, places, coordinate_transformation_mode)
        if mode == "nearest":
            indices = nearest(places, axis.size, nearest_mode)[:, None]
            shares = np.ones(indices.shape)
        else:
            indices, shrinking = neighbours(axis, places, mode=mode, antialias=antialias)
            options = {"cubic_coeff_a": cubic_coeff_a, "antialias": antialias, "exclude_outside": exclude_outside}
            shares = weights(shrinking * (indices - places[:, None]), indices, axis.size, mode=mode, **options)
            indices = np.clip(indices, 0, axis.size - 1)
        found.append((axis, indices, np.where(outside[:, None], 0, shares), outside))
    return tuple(found)


def scale_in_float32(axis):
    """Return the float32 scale, as near as there is to its own, that gives an axis its length; None without one.

    It does so in float32, as runtimes have the product, and in float64, as ONNX's inference of shapes has it.
    """
    scale = np.float32(float(axis.scale))
    for candidate in (scale, np.nextafter(scale, np.float32(np.inf)), np.nextafter(scale, np.float32(0))):
        if axis.length == int(np.float32(axis.size) * candidate) == int(axis.size * float(candidate)):
            return float(candidate)
    return None

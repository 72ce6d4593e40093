"""Resize: the layer that makes images larger, the function and the ONNX mapping."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from .. import attributes as attribute
from ..errors import ArgumentError, ExportError, ShapeError
from ..formats import ANY, FLOAT32
from ..function import apply
from ..interpolation import resized_axes, scale_in_float32, tables
from ..layer import Layer
from ..variable import Input, Variable, as_variable

FAMILY = "shape"

#: The nearest element is moved, whatever it is.
DTYPES = (ANY,)

_MODES = ("nearest", "linear", "cubic")
_COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
)
_NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
_POLICIES = ("stretch", "not_larger", "not_smaller")


class Upsample2d(Layer):
    """Images that are so many times as large.

    Parameters
    ----------
    scale : float or (float, float)
        How many times, in height and width.
    mode : str
        ``"nearest"`` or ``"linear"``.

    Raises
    ------
    ArgumentError
        If a scale is no number above 0, or the mode another.
    """

    def __init__(self, scale: float | tuple[float, float], mode: str = "nearest") -> None:
        super().__init__()
        scales = tuple(scale) if isinstance(scale, (tuple, list)) else (scale, scale)
        if len(scales) != 2:
            raise ArgumentError(f"Upsample2d: scale is {scale!r}. Give a number, or a pair (vertical, horizontal).")
        self.scale = tuple(attribute.number("Upsample2d", "scale", one, above=0) for one in scales)
        self.mode = attribute.choice("Upsample2d", "mode", mode, ("nearest", "linear"))

    def forward(self, x: Variable) -> Variable:
        """x (N, C, H, W) -> (N, C, scale H, scale W), rounded down."""
        if len(x.shape) != 4:
            raise ShapeError(f"Upsample2d: the input has shape {x.shape}. Give images of shape (N, C, H, W).")
        return resize(x, scales=self.scale, mode=self.mode)


def resize(
    x: Input,
    *,
    scales: float | Sequence[float] | None = None,
    sizes: int | Sequence[int] | None = None,
    axes: int | Sequence[int] | None = None,
    mode: str = "nearest",
    coordinate_transformation_mode: str = "half_pixel",
    nearest_mode: str = "round_prefer_floor",
    cubic_coeff_a: float = -0.75,
    exclude_outside: bool = False,
    antialias: bool = False,
    keep_aspect_ratio_policy: str = "stretch",
    roi: Sequence[float] | None = None,
    extrapolation_value: float = 0.0,
) -> Variable:
    """Make an array larger or smaller along some axes, as ONNX's Resize does, whose attributes these are.

    Parameters
    ----------
    x : Variable or array_like
        (N, C, H, W) as a rule.
    scales : float or sequence of float
        How many times as large each of the axes becomes; the sizes are rounded down.
    sizes : int or sequence of int
        In their place the sizes that they get.
    axes : int or sequence of int, optional
        Which they are; negative ones count from the last. Without it they are the last ones, as many as there are
        scales or sizes; of one number alone, all axes behind the first two.
    mode : str
        ``"nearest"``, for arrays of any dtype, ``"linear"`` or ``"cubic"``.
    coordinate_transformation_mode : str
        Where a pixel of the result lies in x: ``"half_pixel"``, ``"half_pixel_symmetric"``, ``"pytorch_half_pixel"``,
        ``"align_corners"``, ``"asymmetric"`` or ``"tf_crop_and_resize"``.
    nearest_mode : str
        How that is rounded: ``"round_prefer_floor"``, ``"round_prefer_ceil"``, ``"floor"`` or ``"ceil"``.
    cubic_coeff_a : float
        The coefficient of the cubic kernel.
    exclude_outside : bool
        Whether what lies outside of x counts nothing, rather than as the pixel at the edge.
    antialias : bool
        Whether the linear or cubic kernel is widened where the result has fewer pixels.
    keep_aspect_ratio_policy : str
        ``"stretch"`` to the sizes, or one scale for all axes, by which none becomes larger (``"not_larger"``) or
        smaller (``"not_smaller"``) than its size.
    roi : sequence of float, optional
        For ``"tf_crop_and_resize"``: where the part of each axis that is taken begins, then where each ends, from 0 to
        1. The scales are of the whole axis, as all runtimes have it.
    extrapolation_value : float
        For ``"tf_crop_and_resize"``: what stands where the part goes beyond x.

    Returns
    -------
    Variable, of the dtype of x

    Raises
    ------
    ArgumentError
        If not exactly one of scales and sizes is given, an argument is out of range or fits no other, or an array
        without floats is to be interpolated.
    ShapeError
        If nothing would be left of an axis, or there is nothing to begin with.
    """
    x = as_variable(x)
    mode = attribute.choice("resize", "mode", mode, _MODES)
    if mode != "nearest" and x.dtype.kind != "f":
        raise ArgumentError(f'resize: the mode is {mode!r}, but the array is of {x.dtype}. Give floats, or "nearest".')
    if (scales is None) == (sizes is None):
        raise ArgumentError(f"resize: scales is {scales!r} and sizes {sizes!r}. Give one of them.")
    name, given = ("sizes", sizes) if scales is None else ("scales", scales)
    numbered = _axes(x.shape, axes, given)
    values = _values(name, given, len(numbered))
    coordinates = attribute.choice(
        "resize", "coordinate_transformation_mode", coordinate_transformation_mode, _COORDINATES
    )
    crops, is_cubic, policy = coordinates == "tf_crop_and_resize", mode == "cubic", keep_aspect_ratio_policy
    policy = attribute.choice("resize", "keep_aspect_ratio_policy", policy, _POLICIES)
    nearest_mode = attribute.choice("resize", "nearest_mode", nearest_mode, _NEAREST)
    antialias = attribute.flag("resize", "antialias", antialias)
    exclude_outside = attribute.flag("resize", "exclude_outside", exclude_outside)
    if mode == "nearest" and antialias:
        raise ArgumentError('resize: antialias is for the modes "linear" and "cubic". Choose one, or leave it out.')
    # What has no part in a result is left at its default.
    attributes = {
        "axes": numbered,
        "scales": values if name == "scales" else None,
        "sizes": values if name == "sizes" else None,
        "mode": mode,
        "coordinate_transformation_mode": coordinates,
        "nearest_mode": nearest_mode if mode == "nearest" else _NEAREST[0],
        "cubic_coeff_a": attribute.number("resize", "cubic_coeff_a", cubic_coeff_a) if is_cubic else -0.75,
        "exclude_outside": exclude_outside and (is_cubic or antialias),
        "antialias": antialias,
        "keep_aspect_ratio_policy": policy if name == "sizes" else _POLICIES[0],
        "roi": _roi(roi, len(numbered)) if crops else None,
        "extrapolation_value": attribute.held("resize", "extrapolation_value", extrapolation_value, x.dtype)
        if crops
        else 0.0,
    }
    _check_lengths(x.shape, attributes)
    return apply("resize", x, **attributes)


def _axes(shape, axes, given):
    """Return which axes are resized, in the order in which scales or sizes are of them."""
    dimensions = len(shape)
    if axes is None:
        count = len(given) if attribute.is_several(given) else max(0, dimensions - 2)
        axes = range(dimensions - count, dimensions) if count <= dimensions else (dimensions - count,)
    axes = attribute.entries(axes)
    found = tuple(attribute.axis("resize", axis, dimensions) for axis in axes)
    if len(set(found)) != len(found) or not found:
        raise ArgumentError(f"resize: axes is {axes}, for an array of shape {shape}. Name each axis to resize once.")
    return found


def _values(name, given, count):
    values = tuple(given) if attribute.is_several(given) else (given,) * count
    if len(values) != count:
        raise ArgumentError(f"resize: {name} is {given!r}, for {count} axes. Give one for each, or one number for all.")
    if name == "sizes":
        return attribute.integers("resize", "a size", values, 1)
    # As files have them, so that all agree on the sizes.
    return tuple(FLOAT32.round(attribute.number("resize", "a scale", value, above=0)) for value in values)


def _roi(roi, count):
    values = () if roi is None else tuple(roi)
    if len(values) != 2 * count:
        raise ArgumentError(
            f'resize: roi is {roi!r}, for {count} axes. Give, for "tf_crop_and_resize", where the part of each axis '
            "begins, then where each ends."
        )
    return tuple(float(np.float32(attribute.number("resize", "roi", value))) for value in values)


def _geometry(shape, attributes):
    names = ("axes", "scales", "sizes", "keep_aspect_ratio_policy", "roi")
    return resized_axes(shape, **{name: attributes[name] for name in names})


def _check_lengths(shape, attributes):
    if 0 in shape:
        raise ShapeError(f"resize: the input has shape {shape}. Give an array with elements.")
    lengths = {axis.number: axis.length for axis in _geometry(shape, attributes)}
    if not 1 <= min(lengths.values()) <= max(lengths.values()) <= attribute.MOST:
        result = tuple(lengths.get(axis, size) for axis, size in enumerate(shape))
        raise ShapeError(
            f"resize: an array of shape {shape} would have the shape {result}. Give scales or sizes that leave from 1 "
            f"to {attribute.MOST} elements along each axis."
        )


def to_onnx(graph, x, **attributes):
    """Write ONNX's Resize; in versions before axes and sizes of some axes alone, with the scales of all."""
    mode, coordinates = attributes["mode"], attributes["coordinate_transformation_mode"]
    crops = coordinates == "tf_crop_and_resize"
    if mode == "nearest" and not crops and x.dtype.name not in ("float32", "float64", "int32"):
        return _as_gather(graph, x, attributes)
    if coordinates == "half_pixel_symmetric":
        graph.require(19, "Resize with half_pixel_symmetric coordinates")
    if attributes["antialias"]:
        graph.require(18, "Resize with antialias")
    written = {"mode": mode, "coordinate_transformation_mode": coordinates}
    if mode == "nearest":
        written["nearest_mode"] = attributes["nearest_mode"]
    if mode == "cubic":
        written["cubic_coeff_a"] = attributes["cubic_coeff_a"]
    if attributes["exclude_outside"]:
        written["exclude_outside"] = 1
    if attributes["antialias"]:
        written["antialias"] = 1
    if crops:
        written["extrapolation_value"] = float(attributes["extrapolation_value"])
    axes = _geometry(x.shape, attributes)
    if not _is_common(x.shape, attributes):
        return _one_axis_after_the_other(graph, x, axes, written, crops)
    is_of_some = graph.opset >= 18
    own = _of_some_axes(attributes, axes) if is_of_some else _of_all_axes(graph, x.shape, axes, crops)
    return graph.node("Resize", [graph.tensor(x)], **written, **own)


def _is_common(shape, attributes):
    """Return whether runtimes resize such axes at once: those of images, and by the cubic kernel two of them."""
    if attributes["mode"] == "nearest":
        return True
    are_of_images = min(attributes["axes"]) >= 2 and len(shape) <= 5
    return are_of_images and (attributes["mode"] == "linear" or len(shape) == 4)


def _one_axis_after_the_other(graph, x, axes, written, crops):
    """Write a Resize of each axis, as the rows of images: the same numbers, for the kernels are products."""
    y, shape = graph.tensor(x), list(x.shape)
    for axis in axes:
        image = (1, -1, axis.size, math.prod(shape[axis.number + 1 :]))
        y = graph.node("Reshape", [y], shape=image)
        own = _of_all_axes(graph, image, [dataclasses.replace(axis, number=2)], crops)
        y = graph.node("Resize", [y], **written, **own)
        shape[axis.number] = axis.length
    is_batch_kept = all(axis.number for axis in axes)
    return graph.node("Reshape", [y], shape=[-1 if is_batch_kept else shape[0], *shape[1:]])


def _of_some_axes(attributes, axes):
    """Return what Resize takes in the versions in which that is of some axes, read in the order of the axes."""
    axes, found = sorted(axes, key=lambda axis: axis.number), {}
    found["axes"] = [axis.number for axis in axes]
    if attributes["scales"] is None:
        by_axis = dict(zip(attributes["axes"], attributes["sizes"], strict=True))
        found["sizes"] = [by_axis[number] for number in found["axes"]]
    else:
        found["scales"] = [scale_in_float32(axis) or float(axis.scale) for axis in axes]
    if attributes["roi"] is not None:
        found["roi"] = [axis.roi[0] for axis in axes] + [axis.roi[1] for axis in axes]
    if attributes["keep_aspect_ratio_policy"] != _POLICIES[0]:
        found["keep_aspect_ratio_policy"] = attributes["keep_aspect_ratio_policy"]
    return found


def _of_all_axes(graph, shape, axes, crops):
    scales, starts, ends = [1.0] * len(shape), [0.0] * len(shape), [1.0] * len(shape)
    for axis in axes:
        scale = scale_in_float32(axis)
        if scale is None:
            graph.require(18, f"Resize of {axis.size} elements to {axis.length} by the scale {float(axis.scale):g}")
            raise ExportError(
                f"no scale of float32 makes {axis.length} elements of {axis.size} by {float(axis.scale):g}. Resize "
                'with keep_aspect_ratio_policy="stretch", or two axes of images alone.'
            )
        scales[axis.number] = scale
        starts[axis.number], ends[axis.number] = axis.roi
    return {"scales": scales, "roi": starts + ends if crops else None}


def _as_gather(graph, x, attributes):
    """Write what takes the nearest element of dtypes that runtimes resize none of."""
    y = graph.tensor(x)
    for axis, indices, _, _ in tables(x.shape, **attributes):
        y = graph.node("Gather", [y], indices=indices[:, 0], axis=axis.number)
    return y


def _read_resize(
    x,
    *,
    roi=None,
    scales=None,
    sizes=None,
    axes=None,
    mode="nearest",
    coordinate_transformation_mode="half_pixel",
    nearest_mode="round_prefer_floor",
    cubic_coeff_a=-0.75,
    exclude_outside=0,
    antialias=0,
    keep_aspect_ratio_policy="stretch",
    extrapolation_value=0.0,
    version=13,
):
    """Read ONNX's Resize, in version 10 of which pixels lie where their numbers say."""
    if version < 11:
        coordinate_transformation_mode, nearest_mode = "asymmetric", "floor"
    if coordinate_transformation_mode == "align_corners" and scales:
        sides = x.shape if axes is None else [x.shape[axis] for axis in axes]
        coordinate_transformation_mode, roi = "tf_crop_and_resize", _part_that_aligns(sides, scales)
    return resize(
        x,
        scales=scales or None,
        sizes=sizes or None,
        axes=axes,
        mode=mode,
        coordinate_transformation_mode=coordinate_transformation_mode,
        nearest_mode=nearest_mode,
        cubic_coeff_a=cubic_coeff_a,
        exclude_outside=bool(exclude_outside),
        antialias=bool(antialias),
        keep_aspect_ratio_policy=keep_aspect_ratio_policy,
        roi=(roi or None) if coordinate_transformation_mode == "tf_crop_and_resize" else None,
        extrapolation_value=extrapolation_value,
    )


def _part_that_aligns(sides, scales):
    """Return the part of each axis whose ends lie under the corner pixels of the result.

    Of ONNX's own cases the last pixel lies under scale times size less 1, which need be no whole number, in the place
    of the size of the result less 1.
    """
    ends = []
    for side, scale in zip(sides, scales, strict=True):
        exact = side * scale
        ends.append((math.floor(exact) - 1) / (exact - 1) if exact > 1 else 0.0)
    return (*(0.0,) * len(ends), *ends)


def _read_upsample(x, *, scales=None, height_scale=None, width_scale=None, mode="nearest"):
    """Read ONNX's Upsample, which came before Resize."""
    scales = (1.0, 1.0, height_scale, width_scale) if scales is None else scales
    mode = "linear" if mode == "bilinear" else mode
    return resize(x, scales=scales, mode=mode, coordinate_transformation_mode="asymmetric", nearest_mode="floor")


def _count(
    x, *, scales=None, sizes=None, axes=None, keep_aspect_ratio_policy="stretch", height_scale=1, width_scale=1, **_
):
    """Return the most that Resize and Upsample make on the way: a policy may take the largest scale for all axes."""
    if sizes:
        axes = range(len(x)) if axes is None else axes
        scales = [size / max(1, x[axis]) for size, axis in zip(sizes, axes, strict=True)]
        if keep_aspect_ratio_policy == "not_smaller":
            scales = [max(scales)] * len(scales)
    elif not scales:
        scales = (1, 1, height_scale, width_scale)
    return int(math.prod(x) * math.prod(max(1, scale) for scale in scales))


FROM_ONNX = {"Resize": _read_resize, "Upsample": _read_upsample}
COUNTS = dict.fromkeys(FROM_ONNX, _count)

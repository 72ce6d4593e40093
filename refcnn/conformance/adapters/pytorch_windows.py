"""PyTorch's functions of windows and of pixels, called as refcnn's operations: over one to three spatial axes.

PyTorch pads opposite sides alike, so that padding is a step of its own.
"""

import torch
from torch.nn import functional

from ...shapes import reached_padding
from ..subjects.base import NotExpressible


def _over(name, x):
    """Return the function of a name for as many spatial axes as there are."""
    return getattr(functional, f"{name}{x.ndim - 2}d")


def _padded(x, padding, value=0.0):
    axes = len(padding) // 2
    # The last axis comes first, each with what is before and behind.
    around = [count for both in zip(padding[axes - 1 :: -1], padding[: axes - 1 : -1], strict=True) for count in both]
    return functional.pad(x, around, value=value)


def conv2d(x, w, b, *, stride, padding, dilation, groups):
    """Return the convolution."""
    b = None if b is None else b.reshape(-1)
    return _over("conv", x)(_padded(x, padding), w, b, stride, 0, dilation, groups)


def conv_transpose2d(x, w, b, *, stride, padding, output_padding, dilation, groups):
    """Return the transposed convolution, of which PyTorch cuts off as much on opposite sides."""
    axes, b = len(stride), None if b is None else b.reshape(-1)
    y = _over("conv_transpose", x)(x, w, b, stride, 0, output_padding, groups, dilation)
    for axis, (before, after) in enumerate(zip(padding[:axes], padding[axes:], strict=True), start=2):
        y = y.narrow(axis, before, y.shape[axis] - before - after)
    return y


def max_pool2d(x, **geometry):
    """Return what wins in each window."""
    return _max_pooled(x, **geometry)[0]


def max_pool2d_with_indices(x, **geometry):
    """Return what wins, and its places in all of x."""
    y, places = _max_pooled(x, **geometry)
    planes = torch.arange(len(x) * x.shape[1], device=x.device).reshape(*x.shape[:2], *[1] * (x.ndim - 2))
    return y, places + planes * x[0, 0].numel()


def _max_pooled(x, *, kernel, stride, padding, dilation, ceil_mode):
    """Return what wins in each window, and its place in its own plane."""
    # Here the padding is the least of all, less than a pixel of -infinity too.
    reached = reached_padding(x.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    least = torch.finfo(x.dtype).min
    if any(reached) and (x == least).any() and (x == -torch.inf).any():
        raise NotExpressible("PyTorch's padding is as small as a pixel of -infinity, and no number lies between")
    ranked = _padded(x.detach().clamp(min=least) if any(reached) else x.detach(), reached, -torch.inf)
    _, winner = _over("max_pool", x)(ranked, kernel, stride, 0, dilation, return_indices=True)
    places = torch.arange(x[0, 0].numel(), device=x.device).reshape(1, 1, *x.shape[2:])
    places = _padded(places, reached).flatten()[winner]
    return x.flatten(2).gather(2, places.flatten(2)).reshape(winner.shape), places


def max_unpool2d(x, indices, *, size):
    """Return x at its places; PyTorch takes these in the plane, and leaves open which of several at one stays."""
    plane = torch.Size(size).numel()
    planes = torch.arange(len(x) * x.shape[1], device=x.device).reshape(*x.shape[:2], *[1] * (x.ndim - 2))
    places = indices - planes * plane
    if ((places < 0) | (places >= plane)).any() or indices.unique().numel() < indices.numel():
        raise NotExpressible("PyTorch unpools within each plane, one pixel to a place")
    kernel = [after - before + 1 for after, before in zip(size, x.shape[2:], strict=True)]
    if min(kernel) < 1:
        raise NotExpressible("PyTorch unpools to no fewer pixels")
    return _over("max_unpool", x)(x, places, kernel, 1)


def average_pool2d(x, *, kernel, stride, padding, dilation, ceil_mode, count_include_padding):
    """Return the mean in each window; PyTorch leaves out padding of its own only."""
    reached = reached_padding(x.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    counted = _padded(torch.ones_like(x[:1, :1]), padding, float(count_include_padding))
    behind = tuple(far - near for far, near in zip(reached, padding, strict=True))
    sums, counts = (
        _sum_of_windows(entry, kernel, stride, dilation) for entry in (_padded(x, reached), _padded(counted, behind))
    )
    return sums / counts


def _sum_of_windows(x, kernel, stride, dilation):
    if x.ndim == 3:
        sums = _sum_of_windows(x.unsqueeze(2), *((1, *numbers) for numbers in (kernel, stride, dilation)))
        return sums.squeeze(2)
    if set(dilation) == {1}:
        return _over("avg_pool", x)(x, kernel, stride, divisor_override=1)
    # PyTorch's mean has no dilation: channel by channel its convolution with a kernel of ones.
    sums = _over("conv", x)(x.reshape(-1, 1, *x.shape[2:]), x.new_ones(1, 1, *kernel), None, stride, 0, dilation)
    return sums.reshape(*x.shape[:2], *sums.shape[2:])


def lp_pool2d(x, *, p, kernel, stride, padding, dilation, ceil_mode):
    """Return the p-norm in each window; PyTorch takes no magnitudes where p is odd."""
    if set(dilation) != {1}:
        raise NotExpressible("PyTorch's Lp pooling has no dilation")
    reached = reached_padding(x.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    # Along one axis PyTorch takes numbers alone.
    kernel, stride = (numbers[0] if x.ndim == 3 else numbers for numbers in (kernel, stride))
    return _over("lp_pool", x)(_padded(x.abs(), reached), p, kernel, stride)


def local_response_normalization(x, *, size, alpha, beta, bias):
    """Return it of an odd number of neighbours; of an even one PyTorch's are one channel off."""
    if size % 2 == 0:
        raise NotExpressible("PyTorch takes the odd neighbour before, not behind")
    if x.ndim < 3:
        # PyTorch wants an axis of pixels.
        return local_response_normalization(x[..., None], size=size, alpha=alpha, beta=beta, bias=bias)[..., 0]
    return functional.local_response_norm(x, size, alpha, beta, bias)


def pad(x, *, pads, mode, constant_value):
    """Return x with more or fewer elements; other than constant ones PyTorch pads behind two axes at most three."""
    axes = x.ndim
    around = [count for axis in reversed(range(axes)) for count in (pads[axis], pads[axes + axis])]
    if mode == "constant":
        return functional.pad(x, around, value=constant_value)
    if x.dtype.is_floating_point and 2 < axes <= 5 and not any(around[-4:]) and min(around) >= 0:
        modes = {"edge": "replicate", "reflect": "reflect", "wrap": "circular"}
        try:
            return functional.pad(x, around[:-4], modes[mode])
        except RuntimeError as error:
            # Mirrored, or repeated, more than once.
            raise NotExpressible(str(error)) from None
    raise NotExpressible(f"PyTorch does not pad so by the mode {mode}")


def depth_to_space(x, *, block, mode):
    """Return blocks of pixels, in the order of channels that PyTorch has."""
    if mode != "CRD":
        raise NotExpressible("PyTorch takes a channel's pixels from neighbours")
    return functional.pixel_shuffle(x, block)


def space_to_depth(x, *, block, mode):
    """Return blocks of channels, in the order that PyTorch has."""
    if mode != "CRD":
        raise NotExpressible("PyTorch puts a channel's pixels into neighbours")
    return functional.pixel_unshuffle(x, block)


#: What PyTorch calls nearest pixels, by the coordinates and the way in which they are rounded.
_NEAREST = {("asymmetric", "floor"): "nearest", ("half_pixel", "round_prefer_ceil"): "nearest-exact"}
_INTERPOLATED = {
    ("linear", 1): "linear",
    ("linear", 2): "bilinear",
    ("linear", 3): "trilinear",
    ("cubic", 2): "bicubic",
}


def resize(x, *, axes, scales, sizes, keep_aspect_ratio_policy, **how):
    """Return images of other sizes, in the modes that PyTorch has."""
    mode, options = _mode(x.ndim - 2, **how)
    if mode is None or min(axes) < 2 or keep_aspect_ratio_policy != "stretch" or not x.is_floating_point():
        raise NotExpressible("PyTorch has no such mode")
    if scales is None:
        of_axes = dict(zip(axes, sizes, strict=True))
        return functional.interpolate(x, [of_axes.get(a, x.shape[a]) for a in range(2, x.ndim)], mode=mode, **options)
    of_axes = dict(zip(axes, scales, strict=True))
    factors = [of_axes.get(axis, 1.0) for axis in range(2, x.ndim)]
    y = functional.interpolate(x, scale_factor=factors, mode=mode, **options)
    kept = zip(factors, x.shape[2:], y.shape[2:], strict=True)
    if "antialias" in options and any(factor != 1 and before == after for factor, before, after in kept):
        raise NotExpressible("PyTorch leaves an axis as it is where the kernel may be widened, but the size stays")
    return y


def _mode(
    spatial,
    *,
    mode,
    coordinate_transformation_mode,
    nearest_mode,
    cubic_coeff_a,
    exclude_outside,
    antialias,
    roi,
    extrapolation_value,
):
    """Return PyTorch's name of a mode, None if it has none, and its options."""
    if mode == "nearest":
        return _NEAREST.get((coordinate_transformation_mode, nearest_mode)), {}
    # The coefficient, and whether what lies outside counts, follow from whether the kernel is widened.
    aligns = coordinate_transformation_mode == "align_corners"
    coefficient = -0.5 if antialias else -0.75
    is_known = (
        (aligns or coordinate_transformation_mode == "half_pixel")
        and exclude_outside == antialias
        and (mode == "linear" or cubic_coeff_a == coefficient)
        and not (antialias and (aligns or spatial != 2))
    )
    options = {"align_corners": aligns, **({"antialias": True} if antialias else {})}
    return (_INTERPOLATED.get((mode, spatial)) if is_known else None), options

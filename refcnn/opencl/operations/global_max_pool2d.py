"""Global max pooling on an OpenCL device: a reduction over all spatial axes."""

from . import reduction

KERNELS = {"reduction": (None,)}

_REDUCTION = reduction.OPERATIONS["reduce_max"]


def forward(x):
    """x (N, C, H, W), or with one or three spatial axes -> y (N, C, 1, 1), with as many."""
    return _REDUCTION.forward(x, **_over_pixels(x))


def backward(dy, saved, needs):
    """dy (N, C, 1, 1) -> dx (N, C, H, W): dy at the pixel that won."""
    return _REDUCTION.backward(dy, saved, needs, **_over_pixels(dy))


def _over_pixels(images):
    return {"axes": tuple(range(2, images.ndim)), "keepdims": True}

"""Convolution on an OpenCL device: for each direction the variant that suits the device and the sizes.

Signals are seen as images of height 1. The result is computed when it is first needed, and not before: what follows
it, a rectifier for example, can then be done in the same kernel.
"""

from ..convolution import directions
from ..convolution.choice import algorithmic_flop_of, choices
from ..convolution.sizes import convolution
from ..shared.fusion import reshaped
from ..shared.planes import attributes_in_plane, in_plane, is_signal, out_of_plane, shape_out_of_plane
from ..variants import CHOSEN, SPECIAL, TILES

VARIANTS = directions.VARIANTS
FUSED = {
    "relu": (CHOSEN, "cpu", "gpu", *SPECIAL),
    "clip": (CHOSEN, "cpu", "gpu", *SPECIAL),
    "relu+max_pool2d": (CHOSEN, *TILES),
    "batch_normalization": (CHOSEN, "cpu", "gpu", *SPECIAL),
}
KERNELS = directions.KERNELS | {
    "max_pool2d_rectified": ("winograd_2x2+relu+max_pool2d",),
    "normalization": ("cpu+batch_normalization",),
}


def forward(x, w, b, *, stride, padding, dilation, groups):
    """x (N, C, H, W), w (K, C/groups, kh, kw), b (1, K, 1, 1) or None -> y (N, K, out_h, out_w)."""
    attributes = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if is_signal(x.shape):
        y, saved = forward(*map(in_plane, (x, w, b)), **attributes_in_plane(attributes))
        return reshaped(y, shape_out_of_plane(y.shape)), saved
    return directions.forward(x, w, b, convolution(x.shape, w.shape, **attributes))


def backward(dy, saved, needs, *, stride, padding, dilation, groups):
    """dy (N, K, out_h, out_w) -> dx, dw, db: each window hands its share of dy back to what it read."""
    if is_signal(dy.shape):
        return tuple(map(out_of_plane, _backward(in_plane(dy), saved, needs)))
    return _backward(dy, saved, needs)


def _backward(dy, saved, needs):
    gradients = directions.Gradients(dy, saved)
    dx = gradients.x() if needs[0] else None
    dw, db = gradients.w_and_b(needs[1], needs[2]) if any(needs[1:]) else (None, None)
    return dx, dw, db


def tuned_geometry(inputs, attributes):
    """The convolution's, but for volumes, for which there is no choice."""
    geometry = convolution(*inputs[:2], **attributes)
    return geometry if len(geometry.kernel) == 2 else None


def algorithms(device, x_shape, w_shape, b_shape=None, *, stride, padding, dilation, groups):
    """Return the variant that computes each direction on a device: ``forward``, ``backward_x`` and ``backward_w``."""
    geometry = convolution(x_shape, w_shape, stride=stride, padding=padding, dilation=dilation, groups=groups)
    return choices(device, geometry)


def algorithmic_flop(device, x_shape, w_shape, b_shape=None, **attributes):
    """Those of Winograd's algorithm, in the directions that it computes."""
    return algorithmic_flop_of(device, convolution(x_shape, w_shape, **attributes))

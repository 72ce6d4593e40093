"""Transposed convolution on an OpenCL device: the directions of a convolution in other roles, by the same kernels.

Its result is that convolution's gradient by x, its gradient by x that convolution's result, and the gradient by w the
same with x and dy exchanged. Signals are seen as images of height 1.
"""

from ... import rooms
from ..convolution import directions
from ..convolution.choice import algorithmic_flop_of, choices
from ..convolution.sizes import transposed_convolution
from ..shared.planes import in_plane, is_signal, out_of_plane
from ..shared.reduction import sum_over

VARIANTS = directions.VARIANTS
KERNELS = directions.KERNELS

#: The directions of the convolution by those that they are here.
_ROLES = {"forward": "backward_x", "backward_x": "forward", "backward_w": "backward_w"}


def forward(x, w, b, *, stride, padding, output_padding, dilation, groups):
    """x (N, C, H, W), w (C, K/groups, kh, kw), b (1, K, 1, 1) or None -> y (N, K, out_h, out_w)."""
    window = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation}
    geometry = transposed_convolution(x.shape, w.shape, **window, groups=groups)
    seen = in_plane if is_signal(x.shape) else _itself
    saved = seen(x.computed()), seen(w), geometry
    y = directions.Gradients(saved[0], directions.Saved(None, saved[1], geometry)).x()
    y = out_of_plane(y) if is_signal(x.shape) else y
    if b is not None:
        y, _ = rooms.require(rooms.OPENCL, "add").forward(y, b)
    return y, saved


def backward(dy, saved, needs, *, stride, padding, output_padding, dilation, groups):
    """dy (N, K, out_h, out_w) -> dx, dw, db: each pixel collects its share of dy from where it laid its kernel."""
    x, w, geometry = saved
    db = _bias(dy) if needs[2] else None
    if is_signal(dy.shape):
        return *map(out_of_plane, _backward(in_plane(dy), x, w, geometry, needs)), db
    return *_backward(dy, x, w, geometry, needs), db


def _backward(dy, x, w, geometry, needs):
    dx, as_saved = None, directions.Saved(dy, w, geometry)
    if needs[0]:
        dx, as_saved = directions.forward(dy, w, None, geometry)
        dx.computed()
    return dx, directions.Gradients(x, as_saved).w_and_b(True, False)[0] if needs[1] else None


def _bias(dy):
    axes = (0, *range(2, dy.ndim))
    return sum_over(dy, axes).reshape(tuple(1 if axis in axes else size for axis, size in enumerate(dy.shape)))


def _itself(array):
    return array


def algorithms(device, x_shape, w_shape, b_shape=None, *, stride, padding, output_padding, dilation, groups):
    """Return the variant that computes each direction on a device: ``forward``, ``backward_x`` and ``backward_w``."""
    window = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation}
    found = choices(device, transposed_convolution(x_shape, w_shape, **window, groups=groups))
    return {direction: found[role] for direction, role in _ROLES.items()}


def algorithmic_flop(device, x_shape, w_shape, b_shape=None, **attributes):
    """Those of Winograd's algorithm, in the directions that it computes."""
    found = algorithmic_flop_of(device, transposed_convolution(x_shape, w_shape, **attributes))
    return {direction: found[role] for direction, role in _ROLES.items() if role in found}

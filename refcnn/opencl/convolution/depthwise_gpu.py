"""Depthwise convolution of one output channel to each input channel, on GPUs: the ``gpu`` variant where it applies.

As a matrix product it would have one row, and leave most of a block of rows idle.
"""

from ..shared import matrix_product
from ..shared.fusion import UNLIMITED
from . import depthwise

# Images that a work-item computes together, if there are as many, and parts into which they are cut, at most.
_IMAGES, _MOST_PARTS = 4, 1024
# Work-items of a group, and accumulators of the gradient of w.
_GROUP, _GROUP_OF_SIMULATORS, _TERMS = 128, 8, 9
# Work-groups of the gradient of w that there should be for a compute unit, and the pixels that each work-item sums.
_GROUPS_PER_UNIT, _LEAST_PIXELS = 16, 4

applies = depthwise.applies


def forward(x, w, b, geometry, limits=UNLIMITED):
    """Return y (N, C, out_h, out_w), within limits.

    Parameters
    ----------
    x : DeviceArray
        (N, C, H, W), float32.
    w : DeviceArray
        (C, 1, kh, kw), float32.
    b : DeviceArray or None
        (1, C, 1, 1), float32.
    geometry : refcnn.opencl.convolution.sizes.Convolution
    limits : refcnn.opencl.shared.fusion.Limits

    Raises
    ------
    ShapeError
        If an array has more elements than the kernels can count.
    """
    geometry.check_countable()
    y = x.device.empty(geometry.y_shape)
    _correlate(x, w, b, limits, y, geometry, gap_h=1, gap_w=1, **_steps(geometry))
    return y


def backward_x(dy, w, geometry):
    """Return dx (N, C, H, W).

    Parameters
    ----------
    dy : DeviceArray
        (N, C, out_h, out_w), float32.
    w : DeviceArray
        (C, 1, kh, kw), float32.
    geometry : refcnn.opencl.convolution.sizes.Convolution

    Raises
    ------
    ShapeError
        If an array has more elements than the kernels can count.
    """
    geometry.check_countable()
    dx = dy.device.empty(geometry.x_shape)
    # The taps that meet a pixel of x lie in windows before it.
    (s_h, s_w), (d_h, d_w), (top, left, *_) = geometry.stride, geometry.dilation, geometry.padding
    back = {"spread_h": -d_h, "spread_w": -d_w, "before_h": -top, "before_w": -left}
    _correlate(dy, w, None, UNLIMITED, dx, geometry, step_h=1, step_w=1, **back, gap_h=s_h, gap_w=s_w)
    return dx


def backward_w(x, dy, geometry):
    """Return dw (C, 1, kh, kw) and db (1, C, 1, 1).

    Parameters
    ----------
    x : DeviceArray
        (N, C, H, W), float32.
    dy : DeviceArray
        (N, C, out_h, out_w), float32.
    geometry : refcnn.opencl.convolution.sizes.Convolution

    Raises
    ------
    ShapeError
        If an array has more elements than the kernels can count.
    """
    geometry.check_countable()
    device, group = x.device, _group(x.device)
    images, channels, out_h, out_w = geometry.y_shape
    blocks, pixels = -(-geometry.terms // _TERMS), images * out_h * out_w
    wanted = -(-_GROUPS_PER_UNIT * device.compute_units // (channels * blocks))
    chunks = max(1, min(wanted, pixels // (_LEAST_PIXELS * group)))
    of_w, of_b = device.empty((chunks, *geometry.w_shape)), device.empty((chunks, 1, channels, 1, 1))
    device.launch(
        "conv2d_depthwise_gpu",
        "correlate_weights",
        (channels * group, chunks, blocks),
        (group, 1, 1),
        options=_options(device, images),
        x=x,
        dy=dy,
        of_w=of_w,
        of_b=of_b,
        **_sizes(geometry, x, dy),
        **_steps(geometry),
        terms_per_chunk=-(-pixels // chunks),
    )
    return matrix_product.sum_chunks(of_w), matrix_product.sum_chunks(of_b)


def _correlate(x, w, b, limits, y, geometry, **steps):
    device, (images, channels, out_h, out_w) = x.device, y.shape
    options = _options(device, images)
    group = _group(device)
    parts = -(-images // _together(images))
    device.launch(
        "conv2d_depthwise_gpu",
        "correlate",
        (channels * out_h * out_w, min(parts, _MOST_PARTS)),
        (group, 1),
        options=options,
        x=x,
        w=w,
        bias=b,
        has_bias=int(b is not None),
        **limits.arguments,
        y=y,
        **_sizes(geometry, x, y),
        **steps,
    )


def _together(images):
    return _IMAGES if images >= _IMAGES else 1


def _group(device):
    return _GROUP_OF_SIMULATORS if device.is_simulator else _GROUP


def _options(device, images):
    return f"-DIMAGES={_together(images)}", f"-DGROUP={_group(device)}", f"-DTERMS={_TERMS}"


def _sizes(geometry, x, y):
    (images, channels, height, width), (*_, out_h, out_w) = x.shape, y.shape
    kernel_h, kernel_w = geometry.kernel
    return {
        "images": images,
        "channels": channels,
        "height": height,
        "width": width,
        "out_h": out_h,
        "out_w": out_w,
        "kernel_h": kernel_h,
        "kernel_w": kernel_w,
    }


def _steps(geometry):
    (s_h, s_w), (d_h, d_w), (top, left, *_) = geometry.stride, geometry.dilation, geometry.padding
    return {"step_h": s_h, "step_w": s_w, "spread_h": d_h, "spread_w": d_w, "before_h": top, "before_w": left}

"""Convolution with few input channels in a group, by its definition: first layers, and depthwise ones.

Matrix products need a copy of x that has a row for every tap; with few
channels to sum over, making that takes longer than the sums.
``kernels/conv2d_direct.cl`` says how they are computed instead.
"""

import functools
import math

from ..shared.fusion import UNLIMITED
from .sizes import Correlation

#: Channels of a group that are summed over, at most.
MOST_INPUTS = 4

# Products that are summed for one result, at most, for this to be faster than matrix products.
_MOST_TERMS = 256
# Floats of a vector in the kernels.
_WIDTH = 8
# Bytes that the copy of what one strip reads should take, so that it stays in a core's caches.
_STRIP_BYTES = 1 << 16
# Work-items for each core, so that a core that is late leaves work to others.
_ITEMS_PER_CORE = 4
# By the outputs of a block, its rows of y and its terms of the gradient of w: 16 registers hold the sums of each.
_ROWS, _TERMS = {1: 4, 2: 4, 4: 2}, {1: 9, 2: 5, 4: 3}


def applies(direction, geometry):
    """Return whether one direction of a convolution can be computed so.

    Parameters
    ----------
    direction : str
        ``forward``, ``backward_x`` or ``backward_w``.
    geometry : refcnn.opencl.convolution.sizes.Convolution
    """
    return (geometry.outputs if direction == "backward_x" else geometry.inputs) <= MOST_INPUTS


def is_fast(direction, geometry):
    """Return whether this, where it applies, was measured to be faster on CPUs than matrix products.

    Lanes run along rows of the result: with rows shorter than a vector it is so for depthwise convolutions only, which
    leave matrix products nothing to share. Parameters as in :func:`applies`.
    """
    correlation = _Correlation.of(geometry)
    if direction == "backward_x":
        correlation = correlation.transposed
    is_depthwise = 1 < geometry.groups == geometry.x_shape[1]
    return correlation.terms <= _MOST_TERMS and (correlation.out_w >= _WIDTH or is_depthwise)


def forward(x, w, b, geometry, limits=UNLIMITED):
    """Return y (N, K, out_h, out_w), within limits.

    Parameters
    ----------
    x : DeviceArray
        (N, C, H, W), float32.
    w : DeviceArray
        (K, C/groups, kh, kw), float32.
    b : DeviceArray or None
        (1, K, 1, 1), float32.
    geometry : refcnn.opencl.convolution.sizes.Convolution
    limits : refcnn.opencl.shared.fusion.Limits

    Raises
    ------
    ShapeError
        If an array has more elements than the kernels can count.
    """
    correlation = _Correlation.of(geometry)
    y = x.device.empty(correlation.y_shape)
    _correlate(correlation, x, w, b, limits, y)
    return y


def backward_x(dy, w, geometry):
    """Return dx (N, C, H, W): dy correlated with the kernels turned by 180 degrees, the channels' roles exchanged.

    With a stride, the pixels of dy lie so far apart, with zeros in between.

    Parameters
    ----------
    dy : DeviceArray
        (N, K, out_h, out_w), float32.
    w : DeviceArray
        (K, C/groups, kh, kw), float32.
    geometry : refcnn.opencl.convolution.sizes.Convolution

    Raises
    ------
    ShapeError
        If an array has more elements than the kernels can count.
    """
    correlation = _Correlation.of(geometry).transposed
    dx = dy.device.empty(correlation.y_shape)
    _correlate(correlation, dy, w, None, UNLIMITED, dx)
    return dx


def backward_w(x, dy, geometry):
    """Return dw (K, C/groups, kh, kw) and db (1, K, 1, 1).

    Parameters
    ----------
    x : DeviceArray
        (N, C, H, W), float32.
    dy : DeviceArray
        (N, K, out_h, out_w), float32.
    geometry : refcnn.opencl.convolution.sizes.Convolution

    Raises
    ------
    ShapeError
        If an array has more elements than the kernels can count.
    """
    sizes, device = _Correlation.of(geometry), x.device
    items = _ITEMS_PER_CORE * device.compute_units
    strip_rows, staged_rows, staged = sizes.strips(1, items)
    parts = sizes.images * -(-sizes.out_h // strip_rows)
    chunks = max(1, min(parts, -(-items // sizes.groups)))
    items = min(items, sizes.groups * chunks)
    outputs = sizes.groups * sizes.outputs
    # Of the pixels, the gradients of a block, and the places of the terms.
    row = -(-sizes.out_w // _WIDTH) * _WIDTH
    scratch_item = staged + sizes.block * strip_rows * row + sizes.terms
    partials = device.empty((chunks, outputs, sizes.terms + 1, _WIDTH))
    dw, db = device.empty(geometry.w_shape), device.empty((1, outputs, 1, 1))
    device.launch(
        "conv2d_direct",
        "correlate_weights",
        (items,),
        (1,),
        options=sizes.options,
        x=x,
        dy=dy,
        partials=partials,
        scratch=device.empty((items * scratch_item,)),
        scratch_item=scratch_item,
        items=items,
        **sizes.arguments,
        strip_rows=strip_rows,
        staged_rows=staged_rows,
        chunks=chunks,
    )
    device.launch(
        "conv2d_direct",
        "sum_partials",
        (outputs,),
        (1,),
        options=sizes.options,
        partials=partials,
        dw=dw,
        db=db,
        outputs=outputs,
        terms=sizes.terms,
        chunks=chunks,
    )
    return dw, db


class _Correlation(Correlation):
    """A correlation as these kernels cut it."""

    @property
    def block(self):
        """Outputs of a group whose sums are kept in registers together."""
        return self.outputs if self.outputs <= 2 else 4

    @functools.cached_property
    def options(self):
        return f"-DOUTPUTS={self.block}", f"-DROWS={_ROWS[self.block]}", f"-DTERMS={_TERMS[self.block]}"

    @functools.cached_property
    def phases(self):
        """Sets of pixels of a row, a stride apart, that taps read: those of taps q and q + phases are the same."""
        return min(self.kernel[1], self.stride[1] // math.gcd(self.stride[1], self.dilation[1]))

    @functools.cached_property
    def pitch(self):
        """Pixels of a row in one phase, so that windows can be read in whole vectors."""
        return -(-self.out_w // _WIDTH) * _WIDTH + (self.kernel[1] - 1) * self.dilation[1] // self.stride[1]

    def staged_rows(self, rows):
        """Rows of an image that so many rows of y read."""
        return (rows - 1) * self.stride[0] + (self.kernel[0] - 1) * self.dilation[0] + 1

    def strips(self, least, items):
        """How images are cut: a multiple of ``least`` rows each, and few enough to give so many work-items one.

        Returns
        -------
        (int, int, int)
            Rows of y in a strip, rows of x that it reads, and the floats that those take.
        """
        of_row = self.inputs * self.phases * self.pitch
        fitting = (_STRIP_BYTES // 4 // of_row - self.staged_rows(1)) // self.stride[0] + 1
        strips = -(-items // max(1, self.images * self.groups))
        wanted = -(-self.out_h // strips)
        rows = max(1, min(fitting // least, -(-wanted // least))) * least
        return rows, self.staged_rows(rows), self.staged_rows(rows) * of_row

    @functools.cached_property
    def arguments(self):
        """The sizes by the names that the kernels have for them."""
        (kernel_h, kernel_w), (stride_h, stride_w), (dilation_h, dilation_w) = self.kernel, self.stride, self.dilation
        return {
            **self.sizes,
            "kernel_h": kernel_h,
            "kernel_w": kernel_w,
            "stride_h": stride_h,
            "stride_w": stride_w,
            "dilation_h": dilation_h,
            "dilation_w": dilation_w,
            "phases": self.phases,
            "pitch": self.pitch,
        }


def _correlate(correlation, x, w, b, limits, y):
    sizes, device = correlation, x.device
    items = _ITEMS_PER_CORE * device.compute_units
    strip_rows, staged_rows, staged = sizes.strips(_ROWS[sizes.block], items)
    items = min(items, sizes.images * sizes.groups * -(-sizes.out_h // strip_rows))
    # Of the pixels, the weights of a block, and the places of the terms.
    scratch_item = staged + (sizes.block + 1) * sizes.terms
    spread_h, spread_w = sizes.spread
    device.launch(
        "conv2d_direct",
        "correlate",
        (items,),
        (1,),
        options=sizes.options,
        x=x,
        w=w,
        bias=b,
        has_bias=int(b is not None),
        **limits.arguments,
        y=y,
        scratch=device.empty((items * scratch_item,)),
        scratch_item=scratch_item,
        items=items,
        **sizes.arguments,
        strip_rows=strip_rows,
        staged_rows=staged_rows,
        spread_h=spread_h,
        spread_w=spread_w,
        **sizes.weight_steps,
        is_turned=int(sizes.is_transposed),
    )
